/* SPDX-License-Identifier: MIT */
/*
 * test_spares.c - spare spans come back as they were, or give their pages; a thread keeps as many
 * as it has missed, and nothing keeps them from going.
 */
#include "caches.h"
#include "heap/adopt.h"
#include "heap/limit.h"
#include "heap.h"
#include "module.h"

#include "os/os.h"

#define SC_4096 make_spanclass(sizeclass_for(4096, 16), SCAN)
#define SC_8192 make_spanclass(sizeclass_for(8192, 16), SCAN)
#define SC_8192_NOSCAN make_spanclass(sizeclass_for(8192, 16), NOSCAN)
#define SC_16 make_spanclass(sizeclass_for(16, 16), SCAN)

static struct spares *const kept = &place.c[0].spares;

/* Makes a spare span of cache 0, and returns it. */
static struct mspan *keep_new(spanclass_t sc, size_t npages)
{
	struct mspan *s = mheap_alloc_small(NULL, sc, npages, EFFORT_GROW);

	CHECK(s != NULL);
	mspan_set_owner(s, mcache_owner(&cache[0]));
	spares_put(kept, s);
	return s;
}

TEST_IN_CHILD(a_class_gets_the_span_that_it_kept_last)
{
	struct mspan *a, *b, *c;

	start();
	a = keep_new(SC_4096, 2);
	b = keep_new(SC_4096, 4);
	c = keep_new(SC_8192, 2);
	CHECK(kept->npages == 8);
	mcache_check(&cache[0]);
	CHECK(spares_take(kept, SC_4096) == b);
	CHECK(spares_take(kept, SC_4096) == a);
	CHECK(spares_take(kept, SC_4096) == NULL);
	CHECK(spares_take(kept, SC_8192_NOSCAN) == NULL);
	CHECK(spares_take(kept, SC_8192) == c && kept->npages == 0);
	mcache_check(&cache[0]);
}

TEST_IN_CHILD(classes_give_their_spans_in_turn)
{
	struct mcache *c = &cache[0];
	const struct mspan *first[2], *later;

	start();
	later = keep_new(SC_4096, 1);
	first[0] = keep_new(SC_4096, 1);
	first[1] = keep_new(SC_8192, 2);
	CHECK(spares_evict(kept) == first[0]);
	CHECK(spares_evict(kept) == first[1]);
	CHECK(spares_evict(kept) == later);
	CHECK(spares_evict(kept) == NULL && kept->npages == 0);
	mcache_check(c);
}

TEST_IN_CHILD(spares_shrink_to_at_most_so_many_pages)
{
	struct mcache *c = &cache[0];
	const struct mspan *stays;

	start();
	(void)keep_new(SC_4096, 4);
	(void)keep_new(SC_16, 1);
	stays = keep_new(SC_8192, 8);
	spares_shrink(kept, &c->pages, 13);
	CHECK(kept->npages == 13);
	/* The lists of SC_16, SC_4096 and SC_8192 give in this order. */
	spares_shrink(kept, &c->pages, 11);
	CHECK(kept->npages == 8 && kept->list[SC_8192] == stays);
	mcache_check(c);
	spares_shrink(kept, &c->pages, 7);
	CHECK(kept->npages == 0);
	end_with_empty_heap();
}

TEST_IN_CHILD(what_was_evicted_and_then_missed_is_worth_keeping)
{
	start();
	CHECK(kept->learnt == 0);
	/* A thread that only takes, or only frees, learns nothing. */
	spares_missed(kept, 100);
	CHECK(kept->learnt == 0);
	for (int i = 0; i < 10; i++) {
		(void)keep_new(SC_8192, 4);
		mheap_free_span(NULL, spares_evict(kept));
	}
	CHECK(kept->learnt == 0 && kept->evicted == 40);
	spares_missed(kept, 30);
	CHECK(kept->learnt == 30);
	spares_missed(kept, 30);
	spares_missed(kept, 30);
	CHECK(kept->learnt == 40);
	kept->evicted = UINT32_MAX;
	spares_missed(kept, SPARE_PAGES_ALONE);
	CHECK(kept->learnt == SPARE_PAGES_ALONE);
	spares_forget(kept);
	CHECK(kept->learnt == SPARE_PAGES_ALONE / 2 && kept->evicted == 0);
	for (int i = 0; i < 20; i++)
		spares_forget(kept);
	CHECK(kept->learnt == 0);
	end_with_empty_heap();
}

