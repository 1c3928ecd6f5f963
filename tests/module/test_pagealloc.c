/* SPDX-License-Identifier: MIT */
/*
 * test_pagealloc.c - the bitmap and its summaries against a plain array of page states.
 */
#include "module.h"

#include "heap/pagealloc.h"

#include <stdlib.h>
#include <string.h>

#define BASE ((uintptr_t)0x120000000000)

/* Arenas at slots 0 1 2, then one after a gap, then one below all others. */
enum { ARENAS = 5, MAX_IDX = 8, MODEL_PAGES = MAX_IDX * ARENA_PAGES };

enum page_state { IN_USE, DIRTY, CLEAN };   /* IN_USE: also not ours */

static struct pagealloc pa;
static uint8_t model[MODEL_PAGES];
static struct heap_arena *records[ARENAS];

/* --- the model --- */

static size_t model_run(uint64_t page, size_t most)
{
	size_t n = 0;

	while (n < most && page + n < MODEL_PAGES && model[page + n] != IN_USE)
		n++;
	return n;
}

static uint64_t model_find(size_t npages)
{
	for (uint64_t page = 0; page < MODEL_PAGES;) {
		size_t n = model_run(page, npages);

		if (n == npages)
			return page;
		page += n + 1;
	}
	return PAGE_NONE;
}

static size_t model_take(uint64_t page, size_t npages)
{
	size_t nclean = 0;

	for (uint64_t i = page; i < page + npages; i++) {
		assert_int_not_equal(model[i], IN_USE);
		nclean += model[i] == CLEAN;
		model[i] = IN_USE;
	}
	return nclean;
}

static void model_free(uint64_t page, size_t npages, bool clean)
{
	memset(model + page, clean ? CLEAN : DIRTY, npages);
}

static bool bit(const uint64_t *words, uint64_t i)
{
	return (words[i / 64] >> i % 64 & 1) != 0;
}

/* Compares every page's state and the counts with the model. */
static void compare(void)
{
	size_t nfree = 0, nclean = 0;

	for (uint64_t page = 0; page < MODEL_PAGES; page++) {
		const struct heap_arena *ha =
			page / ARENA_PAGES < pa.narenas ? pagealloc_arena(&pa, page) : NULL;

		nfree += model[page] != IN_USE;
		nclean += model[page] == CLEAN;
		if (ha == NULL) {
			assert_int_equal(model[page], IN_USE);
			continue;
		}
		if (bit(ha->alloc_bits, page % ARENA_PAGES) != (model[page] == IN_USE) ||
		    bit(ha->clean_bits, page % ARENA_PAGES) != (model[page] == CLEAN))
			fail_msg("page %llu: model says %u", (unsigned long long)page, model[page]);
	}
	assert_int_equal(pa.nfree, nfree);
	assert_int_equal(pa.nclean, nclean);
}

/* --- calls on both --- */

static uint64_t check_alloc(size_t npages)
{
	uint64_t want = model_find(npages);
	size_t nclean = SIZE_MAX;
	uint64_t got = pagealloc_alloc(&pa, npages, &nclean);

	assert_true(got == want);
	if (got != PAGE_NONE)
		assert_int_equal(nclean, model_take(got, npages));
	pagealloc_check(&pa);
	return got;
}

/* Returns the lowest aligned run, and how many runs of npages and more have no aligned one below
 * it. */
static uint64_t model_find_aligned(size_t npages, size_t align_pages, unsigned *passed)
{
	*passed = 0;
	for (uint64_t page = 0; page < MODEL_PAGES;) {
		size_t n = model_run(page, MODEL_PAGES);

		for (uint64_t at = page; at + npages <= page + n; at++)
			if (pagealloc_addr(&pa, at) % (align_pages * PAGE_SIZE) == 0)
				return at;
		*passed += n >= npages;
		page += n + 1;
	}
	return PAGE_NONE;
}

/* Looks for an aligned run, which is the lowest one unless many runs are passed over. */
static uint64_t check_find_aligned(size_t npages, size_t align_pages)
{
	uint64_t page = pagealloc_find_aligned(&pa, npages, align_pages);
	unsigned passed;
	uint64_t lowest = model_find_aligned(npages, align_pages, &passed);

	if (passed < 64) {
		assert_int_equal(page, lowest);
	} else if (page != PAGE_NONE) {
		assert_int_equal(pagealloc_addr(&pa, page) % (align_pages * PAGE_SIZE), 0);
		assert_int_equal(model_run(page, npages), npages);
	} else {
		assert_int_equal(model_find(npages + align_pages - 1), PAGE_NONE);
	}
	return page;
}

static bool check_alloc_at(uint64_t page, size_t npages)
{
	bool want = model_run(page, npages) == npages;
	size_t nclean = SIZE_MAX;
	bool got = pagealloc_alloc_at(&pa, page, npages, &nclean);

	assert_int_equal(got, want);
	if (got)
		assert_int_equal(nclean, model_take(page, npages));
	pagealloc_check(&pa);
	return got;
}

static bool check_alloc_word(unsigned npages, uint64_t *page, uint64_t *free_pages, uint64_t *clean)
{
	uint64_t want = model_find(npages);
	bool got = pagealloc_alloc_word(&pa, npages, page, free_pages, clean);

	assert_int_equal(got, want != PAGE_NONE && want % 64 + npages <= 64);
	if (got) {
		assert_true(*page == want - want % 64);
		for (unsigned i = 0; i < 64; i++) {
			assert_int_equal(*free_pages >> i & 1, model[*page + i] != IN_USE);
			assert_int_equal(*clean >> i & 1, model[*page + i] == CLEAN);
			model[*page + i] = IN_USE;
		}
	}
	pagealloc_check(&pa);
	return got;
}

