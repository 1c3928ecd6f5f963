/* SPDX-License-Identifier: MIT */
/*
 * sizes.h - the request sizes of the mixed workloads, drawn into a table in advance, so that the
 * measured loop only reads them.
 *
 * Owns     nothing; a struct sizes belongs to the workload that filled it and is then read only.
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

/* Draws sizes from min to below max; each power of two is as likely as the next. Needs
 * 8 <= min < max. */
void sizes_between(struct sizes *t, uint32_t min, uint32_t max, uint64_t seed);

/* Draws sizes as programs use them: 90 % below 512 bytes, 9 % up to 4 KiB, 1 % up to 32 KiB. */
void sizes_usual(struct sizes *t, uint64_t seed);

/* Returns the size of the i-th request. The table repeats. */
static inline size_t sizes_at(const struct sizes *t, uint64_t i)
{
	return t->size[i & (NSIZES - 1)];
}

#endif
