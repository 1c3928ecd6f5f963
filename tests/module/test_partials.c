/* SPDX-License-Identifier: MIT */
/*
 * test_partials.c - when a partial span leaves its cache: what growth of the heap does to it.
 */
#include "caches.h"
#include "module.h"
#include "spans.h"

#include "os/os.h"

/* Four slots have a page of the heap. */
#define SC_2048 make_spanclass(sizeclass_for(2048, 8), SCAN)
#define SC_64 make_spanclass(sizeclass_for(64, 8), SCAN)

#define DECAY_MS 50000

enum { SPANS = 200 };

static void put(struct mcache *c, void *p)
{
	struct mspan *s = span_of((uintptr_t)p);
	uint32_t slot;

	CHECK(s != NULL && mspan_slot_of(s, (uintptr_t)p, &slot));
	if (!mcache_free_fast(c, s, s->spanclass, (uintptr_t)p, &s->state[slot]))
		mcache_free_slot((uintptr_t)p, s, slot, "free", c);
}

/* Begins a heap whose ticks are far away and whose reviews for growth are not. */
static void start_growing(void)
{
	start();
	options.scavenge_ms = DECAY_MS;
	options.thp = false;
	for (int i = 0; i < NCACHES; i++)
		cache[i].poll_ms = cache[i].tick_ms = cache[i].idle_ms = mheap.scavenger.now_ms;
}

/* Makes partial spans of SC_2048. Objects of which i % 4 is below nlive are live in p[i], the
 * others become NULL. */
static void make_partial(struct mcache *c, void **p, unsigned nspans, unsigned nlive)
{
	unsigned n = nspans * longest_nelems(SC_2048);

	for (unsigned i = 0; i < n; i++)
		p[i] = get(c, SC_2048);
	for (unsigned i = 0; i < n; i++)
		if (i % 4 >= nlive) {
			put(c, p[i]);
			p[i] = NULL;
		}
	mcache_flush_stacks(c);
	CHECK(c->bins[SC_2048].npartial > nspans - 10);
	CHECK(mcentrals[SC_2048].npartial == 0 && mspan_count_released() == 0);
}

static void free_all(struct mcache *c, void **p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (p[i] != NULL)
			put(c, p[i]);
}

static struct mspan *grown[4096];
static unsigned ngrown;

static void take_big(struct mcache *c)
{
	bool fresh;
	struct mspan *s = mcache_new_big(c, 8, 1, SCAN, &fresh);

	CHECK(s != NULL && ngrown < 4096);
	(void)mspan_set_big_live(s);
	grown[ngrown++] = s;
}

/* Makes the heap grow until a review for growth has begun and is over. */
static void grow(struct mcache *c)
{
	size_t before = c->review_nbytes;

	while (c->review_nbytes == before || c->review_grown)
		take_big(c);
}

static void end(struct mcache *c, void **p, unsigned n)
{
	check_all();
	free_all(c, p, n);
	while (ngrown > 0) {
		slot_set(&grown[--ngrown]->state[0], SLOT_FREE);
		mcache_free_big(c, grown[ngrown]);
	}
	end_with_empty_heap();
	CHECK(mspan_count_released() == 0);
}

TEST_IN_CHILD(growth_drains_partial_spans_that_are_half_free)
{
	static void *p[SPANS * 64];
	struct bin *b = &cache[0].bins[SC_2048];
	unsigned before;

	start_growing();
	make_partial(&cache[0], p, SPANS, 1);
	before = b->npartial;
	grow(&cache[0]);
	CHECK(b->npartial == 0 && mcentrals[SC_2048].npartial == before);
	/* Of four slots, which are two kernel pages, the first has an object. The first spans are
	 * shorter than the others. */
	if (os_page_size() == KiB(4))
		CHECK(mspan_count_released() >= (before - 10) * longest_nelems(SC_2048) / 4);
	end(&cache[0], p, SPANS * longest_nelems(SC_2048));
}

TEST_IN_CHILD(growth_drains_fuller_spans_only_if_they_were_not_used_while_it_grew)
{
	static void *p[SPANS * 64];
	struct bin *b = &cache[0].bins[SC_2048];
	unsigned before, i = 0;
	struct mspan *s;

	start_growing();
	make_partial(&cache[0], p, SPANS, 3);
	before = b->npartial;
	grow(&cache[0]);
	CHECK(b->npartial == before && mcentrals[SC_2048].npartial == 0);
	/* One of them is used, and is not half free then. */
	for (s = b->partial; s->nelems != longest_nelems(SC_2048);)
		s = s->next;
	while (span_of((uintptr_t)p[i]) != s)
		i++;
	put(&cache[0], p[i]);
	p[i] = NULL;
	mcache_flush_stacks(&cache[0]);
	grow(&cache[0]);
	CHECK(b->npartial == 1 && b->partial == s);
	CHECK(mcentrals[SC_2048].npartial == before - 1);
	end(&cache[0], p, SPANS * longest_nelems(SC_2048));
}

TEST_IN_CHILD(no_review_comes_while_the_heap_does_not_grow)
{
	static void *p[SPANS * 64];
	struct mcache *c = &cache[0];
	unsigned before;

	start_growing();
	make_partial(c, p, SPANS, 1);
	c->review_nbytes = growth_bytes(&mheap.growth) + 1;
	before = c->bins[SC_2048].npartial;
	for (int i = 0; i < 100; i++)
		mcache_review_growth(c, 1000);
	CHECK(!c->review_grown && c->bins[SC_2048].npartial == before);
	end(c, p, SPANS * longest_nelems(SC_2048));
}