static void check_free_word(uint64_t page, uint64_t free_pages, uint64_t clean)
{
	for (unsigned i = 0; i < 64; i++)
		if ((free_pages >> i & 1) != 0)
			model_free(page + i, 1, (clean >> i & 1) != 0);
	pagealloc_free_word(&pa, page, free_pages, clean);
	pagealloc_check(&pa);
}

static void check_free(uint64_t page, size_t npages, bool clean)
{
	model_free(page, npages, clean);
	pagealloc_free(&pa, page, npages, clean);
	pagealloc_check(&pa);
}

static void check_take_dirty(uint64_t chunk, uint64_t dirty[CHUNK_PAGES / 64])
{
	pagealloc_take_dirty(&pa, chunk, 1, dirty);
	for (unsigned i = 0; i < CHUNK_PAGES; i++) {
		uint8_t *m = &model[chunk * CHUNK_PAGES + i];

		assert_int_equal(bit(dirty, i), *m == DIRTY);
		if (*m == DIRTY)
			*m = IN_USE;
	}
	pagealloc_check(&pa);
}

static void check_grow(uint64_t page, size_t npages)
{
	size_t ntotal = pa.ntotal;

	model_free(page, npages, true);
	pagealloc_grow(&pa, page, npages);
	assert_int_equal(pa.ntotal, ntotal + npages);
	pagealloc_check(&pa);
}

/* --- set-up --- */

static void add_arena(unsigned i, uintptr_t addr, uint32_t want_idx)
{
	records[i] = calloc(1, sizeof(struct heap_arena));
	assert_non_null(records[i]);
	assert_true(pagealloc_add_arena(&pa, records[i], addr));
	assert_int_equal(records[i]->idx, want_idx);
	assert_int_equal(records[i]->base, addr - addr % ARENA_SIZE);
}

static int setup(void **state)
{
	(void)state;
	memset(&pa, 0, sizeof(pa));
	memset(model, IN_USE, sizeof(model));
	add_arena(0, BASE, 0);
	add_arena(1, BASE + ARENA_SIZE, 1);
	/* Any address of the slot. */
	add_arena(2, BASE + 2 * ARENA_SIZE + MiB(4), 2);
	add_arena(3, BASE + 4 * ARENA_SIZE, 4);
	add_arena(4, BASE - ARENA_SIZE, 6);
	pagealloc_check(&pa);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARENAS; i++)
		free(records[i]);
	return 0;
}

static void grow_all(void)
{
	check_grow(0, 3 * ARENA_PAGES);
	check_grow(4 * ARENA_PAGES, ARENA_PAGES);
	check_grow(6 * ARENA_PAGES, ARENA_PAGES);
}

/* --- the rules --- */

static void new_arenas_have_no_free_page(void **state)
{
	(void)state;
	compare();
	assert_int_equal(check_alloc(1), PAGE_NONE);
	assert_int_equal(pa.nfree, 0);
}

static void an_arena_that_does_not_continue_the_last_one_skips_a_number(void **state)
{
	(void)state;
	assert_int_equal(pa.narenas, 7);
	assert_null(pa.arenas[3]);
	assert_null(pa.arenas[5]);
}

static void page_numbers_and_addresses_belong_together(void **state)
{
	static const unsigned pages[] = { 0, 1, 63, 64, 511, 512, ARENA_PAGES - 1 };

	(void)state;
	for (unsigned i = 0; i < ARENAS; i++)
		for (unsigned k = 0; k < sizeof(pages) / sizeof(pages[0]); k++) {
			uint64_t page = (uint64_t)records[i]->idx * ARENA_PAGES + pages[k];
			uintptr_t addr = records[i]->base + pages[k] * PAGE_SIZE;

			assert_int_equal(pagealloc_addr(&pa, page), addr);
			assert_int_equal(pagealloc_page(records[i], addr), page);
			assert_int_equal(pagealloc_page(records[i], addr + PAGE_SIZE - 1), page);
			assert_ptr_equal(pagealloc_arena(&pa, page), records[i]);
		}
}

static void the_lowest_run_is_taken_first(void **state)
{
	(void)state;
	check_grow(0, 512);
	assert_int_equal(check_alloc(10), 0);
	assert_int_equal(check_alloc(10), 10);
	assert_int_equal(check_alloc(10), 20);
	check_free(10, 10, false);
	assert_int_equal(check_alloc(11), 30);
	assert_int_equal(check_alloc(4), 10);
	assert_int_equal(check_alloc(7), 41);
	assert_int_equal(check_alloc(6), 14);
	compare();
}

static void every_length_is_found_at_every_place_of_a_word_and_across_it(void **state)
{
	static const unsigned lengths[] = {
		1, 2, 3, 31, 32, 33, 62, 63, 64, 65, 127, 128, 129, 200
	};

	(void)state;
	check_grow(0, 512);
	assert_int_equal(check_alloc(512), 0);
	for (unsigned k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++)
		for (unsigned at = 0; at + lengths[k] <= 512; at += at < 70 || at > 300 ? 1 : 61) {
			unsigned n = lengths[k];

			check_free(at, n, false);
			assert_int_equal(check_alloc(n + 1), PAGE_NONE);
			assert_int_equal(check_alloc(n), at);
		}
	compare();
}

