/* SPDX-License-Identifier: MIT */
/*
 * sizes.c - fills the size tables of the mixed workloads. See sizes.h.
 */
#include "sizes.h"

/* Returns a size in [min, max): draws a power of two, then a place between it and the next one. */
static uint32_t draw(struct prng *r, uint32_t min, uint32_t max)
{
	uint32_t low = min;
	uint32_t nsteps = 0;

	for (uint32_t m = min; m < max; m *= 2)
		nsteps++;
	for (uint32_t k = prng_below(r, nsteps); k > 0; k--)
		low *= 2;
	uint32_t high = low < max / 2 ? low * 2 : max;
	return low + prng_below(r, high - low);
}

void sizes_between(struct sizes *t, uint32_t min, uint32_t max, uint64_t seed)
{
	struct prng r = prng_seed(seed);

	for (uint32_t i = 0; i < NSIZES; i++)
		t->size[i] = draw(&r, min, max);
}

void sizes_usual(struct sizes *t, uint64_t seed)
{
	struct prng r = prng_seed(seed);

	for (uint32_t i = 0; i < NSIZES; i++) {
		uint32_t percent = prng_below(&r, 100);

		if (percent < 90)
			t->size[i] = draw(&r, 8, 512);
		else if (percent < 99)
			t->size[i] = draw(&r, 512, 4096);
		else
			t->size[i] = draw(&r, 4096, 32768);
	}
}
