/* SPDX-License-Identifier: MIT */
/*
 * test_fixalloc.c - records are type-stable, zero the first time only, and NULL when there is no
 * memory.
 */
#include "module.h"

#include "base/config.h"
#include "heap/fixalloc.h"
#include "os_fail.h"

#include <stdlib.h>
#include <string.h>

struct small_record {
	uint64_t number;
	struct small_record *next;
	char text[40];
};

struct large_record {
	char bytes[70000];
	struct large_record *next;
};

static void make_pools(struct fixalloc *small, struct fixalloc *large)
{
	fixalloc_init(small, sizeof(struct small_record), offsetof(struct small_record, next));
	fixalloc_init(large, sizeof(struct large_record), offsetof(struct large_record, next));
}

TEST_IN_CHILD(records_are_whole_cache_lines_long_and_begin_in_the_middle_of_one)
{
	struct fixalloc f;
	void *a, *b;

	fixalloc_init(&f, CACHE_LINE + 1, 0);
	CHECK(f.size == 2 * CACHE_LINE);
	a = fixalloc_alloc(&f, NULL);
	b = fixalloc_alloc(&f, NULL);
	CHECK((uintptr_t)a % CACHE_LINE == CACHE_LINE / 2);
	CHECK((uintptr_t)b % CACHE_LINE == CACHE_LINE / 2);
}

TEST_IN_CHILD(a_record_is_zero_the_first_time_and_says_so)
{
	struct fixalloc small, large;

	make_pools(&small, &large);
	for (int i = 0; i < 5000; i++) {
		bool fresh = false;
		struct small_record *r = fixalloc_alloc(&small, &fresh);

		CHECK(r != NULL && fresh && all_zero(r, sizeof(*r)));
		memset(r, 0xee, sizeof(*r));
	}
}

TEST_IN_CHILD(a_freed_record_comes_back_as_it_was_but_for_its_link)
{
	struct fixalloc small, large;
	struct small_record *r, *again;
	bool fresh = true;

	make_pools(&small, &large);
	r = fixalloc_alloc(&small, NULL);
	r->number = 4711;
	memset(r->text, 'x', sizeof(r->text));
	fixalloc_free(&small, r);
	CHECK(r->number == 4711);
	again = fixalloc_alloc(&small, &fresh);
	CHECK(again == r && !fresh);
	CHECK(again->number == 4711 && again->text[0] == 'x' && again->text[39] == 'x');
}

TEST_IN_CHILD(freed_records_come_back_last_first_before_new_memory)
{
	struct fixalloc small, large;
	struct small_record *r[100];

	make_pools(&small, &large);
	for (int i = 0; i < 100; i++)
		r[i] = fixalloc_alloc(&small, NULL);
	CHECK(small.inuse == 100 && small.total == 100);
	for (int i = 0; i < 100; i++)
		fixalloc_free(&small, r[i]);
	CHECK(small.inuse == 0 && small.total == 100);
	for (int i = 100; i-- > 0;)
		CHECK(fixalloc_alloc(&small, NULL) == r[i]);
	CHECK(small.inuse == 100 && small.total == 100);
}

/* A stale pointer to a record must find a record of its type for ever. */
TEST_IN_CHILD(memory_of_one_pool_never_shows_up_in_another)
{
	enum { ROUNDS = 4000, KEEP = 64 };
	static struct { uintptr_t at; int pool; } seen[ROUNDS];
	struct fixalloc pool[2];
	void *kept[2][KEEP] = { { NULL } };
	uint64_t rnd = 1;
	size_t nseen = 0;

	fixalloc_init(&pool[0], 64, 0);
	fixalloc_init(&pool[1], 192, 8);
	for (int i = 0; i < ROUNDS; i++) {
		int p = (int)rng_below(&rnd, 2);
		size_t k = rng_below(&rnd, KEEP);
		bool fresh = false;

		if (kept[p][k] != NULL) {
			fixalloc_free(&pool[p], kept[p][k]);
			kept[p][k] = NULL;
			continue;
		}
		kept[p][k] = fixalloc_alloc(&pool[p], &fresh);
		CHECK(kept[p][k] != NULL);
		for (size_t j = 0; j < nseen; j++) {
			uintptr_t at = (uintptr_t)kept[p][k];

			if (fresh)
				CHECK(at + pool[p].size <= seen[j].at ||
				      at >= seen[j].at + pool[seen[j].pool].size);
			else if (seen[j].at == at)
				CHECK(seen[j].pool == p);
		}
		if (fresh) {
			seen[nseen].at = (uintptr_t)kept[p][k];
			seen[nseen++].pool = p;
		}
	}
	CHECK(nseen == pool[0].total + pool[1].total);
}

