/* SPDX-License-Identifier: MIT */
/*
 * test_pagemap.c - from an address to its arena, its span and its slot. The addresses are never
 * mapped: the page map only computes with them.
 */
#include "module.h"

#include "heap/pagemap.h"
#include "os_fail.h"

#include <string.h>

#define BASE ((uintptr_t)0x120000000000)
#define ARENA(i) (BASE + (uintptr_t)(i) * ARENA_SIZE)

static struct pagealloc pages;

/* Makes the records of n arenas from number i on. */
static bool add(int i, size_t n)
{
	return pagemap_add_arenas(&pages, true, ARENA(i), n * ARENA_SIZE);
}

/* Makes the longest span of the first size class that has one of so many pages. */
static void make_small(struct mspan *s, uintptr_t base, unsigned npages)
{
	spanclass_t sc = make_spanclass(1, SCAN);

	while (spanclass_max_npages(sc) < npages)
		sc = (spanclass_t)(sc + 2);
	memset(s, 0, sizeof(*s));
	s->base = base;
	s->kind = SPAN_SMALL;
	s->npages = (uint32_t)spanclass_max_npages(sc);
	s->spanclass = sc;
}

static void make_big(struct mspan *s, uintptr_t base, uint32_t npages)
{
	memset(s, 0, sizeof(*s));
	s->base = base;
	s->kind = SPAN_BIG;
	s->npages = npages;
}

TEST_IN_CHILD(without_arenas_no_address_has_one)
{
	static const uintptr_t addrs[] = {
		0, 1, BASE, 1UL << 46, 0x7fffffffffff, 1UL << 47, UINTPTR_MAX - 7, UINTPTR_MAX
	};

	pagemap_init();
	for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++)
		CHECK(arena_of(addrs[i]) == NULL && entry_of(addrs[i]) == 0 &&
		      entry_of_any(addrs[i]) == 0 && span_of(addrs[i]) == NULL);
	CHECK(pagemap_nbytes() == 0);
}

TEST_IN_CHILD(an_arena_has_its_bytes_and_no_others)
{
	struct heap_arena *first;

	pagemap_init();
	CHECK(add(1, 1));
	first = arena_of(ARENA(1));
	CHECK(first != NULL && first->base == ARENA(1));
	CHECK(arena_of(ARENA(2) - 1) == first);
	CHECK(arena_of(ARENA(1) - 1) == NULL && arena_of(ARENA(2)) == NULL);
	/* The same bits in another leaf, and behind the table's end, are other addresses. */
	CHECK(arena_of(ARENA(1) + ARENA_LEAF_LEN * ARENA_SIZE) == NULL);
	CHECK(arena_of(ARENA(1) | (uintptr_t)1 << 47) == NULL);
	/* Any part of a site makes its record, once. */
	CHECK(pagemap_add_arenas(&pages, true, ARENA(2) - PAGE_SIZE, 2 * PAGE_SIZE));
	CHECK(arena_of(ARENA(1)) == first && arena_of(ARENA(2))->base == ARENA(2));
	CHECK(arena_of(ARENA(3)) == NULL);
}

/* Both ways lead to all entries of a span. */
static void expect_small(const struct mspan *s)
{
	uint32_t elemsize = sizeclasses[s->spanclass >> 1].elemsize, slot;

	for (uint32_t page = 0; page < s->npages; page++) {
		uint64_t entry = entry_of_any(s->base + page * PAGE_SIZE);

		CHECK(entry == entry_of_any(s->base + (page + 1) * PAGE_SIZE - 1));
		CHECK(entry_span(entry) == s && entry_spanclass(entry) == s->spanclass);
		CHECK((entry >> 8 & 0xff) == page);
	}
	for (uint32_t i = 0; (i + 1) * elemsize <= s->npages * PAGE_SIZE; i++) {
		uintptr_t addr = s->base + i * elemsize;

		CHECK(entry_slot_of(entry_of_any(addr), addr, &slot) && slot == i);
		CHECK(!entry_slot_of(entry_of_any(addr + 1), addr + 1, &slot));
		CHECK(!entry_slot_by(0, entry_of_any(addr), addr, &slot));
		addr += elemsize - 1;
		CHECK(!entry_slot_of(entry_of_any(addr), addr, &slot));
	}
}

