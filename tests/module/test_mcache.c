/* SPDX-License-Identifier: MIT */
/*
 * test_mcache.c - a thread's slots: objects are distinct, bounds are kept, and in the end nothing
 * is missing.
 *
 * Several caches in one thread stand for several threads between two steps.
 */
#include "caches.h"
#include "heap/adopt.h"
#include "heap.h"
#include "module.h"
#include "spans.h"

#include "os/os.h"
#include "os_fail.h"

#include <string.h>

#define SC_64 make_spanclass(6, SCAN)
#define SC_1024 make_spanclass(32, SCAN)
#define SC_32768 make_spanclass(67, SCAN)

#define WORD_NBYTES (PCACHE_PAGES * PAGE_SIZE)

static void put(struct mcache *c, void *p)
{
	struct mspan *s = span_of((uintptr_t)p);
	uint32_t slot;

	CHECK(s != NULL && mspan_slot_of(s, (uintptr_t)p, &slot));
	CHECK(slot_state(&s->state[slot]) == SLOT_LIVE);
	if (!mcache_free_fast(c, s, s->spanclass, (uintptr_t)p, &s->state[slot]))
		heap_free_slot((uintptr_t)p, s, slot, "free", c);
}

TEST_IN_CHILD(an_empty_cache_fails_fast)
{
	bool fresh;

	start();
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		CHECK(mcache_alloc_fast(&cache[0], (spanclass_t)sc, &fresh) == NULL);
	mcache_check(&cache[0]);
}

/* Frees an object of the class. Returns the end of the place that the stack got, which begins
 * behind `end` with an entry that stays empty. */
static uint32_t begin_stack(struct mcache *c, spanclass_t sc, uint32_t end)
{
	struct bin *t = &c->bins[sc];
	size_t entries = min_size(spanclass_info(sc)->stack_entries, STACK_FIRST_ENTRIES);

	CHECK(t->elemsize == spanclass_info(sc)->elemsize);
	CHECK(t->stack_bottom == STACK_NOWHERE && t->stack_limit == STACK_NOWHERE);
	put(c, get(c, sc));
	CHECK(t->stack_bottom == end + sizeof(struct free_entry) && stack_depth(t) == 1);
	CHECK(t->stack_limit == t->stack_bottom + entries * sizeof(struct free_entry));
	return t->stack_limit;
}

TEST_IN_CHILD(first_places_of_stacks_lie_one_behind_the_other)
{
	struct mcache *c = &cache[0];
	uint32_t end = STACK_NOWHERE;

	start();
	for (unsigned class = NUM_SIZE_CLASSES - 1; class > 0; class--) {
		c->first_npages = 0;
		end = begin_stack(c, make_spanclass(class, SCAN), end);
		if (class > 2)
			end = begin_stack(c, make_spanclass(class, NOSCAN), end);
	}
	CHECK(end <= offsetof(struct mcache, first_stacks) + sizeof(c->first_stacks));
	check_all();
	mcache_flush_stacks(c);
	(void)begin_stack(c, SC_64, STACK_NOWHERE);
	check_all();
	end_with_empty_heap();
}

static void *many[2 * STACK_MAX_ENTRIES + 10];

/* Allocates and frees so many objects of the class that the stack is as deep as it may be. */
static void fill_stack(struct mcache *c, spanclass_t sc)
{
	unsigned n = spanclass_info(sc)->stack_entries + 10u;
	unsigned most = spanclass_info(sc)->stack_entries;

	if (spanclass_scan(sc) == NOSCAN && most > STACK_FIRST_ENTRIES)
		most = STACK_FIRST_ENTRIES;
	for (unsigned i = 0; i < n; i++)
		many[i] = get(c, sc);
	for (unsigned i = 0; i < n; i++)
		put(c, many[i]);
	CHECK(stack_depth(&c->bins[sc]) == most);
}

TEST_IN_CHILD(deep_stacks_lie_one_behind_the_other_in_the_area)
{
	struct mcache *c = &cache[0];
	uint32_t end;

	start();
	end = (uint32_t)((char *)mcache_rest(c)->stack_area - (char *)c);
	for (unsigned class = NUM_SIZE_CLASSES - 1; class > 0; class--) {
		spanclass_t sc = make_spanclass(class, SCAN);

		/* The stacks stay full: no span makes the cache give up what it does not use. */
		c->first_npages = 0;
		if (class > 2)
			fill_stack(c, make_spanclass(class, NOSCAN));
		c->first_npages = 0;
		fill_stack(c, sc);
		if (sizeclasses[class].stack_entries <= STACK_FIRST_ENTRIES) {
			CHECK(c->bins[sc].stack_bottom < sizeof(struct mcache));
			continue;
		}
		CHECK(c->bins[sc].stack_bottom == end + sizeof(struct free_entry));
		end = c->bins[sc].stack_limit;
	}
	CHECK(stack_entry(c, end) < mcache_rest(c)->counted_stacks);
	check_all();
	end_with_empty_heap();
}

/* Allocates n objects of the class and frees them all, so often. */
static void cycles(struct mcache *c, spanclass_t sc, unsigned n, unsigned times)
{
	for (unsigned k = 0; k < times; k++) {
		for (unsigned i = 0; i < n; i++)
			many[i] = get(c, sc);
		for (unsigned i = 0; i < n; i++)
			put(c, many[i]);
	}
}

TEST_IN_CHILD(a_thread_alone_learns_how_deep_a_stack_it_needs)
{
	struct bin *t = &cache[0].bins[SC_1024];

	start();
	/* To free many objects once teaches nothing. */
	cycles(&cache[0], SC_1024, 1000, 1);
	CHECK(stack_depth(t) == STACK_BYTES / 1024 && cache[0].learnt_nbytes == 0);
	cycles(&cache[0], SC_1024, 1000, 1);
	CHECK(stack_depth(t) == 4 * STACK_BYTES / 1024);
	check_all();
	cycles(&cache[0], SC_1024, 1000, 2);
	CHECK(stack_depth(t) == 1000 && t->stack_limit - t->stack_bottom ==
						STACK_MAX_ENTRIES * sizeof(struct free_entry));
	CHECK(cache[0].learnt_nbytes == STACK_MAX_ENTRIES * 1024 - STACK_BYTES);
	check_all();
	end_with_empty_heap();
}

/* Returns how many bytes of objects the stacks have above STACK_BYTES each. */
static size_t nbytes_above(const struct mcache *c)
{
	size_t nbytes = 0;

	for (unsigned class = 1; class < NUM_SIZE_CLASSES; class++) {
		size_t depth = stack_depth(&c->bins[make_spanclass(class, SCAN)]);
		size_t usual = sizeclasses[class].stack_entries;

		nbytes += (depth - min_size(depth, usual)) * sizeclasses[class].elemsize;
	}
	return nbytes;
}

TEST_IN_CHILD(all_stacks_together_learn_within_a_bound)
{
	size_t most = 0;

	start();
	for (unsigned class = 1; class < NUM_SIZE_CLASSES; class++) {
		cycles(&cache[0], make_spanclass(class, SCAN), STACK_MAX_ENTRIES, 5);
		most = max_size(most, nbytes_above(&cache[0]));
		CHECK(nbytes_above(&cache[0]) <= cache[0].learnt_nbytes);
		CHECK(cache[0].learnt_nbytes <= STACK_LEARNT_BYTES);
	}
	CHECK(most > STACK_LEARNT_BYTES / 2);
	check_all();
	end_with_empty_heap();
}

TEST_IN_CHILD(a_thread_with_company_learns_nothing)
{
	struct bin *t = &cache[0].bins[SC_1024];

	start();
	atomic_store(&mcaches_made, 2);
	cycles(&cache[0], SC_1024, 1000, 5);
	CHECK(stack_depth(t) == STACK_BYTES / 1024 && cache[0].learnt_nbytes == 0);
	check_all();
	end_with_empty_heap();
}

TEST_IN_CHILD(a_thread_forgets_what_it_learnt_when_company_comes)
{
	struct bin *t = &cache[0].bins[SC_1024];

	start();
	cycles(&cache[0], SC_1024, 1000, 4);
	CHECK(stack_depth(t) == 1000);
	atomic_store(&mcaches_made, 2);
	/* The next poll gives all but what has company may keep. */
	cache[0].poll_ms = 0;
	mcache_poll(&cache[0]);
	CHECK(stack_depth(t) == 0 && cache[0].learnt_nbytes == 0 && cache[0].area_entries == 0);
	cycles(&cache[0], SC_1024, 1000, 4);
	CHECK(stack_depth(t) == STACK_BYTES / 1024);
	check_all();
	end_with_empty_heap();
}

TEST_IN_CHILD(what_was_learnt_serves_other_classes_before_the_heap_grows)
{
	size_t committed;
	unsigned n = 0;
	void *p[1000];

	start();
	cycles(&cache[0], SC_1024, 1000, 4);
	CHECK(stack_depth(&cache[0].bins[SC_1024]) == 1000);
	committed = mheap.growth.committed;
	while (n < 1000 && cache[0].learnt_nbytes != 0)
		p[n++] = get(&cache[0], SC_32768);
	CHECK(cache[0].learnt_nbytes == 0 && mheap.growth.committed == committed);
	while (n > 0)
		put(&cache[0], p[--n]);
	check_all();
	end_with_empty_heap();
}

