/* SPDX-License-Identifier: MIT */
/*
 * bulk.c - allocates many objects of one size, then frees them all.
 *
 * The last is freed first, or the first is freed first, or the order is random. One operation is
 * one malloc and one free.
 */
#include "object.h"
#include "prng.h"
#include "stopwatch.h"
#include "workload.h"

#define NBATCHES 10u
#define NPAIRS   3000000u  /* in all, at most */
#define NBYTES   (2 * GIB) /* in all, at most */

static const char *const orders[] = { "lifo", "fifo", "random", NULL };

enum order { ORDER_LIFO, ORDER_FIFO, ORDER_RANDOM };

/* Fills `nth` with the order in which the objects are freed. */
static void order_fill(uint32_t *nth, uint32_t count, enum order order)
{
	struct prng r = prng_seed(count);

	for (uint32_t i = 0; i < count; i++)
		nth[i] = order == ORDER_LIFO ? count - 1 - i : i;
	for (uint32_t i = count - 1; order == ORDER_RANDOM && i > 0; i--) {
		uint32_t j = prng_below(&r, i + 1);
		uint32_t swap = nth[i];

		nth[i] = nth[j];
		nth[j] = swap;
	}
}

double bulk_run(char **arg)
{
	size_t nbytes = arg_number(arg[0], 8, GIB);
	uint32_t count = (uint32_t)arg_number(arg[1], 1, 1u << 28);
	enum order order = (enum order)arg_choice(arg[2], orders);
	uint64_t npairs = NBYTES / nbytes < NPAIRS ? NBYTES / nbytes : NPAIRS;
	uint64_t nrounds = npairs / (NBATCHES * (uint64_t)count) + 1; /* of each batch */
	void **object = own_memory(count * sizeof *object);
	uint32_t *nth = own_memory(count * sizeof *nth);
	struct stopwatch watch = { 0 };

	order_fill(nth, count, order);
	for (uint32_t batch = 0; batch < NBATCHES; batch++) {
		stopwatch_start(&watch);
		for (uint64_t round = 0; round < nrounds; round++) {
			for (uint32_t i = 0; i < count; i++)
				object[i] = object_new(nbytes, i);
			for (uint32_t i = 0; i < count; i++)
				free(object[nth[i]]);
		}
		stopwatch_stop(&watch, nrounds * count);
	}
	return watch.best_ns;
}