/* --- as a thread uses it --- */

enum { MANY = 500 };
static void *many[MANY];

/* Allocates MANY objects of the class, and frees them in the same order. */
static void cycle(struct mcache *c, spanclass_t sc)
{
	bool fresh;

	for (unsigned i = 0; i < MANY; i++) {
		many[i] = mcache_alloc_fast(c, sc, &fresh);
		if (many[i] == NULL)
			many[i] = mcache_alloc_slow(c, sc, &fresh);
		CHECK(many[i] != NULL);
		pattern_fill(many[i], 64, i);
	}
	for (unsigned i = 0; i < MANY; i++) {
		struct mspan *s = span_of((uintptr_t)many[i]);
		uint32_t slot;

		CHECK(pattern_holds(many[i], 64, i));
		CHECK(mspan_slot_of(s, (uintptr_t)many[i], &slot));
		if (!mcache_free_fast(c, s, sc, (uintptr_t)many[i], &s->state[slot]))
			heap_free_slot((uintptr_t)many[i], s, slot, "free", c);
	}
	check_all();
}

TEST_IN_CHILD(a_thread_alone_that_needs_its_spans_again_keeps_them)
{
	size_t nfree = 0;

	start();
	atomic_store(&mcaches_made, 1);
	cycle(&cache[0], SC_4096);
	/* What was used once is not kept. */
	CHECK(kept->npages <= SPARE_PAGES_MIN);
	for (int round = 0; round < 8; round++) {
		cycle(&cache[0], SC_4096);
		if (round == 3)
			nfree = mheap.pages.nfree;
	}
	/* Nothing goes to the heap and comes back any more. */
	CHECK(mheap.pages.nfree == nfree && kept->npages > MANY / 4);
	/* Another class takes them over, and the heap does not grow for it. */
	cycle(&cache[0], SC_8192);
	CHECK(kept->list[SC_4096] == NULL || kept->list[SC_8192] != NULL);
	cycle(&cache[0], SC_8192_NOSCAN);
	CHECK(mheap.pages.ntotal <= 3 * MANY);
	end_with_empty_heap();
}

TEST_IN_CHILD(of_many_threads_each_keeps_a_share)
{
	start();
	atomic_store(&mcaches_made, 8);
	for (int round = 0; round < 8; round++) {
		cycle(&cache[0], SC_4096);
		CHECK(kept->npages <= SPARE_PAGES_ALL / 8);
	}
	CHECK(kept->npages > SPARE_PAGES_ALL / 8 - 16);
	atomic_store(&mcaches_made, 100000);
	cycle(&cache[0], SC_4096);
	CHECK(kept->npages <= SPARE_PAGES_MIN);
	end_with_empty_heap();
}

/* Has the first cache keep many. */
static void fill(void)
{
	atomic_store(&mcaches_made, 1);
	for (int round = 0; round < 8; round++)
		cycle(&cache[0], SC_4096);
	CHECK(kept->npages > MANY / 4);
}

TEST_IN_CHILD(after_a_tick_a_flush_or_too_many_given_pages_there_are_none)
{
	struct mspan *s;
	uint32_t learnt;

	start();
	fill();
	learnt = kept->learnt;
	options.scavenge_ms = 0;
	cache[0].poll_ms -= UINT64_C(1) << 40;
	mcache_poll(&cache[0]);
	options.scavenge_ms = 1000000;
	/* So much is not kept again before it was missed. */
	CHECK(kept->npages == 0 && kept->learnt == learnt / 2);
	check_all();
	fill();
	mcache_flush(&cache[0]);
	CHECK(kept->npages == 0);
	check_all();
	fill();
	/* A thread that frees a big object of more pages than it has taken may have freed all. */
	s = mheap_alloc_big(NULL, 2 * BIG_PAGES_ALONE, 1, SCAN, EFFORT_GROW);
	CHECK(s != NULL);
	mcache_free_big(&cache[0], s);
	CHECK(kept->npages == 0);
	end_with_empty_heap();
}

