/* SPDX-License-Identifier: MIT */
/*
 * tracer.h - what a tracer outside of the process asks for: that allocations are sampled. See
 * tracer.c.
 */
#ifndef GOALLOC_TRACER_H
#define GOALLOC_TRACER_H

#include "base/base.h"

/*
 * What tracers write, and what the last slow path made of it.
 *
 * Access: [t] written by other processes, and by the kernel  [a] atomic, any thread
 *         [s] written under sample_switch
 */
struct tracer {
	union {
		struct {
			/* [t] The semaphores of the probes: how many tracers watch them. */
			uint16_t alloc_watchers, free_watchers;
			/* [t] Mean bytes between samples that goalloc-view wants; 0 none. [a] */
			_Atomic uint32_t rate;
		};
		_Atomic uint64_t wish;    /* all three */
	};
	_Atomic uint64_t answered;        /* [a] the wish that was answered last */
	_Atomic uint32_t lease_ms;        /* [t] rate becomes 0 so long after sampling began; 0
					   * for never. Written before rate. */
	_Atomic uint64_t end_ms;          /* [s] of the lease; 0. Read by any thread. */
	uint64_t serial;                  /* [s] of the profile that was begun here; 0 */
	uint32_t granted;                 /* [s] the rate that the lease is for */
	_Atomic bool allowed;             /* [a] libc is up, and the options are read */
};

/* In tracer.answered: whatever the wish is, it is to be answered. */
#define TRACER_UNANSWERED UINT64_MAX

extern struct tracer tracer HIDDEN;

/* Allows tracers to start sampling. */
void tracer_allow(void);

/* Begins or ends sampling as the wish says, unless the thread holds a lock or another one is at
 * it. */
void tracer_attend_slow(void);

/* Returns whether there is a wish that was not answered. Relaxed: it only tells whether to look. */
static inline bool tracer_waits(void)
{
	return atomic_load_explicit(&tracer.wish, memory_order_relaxed) !=
	       atomic_load_explicit(&tracer.answered, memory_order_relaxed);
}

/* Answers a new wish. The caller has no cache in use and no lock. */
static inline void tracer_attend(void)
{
	if (UNLIKELY(tracer_waits()))
		tracer_attend_slow();
}

/* Withdraws the wish of a tracer that did not come back. Called after a sample. */
void tracer_look_at_lease(void);

/* In a forked child: goalloc-view does not know of it, so its wish does not count here. */
void tracer_after_fork(void);

#endif
