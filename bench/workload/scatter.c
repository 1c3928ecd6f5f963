/* SPDX-License-Identifier: MIT */
/*
 * scatter.c - frees a large heap of small objects in random order.
 *
 * Each free misses the caches: the time tells how many lines an allocator touches for one. The
 * objects have 16 to 127 bytes. One operation is one free.
 */
#include "object.h"
#include "prng.h"
#include "sizes.h"
#include "stopwatch.h"
#include "workload.h"

static struct sizes sizes;

double scatter_run(char **arg)
{
	uint32_t count = (uint32_t)arg_number(arg[0], 1, 1u << 28);
	void **object = own_memory(count * sizeof *object);
	struct stopwatch watch = { 0 };
	struct prng r = prng_seed(count);

	sizes_between(&sizes, 16, 128, 5);
	for (uint32_t i = 0; i < count; i++)
		object[i] = object_new(sizes_at(&sizes, i), i);
	for (uint32_t i = count - 1; i > 0; i--) {
		uint32_t j = prng_below(&r, i + 1);
		void *swap = object[i];

		object[i] = object[j];
		object[j] = swap;
	}
	stopwatch_start(&watch);
	for (uint32_t i = 0; i < count; i++)
		free(object[i]);
	stopwatch_stop(&watch, count);
	return watch.best_ns;
}
