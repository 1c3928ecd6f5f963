/* SPDX-License-Identifier: MIT */
/*
 * test_bigcache.c - the home of a kept big object: what it may free and take by the owner word
 * alone, and what it leaves to the slow path.
 */
#include "caches.h"
#include "heap/thread.h"
#include "module.h"

static const uint32_t NPAGES = 8;

/* Returns a kept object of cache 0, with room for others. */
static struct mspan *keep_one(void)
{
	bool fresh;
	struct mspan *s = mcache_alloc_big(&cache[0], NPAGES, 1, SCAN, &fresh);

	CHECK(s != NULL && mspan_owner_relaxed(s) == 0);
	mcache_free_big(&cache[0], s);
	CHECK(mspan_owner_relaxed(s) == mcache_owner(&cache[0]) + SPAN_KEPT);
	CHECK(bigcache_npages(&cache[0].big) == NPAGES && cache[0].big.room >= NPAGES);
	mcache_check(&cache[0]);
	return s;
}

static void *take_home(struct mcache *c)
{
	return bigcache_take_short(&c->big, NPAGES, mcache_owner(c));
}

static bool free_home(struct mcache *c, struct mspan *s, uintptr_t addr)
{
	return bigcache_free_home(&c->big, s, addr, mcache_owner(c));
}

TEST_IN_CHILD(a_home_takes_and_frees_its_object_again_and_again)
{
	struct mspan *s;
	uint32_t room;

	start();
	s = keep_one();
	room = cache[0].big.room;
	for (uint32_t i = 1; i <= room / NPAGES; i++) {
		CHECK(take_home(&cache[0]) == (void *)s->base);
		CHECK(slot_state(&s->state[0]) == SLOT_LIVE);
		CHECK(bigcache_npages(&cache[0].big) == 0);
		CHECK(take_home(&cache[0]) == NULL);
		mcache_check(&cache[0]);
		CHECK(free_home(&cache[0], s, s->base));
		CHECK(slot_state(&s->state[0]) == SLOT_FREE);
		CHECK(cache[0].big.room == room - i * NPAGES);
		mcache_check(&cache[0]);
	}
	/* Now the thread has to look. */
	CHECK(take_home(&cache[0]) == (void *)s->base && cache[0].big.room < NPAGES);
	CHECK(!free_home(&cache[0], s, s->base));
	CHECK(slot_state(&s->state[0]) == SLOT_LIVE);
	slot_set(&s->state[0], SLOT_FREE);
	mcache_free_big(&cache[0], s);
	CHECK(cache[0].big.room >= NPAGES);
	end_with_empty_heap();
}

/* An object as long as all that may be kept leaves no room behind it. */
TEST_IN_CHILD(pages_that_malloc_took_become_room_for_some_frees)
{
	struct mspan *s;
	bool fresh;

	start();
	s = mcache_alloc_big(&cache[0], BIG_PAGES_ALL, 1, SCAN, &fresh);
	CHECK(s != NULL);
	mcache_free_big(&cache[0], s);
	CHECK(cache[0].big.room == 0);
	for (unsigned i = 1; i < BIG_FREES_PER_LOOK; i++) {
		CHECK(bigcache_take_long(&cache[0].big, BIG_PAGES_ALL) == (void *)s->base);
		CHECK(free_home(&cache[0], s, s->base));
		CHECK(bigcache_npages(&cache[0].big) == BIG_PAGES_ALL && cache[0].big.room == 0);
		mcache_check(&cache[0]);
	}
	CHECK(!bigcache_has_room(&cache[0].big, 1));
	CHECK(bigcache_take_long(&cache[0].big, BIG_PAGES_ALL) == (void *)s->base);
	CHECK(!free_home(&cache[0], s, s->base));
	slot_set(&s->state[0], SLOT_FREE);
	mcache_free_big(&cache[0], s);
	CHECK(cache[0].big.refills != 0);
	end_with_empty_heap();
}

TEST_IN_CHILD(where_frees_of_one_length_have_room_it_does_not_grow)
{
	start();
	(void)keep_one();
	CHECK(cache[0].big.refills == 0);
	end_with_empty_heap();
}

TEST_IN_CHILD(a_home_frees_only_a_live_object_of_its_own_by_its_start)
{
	struct mspan *s;

	start();
	s = keep_one();
	CHECK(!free_home(&cache[0], s, s->base));
	CHECK(take_home(&cache[0]) != NULL);
	CHECK(!free_home(&cache[0], s, s->base + 64));
	CHECK(!free_home(&cache[1], s, s->base));
	CHECK(!free_home(MCACHE_NONE, s, s->base));
	CHECK(slot_state(&s->state[0]) == SLOT_LIVE);
	CHECK(free_home(&cache[0], s, s->base));
	CHECK(!free_home(&cache[0], s, s->base));
	CHECK(bigcache_npages(&cache[0].big) == NPAGES);
	end_with_empty_heap();
}