TEST_IN_CHILD(a_cache_begins_no_review_when_it_looks_at_growth_first)
{
	static void *p[SPANS * 64];
	struct mcache *c = &cache[0];

	start_growing();
	make_partial(c, p, SPANS, 1);
	c->review_nbytes = 0;
	c->review_grown = false;
	mcache_review_growth(c, 1);
	CHECK(!c->review_grown && c->review_nbytes > growth_bytes(&mheap.growth));
	end(c, p, SPANS * longest_nelems(SC_2048));
}

TEST_IN_CHILD(each_span_that_is_taken_pays_for_a_part_of_a_review)
{
	static void *p[SPANS * 64];
	struct mcache *c = &cache[0];
	unsigned before, rounds = 0;

	start_growing();
	make_partial(c, p, SPANS, 1);
	c->review_nbytes = growth_bytes(&mheap.growth);
	c->review_grown = false;
	before = c->bins[SC_2048].npartial;
	do {
		unsigned n = c->bins[SC_2048].npartial;

		mcache_review_growth(c, 1);
		CHECK(n - c->bins[SC_2048].npartial <= 32);
		CHECK(++rounds < 100);
	} while (c->review_grown);
	CHECK(rounds > before / 32);
	CHECK(c->bins[SC_2048].npartial == 0);
	/* It is not repeated. */
	CHECK(c->review_nbytes > growth_bytes(&mheap.growth));
	end(c, p, SPANS * longest_nelems(SC_2048));
}

TEST_IN_CHILD(a_drained_span_serves_its_class_again)
{
	static void *p[SPANS * 64];
	struct mcache *c = &cache[0];
	unsigned n = SPANS * longest_nelems(SC_2048);
	size_t before;

	start_growing();
	make_partial(c, p, SPANS, 1);
	grow(&cache[0]);
	before = growth_bytes(&mheap.growth);
	for (unsigned i = 0; i < n; i++)
		if (p[i] == NULL)
			p[i] = get(c, SC_2048);
	CHECK(growth_bytes(&mheap.growth) == before && mspan_count_released() == 0);
	end(c, p, n);
}

TEST_IN_CHILD(with_a_long_decay_time_growth_drains_nothing)
{
	static void *p[SPANS * 64];
	struct mcache *c = &cache[0];

	start_growing();
	options.scavenge_ms = 60001;
	make_partial(c, p, SPANS, 1);
	while (growth_bytes(&mheap.growth) < MiB(20))
		take_big(c);
	CHECK(mcentrals[SC_2048].npartial == 0 && mspan_count_released() == 0);
	end(c, p, SPANS * longest_nelems(SC_2048));
}

/* A free run that is shorter than the next span of a class is used before the heap grows. */
TEST_IN_CHILD(a_span_is_shorter_where_only_short_runs_are_free)
{
	enum { RUNS = 64 };
	static struct mspan *run[2 * RUNS];
	spanclass_t sc = make_spanclass(sizeclass_for(4096, 8), SCAN);
	struct mcache *c = &cache[0];
	size_t before;
	bool fresh;
	void *p[RUNS];

	start_growing();
	c->bins[sc].span_length = SPAN_LENGTHS - 1;
	for (int i = 0; i < 2 * RUNS; i++) {
		run[i] = mheap_alloc_big(NULL, i % 2 == 0 ? 2 : 32, 1, SCAN, EFFORT_GROW);
		CHECK(run[i] != NULL);
		(void)mspan_set_big_live(run[i]);
	}
	/* Uses up what the heap has beyond them. */
	while (mheap_alloc_big(NULL, 1, 1, SCAN, EFFORT_REUSE) != NULL)
		continue;
	for (int i = 0; i < 2 * RUNS; i += 2)
		mheap_free_span(NULL, run[i]);
	before = growth_bytes(&mheap.growth);
	for (int i = 0; i < RUNS; i++) {
		p[i] = mcache_alloc_slow(c, sc, &fresh);
		CHECK(p[i] != NULL && c->bins[sc].span->npages == 2);
		while (c->bins[sc].alloc_cache != 0)
			CHECK(mcache_alloc_fast(c, sc, &fresh) != NULL);
	}
	CHECK(growth_bytes(&mheap.growth) == before);
	CHECK(c->bins[sc].span_length == SPAN_LENGTHS - 1);
	/* No run is left. */
	CHECK(mcache_alloc_slow(c, sc, &fresh) != NULL);
	CHECK(c->bins[sc].span->npages == spanclass_max_npages(sc));
	CHECK(growth_bytes(&mheap.growth) > before);
	check_all();
}

TEST_IN_CHILD(a_bin_without_a_span_looks_at_the_clock)
{
	struct mcache *c = &cache[0];

	start_growing();
	c->poll_ms = 0;
	put(c, get(c, SC_64));
	CHECK(c->poll_ms != 0);
	end_with_empty_heap();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(growth_drains_partial_spans_that_are_half_free),
		cmocka_unit_test(
			growth_drains_fuller_spans_only_if_they_were_not_used_while_it_grew),
		cmocka_unit_test(no_review_comes_while_the_heap_does_not_grow),
		cmocka_unit_test(a_cache_begins_no_review_when_it_looks_at_growth_first),
		cmocka_unit_test(each_span_that_is_taken_pays_for_a_part_of_a_review),
		cmocka_unit_test(a_drained_span_serves_its_class_again),
		cmocka_unit_test(with_a_long_decay_time_growth_drains_nothing),
		cmocka_unit_test(a_span_is_shorter_where_only_short_runs_are_free),
		cmocka_unit_test(a_bin_without_a_span_looks_at_the_clock),
	};

	return cmocka_run_group_tests_name("partials", tests, NULL, NULL);
}
