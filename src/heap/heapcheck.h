/* SPDX-License-Identifier: MIT */
/*
 * heapcheck.h - walks the whole heap, for tests. See heapcheck.c.
 */
#ifndef GOALLOC_HEAPCHECK_H
#define GOALLOC_HEAPCHECK_H

#include "base/base.h"

/* Checks every invariant of every module; aborts with the broken one. The caller sees to it that no other
 * thread is in the heap. */
void heapcheck(void);

#endif