/* Frees an object of the array, and returns the index of one in another span. */
static unsigned put_and_wander(void **object, unsigned n, unsigned at)
{
	put(&cache[0], object[at]);
	object[at] = NULL;
	return (at + 301) % n;
}

TEST_IN_CHILD(a_full_stack_is_spilled_where_frees_go_from_span_to_span)
{
	static void *object[4 * STACK_MAX_ENTRIES];
	const unsigned most = spanclass_info(SC_64)->stack_entries, n = 4 * STACK_MAX_ENTRIES;
	struct bin *t = &cache[0].bins[SC_64];
	static void *large[SPILL_HEAP_BYTES / 32768];
	unsigned at = 0, left = 0;

	start();
	for (unsigned i = 0; i < SPILL_HEAP_BYTES / 32768; i++)
		large[i] = get(&cache[0], SC_32768);
	for (unsigned i = 0; i < n; i++)
		object[i] = get(&cache[0], SC_64);
	for (unsigned i = 0; i < most; i++)
		at = put_and_wander(object, n, at);
	CHECK(stack_depth(t) == most);
	/* The first free that finds no room tells nothing. */
	at = put_and_wander(object, n, at);
	CHECK(stack_depth(t) == most);
	for (unsigned i = 0; i < 3 * SPILL_ENTRIES; i++) {
		at = put_and_wander(object, n, at);
		CHECK(stack_depth(t) == most - SPILL_ENTRIES + 1 + i % SPILL_ENTRIES);
		if (i % 50 == 0)
			check_all();
	}
	/* The rest lies in a row. */
	for (unsigned i = 0; i < n; i++) {
		if (object[i] == NULL)
			continue;
		put(&cache[0], object[i]);
		CHECK(left++ <= SPILL_ENTRIES || stack_depth(t) == most);
	}
	check_all();
	for (unsigned i = 0; i < SPILL_HEAP_BYTES / 32768; i++)
		put(&cache[0], large[i]);
	end_with_empty_heap();
}

/* Allocates two stacks of objects of 64 bytes, and frees three quarters in a wandering order.
 * Returns true if the full stack was spilled. Frees the others. */
static bool wandering_spills(void)
{
	const unsigned most = spanclass_info(SC_64)->stack_entries, n = 2 * most;
	const struct bin *t = &cache[0].bins[SC_64];
	bool spilled = false;
	unsigned at = 0;

	for (unsigned i = 0; i < n; i++)
		many[i] = get(&cache[0], SC_64);
	for (unsigned i = 0; i < most + most / 2; i++) {
		at = put_and_wander(many, n, at);
		spilled |= i >= most && stack_depth(t) < most;
	}
	for (unsigned i = 0; i < n; i++)
		if (many[i] != NULL)
			put(&cache[0], many[i]);
	return spilled;
}

TEST_IN_CHILD(a_full_stack_is_spilled_from_when_the_heap_has_become_large)
{
	static void *large[SPILL_HEAP_BYTES / 32768];

	start();
	for (unsigned k = 0; k < 4; k++)
		CHECK(!wandering_spills());
	for (unsigned i = 0; i < SPILL_HEAP_BYTES / 32768; i++)
		large[i] = get(&cache[0], SC_32768);
	CHECK(wandering_spills());
	check_all();
	for (unsigned i = 0; i < SPILL_HEAP_BYTES / 32768; i++)
		put(&cache[0], large[i]);
	end_with_empty_heap();
}

TEST_IN_CHILD(a_stack_that_was_flushed_has_no_place)
{
	struct bin *t = &cache[0].bins[SC_64];

	start();
	fill_stack(&cache[0], SC_64);
	CHECK(t->stack_bottom > sizeof(struct mcache));
	mcache_flush_stacks(&cache[0]);
	CHECK(t->stack_bottom == STACK_NOWHERE && stack_depth(t) == 0);
	check_all();
	fill_stack(&cache[0], SC_64);
	check_all();
	end_with_empty_heap();
}

TEST_IN_CHILD(a_stack_without_memory_to_grow_stays_as_it_is_and_grows_after_a_flush)
{
	struct bin *t = &cache[0].bins[SC_64];
	uint32_t first;

	start();
	put(&cache[0], get(&cache[0], SC_64));
	first = t->stack_bottom;
	os_fail_from(OS_COMMIT_METADATA, 1);
	for (int i = 0; i < 100; i++)
		many[i] = get(&cache[0], SC_64);
	for (int i = 0; i < 100; i++)
		put(&cache[0], many[i]);
	CHECK(t->stack_bottom == first && stack_depth(t) == STACK_FIRST_ENTRIES);
	/* Not every free that finds the stack full asks the system. */
	CHECK(os_fail_failed() == 1);
	check_all();
	os_fail_stop();
	mcache_flush_stacks(&cache[0]);
	fill_stack(&cache[0], SC_64);
	CHECK(t->stack_bottom != first);
	check_all();
	end_with_empty_heap();
}

TEST_IN_CHILD(a_released_rest_is_as_good_as_new)
{
	start();
	fill_stack(&cache[0], SC_64);
	mcache_flush(&cache[0]);
	mcache_release_rest(&cache[0]);
	fill_stack(&cache[0], SC_64);
	check_all();
	end_with_empty_heap();
}

TEST_IN_CHILD(a_deep_stack_of_the_dead_is_adopted_wherever_its_move_stopped)
{
	struct mcache *dead = &cache[1];
	struct bin *t = &dead->bins[SC_64];
	uint32_t first, limit;

	start();
	put(dead, get(dead, SC_64));
	first = t->stack_bottom;
	limit = t->stack_limit;
	for (int i = 0; i < STACK_FIRST_ENTRIES + 1; i++)
		many[i] = get(dead, SC_64);
	for (int i = 0; i < STACK_FIRST_ENTRIES + 1; i++)
		put(dead, many[i]);
	CHECK(t->stack_bottom != first && stack_depth(t) == STACK_FIRST_ENTRIES + 1);
	/* The thread stopped behind the store of the top. */
	t->stack_bottom = first;
	t->stack_limit = limit;
	adopt_stacks(&cache[0], dead);
	adopt_spans(&cache[0], dead);
	check_all();
	end_with_empty_heap();
}

TEST_IN_CHILD(a_stack_of_the_dead_is_adopted_wherever_its_beginning_stopped)
{
	struct mcache *dead = &cache[1];
	struct bin *t = &dead->bins[SC_64];

	start();
	/* What another stack has left in the first place. */
	for (int i = 0; i < 4; i++)
		many[i] = get(dead, SC_1024);
	for (int i = 0; i < 4; i++)
		put(dead, many[i]);
	mcache_flush_stacks(dead);
	many[0] = get(dead, SC_64);
	put(dead, get(dead, SC_64));
	/* The thread stopped behind the store of the top. */
	t->stack_top -= (uint32_t)sizeof(struct free_entry);
	t->stack_bottom = t->stack_limit = STACK_NOWHERE;
	adopt_stacks(&cache[0], dead);
	adopt_spans(&cache[0], dead);
	put(&cache[0], many[0]);
	check_all();
	end_with_empty_heap();
}

TEST_IN_CHILD(a_cache_of_the_dead_that_was_not_made_yet_is_empty)
{
	struct mcache *dead = &cache[1];

	start();
	/* What lies before the cache is no stack. */
	memset(dead, 0, sizeof(*dead));
	memset((char *)dead - sizeof(struct free_entry), 0x10, sizeof(struct free_entry));
	adopt_stacks(&cache[0], dead);
	adopt_spans(&cache[0], dead);
	mcache_init(dead, mcache_rest(&cache[0]));
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		CHECK(stack_depth(&dead->bins[sc]) == 0);
	mcache_check(dead);
}

TEST_IN_CHILD(the_object_freed_last_is_handed_out_first)
{
	void *a, *b;

	start();
	a = get(&cache[0], SC_64);
	b = get(&cache[0], SC_64);
	CHECK(a != b);
	put(&cache[0], a);
	put(&cache[0], b);
	CHECK(get(&cache[0], SC_64) == b);
	CHECK(get(&cache[0], SC_64) == a);
}

TEST_IN_CHILD(objects_of_every_class_are_distinct_aligned_and_keep_their_bytes)
{
	static void *p[3000];

	start();
	for (unsigned sc = 2; sc < NUM_SPAN_CLASSES; sc++) {
		const struct sizeclass *info = spanclass_info((spanclass_t)sc);
		/* Over the end of a span, twice. */
		unsigned n = 2 * longest_nelems((spanclass_t)sc) + 3;
		size_t look = min_size(info->elemsize, 64);

		if (sc == SPANCLASS_TINY || sc == SPANCLASS_ZERO)
			continue;
		for (unsigned i = 0; i < n; i++) {
			p[i] = get(&cache[0], (spanclass_t)sc);
			CHECK(p[i] != NULL && (uintptr_t)p[i] % 8 == 0);
			CHECK(info->elemsize % 16 != 0 || (uintptr_t)p[i] % 16 == 0);
			pattern_fill(p[i], look, i);
			((char *)p[i])[info->elemsize - 1] |= 1;
		}
		for (unsigned i = 0; i < n; i++) {
			CHECK(pattern_holds(p[i], look - 1, i));
			put(&cache[0], p[i]);
		}
		mcache_check(&cache[0]);
	}
	end_with_empty_heap();
}

