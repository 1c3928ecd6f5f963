/* SPDX-License-Identifier: MIT */
/*
 * aligned.c - calls posix_memalign and aligned_alloc in turn, with NLIVE objects at a time.
 *
 * The alignment is one value, or each power of two from 16 bytes to 4 KiB in turn. One operation is
 * one free and one allocation.
 */
#include <stdlib.h>

#include "object.h"
#include "prng.h"
#include "sizes.h"
#include "stopwatch.h"
#include "workload.h"

#define NLIVE           512u
#define NBATCHES        10
#define NOPS            80000u /* a batch */
#define MIXED_MIN_SHIFT 4u
#define MIXED_NSHIFTS   9u /* 16 bytes .. 4 KiB */

static struct sizes sizes;

/* Returns an aligned object. Needs an alignment that is a power of two and at least
 * sizeof(void *). */
static void *aligned_new(size_t alignment, size_t nbytes, uint64_t tag)
{
	void *p = NULL;

	if (tag % 2 == 0) {
		if (posix_memalign(&p, alignment, nbytes) != 0)
			p = NULL;
	} else {
		p = aligned_alloc(alignment, (nbytes + alignment - 1) & ~(alignment - 1));
	}
	object_must(p);
	if (((uintptr_t)p & (alignment - 1)) != 0)
		object_failed("a block is not aligned");
	object_write(p, tag);
	return p;
}

double aligned_run(char **arg)
{
	size_t alignment = 0; /* 0: mixed */
	void *object[NLIVE];
	struct prng r = prng_seed(7);
	struct stopwatch watch = { 0 };

	if (strcmp(arg[0], "mixed") != 0)
		alignment = arg_number(arg[0], sizeof(void *), MIB);
	if ((alignment & (alignment - 1)) != 0)
		object_failed("the alignment is not a power of two");
	sizes_between(&sizes, 16, 2048, 8);
	for (uint32_t i = 0; i < NLIVE; i++)
		object[i] = object_new(sizes_at(&sizes, i), i);
	for (int batch = 0; batch < NBATCHES; batch++) {
		stopwatch_start(&watch);
		for (uint32_t op = 0; op < NOPS; op++) {
			uint32_t i = prng_below(&r, NLIVE);
			size_t a = alignment != 0
					   ? alignment
					   : (size_t)1 << (MIXED_MIN_SHIFT + op % MIXED_NSHIFTS);

			object_delete(object[i], i);
			object[i] = aligned_new(a, sizes_at(&sizes, op), i);
		}
		stopwatch_stop(&watch, NOPS);
	}
	for (uint32_t i = 0; i < NLIVE; i++)
		object_delete(object[i], i);
	return watch.best_ns;
}