static void the_longest_run_inside_a_word_is_seen(void **state)
{
	(void)state;
	check_grow(0, 64);
	assert_int_equal(check_alloc(64), 0);
	/* Short runs at the edges, a longer one between. */
	for (unsigned n = 1; n <= 60; n++) {
		check_free(0, 1, false);
		check_free(2, n, false);
		if (n < 60)
			check_free(63, 1, false);
		assert_int_equal(check_alloc(n), n == 1 ? 0 : 2);
		if (n == 1)
			check_free(0, 1, false);
		assert_int_equal(check_alloc(n + 1), PAGE_NONE);
		check_alloc(1);
		if (n < 60)
			check_alloc(1);
		if (n == 1)
			check_alloc(1);
		assert_int_equal(pa.nfree, 0);
	}
}

static void the_last_page_of_an_arena_can_be_had_alone(void **state)
{
	(void)state;
	check_grow(0, ARENA_PAGES);
	assert_int_equal(check_alloc(ARENA_PAGES - 1), 0);
	assert_int_equal(check_alloc(2), PAGE_NONE);
	assert_int_equal(check_alloc(1), ARENA_PAGES - 1);
	assert_int_equal(check_alloc(1), PAGE_NONE);
	check_free(ARENA_PAGES - 1, 1, false);
	assert_true(check_alloc_at(ARENA_PAGES - 1, 1));
	compare();
}

static void a_run_crosses_from_one_arena_into_the_next(void **state)
{
	(void)state;
	check_grow(0, 2 * ARENA_PAGES);
	assert_int_equal(check_alloc(ARENA_PAGES - 1), 0);
	assert_int_equal(check_alloc(2), ARENA_PAGES - 1);
	check_free(ARENA_PAGES - 1, 2, true);
	assert_true(check_alloc_at(ARENA_PAGES - 1, 2));
	assert_int_equal(check_alloc(ARENA_PAGES - 1), ARENA_PAGES + 1);
	assert_int_equal(check_alloc(1), PAGE_NONE);
	compare();
}

static void a_run_may_be_longer_than_an_arena(void **state)
{
	(void)state;
	check_grow(0, 3 * ARENA_PAGES);
	assert_int_equal(check_alloc(3 * ARENA_PAGES + 1), PAGE_NONE);
	assert_int_equal(check_alloc(3), 0);
	assert_int_equal(check_alloc(2 * ARENA_PAGES + 1), 3);
	check_free(3, 2 * ARENA_PAGES + 1, false);
	check_free(0, 3, false);
	assert_int_equal(check_alloc(3 * ARENA_PAGES), 0);
	compare();
}

static void no_run_reaches_over_a_gap_in_the_addresses(void **state)
{
	(void)state;
	grow_all();
	/* 3 arenas in a row, then 1, then 1: each side of the gaps is free up to its edge. */
	assert_int_equal(check_alloc(3 * ARENA_PAGES + 1), PAGE_NONE);
	assert_int_equal(check_alloc(3 * ARENA_PAGES), 0);
	assert_int_equal(check_alloc(ARENA_PAGES + 1), PAGE_NONE);
	check_free(3 * ARENA_PAGES - 1, 1, false);
	assert_false(check_alloc_at(3 * ARENA_PAGES - 1, 2));
	assert_int_equal(check_alloc(ARENA_PAGES), 4 * ARENA_PAGES);
	assert_int_equal(check_alloc(ARENA_PAGES), 6 * ARENA_PAGES);
	assert_int_equal(check_alloc(1), 3 * ARENA_PAGES - 1);
	assert_int_equal(check_alloc(1), PAGE_NONE);
}

static void an_aligned_run_is_found_in_a_hole_that_has_just_room_for_it(void **state)
{
	(void)state;
	check_grow(0, ARENA_PAGES);
	assert_int_equal(check_alloc(ARENA_PAGES), 0);
	for (size_t align = 1; align <= 512; align *= 2)
		for (unsigned n = 1; n <= 600; n += n < 10 ? 1 : 59) {
			/* One page too far right, one too short, too far left, and right. */
			check_free(2 * 1024 + 1, n, true);
			if (n > 1)
				check_free(3 * 1024, n - 1, true);
			check_free(4 * 1024 + 512 - n, n, true);
			check_free(6 * 1024, n, true);
			if (align > n)
				assert_int_equal(check_find_aligned(n, align), 6 * 1024);
			else
				(void)check_find_aligned(n, align);
			assert_int_equal(check_find_aligned(n + 600, align), PAGE_NONE);
			assert_true(check_alloc_at(2 * 1024 + 1, n));
			assert_true(n == 1 || check_alloc_at(3 * 1024, n - 1));
			assert_true(check_alloc_at(4 * 1024 + 512 - n, n));
			assert_true(check_alloc_at(6 * 1024, n));
		}
	compare();
}

static void an_alignment_may_be_that_of_several_arenas(void **state)
{
	(void)state;
	grow_all();
	assert_int_equal(check_find_aligned(1, 2 * ARENA_PAGES), 0);
	assert_int_equal(check_alloc(1), 0);
	assert_int_equal(check_find_aligned(ARENA_PAGES, 2 * ARENA_PAGES), 2 * ARENA_PAGES);
	assert_true(check_alloc_at(2 * ARENA_PAGES, 1));
	/* Behind the gap addresses go on, and in the last place they are lower. */
	assert_int_equal(check_find_aligned(1, 2 * ARENA_PAGES), 4 * ARENA_PAGES);
	assert_true(check_alloc_at(4 * ARENA_PAGES, ARENA_PAGES));
	assert_int_equal(check_find_aligned(1, 2 * ARENA_PAGES), PAGE_NONE);
	assert_int_equal(check_find_aligned(ARENA_PAGES, ARENA_PAGES), ARENA_PAGES);
	assert_int_equal(check_find_aligned(1, (size_t)1 << 49), PAGE_NONE);
}

