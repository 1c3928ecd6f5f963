/* SPDX-License-Identifier: MIT */
/*
 * pagemap.cc - how the page map is published and read, in the orders of src/heap/pagemap.c:
 * publish_window_locked(), leaf_of_site_locked(), add_arena_locked() and map_pages() against
 * entry_of(), arena_of() and entry_of_any(). See litmus.h.
 *
 * One thread makes the window longer, adds an arena and maps a span in it. Another looks up an
 * address that it may have from anywhere: by the window, as fast paths do, or by the arena table.
 *
 * Asserts  whatever the lookup finds was written before: the leaf, the record of the arena, the map
 *          behind a longer window, the window's origin, and the constant fields of the span.
 */
#include "litmus.h"

#define BASE 64            /* of the window, as it begins and later */
#define SITE 16            /* bytes of one site, and of its map */

struct pagemap : rl::test_suite<pagemap, 2> {
	/* struct arena_window */
	rl::atomic<int> nbytes, minus_base, origin;
	/* The first site is there from the start of the window, the second is added. */
	rl::atomic<int> entry[2];
	rl::var<int> map[2];       /* that the memory of the map is there */
	rl::atomic<int> top, leaf;
	rl::var<int> leaf_empty, arena;
	rl::var<int> span;

	void before()
	{
		STORE(nbytes, 0, mo_relaxed);
		STORE(minus_base, 0, mo_relaxed);
		STORE(origin, 0, mo_relaxed);
		STORE(entry[0], 0, mo_relaxed);
		STORE(entry[1], 0, mo_relaxed);
		STORE(top, 0, mo_relaxed);
		STORE(leaf, 0, mo_relaxed);
	}

	void publish_window(int length)
	{
		STORE(minus_base, -BASE, mo_relaxed);
		STORE(origin, 1, mo_relaxed);
		STORE(nbytes, length, order("publish_window", mo_release, mo_relaxed));
	}

	void add_site(int site)
	{
		SET(map[site], 1);
		publish_window((site + 1) * SITE);
	}

	void add_arena()
	{
		SET(leaf_empty, 1);
		STORE(top, 1, order("leaf_of_site", mo_release, mo_relaxed));
		SET(arena, 1);
		STORE(leaf, 1, order("add_arena", mo_release, mo_relaxed));
	}

	void map_span(int site)
	{
		SET(span, 1);
		STORE(entry[site], 1, order("map_pages", mo_release, mo_relaxed));
	}

	/* entry_of(), and what a free reads of a span that it finds */
	void look_by_window(int site)
	{
		int length = LOAD(nbytes, order("entry_of_window", mo_acquire, mo_relaxed));

		if (BASE + site * SITE + LOAD(minus_base, mo_relaxed) >= length)
			return;
		CHECK(LOAD(origin, mo_relaxed) == 1);
		CHECK(GET(map[site]) == 1);
		if (LOAD(entry[site], order("entry_of_entry", mo_acquire, mo_relaxed)) != 0)
			CHECK(GET(span) == 1);
	}

	void look_by_table(int site)
	{
		if (LOAD(top, order("arena_of_leaf", mo_acquire, mo_relaxed)) == 0)
			return;
		CHECK(GET(leaf_empty) == 1);
		if (LOAD(leaf, order("arena_of_arena", mo_acquire, mo_relaxed)) == 0)
			return;
		CHECK(GET(arena) == 1);
		CHECK(GET(map[site]) == 1);
		if (LOAD(entry[site], order("entry_of_any", mo_acquire, mo_relaxed)) != 0)
			CHECK(GET(span) == 1);
	}

	void thread(unsigned t)
	{
		if (t == 0) {
			add_site(0);
			add_site(1);
			add_arena();
			map_span(1);
		} else if (rl::rand(2) == 0) {
			look_by_window(1);
		} else {
			look_by_table(1);
		}
	}
};

int main()
{
	return litmus::run_all<pagemap>("pagemap", 0, 9);
}