TEST_IN_CHILD(live_records_do_not_overlap_across_regions)
{
	struct fixalloc small, large;
	struct small_record *s[3000];
	struct large_record *l[40];

	make_pools(&small, &large);
	for (int i = 0; i < 40; i++) {
		for (int k = 0; k < 75; k++) {
			s[i * 75 + k] = fixalloc_alloc(&small, NULL);
			pattern_fill(s[i * 75 + k], sizeof(**s), (uint64_t)(i * 75 + k));
		}
		l[i] = fixalloc_alloc(&large, NULL);
		pattern_fill(l[i], sizeof(**l), (uint64_t)(i + 100000));
	}
	for (int i = 0; i < 3000; i++)
		CHECK(pattern_holds(s[i], sizeof(**s), (uint64_t)i));
	for (int i = 0; i < 40; i++)
		CHECK(pattern_holds(l[i], sizeof(**l), (uint64_t)(i + 100000)));
	CHECK(fixalloc_sys_bytes() >= sizeof(s) / sizeof(*s) * small.size + 40 * large.size);
}

TEST_IN_CHILD(what_is_released_does_not_count_as_used_until_it_is_used_again)
{
	static void *records[5000];
	struct fixalloc small, large;
	size_t used, nbytes;

	make_pools(&small, &large);
	CHECK(fixalloc_used_bytes() == 0);
	CHECK(fixalloc_alloc(&large, NULL) != NULL);
	CHECK(fixalloc_used_bytes() == large.size);
	for (int i = 0; i < 5000; i++) {
		records[i] = fixalloc_alloc(&small, NULL);
		nbytes = fixalloc_used_bytes() - large.size;
		/* Whole slabs. */
		CHECK(nbytes >= (size_t)(i + 1) * small.size && nbytes % KiB(32) == 0 &&
		      nbytes < (size_t)i * small.size * 2 + KiB(33));
	}
	used = fixalloc_used_bytes();
	for (int i = 0; i < 5000; i++)
		fixalloc_free(&small, records[i]);
	CHECK(fixalloc_used_bytes() == used);
	fixalloc_release(&small);
	/* Where the kernel's pages are as large as slabs nothing is released. */
	nbytes = fixalloc_used_bytes();
	CHECK(nbytes < used / 2 || nbytes == used);
	fixalloc_release(&small);
	CHECK(fixalloc_used_bytes() == nbytes);
	for (int i = 0; i < 5000; i++)
		CHECK(fixalloc_alloc(&small, NULL) != NULL);
	CHECK(fixalloc_used_bytes() == used);
}

TEST_IN_CHILD(without_memory_the_answer_is_null_and_nothing_changes)
{
	struct fixalloc small, large;
	struct small_record *r;

	make_pools(&small, &large);
	os_fail_from(OS_ALLOC_METADATA, 1);
	CHECK(fixalloc_alloc(&small, NULL) == NULL);
	CHECK(fixalloc_alloc(&large, NULL) == NULL);
	CHECK(os_fail_failed() > 1);
	CHECK(small.inuse == 0 && small.total == 0 && fixalloc_sys_bytes() == 0);
	os_fail_stop();
	r = fixalloc_alloc(&small, NULL);
	CHECK(r != NULL && all_zero(r, sizeof(*r)));
}

TEST_IN_CHILD(a_refused_region_is_asked_for_again_smaller)
{
	struct fixalloc small, large;

	make_pools(&small, &large);
	os_fail_nth(OS_ALLOC_METADATA, 1);
	CHECK(fixalloc_alloc(&small, NULL) != NULL);
	CHECK(os_fail_seen() == 2 && os_fail_failed() == 1);
	CHECK(fixalloc_sys_bytes() != 0);
}

TEST_IN_CHILD(freed_records_are_handed_out_when_the_system_has_no_memory)
{
	struct fixalloc small, large;
	void *first, *r;

	make_pools(&small, &large);
	first = fixalloc_alloc(&small, NULL);
	os_fail_from(OS_ALLOC_METADATA | OS_EXTEND_METADATA, 1);
	while ((r = fixalloc_alloc(&small, NULL)) != NULL)
		;
	CHECK(os_fail_failed() != 0);
	fixalloc_free(&small, first);
	CHECK(fixalloc_alloc(&small, NULL) == first);
	CHECK(fixalloc_alloc(&small, NULL) == NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_whole_cache_lines_long_and_begin_in_the_middle_of_one),
		cmocka_unit_test(a_record_is_zero_the_first_time_and_says_so),
		cmocka_unit_test(a_freed_record_comes_back_as_it_was_but_for_its_link),
		cmocka_unit_test(freed_records_come_back_last_first_before_new_memory),
		cmocka_unit_test(memory_of_one_pool_never_shows_up_in_another),
		cmocka_unit_test(live_records_do_not_overlap_across_regions),
		cmocka_unit_test(what_is_released_does_not_count_as_used_until_it_is_used_again),
		cmocka_unit_test(without_memory_the_answer_is_null_and_nothing_changes),
		cmocka_unit_test(a_refused_region_is_asked_for_again_smaller),
		cmocka_unit_test(freed_records_are_handed_out_when_the_system_has_no_memory),
	};

	return cmocka_run_group_tests_name("fixalloc", tests, NULL, NULL);
}
