/* SPDX-License-Identifier: MIT */
/*
 * chunksum.c - sums up the free runs of a chunk.
 * See malloc.c for the overview.
 *
 * Most changes touch a short range of a chunk, and its longest run is elsewhere. Then the new
 * summary follows from the old one and from the free pages beside the range, without a look at the
 * others.
 */
#include "heap/chunksum.h"

/* Returns the length of the longest run of ones in w. */
static unsigned longest_ones(uint64_t w)
{
	unsigned n = 0;

	while (w != 0) {
		w &= w << 1;
		n++;
	}
	return n;
}

struct page_sum chunksum_of(const uint64_t *alloc)
{
	struct page_sum s = { 0, 0, 0 };
	unsigned run = 0;
	bool any_used = false;

	for (unsigned i = 0; i < CHUNK_PAGES / 64; i++) {
		uint64_t w = alloc[i];
		unsigned low, high;

		if (w == 0) {
			run += 64;
			continue;
		}
		low = ctz64(w);
		high = clz64(w);
		run += low;
		if (!any_used)
			s.start = run;
		any_used = true;
		if (run > s.max)
			s.max = run;
		/* Free pages between the lowest and the highest page in use matter only if they
		 * may be the longest run. */
		if (64 - low - high > s.max + 2) {
			uint64_t between = low_mask64(64 - high) & ~low_mask64(low);
			unsigned inner = longest_ones(~w & between);

			if (inner > s.max)
				s.max = inner;
		}
		run = high;
	}
	if (!any_used)
		s.start = run;
	if (run > s.max)
		s.max = run;
	s.end = run;
	return s;
}

/* Returns how many pages of a chunk are free without a gap before page `page`. */
static unsigned free_below(const uint64_t *alloc, unsigned page)
{
	unsigned n = 0;

	while (n < page) {
		unsigned bit = (page - n - 1) % 64;
		uint64_t used = alloc[(page - n - 1) / 64] << (63 - bit);

		if (used != 0)
			return n + clz64(used);
		n += bit + 1;
	}
	return n;
}

/* Returns how many pages of a chunk are free without a gap from page `page` on. */
static unsigned free_above(const uint64_t *alloc, unsigned page)
{
	unsigned n = 0;

	while (page + n < CHUNK_PAGES) {
		uint64_t used = alloc[(page + n) / 64] >> (page + n) % 64;

		if (used != 0)
			return n + ctz64(used);
		n += 64 - (page + n) % 64;
	}
	return n;
}

/* Returns true if the pages [from, to) of a chunk, all in one word, are free. */
static bool all_free(const uint64_t *alloc, unsigned from, unsigned to)
{
	return (alloc[from / 64] & low_mask64(to - from) << from % 64) == 0;
}

struct page_sum chunksum_taken(const uint64_t *alloc, unsigned from, unsigned to,
			       struct page_sum s)
{
	/* No run that lost pages was longer than this. */
	unsigned longest = free_below(alloc, from) + (to - from) + free_above(alloc, to);

	if (longest >= s.max)
		return chunksum_of(alloc);
	if (s.start > from)
		s.start = from + free_above(alloc, from);
	if (CHUNK_PAGES - s.end < to)
		s.end = CHUNK_PAGES - to + free_below(alloc, to);
	return s;
}

struct page_sum chunksum_freed(const uint64_t *alloc, unsigned from, unsigned to,
			       struct page_sum s)
{
	unsigned before, after, run;

	if (from / 64 == (to - 1) / 64 && !all_free(alloc, from, to))
		return chunksum_of(alloc);
	before = free_below(alloc, from);
	after = free_above(alloc, to);
	run = before + (to - from) + after;
	if (before == from)
		s.start = run;
	if (after == CHUNK_PAGES - to)
		s.end = run;
	if (run > s.max)
		s.max = run;
	return s;
}
