/* SPDX-License-Identifier: MIT */
/*
 * range.h - sorts ranges of addresses, and finds the one that contains an address.
 */
#ifndef GOALLOC_VIEW_RANGE_H
#define GOALLOC_VIEW_RANGE_H

#include "base/base.h"

#include <stdlib.h>

/* For bsearch(3): compares the address that key points to with a range, which begins with the
 * address of its first byte and the address behind its last. */
static inline int range_compare(const void *key, const void *range)
{
	uintptr_t addr = *(const uintptr_t *)key, bounds[2];

	copy_bytes(bounds, range, sizeof(bounds));
	return addr < bounds[0] ? -1 : addr >= bounds[1];
}

/* For qsort(3): the order of ranges by their first bytes. */
static inline int range_by_start(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

/* Returns the range that contains addr, of n that lie apart and by address, or NULL. Each has
 * nbytes, and begins as range_compare() says. */
static inline void *range_find(const void *ranges, size_t n, size_t nbytes, uintptr_t addr)
{
	return n == 0 ? NULL : bsearch(&addr, ranges, n, nbytes, range_compare);
}

#endif
