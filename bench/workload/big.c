/* SPDX-License-Identifier: MIT */
/*
 * big.c - replaces random ones of LIVE blocks in each thread.
 *
 * The workload "big" has blocks of 32 KiB to 1 MiB, and writes each page of a block once, as a
 * program fills a buffer. "medium" has blocks of 40 to 120 KiB, as servers and interpreters have
 * for buffers, and writes only their first bytes, so that the time is the allocator's. One
 * operation is one free and one malloc. The time is the mean of the whole run, because giving
 * memory back and getting it again is part of the cost.
 */
#include <stdbool.h>

#include "object.h"
#include "prng.h"
#include "sizes.h"
#include "stopwatch.h"
#include "workload.h"

#define NOPS_BIG     6000u   /* over all threads */
#define NOPS_MEDIUM  400000u /* over all threads */
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
static bool writes_pages;

static void *block_new(size_t nbytes, uint64_t tag)
{
	void *p = object_new(nbytes, tag);

	if (writes_pages)
		object_touch_pages(p, TOUCH_STRIDE, nbytes);
	return p;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	void **object = own_memory(w->nlive * sizeof *object);
	struct prng r = prng_seed(w->seed);
	uint64_t nth = w->seed * 100;

	for (uint32_t i = 0; i < w->nlive; i++)
		object[i] = block_new(sizes_at(&sizes, nth++), i);
	for (uint32_t op = 0; op < w->nops; op++) {
		uint32_t i = prng_below(&r, w->nlive);

		object_delete(object[i], i);
		object[i] = block_new(sizes_at(&sizes, nth++), i);
	}
	for (uint32_t i = 0; i < w->nlive; i++)
		object_delete(object[i], i);
	return NULL;
}

static double replace_blocks(char **arg, uint32_t nops)
{
	uint32_t nthreads = (uint32_t)arg_number(arg[0], 1, MAX_NTHREADS);
	uint32_t nlive = (uint32_t)arg_number(arg[1], 1, 1u << 16);
	struct stopwatch watch = { 0 };

	stopwatch_start(&watch);
	for (uint32_t i = 0; i < nthreads; i++) {
		workers[i] = (struct worker){ .nlive = nlive, .nops = nops / nthreads, .seed = i };
		thread_start(&workers[i].thread, worker_main, &workers[i]);
	}
	for (uint32_t i = 0; i < nthreads; i++)
		thread_join(workers[i].thread);
	stopwatch_stop(&watch, (uint64_t)nthreads * (nops / nthreads + nlive));
	return watch.best_ns;
}

double big_run(char **arg)
{
	sizes_between(&sizes, 32 * KIB, MIB, 9);
	writes_pages = true;
	return replace_blocks(arg, NOPS_BIG);
}

double medium_run(char **arg)
{
	sizes_between(&sizes, 40 * KIB, 120 * KIB, 9);
	return replace_blocks(arg, NOPS_MEDIUM);
}
