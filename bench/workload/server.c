/* SPDX-License-Identifier: MIT */
/*
 * server.c - imitates a server, after Larson and Krishnan.
 *
 * Each thread replaces random ones of LIVE objects for a while, then ends and leaves them to
 * another thread. Objects therefore outlive the threads that allocated them and are freed by
 * others. One operation is one free and one malloc.
 */
#include "object.h"
#include "prng.h"
#include "sizes.h"
#include "stopwatch.h"
#include "workload.h"

#define NGENERATIONS 12u     /* one batch each */
#define NOPS         160000u /* in a generation, over all threads */
#define MAX_NTHREADS 256

/* Access: [c] constant while the thread runs  [t] the thread's */
struct worker {
	uintptr_t thread; /* [c] */
	void **object;    /* the array is [c], its elements are [t] */
	uint32_t nlive;   /* [c] */
	uint32_t nops;    /* [c] */
	uint64_t seed;    /* [c] */
};

static struct worker workers[MAX_NTHREADS];
static struct sizes sizes;

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct prng r = prng_seed(w->seed);

	for (uint32_t op = 0; op < w->nops; op++) {
		uint32_t i = prng_below(&r, w->nlive);

		object_delete(w->object[i], i);
		w->object[i] = object_new(sizes_at(&sizes, w->seed + op), i);
	}
	return NULL;
}

/* Starts nthreads and joins them. Each gets the objects that its neighbour had before. */
static void generation_run(uint32_t nthreads, uint64_t generation)
{
	void **first = workers[0].object;

	for (uint32_t i = 0; i < nthreads; i++) {
		workers[i].object = i + 1 < nthreads ? workers[i + 1].object : first;
		workers[i].seed = generation * MAX_NTHREADS + i;
		thread_start(&workers[i].thread, worker_main, &workers[i]);
	}
	for (uint32_t i = 0; i < nthreads; i++)
		thread_join(workers[i].thread);
}

double server_run(char **arg)
{
	uint32_t nthreads = (uint32_t)arg_number(arg[0], 1, MAX_NTHREADS);
	uint32_t nlive = (uint32_t)arg_number(arg[1], 1, 1u << 24);
	struct stopwatch watch = { 0 };

	sizes_between(&sizes, 10, 500, 6);
	for (uint32_t i = 0; i < nthreads; i++) {
		workers[i].nlive = nlive;
		workers[i].nops = NOPS / nthreads;
		workers[i].object = own_memory(nlive * sizeof *workers[i].object);
		for (uint32_t k = 0; k < nlive; k++)
			workers[i].object[k] = object_new(sizes_at(&sizes, k), k);
	}
	for (uint32_t g = 0; g < NGENERATIONS; g++) {
		stopwatch_start(&watch);
		generation_run(nthreads, g);
		stopwatch_stop(&watch, (uint64_t)(NOPS / nthreads) * nthreads);
	}
	return watch.best_ns;
}
