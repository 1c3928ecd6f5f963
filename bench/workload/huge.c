/* SPDX-License-Identifier: MIT */
/*
 * huge.c - blocks of 40 KB to 1 GB: zeroed, grown, shrunk, aligned, replaced. See kept.h.
 */
#include "kept.h"
#include "object.h"
#include "prng.h"
#include "workload.h"

#include <stdlib.h>

#define SMALL_NBYTES  500u
#define SMALL_NUMBER  600000u
#define FIRST_NBYTES  (4 * KIB)
#define BUFFER_NBYTES (64 * KIB)
#define NALIGNED      (3 * GIB) /* how many bytes all aligned blocks have */
#define NVALUES       400u
#define NTILES        200u

size_t huge_sparse(size_t mib, size_t ntimes)
{
	for (size_t i = 0; i < ntimes; i++) {
		unsigned char *p = object_must(calloc(1, mib * MIB));

		object_write(p + mib * MIB / 8, i);
		object_delete(p, 0);
	}
	return 0;
}

size_t huge_after_small(size_t mib, size_t npages)
{
	void **small = own_memory(SMALL_NUMBER * sizeof *small);
	struct prng r = prng_seed(9);

	for (size_t i = 0; i < SMALL_NUMBER; i++)
		small[i] = memset(object_must(malloc(SMALL_NBYTES)), 1, SMALL_NBYTES);
	for (size_t i = 0; i < SMALL_NUMBER; i++)
		free(small[i]);
	own_memory_release(small, SMALL_NUMBER * sizeof *small);
	unsigned char *p = object_must(calloc(1, mib * MIB));

	for (size_t i = 0; i < npages; i++)
		p[prng_below(&r, (uint32_t)(mib * MIB))] = 1;
	return npages * TOUCH_STRIDE;
}

size_t huge_doubles(size_t mib, size_t unused)
{
	size_t nbytes = FIRST_NBYTES;
	unsigned char *p = memset(object_must(malloc(nbytes)), 1, nbytes);

	(void)unused;
	for (; nbytes < mib * MIB; nbytes *= 2) {
		unsigned char *larger = object_must(malloc(nbytes * 2));

		memcpy(larger, p, nbytes);
		memset(larger + nbytes, 1, nbytes);
		free(p);
		p = larger;
	}
	return nbytes;
}

size_t huge_shrinks(size_t nbuffers, size_t nflight)
{
	void **buffer = own_memory(nbuffers * sizeof *buffer);
	struct prng r = prng_seed(10);
	size_t live = 0;

	for (size_t i = 0; i < nbuffers; i++) {
		if (i >= nflight) {
			size_t nbytes = FIRST_NBYTES + 1 + prng_below(&r, 12000);
			void **done = &buffer[i - nflight];

			*done = object_must(realloc(*done, nbytes));
			object_verify(*done, i - nflight);
			live += nbytes;
		}
		buffer[i] = object_new(BUFFER_NBYTES, i);
		object_touch_pages(buffer[i], 8, BUFFER_NBYTES);
	}
	return live + nflight * BUFFER_NBYTES;
}

size_t huge_aligned(size_t nbytes, size_t nlive)
{
	void **block = own_memory(nlive * sizeof *block);
	struct prng r = prng_seed(11);
	size_t beside = 0;

	for (size_t i = 0; i < NALIGNED / nbytes; i++) {
		size_t k = prng_below(&r, (uint32_t)nlive);

		free(block[k]);
		if (posix_memalign(&block[k], nbytes, nbytes) != 0)
			object_failed("out of memory");
		object_touch_pages(block[k], 0, nbytes);
		if (nbytes < MIB)
			continue;
		/* What lies between the aligned blocks: one in seven stays. */
		size_t small = 3000 + prng_below(&r, 60000);
		void *p = object_new(small, i);

		if (i % 7 != 0)
			object_delete(p, i);
		else
			beside += small;
	}
	return nlive * nbytes + beside;
}

/* Replaces one in turn of `nlive` blocks with a block of size(), `ntimes`. */
static size_t replace(size_t nlive, size_t ntimes, bool in_turn, uint64_t seed,
		      size_t (*size)(struct prng *r))
{
	void **block = own_memory(nlive * sizeof *block);
	size_t *nbytes = own_memory(nlive * sizeof *nbytes);
	struct prng r = prng_seed(seed);
	size_t live = 0;

	for (size_t i = 0; i < ntimes; i++) {
		size_t k = in_turn ? i % nlive : prng_below(&r, (uint32_t)nlive);

		live -= nbytes[k];
		free(block[k]);
		nbytes[k] = size(&r);
		block[k] = memset(object_must(malloc(nbytes[k])), 1, nbytes[k]);
		live += nbytes[k];
	}
	return live;
}

static size_t tile_size(struct prng *r)
{
	static const size_t size[] = { 256 * KIB, 192 * KIB, 64 * KIB };

	return size[prng_below(r, 3)];
}

size_t huge_tiles(size_t ntiles, size_t unused)
{
	(void)unused;
	return replace(NTILES, ntiles, true, 12, tile_size);
}

static size_t value_size(struct prng *r)
{
	return 40000 + prng_below(r, 360000);
}

size_t huge_values(size_t nreplaced, size_t unused)
{
	(void)unused;
	return replace(NVALUES, nreplaced, false, 13, value_size);
}
