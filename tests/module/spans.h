/* SPDX-License-Identifier: MIT */
/*
 * spans.h - the lengths that the spans of a class may have.
 */
#ifndef GOALLOC_TEST_SPANS_H
#define GOALLOC_TEST_SPANS_H

#include "heap/mheap.h"

/* Returns a span of the class as long as there are any. */
static inline struct mspan *alloc_longest(struct pcache *pc, spanclass_t sc)
{
	return mheap_alloc_small(pc, sc, spanclass_max_npages(sc), EFFORT_GROW);
}

/* Returns the slots of the longest spans of a class. */
static inline unsigned longest_nelems(spanclass_t sc)
{
	return spanclass_nelems(sc, spanclass_max_npages(sc));
}

#endif
