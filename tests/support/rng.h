/* SPDX-License-Identifier: MIT */
/*
 * rng.h - the random numbers of the tests; C and C++.
 *
 * The generator is splitmix64. Its state is one uint64_t of the caller, which may begin at any
 * value, 0 included. The same seed gives the same sequence in every run, and nearby seeds give
 * sequences that do not resemble each other, so that threads may use their number as a seed.
 */
#ifndef TESTS_RNG_H
#define TESTS_RNG_H

#include <stddef.h>
#include <stdint.h>

/* Returns the next number of the sequence. */
static inline uint64_t rng_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Returns a number from 0 to n - 1. n must not be 0. */
static inline size_t rng_below(uint64_t *state, size_t n)
{
	return (size_t)(rng_next(state) % n);
}

/* Returns a size from a mix like that of programs: 85 of 100 are below 512 bytes, and 2 of 1000
 * reach 512 KiB. */
static inline size_t rng_mixed_size(uint64_t *state)
{
	size_t pick = rng_below(state, 1000);

	if (pick < 850)
		return rng_below(state, 512);
	if (pick < 980)
		return rng_below(state, 8 << 10);
	if (pick < 998)
		return rng_below(state, 64 << 10);
	return rng_below(state, 512 << 10);
}

#endif
