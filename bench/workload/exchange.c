/* SPDX-License-Identifier: MIT */
/*
 * exchange.c - puts threads in a circle: each allocates for the next thread and frees the objects
 * that the previous thread sent. Every thread does both all the time.
 *
 * One operation is one malloc and one free.
 */
#include <pthread.h>
#include <sched.h>

#include "object.h"
#include "ring.h"
#include "sizes.h"
#include "stopwatch.h"
#include "workload.h"

#define NBATCHES     6
#define NPARCELS     16000u /* a batch, over all threads */
#define MAX_NTHREADS 256

/* Access: [c] constant once the threads run */
struct member {
	struct ring inbox;
	struct member *next; /* [c] receives the parcels of this one */
	uintptr_t thread;    /* [c] */
	uint32_t nparcels;   /* [c] sent and received in a batch */
};

static struct member members[MAX_NTHREADS];
static struct sizes sizes;
static pthread_barrier_t barrier; /* all members and the main thread */

static void parcel_fill(struct parcel *parcel, uint64_t *nth)
{
	for (uint32_t k = 0; k < PARCEL_NOBJECTS; k++, ++*nth)
		parcel->object[k] = object_new(sizes_at(&sizes, *nth), k);
}

static void parcel_empty(struct parcel *parcel)
{
	for (uint32_t k = 0; k < PARCEL_NOBJECTS; k++)
		object_delete(parcel->object[k], k);
}

/* Sends and receives nparcels. While it waits for room it looks into its own inbox, so that two
 * members never wait for each other. */
static void member_batch(struct member *m, uint64_t *nth)
{
	struct parcel out;
	struct parcel in;
	uint32_t nsent = 0;
	uint32_t nreceived = 0;
	bool full = false;

	while (nsent < m->nparcels || nreceived < m->nparcels) {
		bool moved = false;

		if (nsent < m->nparcels) {
			if (!full)
				parcel_fill(&out, nth);
			full = !ring_try_send(&m->next->inbox, &out);
			nsent += full ? 0 : 1;
			moved = !full;
		}
		if (nreceived < m->nparcels && ring_try_receive(&m->inbox, &in)) {
			parcel_empty(&in);
			nreceived++;
			moved = true;
		}
		if (!moved)
			sched_yield();
	}
}

static void *member_main(void *arg)
{
	struct member *m = arg;
	uint64_t nth = (uint64_t)(m - members) * 100;

	thread_pin((unsigned)(m - members));
	for (int batch = 0; batch < NBATCHES; batch++) {
		pthread_barrier_wait(&barrier);
		member_batch(m, &nth);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

double exchange_run(char **arg)
{
	uint32_t nthreads = (uint32_t)arg_number(arg[0], 2, MAX_NTHREADS);
	uint32_t nparcels = NPARCELS / nthreads;
	struct stopwatch watch = { 0 };

	sizes_usual(&sizes, 4);
	pthread_barrier_init(&barrier, NULL, nthreads + 1);
	for (uint32_t i = 0; i < nthreads; i++) {
		members[i].next = &members[(i + 1) % nthreads];
		members[i].nparcels = nparcels;
	}
	for (uint32_t i = 0; i < nthreads; i++)
		thread_start(&members[i].thread, member_main, &members[i]);
	for (int batch = 0; batch < NBATCHES; batch++) {
		/* The watch starts first, because this thread may not run again until they are
		 * done. */
		stopwatch_start(&watch);
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
		stopwatch_stop(&watch, (uint64_t)nthreads * nparcels * PARCEL_NOBJECTS);
	}
	for (uint32_t i = 0; i < nthreads; i++)
		thread_join(members[i].thread);
	return watch.best_ns;
}