TEST_IN_CHILD(a_free_stack_is_bounded_and_the_rest_goes_to_the_span)
{
	static void *p[2 * STACK_MAX_ENTRIES];
	struct bin *t = &cache[0].bins[SC_64];

	start();
	for (int i = 0; i < 2 * STACK_MAX_ENTRIES; i++)
		p[i] = get(&cache[0], SC_64);
	for (int i = 0; i < 2 * STACK_MAX_ENTRIES; i++) {
		put(&cache[0], p[i]);
		CHECK(t->stack_top <= t->stack_limit);
		CHECK(stack_depth(t) <= STACK_MAX_ENTRIES);
	}
	CHECK(t->stack_top == t->stack_limit);
	check_all();
	end_with_empty_heap();
}

/* The spans of one class after each other, all used up. */
TEST_IN_CHILD(each_span_of_a_bin_is_longer_up_to_the_longest)
{
	struct mspan *room;

	start();
	/* Before the heap grows it would make shorter spans of what is left. */
	room = mheap_alloc_big(NULL, MiB(128) / PAGE_SIZE, 1, SCAN, EFFORT_GROW);
	CHECK(room != NULL);
	mheap_free_span(NULL, room);
	for (unsigned sc = 2; sc < NUM_SPAN_CLASSES; sc++) {
		const struct sizeclass *info = spanclass_info((spanclass_t)sc);
		struct bin *b = &cache[0].bins[sc];

		if (sc == SPANCLASS_TINY || sc == SPANCLASS_ZERO)
			continue;
		for (unsigned i = 0; i < SPAN_LENGTHS + 2; i++) {
			unsigned length = (unsigned)min_size(i, SPAN_LENGTHS - 1);
			struct mspan *s;

			/* The end of a page word would shorten a span. */
			mheap_flush_pcache(&cache[0].pages);
			CHECK(get(&cache[0], (spanclass_t)sc) != NULL);
			s = b->span;
			CHECK(s->npages == info->npages[length]);
			for (unsigned n = 1; n < s->nelems; n++)
				CHECK(get(&cache[0], (spanclass_t)sc) != NULL);
			CHECK(b->span == s && s->nfree == 0 && b->alloc_cache == 0);
		}
	}
	check_all();
}

/* A region whose first page was touched before its huge page was asked for gets none. */
TEST_IN_CHILD(spans_use_up_the_page_word_and_cross_into_no_other)
{
	spanclass_t sc = make_spanclass(sizeclass_for(8192, 16), SCAN);
	const struct mspan *s = NULL;
	uintptr_t end = 0;

	start();
	for (unsigned i = 0; i < 1000; i++) {
		CHECK(get(&cache[0], sc) != NULL);
		if (cache[0].bins[sc].span == s)
			continue;
		s = cache[0].bins[sc].span;
		CHECK(s->base / WORD_NBYTES == (s->base + s->npages * PAGE_SIZE - 1) / WORD_NBYTES);
		/* After the first word, which lies at random, there is no hole. */
		CHECK(end % WORD_NBYTES == 0 || s->base == end);
		end = s->base + s->npages * PAGE_SIZE;
	}
	check_all();
}

static void use_up_spans(spanclass_t sc, unsigned nspans, void **p, unsigned *n)
{
	struct bin *b = &cache[0].bins[sc];

	for (*n = 0; nspans > 0; nspans--) {
		p[(*n)++] = get(&cache[0], sc);
		while (b->span->nfree != 0 || b->alloc_cache != 0)
			p[(*n)++] = get(&cache[0], sc);
	}
}

TEST_IN_CHILD(spans_of_a_class_are_short_again_while_many_classes_take_spans)
{
	unsigned first = sizeclass_for(SHORTEN_SIZE, 1), last = NUM_SIZE_CLASSES - 1;
	struct mcache *c = &cache[0];
	static void *p[1000];
	unsigned n;

	start();
	options.scavenge_ms = 1000000;
	for (unsigned round = 0; round < 2 * SPAN_LENGTHS; round++)
		for (unsigned class = last; class >= first; class--) {
			use_up_spans(make_spanclass(class, SCAN), 1, p, &n);
			CHECK(c->bins[make_spanclass(class, SCAN)].span_length < 2);
			/* Others are as they were. */
			CHECK(c->bins[make_spanclass(first - 1, SCAN)].span_length == 0);
		}
	use_up_spans(make_spanclass(last, SCAN), SPAN_LENGTHS, p, &n);
	CHECK(c->bins[make_spanclass(last, SCAN)].span_length == SPAN_LENGTHS - 1);
	use_up_spans(make_spanclass(first - 1, SCAN), SPAN_LENGTHS, p, &n);
	use_up_spans(make_spanclass(first, SCAN), 2 * SPAN_LENGTHS, p, &n);
	CHECK(c->bins[make_spanclass(last, SCAN)].span_length < SPAN_LENGTHS - 1);
	CHECK(c->bins[make_spanclass(first - 1, SCAN)].span_length == SPAN_LENGTHS - 1);
	check_all();
}

/* Has the cache tick. Elsewhere in the test it does not, however long the test is put off. */
static void tick_now(struct mcache *c)
{
	options.scavenge_ms = 0;
	c->poll_ms = 0;
	mcache_poll(c);
	options.scavenge_ms = 1000000;
}

TEST_IN_CHILD(after_a_tick_spans_begin_short_again_and_after_a_flush_one_length_shorter)
{
	spanclass_t sc = make_spanclass(sizeclass_for(8192, 16), SCAN);
	const struct sizeclass *info = spanclass_info(sc);
	struct bin *b = &cache[0].bins[sc];
	static void *p[1000];
	unsigned n;

	start();
	options.scavenge_ms = 1000000;
	for (int round = 0; round < 3; round++) {
		use_up_spans(sc, 3, p, &n);
		CHECK(b->span->npages == info->npages[round < 2 ? 2 : 3]);
		/* A bin that has objects goes on. */
		tick_now(&cache[0]);
		CHECK(b->span != NULL && b->span_length == 3);
		while (n > 0)
			put(&cache[0], p[--n]);
		if (round == 0)
			tick_now(&cache[0]);
		else
			mcache_flush(&cache[0]);
		CHECK(b->span == NULL && b->span_length == (round == 0 ? 0 : 2));
	}
	mcache_flush(&cache[0]);
	use_up_spans(sc, 1, p, &n);
	CHECK(b->span->npages == info->npages[1]);
	while (n > 0)
		put(&cache[0], p[--n]);
	end_with_empty_heap();
}

TEST_IN_CHILD(a_thread_that_takes_a_span_gives_back_idle_ones_now_and_then)
{
	spanclass_t idle = make_spanclass(sizeclass_for(8192, 16), SCAN);
	spanclass_t busy = make_spanclass(sizeclass_for(4096, 16), SCAN);
	struct bin *b = &cache[0].bins[idle];
	void *live;

	start();
	options.scavenge_ms = 1000000;
	live = get(&cache[0], SC_64);
	put(&cache[0], get(&cache[0], idle));
	CHECK(b->span != NULL && stack_depth(b) == 1);
	/* Soon after the last time it does not look. */
	cache[0].idle_ms = cache[0].poll_ms = os_now_ms();
	CHECK(get(&cache[0], busy) != NULL);
	CHECK(b->span != NULL && stack_depth(b) == 1);
	while (cache[0].bins[busy].alloc_cache != 0)
		(void)get(&cache[0], busy);
	cache[0].idle_ms -= 1000000;
	CHECK(get(&cache[0], busy) != NULL);
	CHECK(b->span == NULL && stack_depth(b) == 0 && b->span_length == 0);
	CHECK(cache[0].idle_ms == cache[0].poll_ms);
	/* What is in use stays. */
	CHECK(cache[0].bins[SC_64].span == span_of((uintptr_t)live));
	CHECK(get(&cache[0], idle) != NULL);
	check_all();
}

TEST_IN_CHILD(with_hardened_spans_are_the_longest_at_once)
{
	spanclass_t sc = make_spanclass(sizeclass_for(8192, 16), SCAN);

	options.hardened = 1;
	start();
	CHECK(mcache_alloc_random(&cache[0], sc, 12345) != NULL);
	CHECK(cache[0].bins[sc].span->npages == spanclass_max_npages(sc));
}

TEST_IN_CHILD(what_was_freed_is_used_before_the_heap_grows)
{
	static void *p[20000];
	size_t nfree;

	start();
	for (int i = 0; i < 20000; i++)
		p[i] = get(&cache[0], SC_64);
	nfree = mheap.pages.nfree;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 20000; i += 2)
			put(&cache[0], p[i]);
		for (int i = 0; i < 20000; i += 2)
			p[i] = get(&cache[0], SC_64);
	}
	/* The last word of pages may be another one. */
	CHECK(mheap.pages.nfree + 2 * PCACHE_PAGES >= nfree);
	check_all();
	for (int i = 0; i < 20000; i++)
		put(&cache[0], p[i]);
	end_with_empty_heap();
}