/* Searches a heap with very many holes, which must cost no more than it need. */
static void an_aligned_search_passes_over_some_runs_only_and_then_takes_a_long_one(void **state)
{
	(void)state;
	check_grow(0, ARENA_PAGES);
	assert_int_equal(check_alloc(ARENA_PAGES), 0);
	for (unsigned i = 0; i < 63; i++)
		check_free(i * 16 + 1, 8, false);
	check_free(63 * 16, 8, false);
	check_free(4096 + 5, 8 + 15, false);
	assert_int_equal(check_find_aligned(8, 16), 63 * 16);
	assert_true(check_alloc_at(63 * 16, 8));
	check_free(63 * 16 + 1, 8, false);
	check_free(64 * 16, 8, false);
	assert_int_equal(check_find_aligned(8, 16), 4096 + 16);
	assert_true(check_alloc_at(4096 + 5, 1));
	assert_int_equal(check_find_aligned(8, 16), PAGE_NONE);
}

static void alloc_at_takes_all_or_nothing(void **state)
{
	(void)state;
	check_grow(0, 1024);
	assert_true(check_alloc_at(100, 50));
	assert_false(check_alloc_at(60, 41));
	assert_false(check_alloc_at(149, 1));
	assert_false(check_alloc_at(149, 100));
	assert_true(check_alloc_at(150, 450));
	/* Behind what was grown, behind the last arena, in a gap. */
	assert_false(check_alloc_at(1000, 25));
	assert_false(check_alloc_at(3 * ARENA_PAGES, 1));
	assert_false(check_alloc_at(7 * ARENA_PAGES, 1));
	assert_false(check_alloc_at(7 * ARENA_PAGES - 1, 2));
	assert_true(check_alloc_at(1000, 24));
	compare();
}

static void the_search_hint_never_skips_a_free_page(void **state)
{
	(void)state;
	grow_all();
	assert_int_equal(check_alloc(3 * ARENA_PAGES), 0);
	assert_int_equal(check_alloc(1), 4 * ARENA_PAGES);
	/* Below the hint: by free, by free_word, by both ends of a run. */
	check_free(5000, 3, false);
	assert_int_equal(check_alloc(1), 5000);
	check_free_word(64, UINT64_C(1) << 63, 0);
	assert_int_equal(check_alloc(1), 127);
	assert_int_equal(check_alloc(1), 5001);
	check_free(0, 1, false);
	assert_int_equal(check_alloc(2), 4 * ARENA_PAGES + 1);
	assert_int_equal(check_alloc(1), 0);
	assert_int_equal(check_alloc(1), 5002);
	assert_int_equal(check_alloc(1), 4 * ARENA_PAGES + 3);
}

static void a_long_run_that_starts_at_the_hint_moves_it_past_itself_only(void **state)
{
	(void)state;
	check_grow(0, 512);
	assert_int_equal(check_alloc(5), 0);
	check_free(1, 1, false);
	assert_int_equal(check_alloc(3), 5);
	assert_true(pa.search <= 1);
	assert_int_equal(check_alloc(1), 1);
	assert_int_equal(check_alloc(1), 8);
}

static void a_word_is_handed_out_with_all_its_free_pages(void **state)
{
	uint64_t page, free_pages, clean;

	(void)state;
	check_grow(0, 192);
	assert_int_equal(check_alloc(70), 0);
	check_free(66, 2, false);
	/* 66, 67 dirty, 70..127 clean. */
	assert_true(check_alloc_word(1, &page, &free_pages, &clean));
	assert_int_equal(page, 64);
	assert_true(free_pages == (~UINT64_C(0) << 6 | 0xc));
	assert_true(clean == ~UINT64_C(0) << 6);
	check_free_word(page, free_pages, clean);
	compare();
	/* 3 pages begin at 70, in the same word. */
	assert_true(check_alloc_word(3, &page, &free_pages, &clean));
	assert_int_equal(page, 64);
	assert_int_equal(check_alloc(1), 128);
	check_free_word(64, 0, 0);
	compare();
}

static void a_run_across_two_words_is_no_word(void **state)
{
	uint64_t page, free_pages, clean;

	(void)state;
	check_grow(0, 192);
	assert_int_equal(check_alloc(60), 0);
	assert_false(check_alloc_word(5, &page, &free_pages, &clean));
	assert_true(check_alloc_word(4, &page, &free_pages, &clean));
	assert_int_equal(page, 0);
	assert_true(free_pages == UINT64_C(0xf) << 60);
	assert_true(check_alloc_word(64, &page, &free_pages, &clean));
	assert_int_equal(page, 64);
	assert_true(check_alloc_word(1, &page, &free_pages, &clean));
	assert_false(check_alloc_word(1, &page, &free_pages, &clean));
}

