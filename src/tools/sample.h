/* SPDX-License-Identifier: MIT */
/*
 * sample.h - which allocations are counted, which of them are sampled, which get guards. See sample.c.
 *
 * While counting is on, malloc takes objects from the counted slots of its cache. They are refilled with as many objects as come before
 * the next one that is to be sampled or guarded, COUNTED_MOST at most: so the fast path of malloc, which does not know of all
 * this, comes here at that one. What allocates on slow paths asks for every object.
 */
#ifndef GOALLOC_SAMPLE_H
#define GOALLOC_SAMPLE_H

#include "heap/thread.h"

/* Access: [a] atomic, written under the lock of sample.c */
struct sampling {
	_Atomic bool counts;            /* [a] allocations are counted */
	_Atomic uint64_t rate;          /* [a] mean bytes between samples; 0 none */
	_Atomic uint64_t guardrate;     /* [a] mean objects between guarded ones; 0 none */
	_Atomic uint32_t epoch;         /* [a] counts the changes of these */
};

extern struct sampling sampling;

/* Whoever learns late counts late. Acquire: the counted slots are ready. Pairs with the release in
 * switch_locked(). */
static inline bool sample_counts(void)
{
	return atomic_load_explicit(&sampling.counts, memory_order_acquire);
}

/* What to do with an allocation. */
#define SAMPLE_STACK 1      /* it is a sample: set SLOT_SAMPLED, and call profile_alloc() */
#define SAMPLE_GUARD 2      /* it gets guards, if they can be had */

/* Counts one object of nbytes that a slow path is about to make. */
unsigned sample_one(struct mcache *c, spanclass_t sc, size_t nbytes);

/* Counts one small object, of which neither mark is asked. */
static inline void sample_count_small(struct mcache *c, spanclass_t sc)
{
	c->counted.made.mallocs[sc]++;
}

/* There was no memory for it. */
void sample_undo(struct mcache *c, spanclass_t sc, size_t nbytes);

/* An object of the class, counted, that is neither sample nor guarded: NULL when the next one is, and when there is no memory. For scan
 * classes that malloc has. */
void *sample_plain(struct mcache *c, spanclass_t sc);

/* From now on allocations are counted, every rate bytes in the mean one is sampled (0: none) and every guardrate-th guarded (0: none).
 * Any thread; takes threads lock. */
void sample_begin(uint64_t rate, uint64_t guardrate);

/* Nothing is any more, but for what sample_count() asked for. */
void sample_end(void);

/* Allocations are counted beside what is sampled; false: no longer, unless some are sampled or guarded. */
void sample_count(bool on);

/* Live objects of every span class, and bytes of big ones, as a walk of the heap finds them. */
struct live_counts {
	uint64_t objects[NUM_SPAN_CLASSES];
	uint64_t big_bytes[2];
};

/* Allocations up to now, given what is live. What was live when counting began counts as allocated; what was allocated and freed while
 * it was off does not. Never less than what is live. */
void sample_read_counts(const struct live_counts *live, struct alloc_counts *counts);

/* In a forked child. */
void sample_after_fork(void);

#endif