TEST_IN_CHILD(a_thread_alone_keeps_all_partial_spans_until_others_come)
{
	enum { SPANS = 2 * PARTIAL_PAGES_ALL, N = 128 * SPANS };
	static void *p[N];
	struct bin *t = &cache[0].bins[SC_64];

	start();
	atomic_store(&mcaches_made, 1);
	for (int i = 0; i < N; i++)
		p[i] = get(&cache[0], SC_64);
	for (int i = 0; i < N; i += 2)
		put(&cache[0], p[i]);
	CHECK(t->npartial > SPANS - 20 && cache[0].partial_npages == t->npartial);
	CHECK(mcentrals[SC_64].npartial == 0);
	check_all();
	atomic_store(&mcaches_made, 2);
	options.scavenge_ms = 0;
	cache[0].poll_ms = 0;
	mcache_poll(&cache[0]);
	CHECK(cache[0].partial_npages <= PARTIAL_PAGES_ALL / 2);
	CHECK(mcentrals[SC_64].npartial >= SPANS - PARTIAL_PAGES_ALL / 2 - 20);
	check_all();
	for (int i = 1; i < N; i += 2)
		put(&cache[0], p[i]);
	end_with_empty_heap();
}

/* Makes `spans` partial spans of SC_64, with every second object of each live at p. */
static void make_partial(struct mcache *c, void **p, unsigned spans)
{
	for (unsigned i = 0; i < 128 * spans; i++)
		p[i] = get(c, SC_64);
	for (unsigned i = 0; i < 128 * spans; i += 2)
		put(c, p[i]);
	mcache_flush_stacks(c);
}

TEST_IN_CHILD(partial_spans_that_do_not_change_from_tick_to_tick_become_central)
{
	enum { SPANS = 300 };
	static void *p[128 * SPANS];
	struct bin *b = &cache[0].bins[SC_64];
	unsigned before;
	struct mspan *s;

	start();
	make_partial(&cache[0], p, SPANS);
	before = b->npartial;
	CHECK(before > SPANS - 20);
	tick_now(&cache[0]);
	CHECK(b->npartial == before && mcentrals[SC_64].npartial == 0);
	/* In one of them a slot comes free, and one is new to the list. */
	s = span_of((uintptr_t)p[129]);
	CHECK(mspan_owner_relaxed(s) == mcache_owner(&cache[0]));
	put(&cache[0], p[129]);
	tick_now(&cache[0]);
	CHECK(b->npartial == 1 && b->partial == s);
	CHECK(mcentrals[SC_64].npartial == before - 1);
	check_all();
	tick_now(&cache[0]);
	CHECK(b->npartial == 0);
	for (unsigned i = 1; i < 128 * SPANS; i += 2)
		if (i != 129)
			put(&cache[0], p[i]);
	end_with_empty_heap();
}

TEST_IN_CHILD(a_long_list_is_looked_at_in_parts_and_may_change_meanwhile)
{
	enum { SPANS = 6000 };
	static void *p[128 * SPANS];
	struct mcache *c = &cache[0];
	struct bin *b = &c->bins[SC_64];
	struct mspan *s;
	unsigned before;
	size_t central;

	start();
	make_partial(c, p, SPANS);
	before = b->npartial;
	CHECK(before > 5000);
	tick_now(c);
	CHECK(c->review_at != NULL && c->review_sc == SC_64);
	/* The span that is next leaves the list: all its objects are freed. */
	s = c->review_at;
	for (unsigned i = 1; i < 128 * SPANS; i += 2)
		if (p[i] != NULL && span_of((uintptr_t)p[i]) == s) {
			put(c, p[i]);
			p[i] = NULL;
		}
	mcache_flush_stacks(c);
	CHECK(c->review_at != s && b->npartial < before);
	before = b->npartial;
	/* A poll that is no tick goes on. */
	c->poll_ms = 0;
	mcache_poll(c);
	CHECK(c->review_sc == NUM_SPAN_CLASSES && b->npartial == before);
	tick_now(c);
	central = mcentrals[SC_64].npartial;
	CHECK(central != 0 && b->npartial + central == before && b->npartial != 0);
	c->poll_ms = 0;
	mcache_poll(c);
	CHECK(b->npartial == 0 && mcentrals[SC_64].npartial == before);
	check_all();
	for (unsigned i = 1; i < 128 * SPANS; i += 2)
		if (p[i] != NULL)
			put(c, p[i]);
	end_with_empty_heap();
}

TEST_IN_CHILD(partial_spans_are_bounded_and_the_surplus_is_mcentrals)
{
	enum { SPANS = 2 * PARTIAL_PAGES_MIN + 50, N = 128 * SPANS };
	static void *p[N];
	struct bin *t = &cache[0].bins[SC_64];
	unsigned most = 0;
	void *q;

	start();
	atomic_store(&mcaches_made, 1000);
	/* Of each span every second object is freed by another thread. */
	for (int i = 0; i < N; i++)
		p[i] = get(&cache[0], SC_64);
	for (int i = 0; i < N; i += 2) {
		put(&cache[1], p[i]);
		if (cache[1].bins[SC_64].npartial > most)
			most = cache[1].bins[SC_64].npartial;
	}
	CHECK(most <= PARTIAL_PAGES_MIN && t->npartial <= PARTIAL_PAGES_MIN);
	CHECK(mcentrals[SC_64].npartial > SPANS - 2 * PARTIAL_PAGES_MIN - 10);
	check_all();
	/* Any thread gets them. */
	q = get(&cache[2], SC_64);
	CHECK(mspan_owner_relaxed(span_of((uintptr_t)q)) == mcache_owner(&cache[2]));
	put(&cache[2], q);
	for (int i = 1; i < N; i += 2)
		put(&cache[0], p[i]);
	end_with_empty_heap();
}

/* Takes objects of a span and frees them, more than a stack of a cache among many holds. Returns
 * the span. */
static struct mspan *fill_and_free_a_span(struct mcache *c, spanclass_t sc)
{
	static void *p[1024];
	uint32_t n = 0;
	struct mspan *s;

	p[n++] = get(c, sc);
	s = c->bins[sc].span;
	while (n + 1 < s->nelems)
		p[n++] = get(c, sc);
	while (n > 0)
		put(c, p[--n]);
	mcache_flush_stacks(c);
	return s;
}

TEST_IN_CHILD(among_many_caches_a_current_span_whose_slots_all_came_free_is_a_spare)
{
	struct mcache *c = &cache[0];
	struct bin *b = &c->bins[SC_1024];
	struct mspan *s;
	void *other, *p;

	start();
	other = get(c, SC_64);
	b->span_length = SPAN_LENGTHS - 1;
	atomic_store(&mcaches_made, STACK_DEEP_CACHES);
	s = fill_and_free_a_span(c, SC_1024);
	CHECK(b->span == s && c->spares.npages == 0);
	check_all();
	atomic_store(&mcaches_made, STACK_DEEP_CACHES + 1);
	CHECK(fill_and_free_a_span(c, SC_1024) == s);
	CHECK(b->span == NULL && b->alloc_cache == 0 && c->spares.npages == s->npages);
	check_all();
	/* The class gets it back. */
	p = get(c, SC_1024);
	CHECK(b->span == s && c->spares.npages == 0);
	put(c, p);
	put(c, other);
	end_with_empty_heap();
}

/* Allocates n objects of the class. */
static void fill(struct mcache *c, spanclass_t sc, void **p, int n)
{
	for (int i = 0; i < n; i++)
		p[i] = get(c, sc);
}

static void empty(struct mcache *c, void **p, int n)
{
	for (int i = 0; i < n; i++)
		put(c, p[i]);
}

TEST_IN_CHILD(among_many_caches_a_stack_begins_when_its_bin_was_refilled_twice)
{
	struct mcache *c = &cache[0];
	struct bin *b = &c->bins[SC_64];
	void *p[65];

	start();
	atomic_store(&mcaches_made, STACK_DEEP_CACHES + 1);
	mcache_flush_stacks(c);
	/* The first word. */
	fill(c, SC_64, p, 64);
	put(c, p[63]);
	CHECK(stack_depth(b) == 0);
	fill(c, SC_64, p + 63, 2);
	put(c, p[64]);
	CHECK(stack_depth(b) == 1);
	empty(c, p, 64);
	check_all();
	end_with_empty_heap();
}

TEST_IN_CHILD(among_many_caches_a_stack_keeps_no_span_in_which_all_is_free)
{
	struct mcache *c = &cache[0];
	struct bin *b = &c->bins[SC_1024];
	void *p[40], *other;

	start();
	other = get(c, SC_64);
	atomic_store(&mcaches_made, STACK_DEEP_CACHES + 1);
	mcache_flush_stacks(c);
	fill(c, SC_1024, p, 40);
	empty(c, p, 20);
	CHECK(stack_depth(b) != 0);
	empty(c, p + 20, 20);
	CHECK(stack_depth(b) == 0 && b->span == NULL && b->partial == NULL);
	check_all();
	put(c, other);
	end_with_empty_heap();
}

TEST_IN_CHILD(a_stack_that_rests_has_room_for_what_it_may_have_among_fewer_caches)
{
	struct mcache *c = &cache[0];
	const struct bin *b = &c->bins[SC_1024], *next = &c->bins[SC_64];
	void *p[40], *other[80];

	start();
	atomic_store(&mcaches_made, STACK_DEEP_CACHES + 1);
	mcache_flush_stacks(c);
	fill(c, SC_1024, p, 40);
	put(c, p[39]);
	fill(c, SC_64, other, 80);
	put(c, other[79]);
	CHECK(next->stack_bottom > b->stack_bottom);
	empty(c, p, 39);
	CHECK(b->stack_growth == STACK_RESTS && b->stack_bottom != STACK_NOWHERE);
	atomic_store(&mcaches_made, STACK_DEEP_CACHES);
	fill(c, SC_1024, p, 40);
	empty(c, p, 15);
	CHECK(b->stack_limit < next->stack_bottom && stack_depth(b) == 15);
	check_all();
	empty(c, p + 15, 25);
	empty(c, other, 79);
	end_with_empty_heap();
}

