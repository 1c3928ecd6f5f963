/* SPDX-License-Identifier: MIT */
/*
 * prng.h - the random numbers of the workloads: the same on every run and machine.
 *
 * Owns     nothing; each thread has its own struct prng.
 * Holds    state is never 0 (xorshift would stay there).
 */
#ifndef BENCH_PRNG_H
#define BENCH_PRNG_H

#include <stdint.h>

struct prng {
	uint64_t state;
};

/* A generator for `seed`; near seeds give unrelated sequences (splitmix64's finish). */
static inline struct prng prng_seed(uint64_t seed)
{
	uint64_t z = seed + 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	z ^= z >> 31;
	return (struct prng){ .state = z != 0 ? z : 1 };
}

/* The next 64 random bits (xorshift64*; the high bits are the good ones). */
static inline uint64_t prng_next(struct prng *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545f4914f6cdd1du;
}

/* A number in 0..n-1. Needs 0 < n < 2^32. */
static inline uint32_t prng_below(struct prng *r, uint32_t n)
{
	return (uint32_t)(((prng_next(r) >> 32) * n) >> 32);
}

#endif
