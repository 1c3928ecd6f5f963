/* SPDX-License-Identifier: MIT */
/*
 * chance.c - how far it is to the next sample, and how many objects a sampled one stands for.
 *
 * Every byte is sampled with the same chance, whatever came before it (a Poisson process). The gaps
 * are exponential, and the object with the sampled byte is recorded. So an object of s bytes is
 * recorded with the chance 1 - e^(-s/rate). A count divided by that chance is on average true.
 *
 * Locks    none. The functions change only the caller's random state.
 * Holds    ln and 1 - e^-x have a relative error below 1e-14 (test_chance.c). libm is not linked.
 */
#include "base/chance.h"

#define LN2 0.693147180559945309417
#define SQRT2 1.41421356237309504880

/* A random number in (0, 1] has as many bits as a double holds exactly. */
#define UNIT_BITS 53

#define GAP_MAX (UINT64_C(1) << 62)

/* splitmix64: any state is as good as any other. */
static uint64_t next_random(uint64_t *random)
{
	uint64_t x = *random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

double chance_ln(double x)
{
	uint64_t bits;
	double t, square, sum = 0;
	int exponent;

	copy_bytes(&bits, &x, sizeof(bits));
	exponent = (int)(bits >> 52) - 1023;
	bits = (bits & low_mask64(52)) | (uint64_t)1023 << 52;
	copy_bytes(&x, &bits, sizeof(x));
	if (x > SQRT2) {
		x /= 2;
		exponent++;
	}
	/* ln x = 2 artanh t, and t is at most 0.172. The first term that is left out is below 1e-17
	 * of the sum. */
	t = (x - 1) / (x + 1);
	square = t * t;
	for (int k = 21; k >= 1; k -= 2)
		sum = sum * square + 1.0 / k;
	return 2 * t * sum + exponent * LN2;
}

double chance_one_minus_exp(double x)
{
	unsigned halved = 0;
	double f;

	if (x > 64)
		return 1;
	while (x > 0.125) {
		x /= 2;
		halved++;
	}
	/* The series x - x^2/2! + x^3/3! ..., from its end. */
	f = 1;
	for (int k = 11; k >= 2; k--)
		f = 1 - x / k * f;
	f *= x;
	/* 1 - e^-2x = f (2 - f): no difference of nearly equal numbers, so no digits are lost. */
	while (halved-- > 0)
		f *= 2 - f;
	return f;
}

uint64_t chance_gap(uint64_t *random, uint64_t rate)
{
	double unit, gap;

	if (rate <= 1)
		return 0;
	unit = (double)((next_random(random) >> (64 - UNIT_BITS)) + 1) /
	       (double)((uint64_t)1 << UNIT_BITS);
	gap = -chance_ln(unit) * (double)rate;
	/* The byte that it ends in is one of the next s with the chance 1 - e^(-s/rate), for any
	 * whole s. */
	return gap >= (double)GAP_MAX ? GAP_MAX : (uint64_t)gap;
}

double chance_of(size_t nbytes, size_t rate)
{
	return rate <= 1 ? 1 : chance_one_minus_exp((double)nbytes / (double)rate);
}