TEST_IN_CHILD(among_many_caches_a_thread_that_has_freed_all_keeps_nothing)
{
	struct mcache *c = &cache[0];
	void *p[40], *other;

	start();
	atomic_store(&mcaches_made, STACK_DEEP_CACHES + 1);
	mcache_flush_stacks(c);
	other = get(c, SC_64);
	fill(c, SC_1024, p, 40);
	empty(c, p, 40);
	CHECK(c->pages.base != 0 && c->spares.npages != 0);
	put(c, other);
	CHECK(c->pages.base == 0 && c->spares.npages == 0);
	CHECK(mheap.pages.nfree == mheap.pages.ntotal);
	check_all();
	/* At the next time this is too soon. */
	c->all_free_ms = os_now_ms() + 1;
	fill(c, SC_1024, p, 40);
	empty(c, p, 40);
	CHECK(c->spares.npages != 0);
	end_with_empty_heap();
}

TEST_IN_CHILD(among_many_caches_a_thread_that_frees_for_others_does_not_look_what_it_has)
{
	struct mcache *c = &cache[1];
	void *p[40];

	start();
	fill(&cache[0], SC_1024, p, 40);
	atomic_store(&mcaches_made, STACK_DEEP_CACHES + 1);
	mcache_flush_stacks(c);
	c->all_free_ms = 0;
	/* Of the current span of the other, which is not taken over. */
	empty(c, p + 38, 2);
	CHECK(c->all_free_ms == 0);
	/* Its own objects tell that it has none any more. */
	put(c, get(c, SC_64));
	CHECK(c->all_free_ms != 0);
	empty(&cache[0], p, 38);
	check_all();
	end_with_empty_heap();
}

TEST_IN_CHILD(among_many_caches_a_large_object_that_is_freed_keeps_no_span)
{
	struct mcache *c = &cache[0];
	spanclass_t sc = make_spanclass(NUM_SIZE_CLASSES - 1, SCAN);

	start();
	CHECK(spanclass_info(sc)->elemsize > STACK_BYTES_MANY);
	atomic_store(&mcaches_made, STACK_DEEP_CACHES);
	mcache_flush_stacks(c);
	put(c, get(c, sc));
	CHECK(c->bins[sc].span != NULL && stack_depth(&c->bins[sc]) == 1);
	atomic_store(&mcaches_made, STACK_DEEP_CACHES + 1);
	mcache_flush_stacks(c);
	put(c, get(c, sc));
	CHECK(c->bins[sc].span == NULL && stack_depth(&c->bins[sc]) == 0);
	check_all();
	end_with_empty_heap();
}

TEST_IN_CHILD(among_many_caches_a_current_span_with_a_live_object_stays)
{
	struct mcache *c = &cache[0];
	struct bin *b = &c->bins[SC_1024];
	void *live;

	start();
	b->span_length = SPAN_LENGTHS - 1;
	atomic_store(&mcaches_made, STACK_DEEP_CACHES + 1);
	live = get(c, SC_1024);
	CHECK(fill_and_free_a_span(c, SC_1024) == span_of((uintptr_t)live));
	CHECK(b->span == span_of((uintptr_t)live) && c->spares.npages == 0);
	check_all();
	put(c, live);
	end_with_empty_heap();
}

TEST_IN_CHILD(a_consumer_takes_over_the_spans_it_frees_into)
{
	static void *p[1280];
	unsigned taken = 0;

	start();
	for (int i = 0; i < 1280; i++)
		p[i] = get(&cache[0], SC_64);
	for (int i = 0; i < 1200; i++)
		put(&cache[1], p[i]);
	for (int i = 1200; i < 1280; i++) {
		struct mspan *s = span_of((uintptr_t)p[i]);

		CHECK(s != NULL && s->kind == SPAN_SMALL);
	}
	/* Nothing of the full spans is left with the producer. */
	for (int i = 0; i < 1100; i++) {
		struct mspan *s = span_of((uintptr_t)p[i]);

		taken += s == &mspan_dead || mspan_owner_relaxed(s) != mcache_owner(&cache[0]);
	}
	CHECK(taken == 1100);
	for (int i = 1200; i < 1280; i++)
		put(&cache[1], p[i]);
	end_with_empty_heap();
}

TEST_IN_CHILD(a_producer_and_a_consumer_do_not_grow_the_heap_without_end)
{
	static void *p[2000];
	size_t after_ten = 0;

	start();
	for (int round = 0; round < 60; round++) {
		for (int i = 0; i < 2000; i++) {
			p[i] = get(&cache[0], i % 3 == 0 ? SC_1024 : SC_64);
			CHECK(p[i] != NULL);
		}
		for (int i = 0; i < 2000; i++)
			put(&cache[1], p[(i * 7) % 2000]);
		if (round == 10)
			after_ten = mheap.pages.ntotal;
	}
	CHECK(mheap.pages.ntotal <= after_ten + after_ten / 8);
	check_all();
	end_with_empty_heap();
}

TEST_IN_CHILD(a_random_history_of_three_caches_loses_nothing)
{
	enum { N = 3000 };
	static void *p[N];
	static spanclass_t of[N];
	static const unsigned classes[] = { 1, 3, 4, 6, 10, 20, 32, 44, 51, 61, 67 };
	uint64_t rnd = 3;

	start();
	for (unsigned step = 0; step < 60000; step++) {
		size_t i = rng_below(&rnd, N);
		struct mcache *c = &cache[rng_below(&rnd, 3)];

		if (p[i] != NULL) {
			CHECK(of[i] == SPANCLASS_ZERO || pattern_holds(p[i], 8, i));
			put(c, p[i]);
			p[i] = NULL;
			continue;
		}
		of[i] = make_spanclass(classes[rng_below(&rnd, 11)], rng_below(&rnd, 2) == 0);
		p[i] = get(c, of[i]);
		CHECK(p[i] != NULL && span_of((uintptr_t)p[i])->spanclass == of[i]);
		if (of[i] != SPANCLASS_ZERO)
			pattern_fill(p[i], 8, i);
		if (step % 10000 == 0) {
			mcache_flush(c);
			check_all();
		}
	}
	check_all();
	for (size_t i = 0; i < N; i++)
		if (p[i] != NULL)
			put(&cache[i % 3], p[i]);
	end_with_empty_heap();
}

/* --- a span freed while another cache still has its slots --- */

TEST_IN_CHILD(a_slot_on_the_stack_of_its_home_survives_that_others_take_the_span)
{
	static void *p[128];
	struct mspan *s;
	void *again;

	start();
	for (int i = 0; i < 128; i++)
		p[i] = get(&cache[0], SC_64);
	s = span_of((uintptr_t)p[0]);
	/* The next allocation makes it full. */
	again = get(&cache[0], SC_64);
	CHECK(mspan_owner_relaxed(s) == (mcache_owner(&cache[0]) | SPAN_FULL));
	put(&cache[0], p[5]);
	for (int i = 10; i < 80; i++)
		put(&cache[1], p[i]);
	CHECK(mspan_owner_relaxed(s) == mcache_owner(&cache[1]));
	check_all();
	CHECK(get(&cache[0], SC_64) == p[5]);
	put(&cache[0], p[5]);
	for (int i = 0; i < 128; i++)
		if (i != 5 && (i < 10 || i >= 80))
			put(&cache[1], p[i]);
	put(&cache[0], again);
	/* p[5] alone, on a stack, keeps the span. */
	CHECK(span_of((uintptr_t)p[5]) == s);
	end_with_empty_heap();
}

/* --- big objects --- */

static struct mspan *get_big(struct mcache *c, size_t npages)
{
	bool fresh;
	struct mspan *s = mcache_alloc_big(c, npages, 1, SCAN, &fresh);

	CHECK(s != NULL && s->npages == npages && slot_state(&s->state[0]) == SLOT_FREE);
	CHECK(mspan_set_big_live(s) == (void *)s->base);
	CHECK(slot_state(&s->state[0]) == SLOT_LIVE);
	CHECK(!fresh || all_zero((void *)s->base, mspan_nbytes(s)));
	memset((void *)s->base, 1, PAGE_SIZE);
	return s;
}

static void put_big(struct mcache *c, struct mspan *s)
{
	slot_set(&s->state[0], SLOT_FREE);
	mcache_free_big(c, s);
}

