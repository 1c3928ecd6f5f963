/* SPDX-License-Identifier: MIT */
/*
 * test_chunksum.c - a summary that follows from the one before says what the bitmap says.
 */
#include "module.h"

#include "heap/chunksum.h"

#define WORDS (CHUNK_PAGES / 64)
#define TURNS 300000

static bool bit(const uint64_t *alloc, unsigned page)
{
	return (alloc[page / 64] >> page % 64 & 1) != 0;
}

/* Sums up the runs page by page. */
static struct page_sum plain_sum(const uint64_t *alloc)
{
	struct page_sum s = { 0, 0, 0 };
	unsigned run = 0;

	while (s.start < CHUNK_PAGES && !bit(alloc, s.start))
		s.start++;
	while (s.end < CHUNK_PAGES && !bit(alloc, CHUNK_PAGES - 1 - s.end))
		s.end++;
	for (unsigned i = 0; i < CHUNK_PAGES; i++) {
		run = bit(alloc, i) ? 0 : run + 1;
		s.max = run > s.max ? run : s.max;
	}
	return s;
}

static void check_equal(struct page_sum a, struct page_sum b)
{
	assert_int_equal(a.start, b.start);
	assert_int_equal(a.max, b.max);
	assert_int_equal(a.end, b.end);
}

/* Sets or clears the pages [from, to). */
static void change(uint64_t *alloc, unsigned from, unsigned to, bool used)
{
	for (unsigned i = from; i < to; i++)
		alloc[i / 64] = (alloc[i / 64] & ~(UINT64_C(1) << i % 64)) |
				(uint64_t)used << i % 64;
}

static void check_change(uint64_t *alloc, unsigned from, unsigned to, bool used)
{
	struct page_sum before = chunksum_of(alloc);

	change(alloc, from, to, used);
	check_equal(used ? chunksum_taken(alloc, from, to, before)
			 : chunksum_freed(alloc, from, to, before),
		    plain_sum(alloc));
}

static void a_chunk_is_summed_up(void **state)
{
	uint64_t alloc[WORDS] = { 0 };

	(void)state;
	check_equal(chunksum_of(alloc), (struct page_sum){ CHUNK_PAGES, CHUNK_PAGES, CHUNK_PAGES });
	change(alloc, 0, CHUNK_PAGES, true);
	check_equal(chunksum_of(alloc), (struct page_sum){ 0, 0, 0 });
	change(alloc, 60, 70, false);
	check_equal(chunksum_of(alloc), (struct page_sum){ 0, 10, 0 });
	change(alloc, 500, CHUNK_PAGES, false);
	check_equal(chunksum_of(alloc), (struct page_sum){ 0, 12, 12 });
}

static void changes_at_the_borders_of_chunk_and_words_are_seen(void **state)
{
	static const unsigned at[] = { 0, 1, 63, 64, 65, 127, 128, 447, 448, 511, 512 };
	uint64_t alloc[WORDS] = { 0 };

	(void)state;
	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		for (unsigned j = i + 1; j < sizeof(at) / sizeof(at[0]); j++) {
			check_change(alloc, at[i], at[j], true);
			check_change(alloc, at[i], at[j], false);
		}
	}
	change(alloc, 0, CHUNK_PAGES, true);
	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		for (unsigned j = i + 1; j < sizeof(at) / sizeof(at[0]); j++) {
			check_change(alloc, at[i], at[j], false);
			check_change(alloc, at[i], at[j], true);
		}
	}
}

/* The longest run is lost where another one is as long. */
static void the_longest_run_may_be_one_of_two(void **state)
{
	uint64_t alloc[WORDS];

	(void)state;
	change(alloc, 0, CHUNK_PAGES, true);
	change(alloc, 10, 30, false);
	change(alloc, 200, 220, false);
	check_change(alloc, 10, 20, true);
	check_change(alloc, 210, 220, true);
	check_equal(chunksum_of(alloc), (struct page_sum){ 0, 10, 0 });
}

/* Ranges that are all free become used and the other way round, as pagealloc.c does it. */
static void a_sum_follows_from_the_one_before_over_many_changes(void **state)
{
	uint64_t alloc[WORDS] = { 0 }, rnd = 1;

	(void)state;
	for (int i = 0; i < TURNS; i++) {
		unsigned from = (unsigned)rng_below(&rnd, CHUNK_PAGES);
		unsigned most = i % 7 == 0 ? CHUNK_PAGES - from : 20;
		unsigned n = 1, to;
		bool used = bit(alloc, from);

		while (n < most && from + n < CHUNK_PAGES && bit(alloc, from + n) == used)
			n++;
		to = from + 1 + (unsigned)rng_below(&rnd, n);
		check_change(alloc, from, to, !used);
	}
}

/* A page word is taken or freed where some of its pages are in use, or free, before. */
static void a_sum_follows_where_parts_of_a_word_change(void **state)
{
	uint64_t alloc[WORDS] = { 0 }, rnd = 2;

	(void)state;
	for (int i = 0; i < TURNS; i++) {
		unsigned w = (unsigned)rng_below(&rnd, WORDS);
		uint64_t bits = rng_next(&rnd) & rng_next(&rnd);
		struct page_sum before = chunksum_of(alloc);

		if (rng_below(&rnd, 4) == 0)
			bits = UINT64_C(0xffff) << rng_below(&rnd, 49);
		if (i % 2 == 0) {
			alloc[w] |= rng_below(&rnd, 2) == 0 ? ~UINT64_C(0) : bits;
			check_equal(chunksum_taken(alloc, w * 64, w * 64 + 64, before),
				    plain_sum(alloc));
		} else {
			alloc[w] &= ~bits;
			if (bits == 0)
				continue;
			check_equal(chunksum_freed(alloc, w * 64 + ctz64(bits),
						   w * 64 + 64 - clz64(bits), before),
				    plain_sum(alloc));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chunk_is_summed_up),
		cmocka_unit_test(changes_at_the_borders_of_chunk_and_words_are_seen),
		cmocka_unit_test(the_longest_run_may_be_one_of_two),
		cmocka_unit_test(a_sum_follows_from_the_one_before_over_many_changes),
		cmocka_unit_test(a_sum_follows_where_parts_of_a_word_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
