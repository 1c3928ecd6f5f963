/* SPDX-License-Identifier: MIT */
/*
 * heapcheck.h - walks the whole heap, for tests. See heapcheck.c.
 */
#ifndef GOALLOC_HEAPCHECK_H
#define GOALLOC_HEAPCHECK_H

#include "base/base.h"

/* Checks every invariant of every module, and aborts with the first that is broken. No other
 * thread may be in the heap. */
void heapcheck(void);

#endif
