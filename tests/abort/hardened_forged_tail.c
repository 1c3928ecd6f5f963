/* SPDX-License-Identifier: MIT */
/*
 * hardened_forged_tail.c - an overflow that writes the tail that would be right, were tails made
 * with the secret that hardened=1 had before it had a key: from one tail that is read the secret
 * follows, and from it every other tail. Needs hardened=1.
 */
#include "misuse.h"

#include <string.h>

static uint64_t unshift(uint64_t y, int shift)
{
	uint64_t x = y;

	for (int i = shift; i < 64; i += shift)
		x = y ^ x >> shift;
	return x;
}

static uint64_t inverse(uint64_t a)
{
	uint64_t x = a;

	for (int i = 0; i < 6; i++)
		x *= 2 - a * x;
	return x;
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= UINT64_C(0x9e3779b97f4a7c15);
	x ^= x >> 29;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	return x ^ x >> 32;
}

static uint64_t unmix(uint64_t x)
{
	x = unshift(x, 32) * inverse(UINT64_C(0xbf58476d1ce4e5b9));
	x = unshift(x, 29) * inverse(UINT64_C(0x9e3779b97f4a7c15));
	return unshift(x, 32);
}

int main(void)
{
	char *p = do_malloc(40), *q = do_malloc(100);
	uint64_t tail;

	memcpy(&tail, p + 40, sizeof(tail));
	tail = mix((unmix(tail ^ 40) ^ (uintptr_t)p) ^ (uintptr_t)q) ^ 104;
	memset(q, 'A', 104);
	memcpy(q + 104, &tail, sizeof(tail));
	announce(q, 0);
	do_free(q);
	return 0;
}
