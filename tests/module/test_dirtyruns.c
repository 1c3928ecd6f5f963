/* SPDX-License-Identifier: MIT */
/*
 * test_dirtyruns.c - the dirty pages of a new object are found and cleared, and clean ones are left
 * alone.
 */
#include "module.h"

#include "heap/dirtyruns.h"
#include "os/os.h"

#include <stdlib.h>
#include <string.h>

#define BASE ((uintptr_t)0x120000000000)

static struct pagealloc pa;
static struct heap_arena *arenas[2];

static int setup(void **state)
{
	(void)state;
	memset(&pa, 0, sizeof(pa));
	for (unsigned i = 0; i < 2; i++) {
		arenas[i] = calloc(1, sizeof(struct heap_arena));
		assert_non_null(arenas[i]);
		assert_true(pagealloc_add_arena(&pa, arenas[i], BASE + i * ARENA_SIZE));
	}
	pagealloc_grow(&pa, 0, 2 * ARENA_PAGES);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(arenas[0]);
	free(arenas[1]);
	return 0;
}

static void make_dirty(uint64_t page, size_t npages)
{
	size_t nclean;

	assert_true(pagealloc_alloc_at(&pa, page, npages, &nclean));
	pagealloc_free(&pa, page, npages, false);
}

static bool is_dirty(uint64_t page)
{
	return pagealloc_count_dirty(&pa, page, 1) != 0;
}

/* Checks that each dirty page is in one run, that runs are in order and begin and end with dirty
 * pages, and that only the last of DIRTY_RUNS has clean ones. */
static void check_runs(const struct dirty_runs *d, uint64_t page, size_t npages)
{
	size_t at = 0;

	assert_true(d->n <= DIRTY_RUNS);
	for (unsigned i = 0; i < d->n; i++) {
		size_t first = d->run[i].first, end = first + d->run[i].npages;

		assert_true(i == 0 || first > at);
		for (; at < first; at++)
			assert_false(is_dirty(page + at));
		assert_true(first < end && end <= npages);
		assert_true(is_dirty(page + first) && is_dirty(page + end - 1));
		for (; at < end; at++)
			assert_true(is_dirty(page + at) || i == DIRTY_RUNS - 1);
	}
	for (; at < npages; at++)
		assert_false(is_dirty(page + at));
}

static void every_dirty_page_is_in_a_run_and_clean_ones_are_only_in_the_last(void **state)
{
	uint64_t rnd = 5;

	for (unsigned round = 0; round < 60; round++) {
		struct dirty_runs d;

		for (unsigned i = 0; i < round; i++) {
			size_t n = 1 + rng_below(&rnd, i % 3 == 0 ? 700 : 70);

			make_dirty(rng_below(&rnd, 2 * ARENA_PAGES - n), n);
		}
		for (unsigned i = 0; i < 20; i++) {
			size_t n = 1 + rng_below(&rnd, i % 2 == 0 ? 2 * ARENA_PAGES : 200);
			uint64_t page = rng_below(&rnd, 2 * ARENA_PAGES - n + 1);

			dirty_runs_find(&d, &pa, page, n);
			check_runs(&d, page, n);
		}
		teardown(state);
		setup(state);
	}
}

static void a_run_may_be_one_page_at_either_end(void **state)
{
	struct dirty_runs d;

	(void)state;
	dirty_runs_find(&d, &pa, 10, 100);
	assert_int_equal(d.n, 0);
	make_dirty(10, 1);
	make_dirty(109, 1);
	make_dirty(9, 1);
	make_dirty(110, 1);
	dirty_runs_find(&d, &pa, 10, 100);
	assert_int_equal(d.n, 2);
	assert_true(d.run[0].first == 0 && d.run[0].npages == 1);
	assert_true(d.run[1].first == 99 && d.run[1].npages == 1);
	dirty_runs_all(&d, 7);
	assert_true(d.n == 1 && d.run[0].first == 0 && d.run[0].npages == 7);
}

static size_t resident_pages(char *p, size_t npages)
{
	size_t nkernel = npages * PAGE_SIZE / os_page_size(), n = 0;
	unsigned char *r = malloc(nkernel);

	assert_non_null(r);
	assert_true(os_which_resident((uintptr_t)p, nkernel, r));
	for (size_t i = 0; i < nkernel; i++)
		n += r[i] & 1;
	free(r);
	return n * os_page_size() / PAGE_SIZE;
}

/* Fills the runs of npages with ones, and clears them. Returns how many pages have memory then. */
static size_t clear(const struct dirty_runs *d, size_t npages)
{
	char *p = os_reserve(NULL, npages * PAGE_SIZE);
	size_t n;

	assert_true(p != NULL && os_commit(p, npages * PAGE_SIZE));
	for (unsigned i = 0; i < d->n; i++)
		memset(p + d->run[i].first * PAGE_SIZE, 1, d->run[i].npages * PAGE_SIZE);
	dirty_runs_clear(d, (uintptr_t)p, npages);
	n = resident_pages(p, npages);
	for (size_t i = 0; i < npages * PAGE_SIZE; i++)
		assert_int_equal(p[i], 0);
	os_unreserve(p, npages * PAGE_SIZE);
	return n;
}

static void the_runs_read_as_zero_and_other_pages_get_no_memory(void **state)
{
	struct dirty_runs d = { .n = 3, .run = { { 1, 2 }, { 8, 1 }, { 100, 40 } } };

	(void)state;
	assert_true(clear(&d, 150) <= 43 + 3);
}

static void the_runs_of_a_huge_object_lose_their_memory_unless_they_are_short(void **state)
{
	struct dirty_runs d = { .n = 3, .run = { { 0, 1 }, { 100, 500 }, { 4000, 96 } } };

	(void)state;
	assert_true(clear(&d, HUGE_PAGES) <= 1 + 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			every_dirty_page_is_in_a_run_and_clean_ones_are_only_in_the_last, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_run_may_be_one_page_at_either_end, setup,
						teardown),
		cmocka_unit_test(the_runs_read_as_zero_and_other_pages_get_no_memory),
		cmocka_unit_test(the_runs_of_a_huge_object_lose_their_memory_unless_they_are_short),
	};

	return cmocka_run_group_tests_name("dirtyruns", tests, NULL, NULL);
}
