/* SPDX-License-Identifier: MIT */
/*
 * mcentral.h - the spans of one span class that have a free slot and that no thread holds. See
 * mcentral.c.
 */
#ifndef GOALLOC_MCENTRAL_H
#define GOALLOC_MCENTRAL_H

#include "heap/drain.h"

/* The lists of a class. Of the first two, which change places, one gets the spans that come. */
enum mcentral_list { CENTRAL_EVEN, CENTRAL_ODD, CENTRAL_DRAINED, CENTRAL_LISTS };

/*
 * Access: [l] lock
 */
struct mcentral {
	struct lock lock;                       /* LOCK_MCENTRAL */
	struct mspan *lists[CENTRAL_LISTS];     /* [l] spans with a free slot, last come first */
	size_t npartial;                        /* [l] number of them */
	uint32_t pass;                          /* [l] the last drain that was here */
	uint8_t young;                          /* [l] the list that gets the spans that come */
} ALIGNED(CACHE_LINE);

extern struct mcentral mcentrals[NUM_SPAN_CLASSES];

/* Takes over a span that the caller owns and that has a free slot. A span that turns out to be
 * empty goes to the heap. Takes mcentral.lock, and after it perhaps mheap.lock. */
void mcentral_put(struct mspan *s);

/* Takes over a span as mcentral_put() does. The span was not used for the decay time, so the next
 * pass drains it. */
void mcentral_put_idle(struct mspan *s);

/* Takes over a span as mcentral_put() does, and drains it at once. Locks as drain_span(), and after
 * it mcentral.lock. */
void mcentral_put_drained(struct mspan *s);

/* Hands a span of the class with a free slot to owner and returns it, or NULL when there is none.
 * The caller has to absorb it. Takes mcentral.lock. */
struct mspan *mcentral_take(spanclass_t sc, uintptr_t owner);

/* Hands a span to owner if it still is central, as the thread does that mspan_free_remote() has
 * told to claim it. Returns false otherwise. Takes mcentral.lock. */
bool mcentral_claim(struct mspan *s, uintptr_t owner);

/* Drains spans that nobody has taken for decay_ms, some at a time. Returns true when there may be
 * more. Locks as drain_span(), and mcentral.lock for moments. */
bool mcentral_drain_poll(uint64_t now_ms, uint32_t decay_ms);

/* Drains spans that nobody has taken while the heap grew, some at a time. It has grown to nbytes.
 * Locks as mcentral_drain_poll(). */
void mcentral_drain_growth(size_t nbytes);

/* Drains every span that is not drained. Returns true if something was given back. Locks as
 * mcentral_drain_poll(). */
bool mcentral_drain_all(void);

/* In a forked child: frees the locks, and repairs the lists that were being changed. */
void mcentral_after_fork(void);

/* Checks every list and every span on it. No other thread may be in the heap. */
void mcentral_check(void);

#endif
