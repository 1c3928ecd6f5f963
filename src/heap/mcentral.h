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
	struct mspan *partial;    /* [l] spans with a free slot, the last to come first */
	size_t npartial;          /* [l] number of them */
} ALIGNED(CACHE_LINE);

extern struct mcentral mcentrals[NUM_SPAN_CLASSES];

/* Prepares the locks. Called once, before all other functions. */
void mcentral_init(void);

/* Takes over a span that the caller owns and that has a free slot. A span that turns out to be
 * empty goes to the heap. Takes mcentral.lock, and after it perhaps mheap.lock. */
void mcentral_put(struct mspan *s);

/* Hands a span of the class with a free slot to owner and returns it, or NULL when there is none.
 * The caller has to absorb it. Takes mcentral.lock. */
struct mspan *mcentral_take(spanclass_t sc, uintptr_t owner);

/* Hands a span to owner if it still is central, as the thread does that mspan_free_remote() has
 * told to claim it. Returns false otherwise. Takes mcentral.lock. */
bool mcentral_claim(struct mspan *s, uintptr_t owner);

/* In a forked child: frees the locks, and repairs the lists that were being changed. */
void mcentral_after_fork(void);

/* Checks every list and every span on it. No other thread may be in the heap. */
void mcentral_check(void);

#endif
