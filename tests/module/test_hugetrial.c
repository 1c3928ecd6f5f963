/* SPDX-License-Identifier: MIT */
/*
 * test_hugetrial.c - when the heap stops asking for huge pages, and when it tries again.
 */
#include "module.h"

#include "heap/hugetrial.h"

/* Begins n regions whose first touch is slow, or not. Returns how many of them asked. */
static unsigned begin_regions(struct hugetrial *t, unsigned n, bool slow)
{
	unsigned asked = 0;

	for (unsigned i = 0; i < n; i++) {
		if (!hugetrial_allows(t))
			continue;
		hugetrial_note(t, slow);
		asked++;
	}
	return asked;
}

static void where_huge_pages_are_cheap_every_region_asks(void **state)
{
	struct hugetrial t = { 0 };

	(void)state;
	CHECK(begin_regions(&t, 10000, false) == 10000);
}

static void four_slow_touches_of_eight_end_the_trial(void **state)
{
	struct hugetrial t = { 0 };

	(void)state;
	CHECK(begin_regions(&t, 4, true) == 4 && !hugetrial_allows(&t));
	t = (struct hugetrial){ 0 };
	for (unsigned i = 0; i < 7; i++)
		CHECK(begin_regions(&t, 1, i % 2 == 0) == 1);
	CHECK(!hugetrial_allows(&t));
}

static void slow_touches_far_from_each_other_are_chance(void **state)
{
	struct hugetrial t = { 0 };

	(void)state;
	for (unsigned i = 0; i < 9999; i++)
		CHECK(begin_regions(&t, 1, i % 3 == 0) == 1);
}

static void pauses_grow_up_to_a_bound(void **state)
{
	static const uint32_t pauses[] = { 64, 128, 256, 512, 1024, 2048, 4096, 4096, 4096 };
	struct hugetrial t = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(pauses) / sizeof(*pauses); i++) {
		CHECK(begin_regions(&t, 4, true) == 4);
		CHECK(begin_regions(&t, pauses[i], true) == 0);
	}
	CHECK(hugetrial_allows(&t));
}

static void a_trial_that_goes_well_makes_the_next_pause_short(void **state)
{
	struct hugetrial t = { 0 };

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		(void)begin_regions(&t, 4 + (64u << i), true);
	CHECK(begin_regions(&t, 8, false) == 8);
	CHECK(begin_regions(&t, 4, true) == 4);
	CHECK(begin_regions(&t, 64, true) == 0 && hugetrial_allows(&t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_huge_pages_are_cheap_every_region_asks),
		cmocka_unit_test(four_slow_touches_of_eight_end_the_trial),
		cmocka_unit_test(slow_touches_far_from_each_other_are_chance),
		cmocka_unit_test(pauses_grow_up_to_a_bound),
		cmocka_unit_test(a_trial_that_goes_well_makes_the_next_pause_short),
	};

	return cmocka_run_group_tests_name("hugetrial", tests, NULL, NULL);
}
