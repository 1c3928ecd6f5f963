/* SPDX-License-Identifier: MIT */
/*
 * zeroed.c - calls calloc.
 *
 * With "fresh" the heap only grows, so that its memory comes from the kernel, which has zeroed it.
 * With "reused" blocks that were filled with other bytes come back and must be zeroed again. One
 * operation is one calloc, the writing, and one free.
 */
#include "object.h"
#include "stopwatch.h"
#include "workload.h"

#define FRESH_NBYTES    (64 * MIB)  /* in all */
#define REUSED_NBYTES   (512 * MIB) /* in all, at most */
#define REUSED_MAX_NOPS 2000000u    /* in all, at most */
#define NLIVE           64u
#define NBATCHES        10u

static const char *const modes[] = { "fresh", "reused", NULL };

static void *zeroed_new(size_t nbytes)
{
	unsigned char *p = object_must(calloc(1, nbytes));

	if (p[0] != 0 || p[nbytes / 2] != 0 || p[nbytes - 1] != 0)
		object_failed("calloc returned memory that is not zero");
	return p;
}

static double fresh_run(size_t nbytes)
{
	uint32_t count = (uint32_t)(FRESH_NBYTES / nbytes);
	void **object = own_memory(count * sizeof *object);
	struct stopwatch watch = { 0 };

	stopwatch_start(&watch);
	for (uint32_t i = 0; i < count; i++) {
		object[i] = zeroed_new(nbytes);
		object_touch_pages(object[i], 0, nbytes);
	}
	for (uint32_t i = 0; i < count; i++)
		free(object[i]);
	stopwatch_stop(&watch, count);
	return watch.best_ns;
}

static double reused_run(size_t nbytes)
{
	uint64_t nops = REUSED_NBYTES / nbytes / NBATCHES;
	void *object[NLIVE] = { 0 };
	struct stopwatch watch = { 0 };

	nops = nops < REUSED_MAX_NOPS / NBATCHES ? nops : REUSED_MAX_NOPS / NBATCHES;
	for (uint32_t batch = 0; batch < NBATCHES; batch++) {
		stopwatch_start(&watch);
		for (uint64_t i = 0; i < nops; i++) {
			free(object[i % NLIVE]);
			object[i % NLIVE] = zeroed_new(nbytes);
			memset(object[i % NLIVE], 0xff, nbytes);
		}
		stopwatch_stop(&watch, nops);
	}
	for (uint32_t i = 0; i < NLIVE; i++)
		free(object[i]);
	return watch.best_ns;
}

double zeroed_run(char **arg)
{
	size_t nbytes = arg_number(arg[0], 8, MIB);

	return arg_choice(arg[1], modes) == 0 ? fresh_run(nbytes) : reused_run(nbytes);
}