static void take_dirty_takes_what_has_memory_and_nothing_else(void **state)
{
	uint64_t dirty[CHUNK_PAGES / 64];

	(void)state;
	check_grow(0, 2 * 512);
	assert_int_equal(check_alloc(600), 0);
	check_free(0, 3, false);
	check_free(63, 2, false);
	check_free(100, 30, true);
	check_free(510, 4, false);
	check_take_dirty(0, dirty);
	assert_true(dirty[0] == (UINT64_C(1) << 63 | 7));
	assert_true(dirty[1] == 1);
	assert_true(dirty[7] == UINT64_C(3) << 62);
	compare();
	check_take_dirty(0, dirty);
	for (unsigned i = 0; i < CHUNK_PAGES / 64; i++)
		assert_true(dirty[i] == 0);
	check_take_dirty(1, dirty);
	assert_true(dirty[0] == 3);
	compare();
}

/* Takes dirty pages where eight of ours are one of the kernel's. Clean pages beside a used one
 * have its memory behind them. */
static void take_dirty_takes_whole_pages_of_the_kernel(void **state)
{
	uint64_t taken[CHUNK_PAGES / 64];
	size_t nfree;

	(void)state;
	check_grow(0, 512);
	assert_int_equal(check_alloc(512), 0);
	/* All free, one not clean; all free, and clean; one in use. */
	check_free(0, 8, true);
	assert_true(check_alloc_at(3, 1));
	check_free(3, 1, false);
	check_free(8, 8, true);
	check_free(16, 5, true);
	check_free(21, 2, false);
	/* The last ones of a word, and across two words. */
	check_free(56, 7, true);
	check_free(63, 2, false);
	nfree = pa.nfree;
	assert_true(pagealloc_has_dirty(&pa, 0, 8));
	pagealloc_take_dirty(&pa, 0, 8, taken);
	assert_false(pagealloc_has_dirty(&pa, 0, 8));
	assert_true(taken[0] == (UINT64_C(0xff) << 56 | 3 << 21 | 0xff));
	assert_true(taken[1] == 1);
	pagealloc_check(&pa);
	assert_int_equal(pa.nfree, nfree - 8 - 2 - 8 - 1);
	assert_int_equal(pa.nclean, 8 + 5);
	/* Whole ones were given back; what shares one with pages in use can only stay. */
	pagealloc_free_word(&pa, 0, taken[0], taken[0] & ~(UINT64_C(3) << 21));
	pagealloc_free_word(&pa, 64, taken[1], 0);
	assert_false(pagealloc_has_dirty(&pa, 0, 8));
	assert_true(pagealloc_has_dirty(&pa, 0, 2));
	pagealloc_take_dirty(&pa, 0, 2, taken);
	assert_true(taken[0] == UINT64_C(7) << 20);
	assert_true(taken[1] == 1);
	pagealloc_check(&pa);
}

static void free_before_counts_back_to_the_last_page_in_use(void **state)
{
	(void)state;
	check_grow(0, 2 * ARENA_PAGES);
	assert_int_equal(pagealloc_free_before(&pa, 0), 0);
	assert_int_equal(pagealloc_free_before(&pa, 1), 1);
	assert_int_equal(pagealloc_free_before(&pa, 64), 64);
	assert_int_equal(pagealloc_free_before(&pa, 2 * ARENA_PAGES), 2 * ARENA_PAGES);
	for (unsigned used = 0; used < 200; used++) {
		assert_true(check_alloc_at(used, 1));
		for (uint64_t page = used + 1; page < used + 140; page++)
			assert_int_equal(pagealloc_free_before(&pa, page), page - used - 1);
		check_free(used, 1, false);
	}
	/* Back over the start of an arena. */
	assert_true(check_alloc_at(ARENA_PAGES - 70, 1));
	assert_int_equal(pagealloc_free_before(&pa, ARENA_PAGES + 5), 74);
}

static size_t model_count(uint64_t page, size_t npages, enum page_state state)
{
	size_t n = 0;

	for (; npages > 0; npages--, page++)
		n += page < MODEL_PAGES && model[page] == state;
	return n;
}

static void pages_are_counted_and_looked_at_across_words_arenas_and_gaps(void **state)
{
	uint64_t r = 99;

	(void)state;
	grow_all();
	for (int i = 0; i < 200; i++) {
		size_t npages = 1 + rng_below(&r, 60);
		uint64_t page = check_alloc(npages);

		if (i % 3 != 0)
			check_free(page, npages / 2 + 1, i % 3 == 1);
	}
	check_free(check_alloc(2 * ARENA_PAGES), 2 * ARENA_PAGES, false);
	for (int i = 0; i < 20000; i++) {
		uint64_t page = rng_below(&r, MODEL_PAGES);
		size_t npages = 1 + rng_below(&r, i % 2 == 0 ? 100 : MODEL_PAGES);

		assert_int_equal(pagealloc_count_dirty(&pa, page, npages),
				 model_count(page, npages, DIRTY));
		assert_true(pagealloc_is_free(&pa, page, npages) ==
			    (model_run(page, npages) == npages && page + npages <= MODEL_PAGES));
	}
	for (size_t npages = 1; npages < 2000; npages *= 3)
		assert_true(pagealloc_find(&pa, npages) == model_find(npages));
}

static void free_before_stops_at_a_gap(void **state)
{
	(void)state;
	grow_all();
	assert_int_equal(pagealloc_free_before(&pa, 4 * ARENA_PAGES + 3), 3);
	assert_int_equal(pagealloc_free_before(&pa, 4 * ARENA_PAGES), 0);
	assert_int_equal(pagealloc_free_before(&pa, 5 * ARENA_PAGES), ARENA_PAGES);
	assert_int_equal(pagealloc_free_before(&pa, 3 * ARENA_PAGES), 3 * ARENA_PAGES);
}