TEST_IN_CHILD(a_cache_that_gives_many_pages_and_takes_none_gives_up_what_it_keeps)
{
	struct bin *b = &cache[0].bins[SC_64];
	struct mspan *s, *others[2];

	start();
	options.scavenge_ms = 86400000;
	/* With so many caches no one keeps objects of that length. */
	atomic_store(&mcaches_made, 16);
	s = get_big(&cache[0], GIVEN_PAGES_ALL / 16 - 1);
	others[0] = get_big(&cache[0], GIVEN_PAGES_ALL / 16 - 1);
	others[1] = get_big(&cache[0], 2);
	s->grown = others[0]->grown = others[1]->grown = true;
	put(&cache[0], get(&cache[0], SC_64));
	CHECK(stack_depth(b) == 1);
	put_big(&cache[0], s);
	s = get_big(&cache[0], GIVEN_PAGES_ALL / 16 - 1);
	put_big(&cache[0], others[0]);
	CHECK(stack_depth(b) == 1);
	put_big(&cache[0], others[1]);
	CHECK(stack_depth(b) == 0);
	mheap_free_span(NULL, s);
	end_with_empty_heap();
}

TEST_IN_CHILD(first_spans_make_a_thread_give_back_once_in_some_milliseconds)
{
	struct mcache *c = &cache[0];
	unsigned class = 1;
	uint32_t npages;
	uint64_t now_ms;

	start();
	/* Again if the clock went on meanwhile. */
	do {
		while (c->first_npages < FIRST_PAGES_MIN)
			put(c, get(c, make_spanclass(class++, SCAN)));
		npages = c->first_npages;
		now_ms = c->first_ms = os_now_ms();
		put(c, get(c, make_spanclass(class++, SCAN)));
	} while (os_now_ms() != now_ms);
	CHECK(c->first_npages > npages);
	c->first_ms = 0;
	put(c, get(c, make_spanclass(class, SCAN)));
	CHECK(c->first_npages < npages);
	end_with_empty_heap();
}

TEST_IN_CHILD(classes_that_are_used_in_turn_have_no_more_than_an_eighth_of_the_heap)
{
	struct mcache *c = &cache[0];
	void *live;
	size_t npages;

	start();
	live = get(c, SC_64);
	for (unsigned class = 1; class < NUM_SIZE_CLASSES; class++) {
		c->first_ms = 0;
		put(c, get(c, make_spanclass(class, SCAN)));
		npages = mheap.pages.ntotal - mheap.pages.nfree - popcount64(c->pages.free);
		/* The page of the live object, the share, and the span that came last. */
		CHECK(npages <= 1 + FIRST_PAGES_MIN +
				mheap.pages.ntotal / FIRST_PAGES_PART + 16);
	}
	CHECK(mheap.pages.ntotal <= 4 * GROW_MIN_PAGES);
	put(c, live);
	end_with_empty_heap();
}

TEST_IN_CHILD(a_freed_big_object_is_handed_out_again_for_the_same_length)
{
	struct mspan *a, *b;
	bool fresh = true;

	start();
	a = get_big(&cache[0], 8);
	b = get_big(&cache[0], 9);
	put_big(&cache[0], a);
	put_big(&cache[0], b);
	CHECK(mcache_alloc_big(&cache[0], 8, 1, NOSCAN, &fresh) == a);
	CHECK(!fresh && spanclass_scan(a->spanclass) == NOSCAN);
	CHECK(get_big(&cache[0], 9) == b);
	put_big(&cache[0], a);
	put_big(&cache[0], b);
	end_with_empty_heap();
}

TEST_IN_CHILD(a_thread_alone_cuts_the_big_objects_it_keeps_before_the_heap_grows)
{
	enum { N = 200 };
	struct mspan *s[N];
	static void *p[64 * 1024];
	size_t total;

	start();
	atomic_store(&mcaches_made, 1);
	cache[0].big.most = BIG_PAGES_ALONE;
	for (size_t i = 0; i < N; i++)
		s[i] = get_big(&cache[0], 10 + i % 50);
	for (size_t i = 0; i < N; i++)
		put_big(&cache[0], s[i]);
	CHECK(bigcache_npages(&cache[0].big) == 4 * (10 + 59) * 50 / 2);
	total = mheap.pages.ntotal;
	/* Longer than any of them, then smaller. */
	s[0] = get_big(&cache[0], total / 2);
	CHECK(mheap.pages.ntotal == total);
	CHECK(bigcache_npages(&cache[0].big) == 0);
	put_big(&cache[0], s[0]);
	put_big(&cache[0], get_big(&cache[0], 100));
	for (size_t i = 0; i < 64 * 1024; i++)
		p[i] = get(&cache[0], SC_64);
	CHECK(mheap.pages.ntotal == total);
	check_all();
	for (size_t i = 0; i < 64 * 1024; i++)
		put(&cache[0], p[i]);
	end_with_empty_heap();
}

TEST_IN_CHILD(the_big_objects_that_a_cache_keeps_are_bounded)
{
	struct mspan *s[60];

	start();
	atomic_store(&mcaches_made, 1000);
	for (size_t i = 0; i < 60; i++)
		s[i] = get_big(&cache[0], 10 + i);
	for (size_t i = 0; i < 60; i++) {
		put_big(&cache[0], s[i]);
		CHECK(bigcache_npages(&cache[0].big) <= BIG_PAGES_MIN);
	}
	atomic_store(&mcaches_made, BIG_PAGES_ALL / BIG_CACHE_MAX_RUN);
	/* Longer than what it may keep goes to the heap at once. */
	s[0] = get_big(&cache[1], BIG_CACHE_MAX_RUN + 1);
	put_big(&cache[1], s[0]);
	CHECK(bigcache_npages(&cache[1].big) == 0 && span_of(s[0]->base) != s[0]);
	s[0] = get_big(&cache[1], BIG_CACHE_MAX_RUN);
	put_big(&cache[1], s[0]);
	CHECK(bigcache_npages(&cache[1].big) == BIG_CACHE_MAX_RUN);
	end_with_empty_heap();
}

TEST_IN_CHILD(a_cache_keeps_no_more_than_its_new_share_soon_after_other_caches_came)
{
	struct mspan *s[BIG_PAGES_ALL / 10];

	start();
	atomic_store(&mcaches_made, 1);
	for (size_t i = 0; i < BIG_PAGES_ALL / 10; i++)
		s[i] = get_big(&cache[0], 10);
	for (size_t i = 0; i < BIG_PAGES_ALL / 10; i++)
		put_big(&cache[0], s[i]);
	CHECK(bigcache_npages(&cache[0].big) > BIG_PAGES_ALL - 10);
	atomic_store(&mcaches_made, 1000);
	for (size_t i = 0; i < BIG_FREES_PER_LOOK; i++)
		put_big(&cache[0], get_big(&cache[0], 10));
	CHECK(bigcache_npages(&cache[0].big) <= BIG_PAGES_MIN);
	end_with_empty_heap();
}

TEST_IN_CHILD(a_full_cache_frees_only_as_many_big_objects_as_have_to_go)
{
	struct mspan *s[BIG_PAGES_MIN / 8];
	struct mspan *last;

	start();
	atomic_store(&mcaches_made, 1000);
	for (size_t i = 0; i < BIG_PAGES_MIN / 8; i++)
		s[i] = get_big(&cache[0], i % 2 == 0 ? 6 : 10);
	last = get_big(&cache[0], 7);
	for (size_t i = 0; i < BIG_PAGES_MIN / 8; i++)
		put_big(&cache[0], s[i]);
	CHECK(bigcache_npages(&cache[0].big) == BIG_PAGES_MIN);
	put_big(&cache[0], last);
	/* One of the two lengths went, or both. */
	CHECK(bigcache_npages(&cache[0].big) >= BIG_PAGES_MIN - 16 + 7 &&
	      bigcache_npages(&cache[0].big) <= BIG_PAGES_MIN);
	CHECK(get_big(&cache[0], 7) == last);
	put_big(&cache[0], last);
	end_with_empty_heap();
}

TEST_IN_CHILD(few_big_objects_stay_kept_where_the_heap_grows_for_another_length)
{
	struct mcache *c = &cache[0];

	start();
	atomic_store(&mcaches_made, 1);
	put_big(c, get_big(c, 100));
	(void)get_big(c, 2000);
	CHECK(bigcache_npages(&c->big) == 100);
}

TEST_IN_CHILD(a_thread_alone_learns_how_many_big_objects_to_keep)
{
	enum { N = 100, NPAGES = 100 };
	struct mspan *s[N];

	start();
	atomic_store(&mcaches_made, 1);
	for (int turn = 0; turn < 8; turn++) {
		for (size_t i = 0; i < N; i++)
			s[i] = get_big(&cache[0], NPAGES);
		for (size_t i = 0; i < N; i++)
			put_big(&cache[0], s[i]);
		if (turn == 0)
			CHECK(bigcache_npages(&cache[0].big) <= BIG_PAGES_ALL);
	}
	CHECK(bigcache_npages(&cache[0].big) == N * NPAGES);
	end_with_empty_heap();
}

TEST_IN_CHILD(a_big_object_of_any_length_comes_back_once_it_was_missed)
{
	static const size_t npages[] = { 129, 144, 159, 160, 256, 257, 1000, 4096, 8192, 16384 };
	struct mcache *c = &cache[0];
	struct mspan *s, *other;

	start();
	atomic_store(&mcaches_made, 1);
	for (size_t i = 0; i < sizeof(npages) / sizeof(npages[0]); i++) {
		put_big(c, get_big(c, npages[i]));
		s = get_big(c, npages[i]);
		put_big(c, s);
		CHECK(get_big(c, npages[i]) == s);
		put_big(c, s);
		/* Another length of the same list does not get it. */
		other = get_big(c, npages[i] - 1);
		CHECK(other->npages == npages[i] - 1);
		bigcache_flush(&c->big, &c->pages);
		put_big(c, other);
	}
	/* Longer than the longest never comes back. */
	for (int i = 0; i < 3; i++) {
		put_big(c, get_big(c, BIG_PAGES_ALONE + 1));
		CHECK(bigcache_npages(&c->big) <= BIG_PAGES_ALONE);
	}
	end_with_empty_heap();
}

