/* SPDX-License-Identifier: MIT */
/*
 * sample.h - chooses which allocations are counted, sampled and guarded. See sample.c.
 *
 * While counting is on, malloc takes objects from the counted bins of its cache. A counted bin is
 * refilled only up to the next sample or guarded object, with COUNTED_MOST objects at most. So the
 * fast path of malloc, which knows nothing of all this, runs into a slow path at just that object.
 * Slow paths that allocate ask for each object.
 */
#ifndef GOALLOC_SAMPLE_H
#define GOALLOC_SAMPLE_H

#include "heap/thread.h"

/* Access: [a] atomic, written under the lock of sample.c */
struct sampling {
	_Atomic bool counts;            /* [a] allocations are counted */
	_Atomic uint64_t rate;          /* [a] mean bytes between samples; 0 none */
	_Atomic uint64_t guardrate;     /* [a] mean objects between guarded ones; 0 none */
	_Atomic uint32_t epoch;         /* [a] how often these were changed */
};

extern struct sampling sampling;

/* Access: [l] sample_lock */
struct sample_totals {
	struct lock lock;
	struct alloc_counts base;     /* [l] while counting: added to the counts of caches */
	struct alloc_counts freed;    /* [l] frees until counting was last switched off */
	bool wanted;                  /* [l] sample_count() asked for counts */
};
extern struct sample_totals sample_totals;

/* Returns whether allocations are counted. A thread that learns of a change late counts late.
 * Acquire: the profile's tables. Pairs with the release in switch_locked(). */
static inline bool sample_counts(void)
{
	return atomic_load_explicit(&sampling.counts, memory_order_acquire);
}

/* What sample_one() wants to be done with an allocation. */
#define SAMPLE_STACK 1      /* it is a sample: set SLOT_SAMPLED, and call profile_alloc() */
#define SAMPLE_GUARD 2      /* it gets guards, if they can be had */

/* Counts one object of nbytes that a slow path is about to make. Returns SAMPLE_* bits. */
unsigned sample_one(struct mcache *c, spanclass_t sc, size_t nbytes);

/* Counts one small object that is neither sampled nor guarded. */
static inline void sample_count_small(struct mcache *c, spanclass_t sc)
{
	c->counted.made.mallocs[sc]++;
}

/* Takes back sample_one(), because there was no memory for the object. */
void sample_undo(struct mcache *c, spanclass_t sc, size_t nbytes);

/* Returns a counted object of a scan class of malloc that is neither sampled nor guarded. Returns
 * NULL if the next object is, or if there is no memory. */
void *sample_plain(struct mcache *c, spanclass_t sc);

/* Begins to count allocations, to sample one every rate bytes on average, and to guard one in
 * guardrate on average. A rate of 0 means none. Takes sample_lock and the threads lock. */
void sample_begin(uint64_t rate, uint64_t guardrate);

/* Ends sampling and guarding, and counting unless sample_count() asked for it. */
void sample_end(void);

/* Covers which profile is taken: while it is held, none begins or ends. */
extern struct lock sample_switch;

/* Begins a profile, and to sample for it one allocation every rate bytes on average, not 0. Returns
 * false if there is no memory for its tables. Takes sample_switch, and the locks of sample_begin()
 * and of the profile. */
bool sample_begin_profile(size_t rate);

/* Ends the profile. What the options ask for besides goes on. */
void sample_end_profile(void);

/* Do the same for a caller that has sample_switch. sample_try_profile_locked() does not wait while
 * another thread writes a profile: it then returns false, too. */
bool sample_try_profile_locked(size_t rate);
void sample_end_profile_locked(void);

/* Switches counting on or off. It stays on while allocations are sampled or guarded. */
void sample_count(bool on);

/* Live objects of every span class, and bytes of big objects, as a walk of the heap finds them. */
struct live_counts {
	uint64_t objects[NUM_SPAN_CLASSES];
	uint64_t big_bytes[2];
};

/* Sets *counts to the allocations up to now, given what is live. Objects that were live when
 * counting began count as allocated. Objects that were allocated and freed while it was off do not.
 * The counts are never less than what is live. */
void sample_read_counts(const struct live_counts *live, struct alloc_counts *counts);

/* Resets the locks in a forked child. */
void sample_after_fork(void);

#endif
