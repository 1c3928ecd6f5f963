/* SPDX-License-Identifier: MIT */
/*
 * prng.h - generates the random numbers of the workloads, which are the same on every run.
 *
 * Owns     nothing; each thread has a struct prng of its own.
 * Holds    `state` is never 0, because xorshift would return 0 for ever.
 */
#ifndef BENCH_PRNG_H
#define BENCH_PRNG_H

#include <stdint.h>

struct prng {
	uint64_t state;
};

/* Returns a generator. Seeds that are close give unrelated sequences (splitmix64's last step). */
static inline struct prng prng_seed(uint64_t seed)
{
	uint64_t z = seed + 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	z ^= z >> 31;
	return (struct prng){ .state = z != 0 ? z : 1 };
}

/* Returns the next 64 random bits of xorshift64*. Its high bits are better than its low ones. */
static inline uint64_t prng_next(struct prng *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545f4914f6cdd1du;
}

/* Returns a number in 0..n-1. Needs 0 < n < 2^32. */
static inline uint32_t prng_below(struct prng *r, uint32_t n)
{
	return (uint32_t)(((prng_next(r) >> 32) * n) >> 32);
}

#endif