TEST_IN_CHILD(a_huge_object_that_is_freed_once_goes_back_at_once)
{
	struct mcache *c = &cache[0];

	start();
	atomic_store(&mcaches_made, 1);
	/* A buffer that grows: no length comes back. */
	for (size_t n = HUGE_PAGES; n <= BIG_PAGES_ALONE; n *= 2) {
		struct mspan *s = get_big(c, n);

		*(char *)s->base = 1;
		put_big(c, s);
		CHECK(bigcache_npages(&c->big) == 0 && mheap.pages.nclean + 2 * PCACHE_PAGES > n);
	}
	end_with_empty_heap();
}

TEST_IN_CHILD(a_tick_keeps_big_objects_that_come_back_all_the_time)
{
	struct mcache *c = &cache[0];
	struct mspan *s;

	start();
	atomic_store(&mcaches_made, 1);
	options.scavenge_ms = 1000000;
	for (int i = 0; i < 2; i++)
		put_big(c, get_big(c, 5000));
	for (int i = 0; i < 3; i++) {
		put_big(c, get_big(c, 5000));
		put_big(c, get_big(c, 5000));
		tick_now(c);
		CHECK(bigcache_npages(&c->big) == 5000);
	}
	/* One that is to read as zero is another, because this one may be dirty. */
	s = mcache_alloc_zeroed(c, 5000 * PAGE_SIZE, 1, SCAN);
	CHECK(s->zeroed && s->npages == 5000);
	mcache_free_big(c, s);
	put_big(c, get_big(c, 5000));
	put_big(c, get_big(c, 5000));
	tick_now(c);
	/* Nobody has asked for it since the last tick. */
	tick_now(c);
	CHECK(bigcache_npages(&c->big) == 0);
	end_with_empty_heap();
}

TEST_IN_CHILD(a_thread_that_freed_all_keeps_little)
{
	enum { N = 20000, CACHES = 64 };
	static void *p[N];
	const spanclass_t sc[] = { 10, 20, 40, 60, 80, 100 };
	size_t kept;

	start();
	for (int ncaches = 1; ncaches <= CACHES; ncaches += CACHES - 1) {
		atomic_store(&mcaches_made, (uint32_t)ncaches);
		for (size_t i = 0; i < N; i++)
			p[i] = get(&cache[0], sc[i % 6]);
		for (size_t i = 0; i < N; i++)
			put(&cache[0], p[i]);
		kept = mheap.pages.ntotal - mheap.pages.nfree;
		CHECK(kept <= (ncaches == 1 ? 2 * GIVEN_PAGES_ALONE : 8 * GIVEN_PAGES_MIN));
		check_all();
	}
	end_with_empty_heap();
}

TEST_IN_CHILD(an_aligned_big_object_is_aligned_whatever_is_kept)
{
	bool fresh;
	struct mspan *s;

	start();
	get_big(&cache[0], 1);
	s = get_big(&cache[0], 8);
	put_big(&cache[0], s);
	s = mcache_alloc_big(&cache[0], 8, 64, SCAN, &fresh);
	CHECK(s->base % (64 * PAGE_SIZE) == 0);
}

TEST_IN_CHILD(an_aligned_big_object_that_was_freed_is_handed_out_again_among_others)
{
	struct mspan *s, *other[10];
	bool fresh = true;

	start();
	get_big(&cache[0], 1);
	s = mcache_alloc_big(&cache[0], 8, 64, SCAN, &fresh);
	memset((void *)s->base, 1, PAGE_SIZE);
	for (int i = 0; i < 10; i++)
		other[i] = get_big(&cache[0], 8);
	for (int i = 0; i < 10; i++) {
		put_big(&cache[0], other[i]);
		if (i == 5)
			put_big(&cache[0], s);
	}
	CHECK(bigcache_npages(&cache[0].big) == 11 * 8);
	CHECK(mcache_alloc_big(&cache[0], 8, 64, NOSCAN, &fresh) == s && !fresh);
	CHECK(spanclass_scan(s->spanclass) == NOSCAN && bigcache_npages(&cache[0].big) == 10 * 8);
	/* The others are still there, last freed first. */
	for (int i = 10; i-- > 0;)
		CHECK(get_big(&cache[0], 8) == other[i]);
	CHECK(bigcache_npages(&cache[0].big) == 0);
	CHECK(mcache_alloc_big(&cache[0], BIG_CACHE_MAX_RUN + 1, 2, SCAN, &fresh) != NULL);
}

/* --- giving back --- */

TEST_IN_CHILD(a_flushed_cache_has_nothing_and_is_as_good_as_new)
{
	static void *p[500];
	struct mcache *c = &cache[0];

	start();
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 500; i++)
			p[i] = get(c, i % 2 == 0 ? SC_64 : SC_1024);
		for (int i = 0; i < 500; i += 2)
			put(c, p[i]);
		put_big(c, get_big(c, 20));
		mcache_flush(c);
		for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
			CHECK(stack_depth(&c->bins[sc]) == 0 && c->bins[sc].alloc_cache == 0);
			CHECK(c->bins[sc].span == NULL && c->bins[sc].partial == NULL);
		}
		CHECK(bigcache_npages(&c->big) == 0 && c->pages.free == 0 && c->tiny.block == 0);
		check_all();
		for (int i = 1; i < 500; i += 2)
			put(c, p[i]);
	}
	end_with_empty_heap();
}

TEST_IN_CHILD(a_tick_gives_back_what_was_not_used)
{
	static void *p[500];
	struct mcache *c = &cache[0];

	start();
	for (int i = 0; i < 500; i++)
		p[i] = get(c, i % 2 == 0 ? SC_64 : SC_1024);
	for (int i = 0; i < 500; i++)
		put(c, p[i]);
	put_big(c, get_big(c, 20));
	CHECK(mheap.pages.nfree != mheap.pages.ntotal);
	/* The decay time is over, and the clock is due. */
	options.scavenge_ms = 0;
	c->poll_ms -= UINT64_C(1) << 40;
	mcache_poll(c);
	check_all();
	CHECK(mheap.pages.nfree + mheap.guarded_npages == mheap.pages.ntotal);
	CHECK(mheap.pages.nclean == mheap.pages.nfree);
}

TEST_IN_CHILD(a_tick_keeps_what_is_live)
{
	static void *p[300];
	struct mcache *c = &cache[0];

	start();
	for (unsigned i = 0; i < 300; i++) {
		p[i] = get(c, SC_1024);
		pattern_fill(p[i], 1024, i);
	}
	for (unsigned i = 0; i < 300; i += 3)
		put(c, p[i]);
	options.scavenge_ms = 0;
	c->poll_ms -= UINT64_C(1) << 40;
	mcache_poll(c);
	check_all();
	options.scavenge_ms = 1000000;
	for (unsigned i = 0; i < 300; i++)
		if (i % 3 != 0) {
			CHECK(pattern_holds(p[i], 1024, i));
			put(c, p[i]);
		}
	end_with_empty_heap();
}

/* --- no memory --- */

TEST_IN_CHILD(without_memory_null_and_what_was_kept_elsewhere_is_used_first)
{
	struct mcache *c = &cache[0];
	static void *p[20000];
	size_t n = 0;

	start();
	put_big(c, get_big(c, 100));
	os_fail_from(OS_RESERVE | OS_COMMIT, 1);
	while (n < 20000 && (p[n] = get_or_null(c, SC_1024)) != NULL)
		n++;
	/* 100 pages of the big object are among them. */
	CHECK(n >= 96 * 8 && n < 20000);
	check_all();
	CHECK(get_or_null(c, SC_1024) == NULL);
	put(c, p[0]);
	CHECK(get(c, SC_1024) == p[0]);
	os_fail_stop();
	CHECK((p[n] = get(c, SC_1024)) != NULL);
	for (size_t i = 0; i <= n; i++)
		put(c, p[i]);
	end_with_empty_heap();
}

/* --- fork --- */

TEST_IN_CHILD(the_cache_of_a_thread_that_is_gone_is_taken_apart_and_its_objects_live_on)
{
	static void *p[2000];
	struct mcache *dead = &cache[1];

	start();
	for (unsigned i = 0; i < 2000; i++) {
		p[i] = get(i % 5 == 0 ? &cache[0] : dead, i % 2 == 0 ? SC_64 : SC_1024);
		pattern_fill(p[i], 64, i);
	}
	/* On stacks, in spans and words of both; a big one kept. */
	for (unsigned i = 0; i < 2000; i += 3)
		put(i % 4 == 0 ? &cache[0] : dead, p[i]);
	put_big(dead, get_big(dead, 30));
	mcache_flush_stacks(&cache[0]);
	adopt_stacks(&cache[0], dead);
	adopt_spans(&cache[0], dead);
	check_all();
	for (unsigned i = 0; i < 2000; i++)
		if (i % 3 != 0) {
			CHECK(pattern_holds(p[i], 64, i));
			put(&cache[0], p[i]);
		}
	/* The dead one's record is used again. */
	for (unsigned i = 0; i < 100; i++)
		put(dead, get(dead, SC_64));
	end_with_empty_heap();
}

