/* SPDX-License-Identifier: MIT */
/*
 * test_hashtable.c - what was inserted is found until it is removed, while the table grows, and
 * where it cannot.
 */
#include "module.h"

#include "heap/hashtable.h"
#include "os_fail.h"

#include <string.h>

#define MANY 100000

struct record {
	struct hashtable_node node;
	size_t number;
};

static struct record records[MANY];
static struct hashtable table;

static void insert(size_t i)
{
	records[i].node.hash = hashtable_of_addr(i * 16 + 4096);
	records[i].number = i;
	hashtable_insert(&table, &records[i].node);
}

static struct record *find(size_t i)
{
	uint64_t hash = hashtable_of_addr(i * 16 + 4096);

	return (struct record *)hashtable_match(hashtable_chain(&table, hash), hash);
}

TEST_IN_CHILD(records_are_found_until_they_are_removed_while_the_table_grows)
{
	CHECK(hashtable_init(&table));
	for (size_t i = 0; i < MANY; i++) {
		insert(i);
		CHECK(find(i) == &records[i]);
		if (i % 3 == 0)
			CHECK(hashtable_remove(&table, records[i].node.hash) == &records[i].node);
	}
	CHECK(table.bits > HASHTABLE_FIRST && (size_t)1 << table.bits > MANY / 4);
	for (size_t i = 0; i < MANY; i++)
		CHECK(find(i) == (i % 3 == 0 ? NULL : &records[i]));
	CHECK(table.count == MANY - (MANY + 2) / 3);
	CHECK(hashtable_remove(&table, hashtable_of_addr(4096)) == NULL);
}

TEST_IN_CHILD(several_records_may_have_one_hash)
{
	struct hashtable_node *n;
	unsigned seen = 0;

	CHECK(hashtable_init(&table));
	for (size_t i = 0; i < 3; i++) {
		records[i].node.hash = 12345;
		hashtable_insert(&table, &records[i].node);
	}
	for (n = hashtable_match(hashtable_chain(&table, 12345), 12345); n != NULL;
	     n = hashtable_match(n->next, 12345))
		seen |= 1u << (n - &records[0].node) / (ptrdiff_t)(sizeof(records[0]) / sizeof(*n));
	CHECK(table.count == 3 && seen != 0);
	for (size_t i = 0; i < 3; i++)
		CHECK(hashtable_remove(&table, 12345) != NULL);
	CHECK(hashtable_remove(&table, 12345) == NULL);
}

/* Returns how many records a walk finds, or more than MANY when a chain is a ring. */
static size_t count_in_chains(size_t *longest)
{
	size_t all = 0;

	for (size_t i = 0; i < (size_t)1 << table.bits; i++) {
		size_t n = 0;

		for (struct hashtable_node *r = table.chains[table.bits][i]; r != NULL && n <= MANY;
		     r = r->next)
			n++;
		all += n;
		if (longest != NULL)
			*longest = max_size(*longest, n);
	}
	return all;
}

TEST_IN_CHILD(chains_stay_short)
{
	size_t longest = 0;

	CHECK(hashtable_init(&table));
	for (size_t i = 0; i < MANY; i++)
		insert(i);
	CHECK(count_in_chains(&longest) == MANY);
	CHECK(longest <= 12);
}

TEST_IN_CHILD(without_memory_to_grow_it_goes_on_with_longer_chains)
{
	CHECK(hashtable_init(&table));
	os_fail_from(OS_ALLOC_METADATA, 1);
	for (size_t i = 0; i < 20000; i++)
		insert(i);
	/* It does not ask at every insertion. */
	CHECK(table.bits == HASHTABLE_FIRST && os_fail_failed() < 10);
	for (size_t i = 0; i < 20000; i++)
		CHECK(find(i) == &records[i]);
	os_fail_stop();
	for (size_t i = 20000; i < MANY; i++)
		insert(i);
	CHECK(table.bits > HASHTABLE_FIRST);
	for (size_t i = 0; i < MANY; i++)
		CHECK(find(i) == &records[i]);
}

TEST_IN_CHILD(there_is_no_table_without_memory_and_there_may_be_later)
{
	os_fail_nth(OS_ALLOC_METADATA, 1);
	CHECK(!hashtable_init(&table));
	CHECK(hashtable_init(&table));
	insert(1);
	CHECK(find(1) == &records[1]);
}

static void check_cleared(void)
{
	hashtable_clear(&table);
	CHECK(table.count == 0 && !table.moving);
	for (size_t i = 0; i < MANY; i += 7)
		CHECK(find(i) == NULL);
	for (size_t i = 0; i < MANY; i++)
		insert(i);
	for (size_t i = 0; i < MANY; i++)
		CHECK(find(i) == &records[i]);
	CHECK(count_in_chains(NULL) == MANY);
}

TEST_IN_CHILD(after_clear_it_is_empty_and_can_be_filled_again)
{
	CHECK(hashtable_init(&table));
	for (size_t i = 0; i < 5000; i++)
		insert(i);
	check_cleared();
	/* And where the system does not take the memory back. */
	os_fail_from(OS_RELEASE, 1);
	check_cleared();
}

/* In a child forked while another thread made the table grow, both sets of chains may be half
 * full. */
TEST_IN_CHILD(a_move_that_never_ended_is_cleared_too)
{
	unsigned bits;

	CHECK(hashtable_init(&table));
	for (size_t i = 0; i < 513; i++)
		insert(i);
	bits = table.bits;
	CHECK(bits == HASHTABLE_FIRST + 2);
	for (size_t i = 513; i <= (size_t)1 << bits; i++)
		insert(i);
	CHECK(table.bits == bits + 2);
	table.bits = bits;
	table.moving = true;
	check_cleared();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_found_until_they_are_removed_while_the_table_grows),
		cmocka_unit_test(several_records_may_have_one_hash),
		cmocka_unit_test(chains_stay_short),
		cmocka_unit_test(without_memory_to_grow_it_goes_on_with_longer_chains),
		cmocka_unit_test(there_is_no_table_without_memory_and_there_may_be_later),
		cmocka_unit_test(after_clear_it_is_empty_and_can_be_filled_again),
		cmocka_unit_test(a_move_that_never_ended_is_cleared_too),
	};

	return cmocka_run_group_tests_name("hashtable", tests, NULL, NULL);
}
