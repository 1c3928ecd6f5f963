/* SPDX-License-Identifier: MIT */
/*
 * handover.c - lets one thread allocate and another free, through a bounded ring.
 *
 * One operation is one malloc in one thread and its free in the other, over all pairs of threads.
 */
#include <string.h>

#include "object.h"
#include "ring.h"
#include "sizes.h"
#include "stopwatch.h"
#include "workload.h"

#define NBATCHES   6
#define NPARCELS   12000u /* a batch, over all pairs */
#define MAX_NPAIRS 64

/* Access: [c] constant once the threads run  [p] the producer */
struct line {
	struct ring ring;
	uintptr_t producer;     /* [c] threads */
	uintptr_t consumer;     /* [c] */
	uint32_t nparcels;      /* [c] a batch */
	struct stopwatch watch; /* [p] */
};

static struct line lines[MAX_NPAIRS];
static struct sizes sizes;

static void *produce(void *arg)
{
	struct line *line = arg;
	struct parcel parcel;
	uint64_t nth = 0;

	thread_pin(0);
	for (int batch = 0; batch < NBATCHES; batch++) {
		stopwatch_start(&line->watch);
		for (uint32_t i = 0; i < line->nparcels; i++) {
			for (uint32_t k = 0; k < PARCEL_NOBJECTS; k++, nth++)
				parcel.object[k] = object_new(sizes_at(&sizes, nth), nth);
			ring_send(&line->ring, &parcel);
		}
		ring_drained(&line->ring);
		stopwatch_stop(&line->watch, (uint64_t)line->nparcels * PARCEL_NOBJECTS);
	}
	return NULL;
}

static void *consume(void *arg)
{
	struct line *line = arg;
	struct parcel parcel;
	uint64_t nth = 0;

	thread_pin(1);
	for (uint32_t i = 0; i < line->nparcels * NBATCHES; i++) {
		ring_receive(&line->ring, &parcel);
		for (uint32_t k = 0; k < PARCEL_NOBJECTS; k++, nth++)
			object_delete(parcel.object[k], nth);
	}
	return NULL;
}

double handover_run(char **arg)
{
	size_t npairs = arg_number(arg[0], 1, MAX_NPAIRS);
	double ops_per_ns = 0;

	if (strcmp(arg[1], "mixed") == 0) {
		sizes_usual(&sizes, 3);
	} else {
		uint32_t nbytes = (uint32_t)arg_number(arg[1], 8, MIB);

		sizes_between(&sizes, nbytes, nbytes + 1, 3);
	}
	for (size_t i = 0; i < npairs; i++) {
		lines[i].nparcels = NPARCELS / (uint32_t)npairs;
		thread_start(&lines[i].consumer, consume, &lines[i]);
		thread_start(&lines[i].producer, produce, &lines[i]);
	}
	for (size_t i = 0; i < npairs; i++) {
		thread_join(lines[i].producer);
		thread_join(lines[i].consumer);
		ops_per_ns += 1 / lines[i].watch.best_ns;
	}
	return 1 / ops_per_ns;
}