TEST_IN_CHILD(a_stack_entry_that_was_half_changed_is_passed_over)
{
	struct mcache *dead = &cache[1];
	struct bin *t = &dead->bins[SC_64];
	struct free_entry *stack;
	void *p, *q;

	start();
	p = get(dead, SC_64);
	q = get(dead, SC_64);
	put(dead, p);
	put(dead, q);
	/* The pop made the object live, but the top was not stored yet; below it rubbish. */
	stack = stack_entry(dead, t->stack_bottom);
	slot_set(stack[1].state, SLOT_LIVE);
	stack[2].addr = 12345;
	stack[2].state = NULL;
	t->stack_top += (uint32_t)sizeof(struct free_entry);
	adopt_stacks(&cache[0], dead);
	adopt_spans(&cache[0], dead);
	check_all();
	CHECK(slot_state(&span_of((uintptr_t)q)
				  ->state[((uintptr_t)q - span_of((uintptr_t)q)->base) / 64]) ==
	      SLOT_LIVE);
	put(&cache[0], q);
	end_with_empty_heap();
}

/* --- options --- */

TEST_IN_CHILD(with_clobberfree_a_freed_object_is_filled)
{
	unsigned char *p;

	options.clobberfree = true;
	start();
	p = get(&cache[0], SC_64);
	memset(p, 1, 64);
	put(&cache[0], p);
	for (unsigned i = 0; i < 64; i++)
		CHECK(p[i] == 0xdf);
	CHECK(stack_depth(&cache[0].bins[SC_64]) == 0);
	end_with_empty_heap();
}

/* --- the checker --- */

static void check_finds_live_object_on_stack(void)
{
	start();
	put(&cache[0], get(&cache[0], SC_64));
	slot_set(stack_entry(&cache[0], cache[0].bins[SC_64].stack_bottom)->state, SLOT_LIVE);
	mcache_check(&cache[0]);
}

static void check_finds_slot_in_word_and_bits(void)
{
	start();
	get(&cache[0], SC_64);
	mspan_put_word(cache[0].bins[SC_64].span, 0, UINT64_C(1) << 63);
	mcache_check(&cache[0]);
}

static void check_finds_foreign_span(void)
{
	start();
	get(&cache[0], SC_64);
	mspan_set_owner(cache[0].bins[SC_64].span, mcache_owner(&cache[1]));
	mcache_check(&cache[0]);
}

static void mcache_check_stops_at_each_kind_of_lie(void **state)
{
	static void (*const lies[])(void) = {
		check_finds_live_object_on_stack,
		check_finds_slot_in_word_and_bits,
		check_finds_foreign_span,
	};

	(void)state;
	each_body_aborts(lies, sizeof(lies) / sizeof(lies[0]), "broken:");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_cache_fails_fast),
		cmocka_unit_test(first_places_of_stacks_lie_one_behind_the_other),
		cmocka_unit_test(deep_stacks_lie_one_behind_the_other_in_the_area),
		cmocka_unit_test(a_thread_alone_learns_how_deep_a_stack_it_needs),
		cmocka_unit_test(all_stacks_together_learn_within_a_bound),
		cmocka_unit_test(a_thread_with_company_learns_nothing),
		cmocka_unit_test(a_thread_forgets_what_it_learnt_when_company_comes),
		cmocka_unit_test(what_was_learnt_serves_other_classes_before_the_heap_grows),
		cmocka_unit_test(a_full_stack_is_spilled_where_frees_go_from_span_to_span),
		cmocka_unit_test(a_full_stack_is_spilled_from_when_the_heap_has_become_large),
		cmocka_unit_test(a_stack_that_was_flushed_has_no_place),
		cmocka_unit_test(
			a_stack_without_memory_to_grow_stays_as_it_is_and_grows_after_a_flush),
		cmocka_unit_test(a_released_rest_is_as_good_as_new),
		cmocka_unit_test(a_deep_stack_of_the_dead_is_adopted_wherever_its_move_stopped),
		cmocka_unit_test(a_stack_of_the_dead_is_adopted_wherever_its_beginning_stopped),
		cmocka_unit_test(a_cache_of_the_dead_that_was_not_made_yet_is_empty),
		cmocka_unit_test(the_object_freed_last_is_handed_out_first),
		cmocka_unit_test(objects_of_every_class_are_distinct_aligned_and_keep_their_bytes),
		cmocka_unit_test(a_free_stack_is_bounded_and_the_rest_goes_to_the_span),
		cmocka_unit_test(each_span_of_a_bin_is_longer_up_to_the_longest),
		cmocka_unit_test(spans_of_a_class_are_short_again_while_many_classes_take_spans),
		cmocka_unit_test(spans_use_up_the_page_word_and_cross_into_no_other),
		cmocka_unit_test(
			after_a_tick_spans_begin_short_again_and_after_a_flush_one_length_shorter),
		cmocka_unit_test(a_thread_that_takes_a_span_gives_back_idle_ones_now_and_then),
		cmocka_unit_test(with_hardened_spans_are_the_longest_at_once),
		cmocka_unit_test(what_was_freed_is_used_before_the_heap_grows),
		cmocka_unit_test(a_thread_alone_keeps_all_partial_spans_until_others_come),
		cmocka_unit_test(partial_spans_that_do_not_change_from_tick_to_tick_become_central),
		cmocka_unit_test(a_long_list_is_looked_at_in_parts_and_may_change_meanwhile),
		cmocka_unit_test(partial_spans_are_bounded_and_the_surplus_is_mcentrals),
		cmocka_unit_test(
			among_many_caches_a_current_span_whose_slots_all_came_free_is_a_spare),
		cmocka_unit_test(among_many_caches_a_current_span_with_a_live_object_stays),
		cmocka_unit_test(among_many_caches_a_stack_begins_when_its_bin_was_refilled_twice),
		cmocka_unit_test(among_many_caches_a_stack_keeps_no_span_in_which_all_is_free),
		cmocka_unit_test(
			a_stack_that_rests_has_room_for_what_it_may_have_among_fewer_caches),
		cmocka_unit_test(
			among_many_caches_a_thread_that_frees_for_others_does_not_look_what_it_has),
		cmocka_unit_test(among_many_caches_a_thread_that_has_freed_all_keeps_nothing),
		cmocka_unit_test(among_many_caches_a_large_object_that_is_freed_keeps_no_span),
		cmocka_unit_test(a_consumer_takes_over_the_spans_it_frees_into),
		cmocka_unit_test(a_producer_and_a_consumer_do_not_grow_the_heap_without_end),
		cmocka_unit_test(a_random_history_of_three_caches_loses_nothing),
		cmocka_unit_test(
			a_slot_on_the_stack_of_its_home_survives_that_others_take_the_span),
		cmocka_unit_test(
			a_cache_that_gives_many_pages_and_takes_none_gives_up_what_it_keeps),
		cmocka_unit_test(
			first_spans_make_a_thread_give_back_once_in_some_milliseconds),
		cmocka_unit_test(
			classes_that_are_used_in_turn_have_no_more_than_an_eighth_of_the_heap),
		cmocka_unit_test(a_freed_big_object_is_handed_out_again_for_the_same_length),
		cmocka_unit_test(
			a_thread_alone_cuts_the_big_objects_it_keeps_before_the_heap_grows),
		cmocka_unit_test(the_big_objects_that_a_cache_keeps_are_bounded),
		cmocka_unit_test(
			a_cache_keeps_no_more_than_its_new_share_soon_after_other_caches_came),
		cmocka_unit_test(a_full_cache_frees_only_as_many_big_objects_as_have_to_go),
		cmocka_unit_test(
			few_big_objects_stay_kept_where_the_heap_grows_for_another_length),
		cmocka_unit_test(a_thread_alone_learns_how_many_big_objects_to_keep),
		cmocka_unit_test(a_big_object_of_any_length_comes_back_once_it_was_missed),
		cmocka_unit_test(a_huge_object_that_is_freed_once_goes_back_at_once),
		cmocka_unit_test(a_tick_keeps_big_objects_that_come_back_all_the_time),
		cmocka_unit_test(a_thread_that_freed_all_keeps_little),
		cmocka_unit_test(an_aligned_big_object_is_aligned_whatever_is_kept),
		cmocka_unit_test(
			an_aligned_big_object_that_was_freed_is_handed_out_again_among_others),
		cmocka_unit_test(a_flushed_cache_has_nothing_and_is_as_good_as_new),
		cmocka_unit_test(a_tick_gives_back_what_was_not_used),
		cmocka_unit_test(a_tick_keeps_what_is_live),
		cmocka_unit_test(without_memory_null_and_what_was_kept_elsewhere_is_used_first),
		cmocka_unit_test(
			the_cache_of_a_thread_that_is_gone_is_taken_apart_and_its_objects_live_on),
		cmocka_unit_test(a_stack_entry_that_was_half_changed_is_passed_over),
		cmocka_unit_test(with_clobberfree_a_freed_object_is_filled),
		cmocka_unit_test(mcache_check_stops_at_each_kind_of_lie),
	};

	return cmocka_run_group_tests_name("mcache", tests, NULL, NULL);
}
