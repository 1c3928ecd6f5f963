/* SPDX-License-Identifier: MIT */
/*
 * churn.c - starts threads that allocate COUNT objects, free every other one and end.
 *
 * The main thread joins them, frees the rest and starts the next threads. One operation is one
 * malloc and one free; the cost of starting and ending a thread is spread over them.
 */
#include "object.h"
#include "sizes.h"
#include "stopwatch.h"
#include "workload.h"

#define NBATCHES     5
#define NSTARTS      240u /* threads started in a batch, at least */
#define MAX_NTHREADS 256

/* Access: [c] constant once the thread runs  [t] the thread's, the main thread's after the join */
struct worker {
	uintptr_t thread; /* [c] */
	void **object;    /* the array is [c], its elements are [t] */
	uint32_t count;   /* [c] objects */
	uint64_t nth;     /* [c] where in the size table it begins */
};

static struct worker workers[MAX_NTHREADS];
static struct sizes sizes;

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	for (uint32_t i = 0; i < w->count; i++)
		w->object[i] = object_new(sizes_at(&sizes, w->nth + i), i);
	for (uint32_t i = 0; i < w->count; i += 2)
		object_delete(w->object[i], i);
	return NULL;
}

static void generation_run(uint32_t nthreads, uint64_t generation)
{
	for (uint32_t i = 0; i < nthreads; i++) {
		workers[i].nth = generation * 31 + i * 97;
		thread_start(&workers[i].thread, worker_main, &workers[i]);
	}
	for (uint32_t i = 0; i < nthreads; i++) {
		thread_join(workers[i].thread);
		for (uint32_t k = 1; k < workers[i].count; k += 2)
			object_delete(workers[i].object[k], k);
	}
}

double churn_run(char **arg)
{
	uint32_t nthreads = (uint32_t)arg_number(arg[0], 1, MAX_NTHREADS);
	uint32_t count = (uint32_t)arg_number(arg[1], 1, 1u << 20);
	uint32_t ngenerations = (NSTARTS + nthreads - 1) / nthreads;
	struct stopwatch watch = { 0 };

	sizes_usual(&sizes, 5);
	for (uint32_t i = 0; i < nthreads; i++) {
		workers[i].count = count;
		workers[i].object = own_memory(count * sizeof *workers[i].object);
	}
	for (uint32_t batch = 0; batch < NBATCHES; batch++) {
		stopwatch_start(&watch);
		for (uint32_t g = 0; g < ngenerations; g++)
			generation_run(nthreads, batch * ngenerations + g);
		stopwatch_stop(&watch, (uint64_t)ngenerations * nthreads * count);
	}
	return watch.best_ns;
}
