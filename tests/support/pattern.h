/* SPDX-License-Identifier: MIT */
/*
 * pattern.h - bytes that prove that memory is still what a test wrote into it; C and C++.
 *
 * A pattern is named by its seed. The byte at index i depends on the seed and on i alone, so a
 * pattern that was written to n bytes also holds for every shorter prefix. No byte of a pattern is
 * 0.
 */
#ifndef TESTS_PATTERN_H
#define TESTS_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Returns the byte at index i of the pattern. */
static inline unsigned char pattern_byte(uint64_t seed, size_t i)
{
	uint64_t x = (seed + i / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15);

	return (unsigned char)(x >> (i % 8 * 8) | 1);
}

/* Writes the pattern to n bytes at p. */
static inline void pattern_fill(void *p, size_t n, uint64_t seed)
{
	unsigned char *b = (unsigned char *)p;

	for (size_t i = 0; i < n; i++)
		b[i] = pattern_byte(seed, i);
}

/* Returns whether n bytes at p are still the pattern. */
static inline bool pattern_holds(const void *p, size_t n, uint64_t seed)
{
	const unsigned char *b = (const unsigned char *)p;

	for (size_t i = 0; i < n; i++)
		if (b[i] != pattern_byte(seed, i))
			return false;
	return true;
}

/* Returns whether n bytes at p are 0. */
static inline bool all_zero(const void *p, size_t n)
{
	const unsigned char *b = (const unsigned char *)p;

	/* Each byte is compared with the byte before it. */
	return n == 0 || (b[0] == 0 && memcmp(b, b + 1, n - 1) == 0);
}

#endif