static void indices_run_out_with_an_answer(void **state)
{
	static struct heap_arena spare;

	(void)state;
	pa.narenas = MAX_ARENAS;
	pa.arenas[MAX_ARENAS - 1] = records[0];
	assert_false(pagealloc_add_arena(&pa, &spare, BASE + ARENA_SIZE));
	assert_int_equal(pa.narenas, MAX_ARENAS);
	/* The last index, but the address wants a gap before it. */
	pa.narenas = MAX_ARENAS - 1;
	pa.arenas[MAX_ARENAS - 1] = NULL;
	pa.arenas[MAX_ARENAS - 2] = records[0];
	assert_false(pagealloc_add_arena(&pa, &spare, BASE + 2 * ARENA_SIZE));
	assert_true(pagealloc_add_arena(&pa, &spare, BASE + ARENA_SIZE));
	assert_int_equal(spare.idx, MAX_ARENAS - 1);
}

static void the_highest_arena_is_found_through_all_levels(void **state)
{
	static struct heap_arena spare[2];
	size_t nclean;

	(void)state;
	/* Two arenas on both sides of a boundary of every level, as far as the numbers go. */
	for (uint32_t first = 15; first < MAX_ARENAS; first = first * 16 + 15) {
		uint64_t page = ((uint64_t)first + 1) * ARENA_PAGES - 3;

		if (first + 1 >= MAX_ARENAS)
			break;
		memset(&pa, 0, sizeof(pa));
		memset(spare, 0, sizeof(spare));
		pa.narenas = first - 1;
		assert_true(pagealloc_add_arena(&pa, &spare[0], BASE));
		pa.arenas[first - 1] = NULL;
		pa.narenas = first;
		assert_true(pagealloc_add_arena(&pa, &spare[0], BASE));
		assert_true(pagealloc_add_arena(&pa, &spare[1], BASE + ARENA_SIZE));
		assert_int_equal(spare[1].idx, first + 1);
		pagealloc_grow(&pa, page, 6);
		pagealloc_check(&pa);
		assert_true(pagealloc_alloc(&pa, 7, &nclean) == PAGE_NONE);
		assert_true(pagealloc_alloc(&pa, 6, &nclean) == page);
		assert_int_equal(nclean, 6);
		pagealloc_free(&pa, page, 6, false);
		assert_true(pagealloc_alloc(&pa, 1, &nclean) == page);
		assert_true(pagealloc_alloc(&pa, 5, &nclean) == page + 1);
		assert_true(pagealloc_alloc(&pa, 1, &nclean) == PAGE_NONE);
		pagealloc_check(&pa);
	}
}

static void what_is_free_is_still_found_when_the_tree_grows_a_level(void **state)
{
	static struct heap_arena many[2 * SUMMARY_FANOUT];
	const uint64_t low = 3 * ARENA_PAGES + 100, edge = SUMMARY_FANOUT * ARENA_PAGES - 4;
	size_t nclean;

	(void)state;
	memset(&pa, 0, sizeof(pa));
	for (uint32_t i = 0; i < SUMMARY_FANOUT; i++)
		assert_true(pagealloc_add_arena(&pa, &many[i], BASE + i * ARENA_SIZE));
	assert_int_equal(pa.nabove, 0);
	pagealloc_grow(&pa, low, 10);
	pagealloc_grow(&pa, edge, 4);
	for (uint32_t i = SUMMARY_FANOUT; i < 2 * SUMMARY_FANOUT; i++)
		assert_true(pagealloc_add_arena(&pa, &many[i], BASE + i * ARENA_SIZE));
	assert_int_equal(pa.nabove, 1);
	pagealloc_check(&pa);
	/* Across the boundary of two nodes of the new level. */
	pagealloc_grow(&pa, edge + 4, 30);
	pagealloc_check(&pa);
	assert_true(pagealloc_alloc(&pa, 34, &nclean) == edge);
	assert_true(pagealloc_alloc(&pa, 10, &nclean) == low);
	assert_true(pagealloc_alloc(&pa, 1, &nclean) == PAGE_NONE);
	pagealloc_check(&pa);
}

static void a_length_beyond_all_pages_is_refused(void **state)
{
	size_t nclean;

	(void)state;
	grow_all();
	assert_true(pagealloc_alloc(&pa, SIZE_MAX, &nclean) == PAGE_NONE);
	assert_true(pagealloc_alloc(&pa, SIZE_MAX / PAGE_SIZE, &nclean) == PAGE_NONE);
	assert_true(pagealloc_alloc(&pa, (size_t)MAX_ARENAS * ARENA_PAGES, &nclean) == PAGE_NONE);
	assert_false(pagealloc_alloc_at(&pa, 1, (size_t)MAX_ARENAS * ARENA_PAGES, &nclean));
	compare();
}

/* --- at random --- */

struct held {
	uint64_t page;
	size_t npages;
};

static size_t random_length(uint64_t *rnd)
{
	switch (rng_below(rnd, 8)) {
	case 0:
		return 1 + rng_below(rnd, 2000);
	case 1:
		return 1 + rng_below(rnd, 200);
	default:
		return 1 + rng_below(rnd, 20);
	}
}

static void drop_held(struct held *h, size_t *nheld, uint64_t *rnd)
{
	size_t i = rng_below(rnd, *nheld);
	size_t n = h[i].npages;

	/* The whole, or one end of it. */
	if (n > 1 && rng_below(rnd, 3) == 0) {
		n = 1 + rng_below(rnd, n - 1);
		check_free(h[i].page + h[i].npages - n, n, rng_below(rnd, 2) == 0);
		h[i].npages -= n;
		return;
	}
	check_free(h[i].page, n, rng_below(rnd, 2) == 0);
	h[i] = h[--*nheld];
}