TEST_IN_CHILD(every_page_of_a_small_span_leads_to_it_and_every_slot_to_its_number)
{
	static struct mspan s;

	pagemap_init();
	CHECK(add(0, 2));
	for (unsigned npages = 1; npages <= 10; npages++) {
		/* In an arena, at its start, and across the edge of two. */
		make_small(&s, ARENA(0) + 100 * PAGE_SIZE, npages);
		pagemap_map_span(&s);
		expect_small(&s);
		CHECK(entry_of(s.base) == entry_of_any(s.base));
		CHECK(span_of(s.base - 1) == NULL);
		CHECK(span_of(s.base + s.npages * PAGE_SIZE) == NULL);
		pagemap_clear(s.base, s.npages);
		CHECK(span_of(s.base) == NULL);
		CHECK(span_of(s.base + s.npages * PAGE_SIZE - 1) == NULL);
		s.base = ARENA(1) - s.npages / 2 * PAGE_SIZE;
		pagemap_map_span(&s);
		expect_small(&s);
		pagemap_unmap_span(&s);
		for (uint32_t page = 0; page < s.npages; page++)
			CHECK(span_of(s.base + page * PAGE_SIZE) == &mspan_dead);
		pagemap_clear(s.base, s.npages);
	}
}

TEST_IN_CHILD(a_big_span_is_found_by_its_first_page)
{
	static struct mspan s;
	uint32_t slot;

	pagemap_init();
	CHECK(add(0, 2));
	make_big(&s, ARENA(0) + 5 * PAGE_SIZE, 3 * ARENA_PAGES / 2);
	pagemap_map_span(&s);
	CHECK(span_of(s.base) == &s && span_of(s.base + PAGE_SIZE - 1) == &s);
	CHECK(span_of(s.base + PAGE_SIZE) == NULL && span_of(ARENA(1)) == NULL);
	CHECK(span_of(s.base - 1) == NULL);
	CHECK(!entry_slot_of(entry_of(s.base), s.base, &slot));
	pagemap_unmap_span(&s);
	CHECK(span_of(s.base) == &mspan_dead && span_of(s.base + PAGE_SIZE) == NULL);
}

/* A group is 64 pages that share a bit: a part of one keeps the bit, and all of it does not. */
TEST_IN_CHILD(clearing_takes_the_entries_of_its_pages_alone)
{
	static struct mspan spans[200];
	static const struct {
		unsigned page, npages;
	} parts[] = { { 1, 1 }, { 63, 2 }, { 64, 64 }, { 10, 120 }, { 0, 192 }, { 130, 0 } };

	pagemap_init();
	CHECK(add(0, 1));
	for (size_t p = 0; p < sizeof(parts) / sizeof(parts[0]); p++) {
		for (unsigned i = 0; i < 200; i++) {
			make_small(&spans[i], ARENA(0) + i * PAGE_SIZE, 1);
			pagemap_map_span(&spans[i]);
		}
		pagemap_clear(ARENA(0) + parts[p].page * PAGE_SIZE, parts[p].npages);
		for (unsigned i = 0; i < 200; i++)
			CHECK(span_of(spans[i].base) ==
			      (i - parts[p].page < parts[p].npages ? NULL : &spans[i]));
		/* The rest, and the pages behind, which never had an entry. */
		pagemap_clear(ARENA(0), ARENA_PAGES);
		for (unsigned i = 0; i < 200; i++)
			CHECK(span_of(spans[i].base) == NULL);
	}
}

TEST_IN_CHILD(an_arena_far_from_the_window_is_found_by_slow_paths_alone)
{
	static struct mspan near, far;
	size_t nbytes;

	pagemap_init();
	CHECK(add(0, 1) && pagemap_nbytes() == ARENA_MAP_SIZE);
	/* A gap up to the largest is filled with map; behind a larger one it is of the arena. */
	CHECK(add(1 + WINDOW_MAX_GAP, 1));
	nbytes = pagemap_nbytes();
	CHECK(nbytes == (2 + WINDOW_MAX_GAP) * ARENA_MAP_SIZE);
	CHECK(add(3 + 2 * WINDOW_MAX_GAP, 1) && pagemap_nbytes() > nbytes);
	make_small(&near, ARENA(1 + WINDOW_MAX_GAP), 1);
	make_small(&far, ARENA(3 + 2 * WINDOW_MAX_GAP), 1);
	pagemap_map_span(&near);
	pagemap_map_span(&far);
	CHECK(entry_span(entry_of(near.base)) == &near && span_of(near.base) == &near);
	CHECK(entry_of(far.base) == 0 && span_of(far.base) == &far);
	/* A span across two arenas whose parts of the map do not follow each other. */
	CHECK(add(101, 1) && add(100, 1));
	make_small(&far, ARENA(101) - PAGE_SIZE, 4);
	pagemap_map_span(&far);
	expect_small(&far);
	/* Below the window, which does not grow down. */
	CHECK(add(-1, 1) && arena_of(ARENA(-1)) != NULL);
	make_small(&far, ARENA(-1), 1);
	pagemap_map_span(&far);
	CHECK(entry_of(far.base) == 0 && span_of(far.base) == &far);
}