TEST_IN_CHILD(an_object_that_realloc_has_changed_has_no_home)
{
	struct mspan *s;

	start();
	s = keep_one();
	CHECK(take_home(&cache[0]) != NULL);
	mspan_set_grown(s);
	CHECK(!free_home(&cache[0], s, s->base));
	slot_set(&s->state[0], SLOT_FREE);
	mcache_free_big(&cache[0], s);
	CHECK(bigcache_npages(&cache[0].big) == 0);
	end_with_empty_heap();
}

TEST_IN_CHILD(an_object_that_another_thread_frees_changes_its_home)
{
	struct mspan *s;

	start();
	s = keep_one();
	CHECK(take_home(&cache[0]) != NULL);
	slot_set(&s->state[0], SLOT_FREE);
	mcache_free_big(&cache[1], s);
	CHECK(take_home(&cache[0]) == NULL);
	CHECK(take_home(&cache[1]) == (void *)s->base);
	CHECK(!free_home(&cache[0], s, s->base) && free_home(&cache[1], s, s->base));
	end_with_empty_heap();
}

TEST_IN_CHILD(an_object_that_is_taken_with_an_alignment_has_no_home)
{
	struct mspan *s;
	bool fresh;

	start();
	s = keep_one();
	CHECK(mcache_alloc_big(&cache[0], NPAGES, 1, NOSCAN, &fresh) == s);
	CHECK(mspan_owner_relaxed(s) == 0 && spanclass_scan(s->spanclass) == NOSCAN);
	CHECK(bigcache_npages(&cache[0].big) == 0);
	mcache_free_big(&cache[0], s);
	CHECK(take_home(&cache[0]) == (void *)s->base && spanclass_scan(s->spanclass) == SCAN);
	CHECK(free_home(&cache[0], s, s->base));
	end_with_empty_heap();
}

TEST_IN_CHILD(an_option_with_work_at_every_free_leaves_no_room)
{
	bool fresh;

	start();
	options.clobberfree = true;
	mcache_free_big(&cache[0], mcache_alloc_big(&cache[0], NPAGES, 1, SCAN, &fresh));
	CHECK(bigcache_npages(&cache[0].big) == NPAGES && cache[0].big.room == 0);
	CHECK(cache[0].big.refills == 0);
	end_with_empty_heap();
}

TEST_IN_CHILD(a_tick_makes_the_next_free_look)
{
	start();
	(void)keep_one();
	bigcache_tick(&cache[0].big, NULL);
	CHECK(bigcache_npages(&cache[0].big) == 0 && cache[0].big.room == 0);
	check_all();
	end_with_empty_heap();
}

/* --- two threads that free one object at the same moment --- */

static const uintptr_t BASE = 0x123456780000;

/* Puts one object on the lists of two threads. The second one to store the owner word has it. */
static void keep_twice(void)
{
	static ALIGNED(CACHE_LINE) char record[CACHE_LINE + 24];
	struct mspan *s = (struct mspan *)(void *)record;

	for (int i = 0; i < 2; i++)
		bigcache_init(&cache[i].big, mcache_owner(&cache[i]));
	mspan_init_big(s, BASE, NPAGES, SCAN, false);
	bigcache_keep(&cache[0].big, s);
	bigcache_keep(&cache[1].big, s);
}

static void take_dies_body(void)
{
	keep_twice();
	(void)take_home(&cache[0]);
}

static void search_dies_body(void)
{
	keep_twice();
	(void)bigcache_take(&cache[0].big, NPAGES, 1, SCAN);
}

static void flush_dies_body(void)
{
	keep_twice();
	bigcache_flush(&cache[0].big, NULL);
}

static void an_object_on_the_lists_of_two_threads_is_a_double_free(void **state)
{
	static const char line[] = "goalloc: free(0x123456780000): double free\n";

	(void)state;
	run_until_abort(take_dies_body, line);
	run_until_abort(search_dies_body, line);
	run_until_abort(flush_dies_body, line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_home_takes_and_frees_its_object_again_and_again),
		cmocka_unit_test(pages_that_malloc_took_become_room_for_some_frees),
		cmocka_unit_test(where_frees_of_one_length_have_room_it_does_not_grow),
		cmocka_unit_test(a_home_frees_only_a_live_object_of_its_own_by_its_start),
		cmocka_unit_test(an_object_that_realloc_has_changed_has_no_home),
		cmocka_unit_test(an_object_that_another_thread_frees_changes_its_home),
		cmocka_unit_test(an_object_that_is_taken_with_an_alignment_has_no_home),
		cmocka_unit_test(an_option_with_work_at_every_free_leaves_no_room),
		cmocka_unit_test(a_tick_makes_the_next_free_look),
		cmocka_unit_test(an_object_on_the_lists_of_two_threads_is_a_double_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
