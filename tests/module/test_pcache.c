/* SPDX-License-Identifier: MIT */
/*
 * test_pcache.c - runs are taken from a page word and put back, and nothing outside is touched.
 */
#include "module.h"

#include "heap/pcache.h"

#define BASE ((uintptr_t)1 << 40)

static uintptr_t page_at(unsigned i)
{
	return BASE + i * PAGE_SIZE;
}

static void the_lowest_run_that_is_long_enough_is_taken(void **state)
{
	/* Free: page 0, pages 2 and 3, and the last five. */
	struct pcache pc = { .base = BASE, .free = UINT64_C(0xd) | UINT64_C(0x1f) << 59 };
	bool zeroed;

	(void)state;
	assert_int_equal(pcache_take(&pc, 2, 1, &zeroed), page_at(2));
	assert_int_equal(pcache_take(&pc, 1, 1, &zeroed), page_at(0));
	assert_int_equal(pcache_take(&pc, 6, 1, &zeroed), 0);
	assert_int_equal(pcache_take(&pc, 5, 1, &zeroed), page_at(59));
	assert_true(pc.free == 0);
	assert_int_equal(pcache_take(&pc, 1, 1, &zeroed), 0);
}

static void an_aligned_run_begins_at_a_multiple_of_the_alignment(void **state)
{
	/* Free: all but pages 0 and 20. */
	struct pcache pc = {
		.base = BASE, .free = ~(UINT64_C(1) | UINT64_C(1) << 20), .group = ~UINT64_C(0)
	};
	bool zeroed;

	(void)state;
	assert_int_equal(pcache_take(&pc, 1, 128, &zeroed), 0);
	assert_int_equal(pcache_take(&pc, 1, 64, &zeroed), 0);
	assert_int_equal(pcache_take(&pc, 1, 32, &zeroed), page_at(32));
	assert_int_equal(pcache_take(&pc, 16, 16, &zeroed), page_at(48));
	assert_int_equal(pcache_take(&pc, 4, 16, &zeroed), page_at(16));
	assert_int_equal(pcache_take(&pc, 1, 16, &zeroed), 0);
	assert_int_equal(pcache_take(&pc, 5, 2, &zeroed), page_at(2));
	assert_true(pcache_put(&pc, page_at(32), 1));
	pc.free |= 1;
	assert_int_equal(pcache_take(&pc, 1, 64, &zeroed), page_at(0));
}

static void a_run_reads_as_zero_only_if_each_of_its_pages_does(void **state)
{
	struct pcache pc = {
		.base = BASE, .free = UINT64_C(0x3f), .clean = UINT64_C(0x2f), .group = 0x3f
	};
	bool zeroed;

	(void)state;
	assert_int_equal(pcache_take(&pc, 4, 1, &zeroed), page_at(0));
	assert_true(zeroed);
	assert_int_equal(pcache_take(&pc, 2, 1, &zeroed), page_at(4));
	assert_false(zeroed);
	assert_true(pc.clean == 0);
	/* A page that was put back is dirty. */
	assert_true(pcache_put(&pc, page_at(1), 1));
	assert_int_equal(pcache_take(&pc, 1, 1, &zeroed), page_at(1));
	assert_false(zeroed);
}

static void a_run_that_is_not_all_in_the_group_is_not_put_there(void **state)
{
	struct pcache pc = { .base = BASE, .group = ~UINT64_C(0) };
	struct pcache none = { .base = 0 };

	(void)state;
	assert_false(pcache_put(&pc, page_at(0) - PAGE_SIZE, 1));
	assert_false(pcache_put(&pc, page_at(63), 2));
	assert_false(pcache_put(&pc, page_at(64), 1));
	assert_false(pcache_put(&pc, page_at(0), PCACHE_MAX_RUN + 1));
	assert_false(pcache_put(&none, PAGE_SIZE, 1));
	assert_true(pc.free == 0 && none.free == 0);
	assert_true(pcache_put(&pc, page_at(63), 1));
	assert_true(pc.free == UINT64_C(1) << 63);
	pc = (struct pcache){ .base = BASE, .group = UINT64_C(0xff00) };
	assert_false(pcache_put(&pc, page_at(7), 2));
	assert_false(pcache_put(&pc, page_at(15), 2));
	assert_true(pcache_put(&pc, page_at(8), 8) && pc.free == UINT64_C(0xff00));
}