enum { MAX_HELD = 4000 };

/* A random history: the pages that it holds, and how far each arena has grown. */
struct history {
	uint64_t rnd;
	uint64_t grown[ARENAS];
	size_t nheld;
	struct held held[MAX_HELD];
};

static void hold(struct history *h, uint64_t page, size_t npages)
{
	h->held[h->nheld++] = (struct held){ page, npages };
}

/* Lets the heap grow in whole words, the arenas in their order. */
static void grow_some(struct history *h, size_t n)
{
	unsigned i = 0;

	while (i < ARENAS && h->grown[i] == ARENA_PAGES)
		i++;
	if (i == ARENAS)
		return;
	n = min_size(align_up(n, 64), ARENA_PAGES - h->grown[i]);
	check_grow((uint64_t)records[i]->idx * ARENA_PAGES + h->grown[i], n);
	h->grown[i] += n;
}

/* Takes pages right behind others that are held, as realloc does. */
static void take_behind(struct history *h, size_t n)
{
	uint64_t page;

	if (h->nheld == 0 || h->nheld == MAX_HELD)
		return;
	page = h->held[rng_below(&h->rnd, h->nheld)].page + 1 + rng_below(&h->rnd, 4);
	if (check_alloc_at(page, n))
		hold(h, page, n);
}

/* Checks how long the clean run and the dirty run are with which free pages begin. */
static void check_runs(uint64_t page, size_t npages)
{
	size_t clean = 0, dirty = 0;

	while (clean < npages && model[page + clean] == CLEAN)
		clean++;
	while (dirty < npages && model[page + dirty] == DIRTY)
		dirty++;
	assert_int_equal(pagealloc_clean_run(&pa, page, npages), clean);
	assert_int_equal(pagealloc_dirty_run(&pa, page, npages), dirty);
}

static void take_aligned(struct history *h, size_t n)
{
	uint64_t page = check_find_aligned(n, (size_t)1 << rng_below(&h->rnd, 10));

	if (page == PAGE_NONE || h->nheld == MAX_HELD)
		return;
	for (size_t i = 0; i < n; i += 1 + i / 4)
		check_runs(page + i, n - i);
	assert_true(check_alloc_at(page, n));
	hold(h, page, n);
}

/* Takes the free pages of a word, keeps some and gives the others back. */
static void take_word(struct history *h)
{
	uint64_t page, free_pages, clean;

	if (!check_alloc_word((unsigned)(1 + rng_below(&h->rnd, 16)), &page, &free_pages, &clean))
		return;
	for (unsigned i = 0; i < 64; i++)
		if ((free_pages >> i & 1) != 0 && rng_below(&h->rnd, 4) == 0 &&
		    h->nheld < MAX_HELD) {
			hold(h, page + i, 1);
			free_pages &= ~(UINT64_C(1) << i);
		}
	check_free_word(page, free_pages, clean & free_pages);
}

/* Takes the dirty pages of a chunk, and gives them back, most of them as released. */
static void release_chunk(struct history *h)
{
	unsigned i = (unsigned)rng_below(&h->rnd, ARENAS);
	uint64_t chunk = (uint64_t)records[i]->idx * ARENA_CHUNKS + rng_below(&h->rnd, 16);
	uint64_t dirty[CHUNK_PAGES / 64];

	check_take_dirty(chunk, dirty);
	for (unsigned w = 0; w < CHUNK_PAGES / 64; w++)
		check_free_word(chunk * CHUNK_PAGES + w * 64, dirty[w],
				dirty[w] & rng_next(&h->rnd));
}

/* Checks the count of free pages before a random page. */
static void count_free_before(struct history *h)
{
	uint64_t at = rng_below(&h->rnd, 3 * ARENA_PAGES);
	uint64_t from = at;

	while (from > 0 && model[from - 1] != IN_USE)
		from--;
	assert_int_equal(pagealloc_free_before(&pa, at), at - from);
}

static void random_steps(uint64_t seed, unsigned steps)
{
	static struct history h;

	h = (struct history){ .rnd = seed };
	for (unsigned step = 0; step < steps; step++) {
		size_t n = random_length(&h.rnd);
		unsigned kind = (unsigned)rng_below(&h.rnd, 100);
		bool shrinking = step / 300 % 3 == 2;

		if (kind < 3) {
			grow_some(&h, n);
		} else if (kind < (shrinking ? 25u : 45u)) {
			uint64_t page = h.nheld < MAX_HELD ? check_alloc(n) : PAGE_NONE;

			if (page != PAGE_NONE)
				hold(&h, page, n);
		} else if (kind < 55) {
			take_behind(&h, n);
		} else if (kind < 65) {
			take_word(&h);
		} else if (kind < 70) {
			release_chunk(&h);
		} else if (kind < 72) {
			count_free_before(&h);
		} else if (kind < 75) {
			take_aligned(&h, n);
		} else if (h.nheld > 0) {
			drop_held(h.held, &h.nheld, &h.rnd);
		}
		if (step % 64 == 0)
			compare();
	}
	compare();
	while (h.nheld > 0) {
		h.nheld--;
		check_free(h.held[h.nheld].page, h.held[h.nheld].npages, false);
	}
	compare();
	assert_int_equal(pa.nfree, pa.ntotal);
}

