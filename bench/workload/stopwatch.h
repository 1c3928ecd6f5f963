/* SPDX-License-Identifier: MIT */
/*
 * stopwatch.h - measures time per operation as the best of several batches.
 *
 * Neither start-up nor a moment in which the machine did something else spoils the best batch.
 *
 * Holds    best_ns is the least time per operation of all batches so far; 0 before the first.
 */
#ifndef BENCH_STOPWATCH_H
#define BENCH_STOPWATCH_H

#include <stdint.h>
#include <time.h>

struct stopwatch {
	uint64_t start_ns; /* when the running batch began, CLOCK_MONOTONIC */
	double best_ns;    /* nanoseconds per operation */
};

static inline uint64_t stopwatch_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void stopwatch_start(struct stopwatch *w)
{
	w->start_ns = stopwatch_now_ns();
}

/* Ends a batch of nops operations. Needs nops > 0. */
static inline void stopwatch_stop(struct stopwatch *w, uint64_t nops)
{
	double ns = (double)(stopwatch_now_ns() - w->start_ns) / (double)nops;

	if (w->best_ns <= 0 || ns < w->best_ns)
		w->best_ns = ns;
}

#endif
