/* SPDX-License-Identifier: MIT */
/*
 * mcentral.h - the spans of one span class that no thread holds. See mcentral.c.
 */
#ifndef GOALLOC_MCENTRAL_H
#define GOALLOC_MCENTRAL_H

#include "heap/mheap.h"

/*
 * Access: [l] lock
 */
struct mcentral {
	struct lock lock;         /* LOCK_MCENTRAL */
	struct mspan *partial;    /* [l] spans with a free slot, last come first */
	size_t npartial;          /* [l] */
} ALIGNED(CACHE_LINE);

extern struct mcentral mcentrals[NUM_SPAN_CLASSES];

/* Once, before anything else here. */
void mcentral_init(void);

/* Takes a span that the caller owns and that has a free slot. A span that turns out to be empty goes to the
 * heap. Takes mcentral.lock, then maybe mheap.lock. */
void mcentral_put(struct mspan *s);

/* A span of the class with a free slot, now owner's; NULL when there is none. Not absorbed. */
struct mspan *mcentral_take(spanclass_t sc, uintptr_t owner);

/* central -> owner's, if the span still is central. For who was told so by mspan_free_remote(). */
bool mcentral_claim(struct mspan *s, uintptr_t owner);

/* In a forked child: unlocks, and mends the lists that were being changed. */
void mcentral_after_fork(void);

/* Every list and every span on it. No other thread may be in the heap. */
void mcentral_check(void);

#endif