TEST_IN_CHILD(a_window_among_other_mappings_has_room_below)
{
	static struct mspan s;

	pagemap_init();
	CHECK(pagemap_add_arenas(&pages, false, ARENA(WINDOW_BELOW), ARENA_SIZE));
	CHECK(add(0, 1));
	make_small(&s, ARENA(0), 1);
	pagemap_map_span(&s);
	CHECK(entry_span(entry_of(s.base)) == &s);
	CHECK(add(-1, 1));
	make_small(&s, ARENA(-1), 1);
	pagemap_map_span(&s);
	CHECK(entry_of(s.base) == 0 && span_of(s.base) == &s);
}

TEST_IN_CHILD(a_hidden_window_is_empty_for_fast_paths_alone)
{
	static struct mspan s;

	pagemap_init();
	pagemap_hide();
	CHECK(add(0, 1));
	make_small(&s, ARENA(0), 1);
	pagemap_map_span(&s);
	CHECK(entry_of(s.base) == 0 && entry_span(entry_of_any(s.base)) == &s);
}

struct seen {
	const struct mspan *at[8];
	size_t n;
};

static void see(struct mspan *s, void *arg)
{
	struct seen *seen = arg;

	CHECK(seen->n < 8);
	seen->at[seen->n++] = s;
}

TEST_IN_CHILD(a_walk_visits_each_span_once_in_the_order_of_pages)
{
	static struct mspan first, across, big, freed;
	struct seen seen = { .n = 0 };

	pagemap_init();
	CHECK(add(0, 2));
	make_small(&first, ARENA(0) + 7 * PAGE_SIZE, 1);
	make_small(&across, ARENA(1) - PAGE_SIZE, 4);
	make_small(&freed, ARENA(0) + 20 * PAGE_SIZE, 4);
	make_big(&big, ARENA(1) + 50 * PAGE_SIZE, 500);
	pagemap_map_span(&big);
	pagemap_map_span(&across);
	pagemap_map_span(&freed);
	pagemap_map_span(&first);
	pagemap_unmap_span(&freed);
	pagemap_each_span(&pages, pages.narenas, see, &seen);
	CHECK(seen.n == 3 && seen.at[0] == &first && seen.at[1] == &across && seen.at[2] == &big);
	/* The first arenas alone. */
	seen.n = 0;
	pagemap_each_span(&pages, 1, see, &seen);
	CHECK(seen.n == 2);
}

/* Whatever call fails, an arena is there with all its map, or not at all. */
TEST_IN_CHILD(without_memory_an_arena_is_whole_or_missing)
{
	static struct mspan s;
	pagemap_init();
	/* Pools take memory for several records at a time, so which call it is changes. */
	for (unsigned n = 0; n < 120; n++) {
		int i = (int)n * 20;
		bool added;

		/* The one call, or it and all later ones. */
		if (n % 2 == 0)
			os_fail_nth(OS_ALL_CALLS, n / 2 % 4 + 1);
		else
			os_fail_from(OS_ALL_CALLS, n / 2 % 4 + 1);
		added = add(i, 1);
		os_fail_stop();
		CHECK(added == (arena_of(ARENA(i)) != NULL));
		CHECK(added || add(i, 1));
		make_small(&s, ARENA(i), 1);
		pagemap_map_span(&s);
		CHECK(span_of(s.base) == &s);
		pagemap_unmap_span(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_arenas_no_address_has_one),
		cmocka_unit_test(an_arena_has_its_bytes_and_no_others),
		cmocka_unit_test(
			every_page_of_a_small_span_leads_to_it_and_every_slot_to_its_number),
		cmocka_unit_test(a_big_span_is_found_by_its_first_page),
		cmocka_unit_test(clearing_takes_the_entries_of_its_pages_alone),
		cmocka_unit_test(an_arena_far_from_the_window_is_found_by_slow_paths_alone),
		cmocka_unit_test(a_window_among_other_mappings_has_room_below),
		cmocka_unit_test(a_hidden_window_is_empty_for_fast_paths_alone),
		cmocka_unit_test(a_walk_visits_each_span_once_in_the_order_of_pages),
		cmocka_unit_test(without_memory_an_arena_is_whole_or_missing),
	};

	return cmocka_run_group_tests_name("pagemap", tests, NULL, NULL);
}
