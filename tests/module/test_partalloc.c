/* SPDX-License-Identifier: MIT */
/*
 * test_partalloc.c - a record's parts have memory only while they are committed, no two records
 * overlap, and a record that is given back is the next one's.
 */
#include "module.h"

#include "heap/fixalloc.h"
#include "heap/partalloc.h"
#include "os/os.h"
#include "os_fail.h"

#include <string.h>

#define FIRST 5000
#define REST 20000

static struct partalloc pool;

static char *take(char **rest)
{
	void *r = NULL;
	char *p = partalloc_take_locked(&pool, &r);

	*rest = r;
	return p;
}

TEST_IN_CHILD(records_and_their_rests_are_apart)
{
	static char *first[200], *rest[200];

	partalloc_init(&pool, FIRST, REST);
	for (int i = 0; i < 200; i++) {
		first[i] = take(&rest[i]);
		CHECK(first[i] != NULL && rest[i] > first[i] + FIRST);
		CHECK(!os_can_read((uintptr_t)first[i]) && !os_can_read((uintptr_t)rest[i]));
		CHECK(partalloc_commit(first[i], FIRST) && partalloc_commit(rest[i], REST));
		CHECK(all_zero(first[i], FIRST) && all_zero(rest[i], REST));
		memset(first[i], i, FIRST);
		memset(rest[i], 255 - i, REST);
	}
	for (int i = 0; i < 200; i++)
		CHECK(first[i][0] == (char)i && first[i][FIRST - 1] == (char)i &&
		      rest[i][0] == (char)(255 - i) && rest[i][REST - 1] == (char)(255 - i));
}

TEST_IN_CHILD(a_part_in_the_middle_of_a_rest_is_committed_alone)
{
	char *rest, *record;
	size_t page = os_page_size();

	partalloc_init(&pool, page, 8 * page);
	record = take(&rest);
	CHECK(record != NULL && partalloc_commit(rest + 3 * page, page));
	CHECK(os_can_read((uintptr_t)(rest + 3 * page)));
	CHECK(!os_can_read((uintptr_t)(rest + 2 * page)) &&
	      !os_can_read((uintptr_t)(rest + 4 * page)) && !os_can_read((uintptr_t)record));
}

TEST_IN_CHILD(what_is_uncommitted_has_no_memory_and_reads_as_zero_when_it_is_taken_again)
{
	char *rest, *record, *again;
	size_t used;

	partalloc_init(&pool, FIRST, REST);
	used = fixalloc_used_bytes();
	record = take(&rest);
	CHECK(partalloc_commit(record, FIRST) && partalloc_commit(rest, 100));
	CHECK(fixalloc_used_bytes() == used + FIRST + 100);
	memset(record, 1, FIRST);
	rest[0] = 1;
	partalloc_uncommit(rest, REST, 100);
	partalloc_uncommit(record, FIRST, FIRST);
	CHECK(fixalloc_used_bytes() == used);
	CHECK(!os_can_read((uintptr_t)record) && !os_can_read((uintptr_t)rest));
	partalloc_give_locked(&pool, record);
	again = take(&rest);
	CHECK(again == record && partalloc_commit(again, FIRST) && partalloc_commit(rest, REST));
	CHECK(all_zero(again, FIRST) && all_zero(rest, REST));
}

TEST_IN_CHILD(a_walk_finds_what_is_shown_once_each)
{
	enum { N = 150 };
	struct part_walk w = { NULL, 0 };
	static char *record[N];
	bool seen[N] = { false };
	int n = 0;
	char *p, *rest;

	partalloc_init(&pool, FIRST, REST);
	CHECK(partalloc_next_locked(&pool, &w) == NULL);
	for (int i = 0; i < N; i++) {
		record[i] = take(&rest);
		partalloc_show_locked(&pool, record[i], i % 3 != 0);
	}
	partalloc_show_locked(&pool, record[1], false);
	while ((p = partalloc_next_locked(&pool, &w)) != NULL) {
		for (int i = 0; i < N; i++)
			if (record[i] == p) {
				CHECK(i % 3 != 0 && i != 1 && !seen[i]);
				seen[i] = true;
				n++;
			}
	}
	CHECK(n == N - N / 3 - 1);
}

TEST_IN_CHILD(without_address_space_for_a_block_there_is_one_for_a_single_record)
{
	char *rest;

	partalloc_init(&pool, FIRST, REST);
	os_fail_nth(OS_ALLOC_METADATA, 1);
	CHECK(take(&rest) != NULL && os_fail_failed() == 1);
	os_fail_from(OS_ALLOC_METADATA, 1);
	CHECK(take(&rest) == NULL && os_fail_failed() == 2);
	os_fail_stop();
	CHECK(take(&rest) != NULL);
}

TEST_IN_CHILD(a_part_without_memory_stays_as_it_was)
{
	char *rest, *record;
	size_t used;

	partalloc_init(&pool, FIRST, REST);
	record = take(&rest);
	used = fixalloc_used_bytes();
	os_fail_nth(OS_COMMIT_METADATA, 1);
	CHECK(!partalloc_commit(record, FIRST) && fixalloc_used_bytes() == used);
	CHECK(!os_can_read((uintptr_t)record));
	CHECK(partalloc_commit(record, FIRST));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_and_their_rests_are_apart),
		cmocka_unit_test(a_part_in_the_middle_of_a_rest_is_committed_alone),
		cmocka_unit_test(
			what_is_uncommitted_has_no_memory_and_reads_as_zero_when_it_is_taken_again),
		cmocka_unit_test(a_walk_finds_what_is_shown_once_each),
		cmocka_unit_test(
			without_address_space_for_a_block_there_is_one_for_a_single_record),
		cmocka_unit_test(a_part_without_memory_stays_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
