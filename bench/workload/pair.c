/* SPDX-License-Identifier: MIT */
/*
 * pair.c - calls malloc, writes the first bytes and calls free: the shortest way through an
 * allocator.
 *
 * One operation is one malloc and one free.
 */
#include "object.h"
#include "stopwatch.h"
#include "workload.h"

#define NBATCHES     20
#define NPAIRS_SMALL 400000u /* a batch of sizes up to BIG */
#define NPAIRS_BIG   40000u
#define BIG          (32 * KIB)

double pair_run(char **arg)
{
	size_t nbytes = arg_number(arg[0], 8, GIB);
	uint32_t npairs = nbytes <= BIG ? NPAIRS_SMALL : NPAIRS_BIG;
	struct stopwatch watch = { 0 };

	for (int batch = 0; batch < NBATCHES; batch++) {
		stopwatch_start(&watch);
		for (uint32_t i = 0; i < npairs; i++)
			free(object_new(nbytes, i));
		stopwatch_stop(&watch, npairs);
	}
	return watch.best_ns;
}