TEST_IN_CHILD(near_a_limit_nothing_is_kept)
{
	start();
	fill();
	(void)mheap_set_limit(MiB(64));
	{
		size_t near_at = MiB(64) - mheap_used_bytes() - KiB(512);
		struct mspan *s = mheap_alloc_big(NULL, near_at / PAGE_SIZE, 1, SCAN, EFFORT_GROW);

		CHECK(s != NULL && limit_get_state() == LIMIT_NEAR);
		cycle(&cache[0], SC_4096);
		CHECK(kept->npages == 0);
		mheap_free_span(NULL, s);
	}
	end_with_empty_heap();
}

/* --- fork --- */

TEST_IN_CHILD(the_spares_of_the_dead_are_adopted_wherever_its_thread_stopped)
{
	struct mcache *dead = &cache[0];
	struct mspan *s;

	start();
	fill();
	/* The thread has taken a span off its list, and has not counted that. */
	s = kept->list[SC_4096];
	kept->list[SC_4096] = s->next;
	adopt_stacks(&cache[1], dead);
	adopt_all_spans(&cache[1], dead);
	CHECK(kept->npages == 0 && kept->list[SC_4096] == NULL);
	check_all();
	end_with_empty_heap();
}

TEST_IN_CHILD(bits_and_a_count_that_are_behind_the_lists_do_no_harm)
{
	start();
	(void)keep_new(SC_4096, 1);
	(void)keep_new(SC_8192, 1);
	/* The lost thread was in spares_take(). */
	mheap_free_span(NULL, kept->list[SC_4096]);
	kept->list[SC_4096] = NULL;
	CHECK(spares_evict(kept)->spanclass == SC_8192);
	CHECK(spares_evict(kept) == NULL && kept->npages == 0);
	mcache_check(&cache[0]);
}

/* --- the checker --- */

static void check_finds_a_live_object(void)
{
	start();
	(void)keep_new(SC_4096, 1);
	slot_set(&kept->list[SC_4096]->state[0], SLOT_LIVE);
	mcache_check(&cache[0]);
}

static void check_finds_a_span_of_another_class(void)
{
	start();
	(void)keep_new(SC_4096, 1);
	kept->list[SC_8192] = kept->list[SC_4096];
	kept->list[SC_4096] = NULL;
	mcache_check(&cache[0]);
}

static void check_finds_wrong_pages(void)
{
	start();
	(void)keep_new(SC_4096, 1);
	kept->npages = 2;
	mcache_check(&cache[0]);
}

static void mcache_check_stops_at_each_kind_of_lie(void **state)
{
	static void (*const lies[])(void) = {
		check_finds_a_live_object,
		check_finds_a_span_of_another_class,
		check_finds_wrong_pages,
	};

	(void)state;
	each_body_aborts(lies, sizeof(lies) / sizeof(lies[0]), "broken:");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_class_gets_the_span_that_it_kept_last),
		cmocka_unit_test(classes_give_their_spans_in_turn),
		cmocka_unit_test(spares_shrink_to_at_most_so_many_pages),
		cmocka_unit_test(what_was_evicted_and_then_missed_is_worth_keeping),
		cmocka_unit_test(a_thread_alone_that_needs_its_spans_again_keeps_them),
		cmocka_unit_test(of_many_threads_each_keeps_a_share),
		cmocka_unit_test(after_a_tick_a_flush_or_too_many_given_pages_there_are_none),
		cmocka_unit_test(near_a_limit_nothing_is_kept),
		cmocka_unit_test(the_spares_of_the_dead_are_adopted_wherever_its_thread_stopped),
		cmocka_unit_test(bits_and_a_count_that_are_behind_the_lists_do_no_harm),
		cmocka_unit_test(mcache_check_stops_at_each_kind_of_lie),
	};

	return cmocka_run_group_tests_name("spares", tests, NULL, NULL);
}
