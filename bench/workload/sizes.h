/* SPDX-License-Identifier: MIT */
/*
 * sizes.h - the request sizes of the mixed workloads, drawn beforehand into a table so that the
 * measured loop only reads it.
 *
 * Owns     nothing; a struct sizes belongs to the workload that filled it and is read-only then.
 * Holds    every size is at least 8, so that an object has room for its tag.
 */
#ifndef BENCH_SIZES_H
#define BENCH_SIZES_H

#include <stddef.h>
#include <stdint.h>

#include "prng.h"

#define NSIZES 4096u /* a power of two */

struct sizes {
	uint32_t size[NSIZES]; /* bytes */
};

/* Sizes from min to below max, each power of two as likely as the next. Needs 8 <= min < max. */
void sizes_between(struct sizes *t, uint32_t min, uint32_t max, uint64_t seed);

/* What programs ask for: 90 % below 512 bytes, 9 % up to 4 KiB, 1 % up to 32 KiB. */
void sizes_usual(struct sizes *t, uint64_t seed);

/* The size for the i-th request; the table repeats. */
static inline size_t sizes_at(const struct sizes *t, uint64_t i)
{
	return t->size[i & (NSIZES - 1)];
}

#endif
