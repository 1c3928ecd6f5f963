/* SPDX-License-Identifier: MIT */
/*
 * siphash.h - SipHash-1-3 of two words: a function that nobody can compute or invert without its
 * key.
 *
 * Aumasson and Bernstein describe it in "SipHash: a fast short-input PRF", 2012. It makes one round
 * for each word and three at the end, as the hash tables of Rust and Python do. The words are
 * hashed as the 16 bytes of a message would be.
 */
#ifndef GOALLOC_SIPHASH_H
#define GOALLOC_SIPHASH_H

#include "base/base.h"

struct siphash_key {
	uint64_t words[2];
};

static inline uint64_t siphash_rotate(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static inline void siphash_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = siphash_rotate(v[1], 13) ^ v[0];
	v[3] = siphash_rotate(v[3], 16) ^ v[2];
	v[0] = siphash_rotate(v[0], 32) + v[3];
	v[2] += v[1];
	v[3] = siphash_rotate(v[3], 21) ^ v[0];
	v[1] = siphash_rotate(v[1], 17) ^ v[2];
	v[2] = siphash_rotate(v[2], 32);
}

static inline uint64_t siphash(const struct siphash_key *key, uint64_t a, uint64_t b)
{
	const uint64_t blocks[3] = { a, b, UINT64_C(16) << 56 };
	uint64_t v[4] = { key->words[0] ^ UINT64_C(0x736f6d6570736575),
			  key->words[1] ^ UINT64_C(0x646f72616e646f6d),
			  key->words[0] ^ UINT64_C(0x6c7967656e657261),
			  key->words[1] ^ UINT64_C(0x7465646279746573) };

	for (unsigned i = 0; i < 3; i++) {
		v[3] ^= blocks[i];
		siphash_round(v);
		v[0] ^= blocks[i];
	}
	v[2] ^= 0xff;
	for (unsigned i = 0; i < 3; i++)
		siphash_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