static void a_random_history_agrees_with_the_model_at_every_step(void **state)
{
	for (uint64_t seed = 1; seed <= (GOALLOC_SANITIZED ? 1 : 3); seed++) {
		random_steps(seed, 1500);
		teardown(state);
		setup(state);
	}
}

/* --- after a fork --- */

static void rebuild_makes_every_summary_and_count_anew(void **state)
{
	uint64_t rnd = 77;

	(void)state;
	grow_all();
	for (int i = 0; i < 60; i++)
		check_alloc(random_length(&rnd));
	for (int i = 0; i < 30; i++) {
		uint64_t page = rng_below(&rnd, 4000);

		if (model[page] == IN_USE)
			check_free(page, 1, i % 2 == 0);
	}
	/* What a change that stopped half-way leaves: bits without summaries, wrong counts. */
	records[0]->alloc_bits[3] ^= 0xff00ff;
	for (unsigned i = 192; i < 256; i++)
		if (bit(records[0]->alloc_bits, i) != (model[i] == IN_USE))
			model[i] = model[i] == IN_USE ? DIRTY : IN_USE;
	for (unsigned i = 192; i < 256; i++)
		if (model[i] == DIRTY && bit(records[0]->clean_bits, i))
			model[i] = CLEAN;
	/* A page that was taken, but is still called clean. */
	assert_int_equal(model[2 * ARENA_PAGES + 100], CLEAN);
	records[2]->alloc_bits[1] |= UINT64_C(1) << 36;
	model[2 * ARENA_PAGES + 100] = IN_USE;
	memset(&records[1]->chunks[5].sum, 0x55, sizeof(struct page_sum));
	memset(&pa.level3[2], 0x33, sizeof(struct page_sum));
	memset(&pa.level2[0], 0x33, sizeof(struct page_sum));
	memset(&pa.level1[0], 0x33, sizeof(struct page_sum));
	memset(&pa.level0[0], 0x33, sizeof(struct page_sum));
	pa.nfree = 12345;
	pa.nclean = 1;
	pa.search = 3 * ARENA_PAGES;
	pagealloc_rebuild(&pa);
	pagealloc_check(&pa);
	compare();
	check_alloc(1);
	check_alloc(100);
}

static void check_finds_a_lying_summary(void)
{
	setup(NULL);
	check_grow(0, 512);
	records[0]->chunks[0].sum.max--;
	pagealloc_check(&pa);
}

static void check_finds_a_lying_count(void)
{
	setup(NULL);
	check_grow(0, 512);
	pa.nfree--;
	pagealloc_check(&pa);
}

static void check_finds_a_free_page_below_the_hint(void)
{
	setup(NULL);
	check_grow(0, 512);
	pa.search = 64;
	pagealloc_check(&pa);
}

static void check_finds_a_clean_page_in_use(void)
{
	setup(NULL);
	check_grow(0, 512);
	records[0]->clean_bits[100] = 1;
	pa.nclean++;
	pagealloc_check(&pa);
}

/* The checker itself can fail. */
static void pagealloc_check_stops_at_each_kind_of_lie(void **state)
{
	static void (*const lies[])(void) = {
		check_finds_a_lying_summary,
		check_finds_a_lying_count,
		check_finds_a_free_page_below_the_hint,
		check_finds_a_clean_page_in_use,
	};

	(void)state;
	each_body_aborts(lies, sizeof(lies) / sizeof(lies[0]), "pagealloc.c");
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(new_arenas_have_no_free_page),
		test(an_arena_that_does_not_continue_the_last_one_skips_a_number),
		test(page_numbers_and_addresses_belong_together),
		test(the_lowest_run_is_taken_first),
		test(every_length_is_found_at_every_place_of_a_word_and_across_it),
		test(the_longest_run_inside_a_word_is_seen),
		test(the_last_page_of_an_arena_can_be_had_alone),
		test(a_run_crosses_from_one_arena_into_the_next),
		test(a_run_may_be_longer_than_an_arena),
		test(no_run_reaches_over_a_gap_in_the_addresses),
		test(an_aligned_run_is_found_in_a_hole_that_has_just_room_for_it),
		test(an_alignment_may_be_that_of_several_arenas),
		test(an_aligned_search_passes_over_some_runs_only_and_then_takes_a_long_one),
		test(alloc_at_takes_all_or_nothing),
		test(the_search_hint_never_skips_a_free_page),
		test(a_long_run_that_starts_at_the_hint_moves_it_past_itself_only),
		test(a_word_is_handed_out_with_all_its_free_pages),
		test(a_run_across_two_words_is_no_word),
		test(take_dirty_takes_what_has_memory_and_nothing_else),
		test(take_dirty_takes_whole_pages_of_the_kernel),
		test(free_before_counts_back_to_the_last_page_in_use),
		test(pages_are_counted_and_looked_at_across_words_arenas_and_gaps),
		test(free_before_stops_at_a_gap),
		test(indices_run_out_with_an_answer),
		test(the_highest_arena_is_found_through_all_levels),
		test(what_is_free_is_still_found_when_the_tree_grows_a_level),
		test(a_length_beyond_all_pages_is_refused),
		test(a_random_history_agrees_with_the_model_at_every_step),
		test(rebuild_makes_every_summary_and_count_anew),
		test(pagealloc_check_stops_at_each_kind_of_lie),
	};

	return cmocka_run_group_tests_name("pagealloc", tests, NULL, NULL);
}
