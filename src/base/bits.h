/* SPDX-License-Identifier: MIT */
/*
 * bits.h - arithmetic on sizes and bits, and copies of bytes.
 *
 * Holds    nothing here calls libc, except for memset and memcpy. Neither allocates, locks nor
 *          sets errno.
 */
#ifndef GOALLOC_BITS_H
#define GOALLOC_BITS_H

#include "base/compiler.h"

_Static_assert(sizeof(void *) == 8, "the arena table and the packed words assume 64-bit pointers");

#define KiB(n) ((size_t)(n) << 10)
#define MiB(n) ((size_t)(n) << 20)
#define GiB(n) ((size_t)(n) << 30)

/* Rounds n up to a multiple of align, which is a power of two. */
static inline size_t align_up(size_t n, size_t align)
{
	return (n + align - 1) & ~(align - 1);
}

/* Rounds n down to a multiple of align, which is a power of two. */
static inline size_t align_down(size_t n, size_t align)
{
	return n & ~(align - 1);
}

static inline bool is_pow2(size_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/* Returns the index of the lowest set bit; n is not 0. */
static inline unsigned ctz64(uint64_t n)
{
	return (unsigned)__builtin_ctzll(n);
}

/* Returns the number of zero bits above the highest set bit; n is not 0. */
static inline unsigned clz64(uint64_t n)
{
	return (unsigned)__builtin_clzll(n);
}

/* Returns the number of set bits. Written out, because the compiler's builtin is a call into its
 * library where the processor may lack the instruction. */
static inline unsigned popcount64(uint64_t n)
{
	n -= n >> 1 & UINT64_C(0x5555555555555555);
	n = (n & UINT64_C(0x3333333333333333)) + (n >> 2 & UINT64_C(0x3333333333333333));
	n = (n + (n >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (unsigned)(n * UINT64_C(0x0101010101010101) >> 56);
}

static inline size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Returns the index of the first bit from i on that is set in bits ^ flip, or nbits. */
static inline unsigned find_bit(const uint64_t *bits, unsigned nbits, unsigned i, uint64_t flip)
{
	while (i < nbits) {
		uint64_t rest = (bits[i / 64] ^ flip) >> i % 64;

		if (rest != 0)
			return (unsigned)min_size(i + ctz64(rest), nbits);
		i = (i / 64 + 1) * 64;
	}
	return nbits;
}

/* Finds the next run of ones among nbits bits, from bit *from on: [*from, *to). Returns false, and
 * leaves *to, when there is none. */
static inline bool next_run(const uint64_t *bits, unsigned nbits, unsigned *from, unsigned *to)
{
	*from = find_bit(bits, nbits, *from, 0);
	if (*from == nbits)
		return false;
	*to = find_bit(bits, nbits, *from, ~(uint64_t)0);
	return true;
}

static inline size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* Returns a word with the n lowest bits set; n is 0 to 64. */
static inline uint64_t low_mask64(unsigned n)
{
	return n >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1;
}

/* Returns the bits of a word at which a run of n ones begins; n is 1 to 64. */
static inline uint64_t run_starts64(uint64_t bits, unsigned n)
{
	/* Each bit that stays set begins a run of `have` ones. */
	for (unsigned have = 1, step; have < n && bits != 0; have += step) {
		step = have < n - have ? have : n - have;
		bits &= bits >> step;
	}
	return bits;
}

/* Stores a + b modulo 2^64, and returns true if the true sum is larger. */
static inline bool add_overflow(size_t a, size_t b, size_t *out)
{
	return __builtin_add_overflow(a, b, out);
}

/* Stores a * b modulo 2^64, and returns true if the true product is larger. */
static inline bool mul_overflow(size_t a, size_t b, size_t *out)
{
	return __builtin_mul_overflow(a, b, out);
}

static inline void zero_bytes(void *p, size_t nbytes)
{
	__builtin_memset(p, 0, nbytes);
}

static inline void fill_bytes(void *p, int byte, size_t nbytes)
{
	__builtin_memset(p, byte, nbytes);
}

static inline void copy_bytes(void *restrict to, const void *restrict from, size_t nbytes)
{
	__builtin_memcpy(to, from, nbytes);
}

/* Returns whether two arrays are the same. Programs replace memcmp(3). */
static inline bool same_words(const uintptr_t *a, const uintptr_t *b, size_t n)
{
	while (n > 0 && *a == *b) {
		a++;
		b++;
		n--;
	}
	return n == 0;
}

/* Returns what strlen(3) returns. Programs replace libc's function. */
static inline size_t string_length(const char *s)
{
	size_t n = 0;

	while (s[n] != '\0')
		n++;
	return n;
}

#endif
