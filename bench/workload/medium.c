/* SPDX-License-Identifier: MIT */
/*
 * medium.c - replaces random ones of LIVE blocks of 40 to 120 KiB in each thread.
 *
 * These are the buffers of servers and interpreters: larger than what most allocators keep for a
 * thread, and not so large that the kernel's part decides. Only the first bytes of a block are
 * written, so the time is the allocator's. One operation is one free and one malloc.
 */
#include "object.h"
#include "prng.h"
#include "sizes.h"
#include "stopwatch.h"
#include "workload.h"

#define NOPS         400000u /* over all threads */
#define MAX_NTHREADS 256

/* Access: [c] constant once the thread runs */
struct worker {
	uintptr_t thread; /* [c] */
	uint32_t nlive;   /* [c] */
	uint32_t nops;    /* [c] */
	uint64_t seed;    /* [c] */
};

static struct worker workers[MAX_NTHREADS];
static struct sizes sizes;

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	void **object = own_memory(w->nlive * sizeof *object);
	struct prng r = prng_seed(w->seed);
	uint64_t nth = w->seed * 100;

	for (uint32_t i = 0; i < w->nlive; i++)
		object[i] = object_new(sizes_at(&sizes, nth++), i);
	for (uint32_t op = 0; op < w->nops; op++) {
		uint32_t i = prng_below(&r, w->nlive);

		object_delete(object[i], i);
		object[i] = object_new(sizes_at(&sizes, nth++), i);
	}
	for (uint32_t i = 0; i < w->nlive; i++)
		object_delete(object[i], i);
	return NULL;
}

double medium_run(char **arg)
{
	uint32_t nthreads = (uint32_t)arg_number(arg[0], 1, MAX_NTHREADS);
	uint32_t nlive = (uint32_t)arg_number(arg[1], 1, 1u << 16);
	struct stopwatch watch = { 0 };

	sizes_between(&sizes, 40 * KIB, 120 * KIB, 9);
	stopwatch_start(&watch);
	for (uint32_t i = 0; i < nthreads; i++) {
		workers[i] = (struct worker){ .nlive = nlive, .nops = NOPS / nthreads, .seed = i };
		thread_start(&workers[i].thread, worker_main, &workers[i]);
	}
	for (uint32_t i = 0; i < nthreads; i++)
		thread_join(workers[i].thread);
	stopwatch_stop(&watch, (uint64_t)nthreads * (NOPS / nthreads + nlive));
	return watch.best_ns;
}
