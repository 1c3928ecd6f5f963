/* SPDX-License-Identifier: MIT */
/*
 * heapcheck.h - walks the whole heap, for tests. See heapcheck.c.
 */
#ifndef GOALLOC_HEAPCHECK_H
#define GOALLOC_HEAPCHECK_H

#include "heap/mcache.h"

/* Checks every invariant of every module, and aborts with the first that is broken. No other
 * thread may be in the heap. */
void heapcheck(void);

/* Checks every bin, list and stack of a cache. The owner does not run. */
void heapcheck_cache(struct mcache *c);

#endif
