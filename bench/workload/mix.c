/* SPDX-License-Identifier: MIT */
/*
 * mix.c - keeps LIVE objects of the usual sizes and replaces random ones.
 *
 * One operation is one free and one malloc.
 */
#include "object.h"
#include "prng.h"
#include "sizes.h"
#include "stopwatch.h"
#include "workload.h"

#define NBATCHES 8
#define NOPS     150000u /* a batch */

static struct sizes sizes;

double mix_run(char **arg)
{
	uint32_t nlive = (uint32_t)arg_number(arg[0], 1, 1u << 28);
	void **object = own_memory(nlive * sizeof *object);
	struct prng r = prng_seed(1);
	struct stopwatch watch = { 0 };
	uint64_t nth = 0;

	sizes_usual(&sizes, 2);
	for (uint32_t i = 0; i < nlive; i++)
		object[i] = object_new(sizes_at(&sizes, nth++), i);
	for (int batch = 0; batch < NBATCHES; batch++) {
		stopwatch_start(&watch);
		for (uint32_t op = 0; op < NOPS; op++) {
			uint32_t i = prng_below(&r, nlive);

			object_delete(object[i], i);
			object[i] = object_new(sizes_at(&sizes, nth++), i);
		}
		stopwatch_stop(&watch, NOPS);
	}
	for (uint32_t i = 0; i < nlive; i++)
		object_delete(object[i], i);
	return watch.best_ns;
}