static void a_group_has_the_run_and_the_others_get_the_rest_of_the_word(void **state)
{
	const uint64_t free = ~UINT64_C(0) << 13, clean = ~UINT64_C(0) << 20;
	struct pcache pc = { .base = BASE, .free = free, .clean = clean };

	(void)state;
	/* Bits 13 to 15 begin the lowest run, which crosses into the next group. */
	assert_true(pcache_choose_group(&pc, 4) == ~UINT64_C(0) << 24);
	assert_true(pc.group == UINT64_C(0xffff00) && pc.free == UINT64_C(0xffe000));
	assert_true(pc.clean == UINT64_C(0xf00000));
	/* The next groups are twice as large each. */
	for (unsigned size = 2 * PCACHE_FIRST; size <= PCACHE_PAGES; size *= 2) {
		pc.free = ~UINT64_C(0);
		assert_true(pcache_choose_group(&pc, 1) == (size == 64 ? 0 : ~UINT64_C(0) << size));
	}
	pc.free = ~UINT64_C(0);
	assert_true(pcache_choose_group(&pc, 1) == 0 && pc.free == ~UINT64_C(0));
	/* One that gave its pages back begins small again. */
	pcache_clear(&pc);
	pc.free = UINT64_C(1) << 63;
	assert_true(pcache_choose_group(&pc, 1) == 0 && pc.group == UINT64_C(0xff) << 56);
}

static void exactly_the_pages_at_an_address_are_taken_or_none(void **state)
{
	struct pcache pc = { .base = BASE, .free = UINT64_C(7) << 61, .clean = UINT64_C(1) << 62 };

	(void)state;
	assert_false(pcache_take_at(&pc, page_at(60), 2));
	assert_false(pcache_take_at(&pc, page_at(63), 2));
	assert_false(pcache_take_at(&pc, page_at(64), 1));
	assert_true(pc.free == UINT64_C(7) << 61);
	assert_true(pcache_take_at(&pc, page_at(62), 2));
	assert_true(pc.free == UINT64_C(1) << 61 && pc.clean == 0);
	pc = (struct pcache){ .base = BASE, .free = ~UINT64_C(0) };
	assert_false(pcache_take_at(&pc, page_at(0), 65));
	assert_true(pcache_take_at(&pc, page_at(0), 64) && pc.free == 0);
}

static void a_run_is_shorter_where_that_uses_up_the_end_of_the_word(void **state)
{
	static const uint8_t npages[] = { 1, 2, 4, 16 };
	/* Free: pages 2 to 5, and the last three. */
	struct pcache pc = { .base = BASE, .free = UINT64_C(0x3c) | UINT64_C(7) << 61 };
	struct pcache all = { .base = BASE, .free = ~UINT64_C(0) };

	(void)state;
	assert_int_equal(pcache_fit(&pc, npages, 0), 0);
	assert_int_equal(pcache_fit(&pc, npages, 2), 2);
	assert_int_equal(pcache_fit(&pc, npages, 3), 1);
	assert_int_equal(pcache_fit(&all, npages, 3), 3);
	/* Less than the shortest is left at the end, or nothing. */
	assert_int_equal(pcache_fit(&pc, npages + 2, 1), 1);
	pc.free = UINT64_C(1) << 62;
	assert_int_equal(pcache_fit(&pc, npages, 2), 2);
	pc.free = 0;
	assert_int_equal(pcache_fit(&pc, npages, 2), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lowest_run_that_is_long_enough_is_taken),
		cmocka_unit_test(an_aligned_run_begins_at_a_multiple_of_the_alignment),
		cmocka_unit_test(a_run_reads_as_zero_only_if_each_of_its_pages_does),
		cmocka_unit_test(a_run_that_is_not_all_in_the_group_is_not_put_there),
		cmocka_unit_test(a_group_has_the_run_and_the_others_get_the_rest_of_the_word),
		cmocka_unit_test(exactly_the_pages_at_an_address_are_taken_or_none),
		cmocka_unit_test(a_run_is_shorter_where_that_uses_up_the_end_of_the_word),
	};

	return cmocka_run_group_tests_name("pcache", tests, NULL, NULL);
}
