/* SPDX-License-Identifier: MIT */
/*
 * test_mheap.c - pages become spans and spans become pages; every address finds its span or
 * nothing.
 *
 * mheap is a global of the process, so each test has a child of its own with an untouched heap.
 */
#include "module.h"
#include "spans.h"

#include "heap/mheap.h"
#include "os/forked.h"
#include "os_fail.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define SC_64 make_spanclass(6, SCAN)
#define SC_8192 make_spanclass(51, NOSCAN)

/* Far from where arena.c looks for room. */
#define PLACE ((uintptr_t)0x400000000000)

/* Some sanitizers, and kernels with a small address space, do not let a mapping have the address it
 * asks for: then the heap is one place a site, and the tests of what lies beside what are
 * skipped. */
static void skip_unless_addresses_can_be_had(void)
{
	void *p = os_fail_real_reserve((void *)PLACE, PAGE_SIZE);

	if (p != NULL)
		os_fail_real_unreserve(p, PAGE_SIZE);
	if (p != (void *)PLACE)
		skip();
}

#define TEST_OF_NEIGHBOURS(name) \
	static void name##_body(void); \
	static void name(void **state) \
	{ \
		(void)state; \
		skip_unless_addresses_can_be_had(); \
		run_in_child(name##_body); \
	} \
	static void name##_body(void)

/* Returns the class of the longest spans. */
static spanclass_t long_class(void)
{
	unsigned longest = 1;

	for (unsigned c = 2; c < NUM_SIZE_CLASSES; c++)
		if (sizeclasses[c].npages[SPAN_LENGTHS - 1] >
		    sizeclasses[longest].npages[SPAN_LENGTHS - 1])
			longest = c;
	CHECK(sizeclasses[longest].npages[SPAN_LENGTHS - 1] > 5);
	return make_spanclass(longest, SCAN);
}

static size_t total_pages(void)
{
	return mheap.pages.ntotal;
}

static size_t free_pages_now(void)
{
	return mheap.pages.nfree;
}

static struct mspan *big(size_t npages)
{
	struct mspan *s = mheap_alloc_big(NULL, npages, 1, SCAN, EFFORT_GROW);

	CHECK(s != NULL && s->npages == npages && s->kind == SPAN_BIG);
	return s;
}

/* --- addresses --- */

TEST_IN_CHILD(no_address_is_ours_before_the_heap_grows)
{
	static const uintptr_t addrs[] = {
		0, 1, ARENA_SIZE - 1, ARENA_SIZE, ((uintptr_t)1 << ADDR_BITS) - 1,
		(uintptr_t)1 << ADDR_BITS, (uintptr_t)1 << 62, (uintptr_t)1 << 63,
		0xffff800000000000, UINTPTR_MAX - ARENA_SIZE, UINTPTR_MAX,
	};
	int local;

	mheap_init();
	for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++)
		CHECK(arena_of(addrs[i]) == NULL && span_of(addrs[i]) == NULL);
	CHECK(span_of((uintptr_t)&local) == NULL);
	CHECK(span_of((uintptr_t)&mheap) == NULL);
	CHECK(span_of((uintptr_t)span_of) == NULL);
}

TEST_IN_CHILD(addresses_around_an_arena_are_not_ours)
{
	struct mspan *s;
	uintptr_t base;

	mheap_init();
	s = big(1);
	base = align_down(s->base, ARENA_SIZE);
	CHECK(arena_of(base) != NULL && arena_of(base)->base == base);
	CHECK(arena_of(base + ARENA_SIZE - 1) == arena_of(base));
	CHECK(arena_of(base - 1) == NULL && arena_of(base + ARENA_SIZE) == NULL);
	/* The same address in the other halves of the address space: tags, kernel. */
	CHECK(span_of(s->base | (uintptr_t)1 << 56) == NULL);
	CHECK(span_of(s->base | (uintptr_t)1 << 63) == NULL);
	CHECK(span_of(s->base + ((uintptr_t)1 << ADDR_BITS)) == NULL);
	/* The part of the arena that is not committed yet. */
	CHECK(span_of(base + ARENA_SIZE - 1) == NULL);
}

TEST_IN_CHILD(span_records_are_out_of_reach_of_the_heap)
{
	struct mspan *s;

	mheap_init();
	s = big(1);
	CHECK(arena_of((uintptr_t)s) == NULL);
	CHECK(arena_of((uintptr_t)arena_of(s->base)) == NULL);
}

TEST_IN_CHILD(a_small_span_is_found_by_every_address_in_it)
{
	struct mspan *s;

	mheap_init();
	for (unsigned i = 2 * SPAN_LENGTHS; i < NUM_SPAN_CLASSES * SPAN_LENGTHS; i++) {
		spanclass_t sc = (spanclass_t)(i / SPAN_LENGTHS);
		size_t npages = spanclass_info(sc)->npages[i % SPAN_LENGTHS];
		uintptr_t end;

		s = mheap_alloc_small(NULL, sc, npages, EFFORT_GROW);
		CHECK(s != NULL && s->spanclass == sc && s->npages == npages);
		CHECK(s->nelems == npages * PAGE_SIZE / s->elemsize);
		CHECK(s->base % PAGE_SIZE == 0);
		CHECK(mspan_owner_relaxed(s) == 0 && mspan_is_empty(s));
		CHECK(s->shape == mspan_shape(sc, s->nelems));
		end = s->base + mspan_nbytes(s);
		for (uintptr_t a = s->base; a < end; a += 512)
			CHECK(span_of(a) == s && span_of(a + 511) == s);
		CHECK(span_of(s->base - 1) != s && span_of(end) != s);
		mspan_check(s);
	}
	mheap_check();
}

TEST_IN_CHILD(a_big_span_is_found_by_its_first_page_only)
{
	struct mspan *s;

	mheap_init();
	s = big(10);
	CHECK(span_of(s->base) == s && span_of(s->base + PAGE_SIZE - 1) == s);
	for (size_t i = 1; i < 10; i++)
		CHECK(span_of(s->base + i * PAGE_SIZE) == NULL);
	CHECK(slot_state(&s->state[0]) == SLOT_FREE);
	mheap_check();
}

TEST_IN_CHILD(pages_of_a_small_span_stay_away_from_big_ones_that_reuse_them)
{
	struct mspan *s, *b;
	uintptr_t base;

	mheap_init();
	s = alloc_longest(NULL, long_class());
	base = s->base;
	mheap_free_span(NULL, s);
	b = big(5);
	CHECK(b->base == base);
	/* Not the dead span of the last use: interior pointers are nobody's. */
	for (size_t i = 1; i < 5; i++)
		CHECK(span_of(base + i * PAGE_SIZE) == NULL);
	CHECK(span_of(base + 5 * PAGE_SIZE) == &mspan_dead);
	mheap_check();
}

TEST_IN_CHILD(freed_pages_say_that_they_were_freed)
{
	struct mspan *s, *b;
	uintptr_t base, big_base;
	size_t npages;

	mheap_init();
	s = alloc_longest(NULL, long_class());
	npages = s->npages;
	b = big(7);
	base = s->base;
	big_base = b->base;
	mheap_free_span(NULL, s);
	mheap_free_span(NULL, b);
	CHECK(span_of(base) == &mspan_dead);
	CHECK(span_of(base + (npages - 1) * PAGE_SIZE) == &mspan_dead);
	CHECK(span_of(big_base) == &mspan_dead);
	CHECK(mspan_dead.kind == SPAN_DEAD && mspan_dead.divmul == 0);
	CHECK(s->kind == SPAN_DEAD && mspan_owner_relaxed(s) == 0);
	mheap_check();
}

/* --- memory --- */

TEST_IN_CHILD(new_pages_read_as_zero_and_say_so_and_used_ones_do_not)
{
	struct mspan *s;

	mheap_init();
	s = big(20);
	CHECK(s->zeroed && all_zero((void *)s->base, mspan_nbytes(s)));
	memset((void *)s->base, 1, mspan_nbytes(s));
	mheap_free_span(NULL, s);
	s = big(20);
	CHECK(!s->zeroed);
	mheap_free_span(NULL, s);
	/* Half used, half new. */
	s = big(40);
	CHECK(!s->zeroed);
	s = alloc_longest(NULL, SC_64);
	CHECK(s->zeroed && all_zero((void *)s->base, mspan_nbytes(s)));
}

TEST_IN_CHILD(the_lowest_address_is_used_again_first)
{
	struct mspan *s[40];

	mheap_init();
	for (int i = 0; i < 40; i++)
		s[i] = big(3);
	for (int i = 0; i + 1 < 40; i++)
		CHECK(s[i + 1]->base == s[i]->base + 3 * PAGE_SIZE);
	mheap_free_span(NULL, s[30]);
	mheap_free_span(NULL, s[7]);
	mheap_free_span(NULL, s[20]);
	CHECK(big(3)->base == s[6]->base + 3 * PAGE_SIZE);
	CHECK(big(2)->base == s[19]->base + 3 * PAGE_SIZE);
	CHECK(big(3)->base == s[29]->base + 3 * PAGE_SIZE);
	mheap_check();
}

TEST_IN_CHILD(neighbours_that_were_freed_become_one_run)
{
	struct mspan *s[10];
	uintptr_t base;

	mheap_init();
	for (int i = 0; i < 10; i++)
		s[i] = big(5);
	base = s[3]->base;
	mheap_free_span(NULL, s[4]);
	mheap_free_span(NULL, s[3]);
	mheap_free_span(NULL, s[5]);
	CHECK(big(15)->base == base);
	mheap_check();
}

TEST_IN_CHILD(live_spans_keep_their_bytes)
{
	enum { N = 300 };
	static struct mspan *s[N];
	static size_t npages[N];
	uint64_t rnd = 5;

	mheap_init();
	for (int step = 0; step < 4000; step++) {
		size_t i = rng_below(&rnd, N);

		if (s[i] != NULL) {
			CHECK(span_of(s[i]->base) == s[i]);
			CHECK(pattern_holds((void *)s[i]->base, 64, i));
			CHECK(pattern_holds((char *)s[i]->base + mspan_nbytes(s[i]) - 64, 64, i));
			mheap_free_span(NULL, s[i]);
			s[i] = NULL;
			continue;
		}
		npages[i] = 1 + rng_below(&rnd, 60);
		s[i] = rng_below(&rnd, 3) == 0 ? alloc_longest(NULL, SC_8192) : big(npages[i]);
		CHECK(s[i] != NULL);
		pattern_fill((void *)s[i]->base, 64, i);
		pattern_fill((char *)s[i]->base + mspan_nbytes(s[i]) - 64, 64, i);
		if (step % 200 == 0)
			mheap_check();
	}
	mheap_check();
}

TEST_IN_CHILD(records_of_freed_spans_are_reused_for_their_shape)
{
	struct mspan *a, *b, *c;

	mheap_init();
	a = big(1);
	mheap_free_span(NULL, a);
	b = alloc_longest(NULL, SC_64);
	CHECK(b != a);
	c = big(1);
	CHECK(c == a && c->kind == SPAN_BIG);
}

/* --- over arenas --- */

TEST_OF_NEIGHBOURS(a_big_span_may_reach_over_arenas)
{
	size_t npages = 2 * ARENA_PAGES + 100;
	struct mspan *first, *s, *behind;
	char *p;

	mheap_init();
	first = big(10);
	s = big(npages);
	p = (char *)s->base;
	CHECK(arena_of(s->base) != arena_of(s->base + mspan_nbytes(s) - 1));
	CHECK(s->base == first->base + 10 * PAGE_SIZE);
	CHECK(span_of(s->base) == s);
	/* Every arena's first page inside it is nobody's to find. */
	for (uintptr_t a = align_up(s->base + 1, ARENA_SIZE); a < s->base + mspan_nbytes(s);
	     a += ARENA_SIZE)
		CHECK(span_of(a) == NULL && span_of(a - 1) == NULL && arena_of(a)->base == a);
	p[0] = 1;
	p[ARENA_SIZE] = 2;
	p[npages * PAGE_SIZE - 1] = 3;
	behind = big(1);
	CHECK(behind->base == s->base + mspan_nbytes(s));
	mheap_check();
	mheap_free_span(NULL, s);
	mheap_check();
	/* Its pages are one run again. */
	CHECK(big(npages)->base == (uintptr_t)p);
	mheap_check();
}

TEST_IN_CHILD(a_small_span_may_reach_over_arenas)
{
	struct mspan *fill, *s;
	uintptr_t edge;
	size_t npages = spanclass_max_npages(long_class());

	mheap_init();
	fill = big(1);
	edge = align_down(fill->base, ARENA_SIZE) + ARENA_SIZE;
	big((edge - fill->base) / PAGE_SIZE - 1 - 5);
	s = alloc_longest(NULL, long_class());
	/* Where a sanitizer has the address space behind, the heap went on elsewhere. */
	if (GOALLOC_SANITIZED && arena_of(edge) == NULL)
		return;
	CHECK(s->base == edge - 5 * PAGE_SIZE);
	for (size_t i = 0; i < npages; i++)
		CHECK(span_of(s->base + i * PAGE_SIZE) == s);
	mheap_check();
	mheap_free_span(NULL, s);
	for (size_t i = 0; i < npages; i++)
		CHECK(span_of(edge - 5 * PAGE_SIZE + i * PAGE_SIZE) == &mspan_dead);
	mheap_check();
}

TEST_IN_CHILD(the_page_map_alone_tells_the_slot_of_every_address)
{
	mheap_init();
	for (unsigned i = 2 * SPAN_LENGTHS; i < NUM_SPAN_CLASSES * SPAN_LENGTHS; i++) {
		spanclass_t sc = (spanclass_t)(i / SPAN_LENGTHS);
		size_t npages = spanclass_info(sc)->npages[i % SPAN_LENGTHS];
		struct mspan *s = mheap_alloc_small(NULL, sc, npages, EFFORT_GROW);

		CHECK(s != NULL);
		for (uintptr_t addr = s->base; addr < s->base + mspan_nbytes(s); addr++) {
			uint64_t entry = entry_of(addr);
			uint32_t by_entry, by_span;

			CHECK(entry_span(entry) == s && entry_spanclass(entry) == sc);
			CHECK(entry_slot_of(entry, addr, &by_entry) ==
			      mspan_slot_of(s, addr, &by_span));
			CHECK(sc == SPANCLASS_TINY || by_entry == by_span);
		}
	}
}

static void touch_nothing(void)
{
	mheap_init();
	*(volatile char *)alloc_longest(NULL, SPANCLASS_ZERO)->base = 1;
}

static void a_span_of_nothing_cannot_be_touched(void **state)
{
	char text[64];

	(void)state;
	/* By a signal, or by the sanitizer that takes it. */
	assert_int_not_equal(child_status(touch_nothing, text, sizeof(text)), 0);
}

TEST_IN_CHILD(a_span_of_nothing_stays_one_and_is_the_next)
{
	struct mspan *s, *again;
	size_t npages;

	mheap_init();
	s = alloc_longest(NULL, SPANCLASS_ZERO);
	npages = s->npages;
	CHECK(mheap.guarded_npages == 0 && !s->zeroed);
	mheap_free_span(NULL, s);
	CHECK(mheap.guarded_npages == npages && span_of(s->base) == s && s->nfree == s->nelems);
	mheap_check();
	/* Others get other pages. */
	again = alloc_longest(NULL, 2);
	CHECK(again != s && again->base != s->base);
	CHECK(alloc_longest(NULL, SPANCLASS_ZERO) == s && mheap.guarded_npages == 0);
	mheap_check();
}

TEST_IN_CHILD(the_page_map_gives_no_slot_where_there_are_none)
{
	struct mspan *b, *s;
	uintptr_t base;
	uint32_t slot;

	mheap_init();
	b = big(3);
	s = alloc_longest(NULL, 12);
	base = s->base;
	CHECK(entry_of(0) == 0 && entry_of(UINTPTR_MAX) == 0 && entry_of((uintptr_t)&b) == 0);
	CHECK(!entry_slot_of(0, 0, &slot) && !entry_slot_of(0, base, &slot));
	CHECK(!entry_slot_of(entry_of(b->base), b->base, &slot) &&
	      entry_span(entry_of(b->base)) == b);
	CHECK(entry_of(b->base + PAGE_SIZE) == 0);
	CHECK(entry_slot_of(entry_of(base), base, &slot) && slot == 0);
	mheap_free_span(NULL, s);
	CHECK(!entry_slot_of(entry_of(base), base, &slot) &&
	      entry_span(entry_of(base)) == &mspan_dead);
}

/* --- alignment --- */

TEST_IN_CHILD(an_aligned_big_span_is_aligned_and_its_edges_are_given_back)
{
	static const size_t aligns[] = {
		1, 2, 4, 8, 16, 64, 256, 512, 4096, ARENA_PAGES, 4 * ARENA_PAGES
	};

	mheap_init();
	big(1);
	for (size_t i = 0; i < sizeof(aligns) / sizeof(aligns[0]); i++)
		for (size_t npages = 1; npages < 100; npages = npages * 5 + 1) {
			size_t used = total_pages() - free_pages_now();
			struct mspan *s =
				mheap_alloc_big(NULL, npages, aligns[i], NOSCAN, EFFORT_GROW);

			CHECK(s != NULL && s->base % (aligns[i] * PAGE_SIZE) == 0);
			CHECK(s->npages == npages && spanclass_scan(s->spanclass) == NOSCAN);
			CHECK(total_pages() - free_pages_now() == used + npages);
			CHECK(span_of(s->base) == s);
			mheap_check();
			/* Every other one stays, so that the edges differ. */
			if (npages % 2 == 0)
				mheap_free_span(NULL, s);
		}
}

TEST_IN_CHILD(an_aligned_span_fills_an_aligned_hole_before_the_heap_grows)
{
	struct mspan *hole[8], *s;
	size_t total;

	mheap_init();
	big(1);
	for (int i = 0; i < 8; i++) {
		hole[i] = mheap_alloc_big(NULL, 16, 16, SCAN, EFFORT_GROW);
		CHECK(hole[i] != NULL && hole[i]->base % (16 * PAGE_SIZE) == 0);
		memset((void *)hole[i]->base, 1, 16 * PAGE_SIZE);
	}
	big(15);
	big(free_pages_now());
	total = total_pages();
	for (int i = 0; i < 8; i += 2) {
		uintptr_t base = hole[i]->base;

		mheap_free_span(NULL, hole[i]);
		s = mheap_alloc_big(NULL, 17, 16, SCAN, EFFORT_REUSE);
		CHECK(s == NULL);
		s = mheap_alloc_big(NULL, 16, 16, SCAN, EFFORT_REUSE);
		CHECK(s != NULL && s->base == base && !s->zeroed);
	}
	CHECK(total_pages() == total);
	mheap_check();
}

TEST_IN_CHILD(an_aligned_span_through_the_page_cache_loses_no_page)
{
	struct pcache pc = { .base = 0 };

	mheap_init();
	for (int i = 0; i < 40; i++) {
		struct mspan *s = mheap_alloc_big(&pc, 3, 4, SCAN, EFFORT_GROW);

		CHECK(s != NULL && s->base % (4 * PAGE_SIZE) == 0);
		if (i % 3 == 0)
			mheap_free_span(&pc, s);
		mheap_check();
	}
	mheap_flush_pcache(&pc);
	mheap_check();
	CHECK(total_pages() - free_pages_now() == 26 * 3);
}

TEST_IN_CHILD(lengths_and_alignments_that_cannot_be_are_null)
{
	struct mspan *s;

	mheap_init();
	s = big(1);
	CHECK(mheap_alloc_big(NULL, SIZE_MAX / PAGE_SIZE, 1, SCAN, EFFORT_GROW) == NULL);
	CHECK(mheap_alloc_big(NULL, (size_t)1 << 34, 1, SCAN, EFFORT_GROW) == NULL);
	CHECK(mheap_alloc_big(NULL, UINT32_MAX, 1, SCAN, EFFORT_GROW) == NULL);
	CHECK(mheap_alloc_big(NULL, 1, (size_t)1 << 49, SCAN, EFFORT_GROW) == NULL);
	CHECK(!mheap_resize_big(NULL, s, (size_t)1 << 34, EFFORT_GROW));
	CHECK(!mheap_resize_big(NULL, s, SIZE_MAX / PAGE_SIZE, EFFORT_GROW));
	CHECK(s->npages == 1);
	mheap_check();
	CHECK(big(3) != NULL);
}

/* --- huge objects, and objects that read as zero --- */

static size_t dirty_pages_now(void)
{
	return mheap.pages.nfree - mheap.pages.nclean;
}

TEST_IN_CHILD(a_huge_span_goes_back_when_it_is_freed_and_so_does_a_huge_tail)
{
	struct mspan *s;

	mheap_init();
	s = big(HUGE_PAGES);
	big(1);
	memset((void *)s->base, 1, mspan_nbytes(s));
	mheap_free_span(NULL, s);
	CHECK(dirty_pages_now() == 0);
	s = big(HUGE_PAGES);
	CHECK(s->zeroed && all_zero((void *)s->base, mspan_nbytes(s)));
	memset((void *)s->base, 1, mspan_nbytes(s));
	/* A page less is kept. */
	CHECK(mheap_resize_big(NULL, s, HUGE_PAGES - 1, EFFORT_GROW) == RESIZE_DONE);
	CHECK(dirty_pages_now() == 1);
	/* An object of fresh pages releases that page. */
	s = big(2 * HUGE_PAGES);
	CHECK(dirty_pages_now() == 0);
	memset((void *)s->base, 1, mspan_nbytes(s));
	CHECK(mheap_resize_big(NULL, s, HUGE_PAGES, EFFORT_GROW) == RESIZE_DONE);
	CHECK(dirty_pages_now() == 0);
	mheap_check();
}

TEST_IN_CHILD(a_zeroed_span_reads_as_zero_whatever_was_in_its_pages)
{
	enum { N = 60 };
	struct mspan *s[N] = { NULL };
	struct pcache pc = { .base = 0 };
	uint64_t rnd = 21;

	mheap_init();
	for (int step = 0; step < 1500; step++) {
		size_t i = rng_below(&rnd, N);
		size_t npages = 1 + rng_below(&rnd, rng_below(&rnd, 10) == 0 ? 3000 : 100);
		size_t align = rng_below(&rnd, 4) == 0 ? (size_t)1 << rng_below(&rnd, 8) : 1;
		struct pcache *with = rng_below(&rnd, 2) == 0 ? &pc : NULL;

		if (s[i] != NULL) {
			mheap_free_span(with, s[i]);
			s[i] = NULL;
			continue;
		}
		if (step % 300 == 0)
			npages = HUGE_PAGES + 3;
		s[i] = mheap_alloc_zeroed(with, npages, align, SCAN, EFFORT_GROW);
		CHECK(s[i] != NULL && s[i]->zeroed && s[i]->base % (align * PAGE_SIZE) == 0);
		CHECK(all_zero((void *)s[i]->base, mspan_nbytes(s[i])));
		memset((void *)s[i]->base, 0x5a, mspan_nbytes(s[i]));
		if (step % 100 == 0)
			(void)mheap_scavenge_all();
	}
	mheap_check();
}

/* --- resize in place --- */

TEST_IN_CHILD(a_big_span_shrinks_in_place_and_its_tail_is_free)
{
	struct mspan *s, *t;

	mheap_init();
	s = big(50);
	big(1);
	pattern_fill((void *)s->base, 20 * PAGE_SIZE, 9);
	CHECK(mheap_resize_big(NULL, s, 20, EFFORT_GROW));
	CHECK(s->npages == 20);
	CHECK(pattern_holds((void *)s->base, 20 * PAGE_SIZE, 9));
	mheap_check();
	t = big(30);
	CHECK(t->base == s->base + 20 * PAGE_SIZE);
	mheap_check();
}

TEST_IN_CHILD(a_big_span_grows_into_free_pages_behind_it_only)
{
	struct mspan *s, *t, *u;
	size_t nfree;

	mheap_init();
	s = big(10);
	t = big(10);
	u = big(10);
	pattern_fill((void *)s->base, 10 * PAGE_SIZE, 3);
	CHECK(!mheap_resize_big(NULL, s, 11, EFFORT_GROW));
	CHECK(s->npages == 10);
	mheap_free_span(NULL, t);
	nfree = free_pages_now();
	CHECK(!mheap_resize_big(NULL, s, 21, EFFORT_GROW));
	CHECK(free_pages_now() == nfree && s->npages == 10);
	CHECK(mheap_resize_big(NULL, s, 20, EFFORT_GROW));
	CHECK(s->npages == 20 && free_pages_now() == nfree - 10);
	CHECK(pattern_holds((void *)s->base, 10 * PAGE_SIZE, 3));
	/* The page that was the start of t is not a freed span any more. */
	CHECK(span_of(s->base + 10 * PAGE_SIZE) == NULL);
	mheap_check();
	CHECK(mheap_resize_big(NULL, s, 20, EFFORT_GROW));
	CHECK(span_of(u->base) == u);
	mheap_check();
}

TEST_OF_NEIGHBOURS(the_last_span_of_the_heap_grows_with_the_heap)
{
	struct mspan *s;
	char *p;

	mheap_init();
	s = big(30);
	p = (char *)s->base;
	pattern_fill(p, 30 * PAGE_SIZE, 1);
	for (size_t npages = 60; npages < 3 * ARENA_PAGES; npages = npages * 2 + 1) {
		CHECK(mheap_resize_big(NULL, s, npages, EFFORT_GROW));
		CHECK(s->base == (uintptr_t)p && s->npages == npages);
		p[npages * PAGE_SIZE - 1] = 1;
		mheap_check();
	}
	CHECK(pattern_holds(p, 30 * PAGE_SIZE, 1));
	CHECK(mheap_resize_big(NULL, s, 1, EFFORT_GROW));
	mheap_check();
	CHECK(free_pages_now() == total_pages() - 1);
}

TEST_IN_CHILD(growing_at_the_end_fills_exactly_up_to_the_committed_end)
{
	struct mspan *s;

	mheap_init();
	s = big(GROW_MIN_PAGES - 1);
	CHECK(total_pages() == GROW_MIN_PAGES);
	CHECK(mheap_resize_big(NULL, s, GROW_MIN_PAGES, EFFORT_GROW));
	CHECK(total_pages() == GROW_MIN_PAGES && free_pages_now() == 0);
	CHECK(mheap_resize_big(NULL, s, GROW_MIN_PAGES + 1, EFFORT_GROW));
	CHECK(s->npages == GROW_MIN_PAGES + 1);
	mheap_check();
}

/* --- the page cache --- */

TEST_IN_CHILD(a_second_short_run_comes_from_the_cache_without_the_heap)
{
	struct pcache pc = { .base = 0 };
	struct mspan *a, *b;
	size_t nfree;

	mheap_init();
	big(1);
	a = mheap_alloc_big(&pc, 2, 1, SCAN, EFFORT_GROW);
	nfree = free_pages_now();
	b = mheap_alloc_big(&pc, 3, 1, SCAN, EFFORT_GROW);
	CHECK(b->base == a->base + 2 * PAGE_SIZE);
	CHECK(free_pages_now() == nfree);
	mheap_free_span(&pc, a);
	CHECK(free_pages_now() == nfree);
	CHECK(mheap_alloc_big(&pc, 2, 1, SCAN, EFFORT_GROW)->base == pc.base + PAGE_SIZE);
	mheap_check();
}

TEST_IN_CHILD(a_flushed_cache_has_given_every_page_back)
{
	struct pcache pc = { .base = 0 };
	struct mspan *s[20];

	mheap_init();
	for (int i = 0; i < 20; i++)
		s[i] = mheap_alloc_big(&pc, 1 + (size_t)i % PCACHE_MAX_RUN, 1, SCAN, EFFORT_GROW);
	for (int i = 0; i < 20; i += 2)
		mheap_free_span(&pc, s[i]);
	for (int i = 1; i < 20; i += 2)
		mheap_free_span(&pc, s[i]);
	mheap_flush_pcache(&pc);
	CHECK(pc.free == 0 && pc.clean == 0 && pc.base == 0);
	CHECK(free_pages_now() == total_pages());
	mheap_flush_pcache(&pc);
	CHECK(free_pages_now() == total_pages());
	mheap_check();
}

TEST_IN_CHILD(a_request_that_may_not_grow_the_heap_leaves_the_next_group_as_large)
{
	struct pcache pc = { .base = 0 };
	unsigned nfailed = 0;

	mheap_init();
	for (int i = 0; i < 4096; i++) {
		if (mheap_alloc_big(&pc, 1, 1, SCAN, EFFORT_REUSE) != NULL)
			continue;
		nfailed++;
		CHECK(mheap_alloc_big(&pc, 1, 1, SCAN, EFFORT_GROW) != NULL);
		/* Several groups are taken before the heap is used up for the second time. */
		CHECK(nfailed == 1 || pc.next == PCACHE_PAGES);
	}
	CHECK(nfailed > 2);
	mheap_flush_pcache(&pc);
	mheap_check();
}

TEST_IN_CHILD(a_run_freed_across_the_edge_of_the_cached_word_loses_no_page)
{
	struct pcache pc = { .base = 0 };
	struct mspan *low, *across, *one;

	mheap_init();
	low = big(60);
	across = big(8);
	CHECK(across->base == low->base + 60 * PAGE_SIZE);
	mheap_free_span(NULL, low);
	/* The cache holds the word in which the run begins. */
	one = mheap_alloc_big(&pc, 1, 1, SCAN, EFFORT_GROW);
	CHECK(pc.base == one->base && one->base + 60 * PAGE_SIZE == across->base);
	mheap_free_span(&pc, across);
	mheap_free_span(&pc, one);
	mheap_flush_pcache(&pc);
	mheap_check();
	CHECK(free_pages_now() == total_pages());
}

static void resize(struct pcache *pc, struct mspan *s, size_t npages)
{
	CHECK(mheap_resize_big(pc, s, npages, EFFORT_GROW) == RESIZE_DONE && s->npages == npages);
}

TEST_IN_CHILD(the_tail_of_a_span_in_the_cached_word_is_used_before_the_heap_is_asked)
{
	struct pcache pc = { .base = 0 };
	struct mspan *s[4];
	size_t nfree;

	mheap_init();
	big(1);
	s[0] = mheap_alloc_big(&pc, 8, 1, SCAN, EFFORT_GROW);
	nfree = free_pages_now();
	resize(&pc, s[0], 2);
	for (int i = 1; i < 4; i++) {
		s[i] = mheap_alloc_big(&pc, 8, 1, SCAN, EFFORT_GROW);
		/* Right behind the pages that are left of the span before. */
		CHECK(s[i]->base == s[i - 1]->base + 2 * PAGE_SIZE && !s[i]->zeroed);
		resize(&pc, s[i], 2);
		memset((void *)s[i]->base, 1, 2 * PAGE_SIZE);
	}
	CHECK(free_pages_now() == nfree);
	/* And back, without the heap. */
	resize(&pc, s[3], 8);
	CHECK(free_pages_now() == nfree);
	mheap_check();
}

TEST_IN_CHILD(the_tail_of_a_span_that_is_not_in_the_cached_word_goes_to_the_heap)
{
	struct pcache pc = { .base = 0 };
	struct mspan *s, *one;
	size_t nfree;

	mheap_init();
	s = big(70);
	one = mheap_alloc_big(&pc, 1, 1, SCAN, EFFORT_GROW);
	nfree = free_pages_now();
	/* Below the word, and longer than what a word takes. */
	resize(&pc, s, 60);
	CHECK(free_pages_now() == nfree + 10);
	resize(&pc, s, 1);
	CHECK(free_pages_now() == nfree + 69);
	mheap_free_span(&pc, s);
	mheap_free_span(&pc, one);
	mheap_flush_pcache(&pc);
	mheap_check();
	CHECK(free_pages_now() == total_pages());
}

TEST_IN_CHILD(a_run_freed_just_below_or_behind_the_cached_word_goes_to_the_heap)
{
	struct pcache pc = { .base = 0 };
	struct mspan *low, *mid, *high;

	mheap_init();
	low = big(64);
	mid = mheap_alloc_big(&pc, 1, 1, SCAN, EFFORT_GROW);
	CHECK(mid->base == low->base + 64 * PAGE_SIZE);
	CHECK(mheap_resize_big(NULL, low, 60, EFFORT_GROW));
	CHECK(mheap_resize_big(NULL, low, 56, EFFORT_GROW));
	mheap_free_span(&pc, low);
	high = big(64 + 60);
	mheap_free_span(&pc, high);
	mheap_free_span(&pc, mid);
	mheap_flush_pcache(&pc);
	mheap_check();
	CHECK(free_pages_now() == total_pages());
}

TEST_IN_CHILD(the_cache_knows_which_pages_are_zero)
{
	struct pcache pc = { .base = 0 };
	struct mspan *a, *b;

	mheap_init();
	big(1);
	a = mheap_alloc_big(&pc, 2, 1, SCAN, EFFORT_GROW);
	CHECK(a->zeroed && all_zero((void *)a->base, mspan_nbytes(a)));
	memset((void *)a->base, 1, mspan_nbytes(a));
	mheap_free_span(&pc, a);
	b = mheap_alloc_big(&pc, 3, 1, SCAN, EFFORT_GROW);
	CHECK(!b->zeroed);
	a = mheap_alloc_big(&pc, 3, 1, SCAN, EFFORT_GROW);
	CHECK(a->zeroed && all_zero((void *)a->base, mspan_nbytes(a)));
	/* Back in the heap, the used ones are dirty and the others clean. */
	mheap_free_span(&pc, b);
	mheap_flush_pcache(&pc);
	mheap_check();
	CHECK(free_pages_now() - mheap.pages.nclean == 3);
}

TEST_IN_CHILD(a_random_history_through_two_caches_loses_no_page)
{
	enum { N = 200 };
	static struct mspan *s[N];
	struct pcache pc[3] = { { .base = 0 } };
	uint64_t rnd = 99;

	mheap_init();
	for (int step = 0; step < 6000; step++) {
		size_t i = rng_below(&rnd, N);
		size_t k = rng_below(&rnd, 3);

		if (s[i] != NULL && rng_below(&rnd, 3) == 0) {
			if (mheap_resize_big(k == 2 ? NULL : &pc[k], s[i], 1 + rng_below(&rnd, 24),
					     EFFORT_GROW) == RESIZE_DONE)
				memset((void *)s[i]->base, 0x11, mspan_nbytes(s[i]));
			pattern_fill((void *)s[i]->base, 32, i);
		} else if (s[i] != NULL) {
			CHECK(pattern_holds((void *)s[i]->base, 32, i));
			mheap_free_span(k == 2 ? NULL : &pc[k], s[i]);
			s[i] = NULL;
		} else {
			s[i] = mheap_alloc_big(k == 2 ? NULL : &pc[k], 1 + rng_below(&rnd, 24),
					       rng_below(&rnd, 8) == 0 ? 4 : 1, SCAN, EFFORT_GROW);
			CHECK(!s[i]->zeroed || all_zero((void *)s[i]->base, mspan_nbytes(s[i])));
			memset((void *)s[i]->base, 0x11, mspan_nbytes(s[i]));
			pattern_fill((void *)s[i]->base, 32, i);
		}
		if (step % 100 == 0)
			mheap_check();
	}
	for (int i = 0; i < N; i++)
		if (s[i] != NULL)
			mheap_free_span(&pc[i % 2], s[i]);
	mheap_flush_pcache(&pc[0]);
	mheap_flush_pcache(&pc[1]);
	mheap_check();
	CHECK(free_pages_now() == total_pages());
}

/* --- each span --- */

struct seen {
	struct mspan *s[400];
	size_t n;
};

static void note(struct mspan *s, void *arg)
{
	struct seen *seen = arg;

	seen->s[seen->n++] = s;
}

static uint64_t page_of(const struct mspan *s)
{
	return pagealloc_page(arena_of(s->base), s->base);
}

TEST_IN_CHILD(each_span_in_use_is_visited_once_in_the_order_of_pages)
{
	static struct seen seen;
	size_t n = 0;

	mheap_init();
	mheap_each_span(note, &seen);
	CHECK(seen.n == 0);
	for (int i = 0; i < 150; i++) {
		struct mspan *a = big(1 + (size_t)i % 7);
		struct mspan *b = alloc_longest(NULL, i % 2 == 0 ? SC_64 : long_class());

		CHECK(b != NULL);
		n += 2;
		if (i % 3 == 0) {
			mheap_free_span(NULL, a);
			n--;
		}
	}
	big(ARENA_PAGES + 10);
	big(1);
	n += 2;
	mheap_each_span(note, &seen);
	CHECK(seen.n == n);
	for (size_t i = 1; i < n; i++)
		CHECK(page_of(seen.s[i]) >= page_of(seen.s[i - 1]) + seen.s[i - 1]->npages);
}

/* --- fork --- */

static void use_heap_in_grandchild(struct mspan *s, bool want_rebuild)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		struct mspan *t;

		CHECK(mheap_after_fork() == want_rebuild);
		mheap_check();
		CHECK(span_of(s->base) == s && pattern_holds((void *)s->base, mspan_nbytes(s), 1));
		t = big(40);
		CHECK(t->base + mspan_nbytes(t) <= s->base || t->base >= s->base + mspan_nbytes(s));
		mheap_free_span(NULL, t);
		CHECK(mheap_resize_big(NULL, s, 10, EFFORT_GROW));
		CHECK(big(ARENA_PAGES) != NULL);
		mheap_check();
		_exit(0);
	}
	CHECK(child_wait(pid) == 0);
}

TEST_IN_CHILD(a_child_of_a_quiet_heap_goes_on_with_it)
{
	struct mspan *s;

	mheap_init();
	s = big(30);
	pattern_fill((void *)s->base, mspan_nbytes(s), 1);
	use_heap_in_grandchild(s, false);
}

TEST_IN_CHILD(a_child_mends_a_heap_that_was_being_changed)
{
	struct mspan *s[20];
	size_t used = 0;
	pid_t pid;

	mheap_init();
	for (size_t i = 0; i < 20; i++) {
		s[i] = i % 3 == 0 ? alloc_longest(NULL, long_class()) : big(5 * i + 1);
		pattern_fill((void *)s[i]->base, mspan_nbytes(s[i]), 1);
	}
	for (size_t i = 0; i < 20; i += 4) {
		mheap_free_span(NULL, s[i]);
		s[i] = NULL;
	}
	for (size_t i = 0; i < 20; i++)
		used += s[i] != NULL ? s[i]->npages : 0;
	lock_holder_start(&mheap.lock);
	/* It had taken pages for a span that is not in the map, and freed a summary half. */
	mheap.pages.nfree -= 3;
	arena_of(s[1]->base)->alloc_bits[0] |= UINT64_C(7) << 61;
	arena_of(s[1]->base)->chunks[0].sum.max = 7;
	mheap.pages.level3[0].max = 1;

	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(mheap_after_fork());
		mheap_check();
		CHECK(total_pages() - free_pages_now() == used);
		CHECK(mheap.pages.nclean == 0);
		for (size_t i = 0; i < 20; i++)
			CHECK(s[i] == NULL ||
			      (span_of(s[i]->base) == s[i] &&
			       pattern_holds((void *)s[i]->base, mspan_nbytes(s[i]), 1)));
		CHECK(!big(50)->zeroed);
		mheap_check();
		_exit(0);
	}
	CHECK(child_wait(pid) == 0);
}

static void rebuild(bool by_forker)
{
	(void)by_forker;
	CHECK(mheap_after_fork());
}

/* Frees 30 pages of s in a child, where a thread that is gone held the lock. The caller is like a
 * thread whose signal handler has forked: it comes to wait for the lock with pages in hand that are
 * in no span, and mends the heap then. */
static void free_pages_during_rebuild(struct mspan *s)
{
	size_t used = total_pages() - free_pages_now();
	pid_t pid;

	lock_holder_start(&mheap.lock);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		if (s->npages == 30)
			mheap_free_span(NULL, s);
		else
			CHECK(mheap_resize_big(NULL, s, s->npages - 30, EFFORT_GROW));
		CHECK(mheap.pages.rebuilds == 1);
		mheap_check();
		CHECK(total_pages() - free_pages_now() == used - 30);
		mheap_free_span(NULL, big(30));
		mheap_check();
		_exit(0);
	}
	CHECK(child_wait(pid) == 0);
	lock_holder_stop();
}

TEST_IN_CHILD(pages_that_leave_a_span_while_the_heap_is_rebuilt_are_freed_once)
{
	struct mspan *s, *longer;

	mheap_init();
	forked_watch(rebuild);
	s = big(30);
	longer = big(50);
	(void)big(1);
	free_pages_during_rebuild(s);
	free_pages_during_rebuild(longer);
}

/* --- no memory, and address space in odd places --- */

TEST_IN_CHILD(without_memory_the_answer_is_null_and_the_heap_is_as_before)
{
	struct mspan *s;
	size_t nfree;

	mheap_init();
	os_fail_from(OS_ALL_CALLS, 1);
	CHECK(mheap_alloc_big(NULL, 1, 1, SCAN, EFFORT_GROW) == NULL);
	CHECK(alloc_longest(NULL, SC_64) == NULL);
	os_fail_stop();
	os_fail_from(OS_RESERVE | OS_COMMIT, 1);
	CHECK(mheap_alloc_big(NULL, 1, 1, SCAN, EFFORT_GROW) == NULL);
	CHECK(alloc_longest(NULL, SC_64) == NULL);
	os_fail_stop();
	for (unsigned shape = 0; shape < SPAN_SHAPES; shape++)
		CHECK(mheap.span_pools[shape].inuse == 0);
	mheap_check();
	s = big(60);
	CHECK(alloc_longest(NULL, SC_64) != NULL);
	nfree = free_pages_now();
	os_fail_from(OS_RESERVE | OS_COMMIT, 1);
	CHECK(mheap_alloc_big(NULL, 100, 1, SCAN, EFFORT_GROW) == NULL);
	CHECK(!mheap_resize_big(NULL, s, 1000, EFFORT_GROW) && s->npages == 60);
	CHECK(free_pages_now() == nfree);
	/* What is there can still be had. */
	CHECK(mheap_alloc_big(NULL, nfree, 1, SCAN, EFFORT_GROW) != NULL);
	os_fail_stop();
	mheap_check();
	CHECK(big(100) != NULL);
}

TEST_IN_CHILD(a_refused_commit_is_tried_again_with_less)
{
	struct mspan *first, *s;

	mheap_init();
	/* The heap is large, so that it grows by more than is needed; some of it is free at its
	 * end. */
	first = big(4000);
	CHECK(free_pages_now() != 0);
	os_fail_nth(OS_COMMIT, 1);
	s = big(free_pages_now() + 1);
	CHECK(os_fail_failed() == 1 && os_fail_seen() == 2);
	/* No hole where the commit was refused. */
	CHECK(s->base == first->base + 4000 * PAGE_SIZE);
	mheap_check();
}

/* The places that the next reservations without a hint get, as from a kernel that ignores hints;
 * then the kernel itself is asked. */
struct place {
	uintptr_t addr;    /* where what is kept begins */
	size_t align;      /* that it is asked for with */
	size_t most;       /* bytes that are granted there; more is refused */
};

static const struct place *next_place;
static uintptr_t pretended[2];   /* edges of the last answer, which nobody reserved */

/* arena.c asks for align bytes too much and gives the edges back: only the middle is really
 * reserved, so that it can lie right beside something else. */
static void *reserve_placed(void *hint, size_t nbytes)
{
	const struct place *to = next_place;

	if (to->addr == 0)
		return os_fail_real_reserve(hint, nbytes);
	if (hint != NULL || nbytes < to->align || nbytes - to->align > to->most)
		return NULL;
	next_place++;
	CHECK(os_fail_real_reserve((void *)to->addr, nbytes - to->align) == (void *)to->addr);
	pretended[0] = to->addr - KiB(64);
	pretended[1] = to->addr + nbytes - to->align;
	return (void *)pretended[0];
}

static void unreserve_placed(void *p, size_t nbytes)
{
	for (unsigned i = 0; i < 2; i++)
		if ((uintptr_t)p == pretended[i]) {
			pretended[i] = 0;
			return;
		}
	os_fail_real_unreserve(p, nbytes);
}

static void start_with_places(const struct place *places)
{
	static const struct os_space_hooks hooks = { .reserve = reserve_placed,
						     .unreserve = unreserve_placed };

	next_place = places;
	os_fail_set_hooks(&hooks);
	mheap_init();
}

/* Checks that all places were used, and lets the kernel choose addresses from now on. */
static void end_of_places(void)
{
	CHECK(next_place->addr == 0);
	os_fail_set_hooks(NULL);
}

TEST_OF_NEIGHBOURS(places_below_one_another_are_one_heap)
{
	static const struct place places[] = {
		{ PLACE, ARENA_SIZE, ARENA_SIZE },
		{ PLACE - 4 * ARENA_SIZE, ARENA_SIZE, ARENA_SIZE },
		{ PLACE - 8 * ARENA_SIZE, ARENA_SIZE, ARENA_SIZE },
		{ 0, 0, 0 },
	};
	struct mspan *s[4];

	start_with_places(places);
	for (unsigned i = 0; i < 3; i++) {
		s[i] = big(ARENA_PAGES);
		CHECK(s[i]->base == places[i].addr);
		pattern_fill((void *)s[i]->base, PAGE_SIZE, i);
		mheap_check();
		if (i < 2) {
			/* The slot above is taken by somebody else. */
			CHECK(os_fail_real_reserve((void *)(s[i]->base + ARENA_SIZE), PAGE_SIZE) !=
			      NULL);
		}
	}
	end_of_places();
	s[3] = big(ARENA_PAGES);
	mheap_check();
	for (unsigned i = 0; i < 3; i++)
		CHECK(span_of(s[i]->base) == s[i] &&
		      pattern_holds((void *)s[i]->base, PAGE_SIZE, i));
	for (unsigned i = 0; i < 4; i++)
		mheap_free_span(NULL, s[i]);
	mheap_check();
	CHECK(free_pages_now() == total_pages());
}

/* Adjacent in address, not in number. */
TEST_OF_NEIGHBOURS(a_place_that_ends_where_an_older_one_begins_is_used_without_harm)
{
	static const struct place places[] = {
		{ PLACE, ARENA_SIZE, ARENA_SIZE },
		{ PLACE - ARENA_SIZE, ARENA_SIZE, ARENA_SIZE },
		{ 0, 0, 0 },
	};
	struct mspan *a, *b, *c;

	start_with_places(places);
	a = big(ARENA_PAGES);
	b = big(ARENA_PAGES - 10);
	CHECK(a->base == PLACE && b->base == PLACE - ARENA_SIZE);
	mheap_check();
	/* Ten pages are left up to a: not enough, and a is in the way. */
	end_of_places();
	c = big(11);
	CHECK(c->base + 11 * PAGE_SIZE <= b->base || c->base >= a->base + mspan_nbytes(a));
	CHECK(!mheap_resize_big(NULL, b, ARENA_PAGES + 1, EFFORT_GROW));
	mheap_check();
	mheap_free_span(NULL, a);
	mheap_check();
	a = big(ARENA_PAGES);
	mheap_check();
	/* Free pages on both sides of the edge, where the heap ends and goes on: what is counted as
	 * room at the heap's end must be room in one run. */
	mheap_free_span(NULL, a);
	mheap_free_span(NULL, b);
	big(ARENA_PAGES + 20);
	mheap_check();
}

/* Chunks of one arena, then chunks that begin in the arena below and end in that one: what a full
 * address space or ulimit -v leads to. */
TEST_OF_NEIGHBOURS(a_small_reservation_into_an_arena_that_is_known_is_used_without_harm)
{
	static const struct place places[] = {
		{ PLACE + 2 * CHUNK_SIZE, CHUNK_SIZE, CHUNK_SIZE },
		{ PLACE - CHUNK_SIZE, CHUNK_SIZE, 2 * CHUNK_SIZE },
		{ 0, 0, 0 },
	};
	struct mspan *a, *b;

	start_with_places(places);
	a = big(CHUNK_PAGES);
	CHECK(a->base == PLACE + 2 * CHUNK_SIZE);
	mheap_check();
	/* A heap that does not want such a place may say no. */
	b = mheap_alloc_big(NULL, 2 * CHUNK_PAGES, 1, SCAN, EFFORT_GROW);
	mheap_check();
	if (b != NULL) {
		pattern_fill((void *)b->base, mspan_nbytes(b), 3);
		CHECK(span_of(b->base) == b);
		mheap_free_span(NULL, b);
		mheap_check();
	}
	os_fail_set_hooks(NULL);
	CHECK(big(2 * CHUNK_PAGES) != NULL);
	mheap_check();
}

TEST_OF_NEIGHBOURS(an_extension_into_an_arena_that_is_known_is_used_without_harm)
{
	static const struct place places[] = {
		{ PLACE + 4 * CHUNK_SIZE, CHUNK_SIZE, CHUNK_SIZE },
		{ PLACE - 2 * CHUNK_SIZE, CHUNK_SIZE, CHUNK_SIZE },
		{ 0, 0, 0 },
	};
	struct mspan *a, *b, *c[5];

	start_with_places(places);
	a = big(CHUNK_PAGES);
	/* a cannot go on. */
	CHECK(os_fail_real_reserve((void *)(a->base + CHUNK_SIZE), PAGE_SIZE) != NULL);
	b = big(CHUNK_PAGES);
	CHECK(a->base == PLACE + 4 * CHUNK_SIZE && b->base == PLACE - 2 * CHUNK_SIZE);
	/* From b's place upwards, into a's arena. */
	end_of_places();
	for (unsigned i = 0; i < 5; i++) {
		c[i] = big(CHUNK_PAGES + 64 * (i + 1));
		pattern_fill((void *)c[i]->base, mspan_nbytes(c[i]), i);
		mheap_check();
	}
	for (unsigned i = 0; i < 5; i++) {
		CHECK(pattern_holds((void *)c[i]->base, mspan_nbytes(c[i]), i));
		mheap_free_span(NULL, c[i]);
	}
	mheap_check();
}

/* --- the checker --- */

static void check_finds_span_on_free_pages(void)
{
	struct mspan *s;
	uint64_t page;

	mheap_init();
	s = big(3);
	page = pagealloc_page(arena_of(s->base), s->base);
	pagealloc_free(&mheap.pages, page + 2, 1, false);
	mheap_check();
}

static void check_finds_wrong_map_entry(void)
{
	struct mspan *s;

	mheap_init();
	s = alloc_longest(NULL, long_class());
	atomic_store(&arena_of(s->base)->spans[s->base % ARENA_SIZE / PAGE_SIZE + 3],
		     (uint64_t)(uintptr_t)&mspan_dead << 16);
	mheap_check();
}

static void mheap_check_stops_at_each_kind_of_lie(void **state)
{
	static void (*const lies[])(void) = {
		check_finds_span_on_free_pages,
		check_finds_wrong_map_entry,
	};

	(void)state;
	each_body_aborts(lies, sizeof(lies) / sizeof(lies[0]), "broken:");
}

TEST_IN_CHILD(what_cannot_be_had_takes_no_arenas)
{
	static const unsigned sizes[] = { 30, 34, 40, 41, 42, 46 };
	uint32_t narenas;

	mheap_init();
	CHECK(mheap_alloc_big(NULL, 1, 1, SCAN, EFFORT_GROW) != NULL);
	narenas = mheap.pages.narenas;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t npages = ((size_t)1 << sizes[i]) / PAGE_SIZE;

		os_fail_from(OS_COMMIT, 1);
		CHECK(mheap_alloc_big(NULL, npages, 1, SCAN, EFFORT_GROW) == NULL);
		CHECK(mheap_alloc_big(NULL, npages, ARENA_PAGES, SCAN, EFFORT_GROW) == NULL);
		os_fail_stop();
	}
	CHECK(mheap.pages.narenas == narenas);
	/* More than there are numbers for, whatever the system says. */
	CHECK(mheap_alloc_big(NULL, (size_t)MAX_ARENAS * ARENA_PAGES, 1, SCAN, EFFORT_GROW) ==
	      NULL);
	CHECK(mheap.pages.narenas == narenas);
	CHECK(mheap_alloc_big(NULL, 2 * ARENA_PAGES, 1, SCAN, EFFORT_GROW) != NULL);
	mheap_check();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_address_is_ours_before_the_heap_grows),
		cmocka_unit_test(addresses_around_an_arena_are_not_ours),
		cmocka_unit_test(span_records_are_out_of_reach_of_the_heap),
		cmocka_unit_test(a_small_span_is_found_by_every_address_in_it),
		cmocka_unit_test(a_big_span_is_found_by_its_first_page_only),
		cmocka_unit_test(pages_of_a_small_span_stay_away_from_big_ones_that_reuse_them),
		cmocka_unit_test(freed_pages_say_that_they_were_freed),
		cmocka_unit_test(new_pages_read_as_zero_and_say_so_and_used_ones_do_not),
		cmocka_unit_test(the_lowest_address_is_used_again_first),
		cmocka_unit_test(neighbours_that_were_freed_become_one_run),
		cmocka_unit_test(live_spans_keep_their_bytes),
		cmocka_unit_test(records_of_freed_spans_are_reused_for_their_shape),
		cmocka_unit_test(a_big_span_may_reach_over_arenas),
		cmocka_unit_test(a_small_span_may_reach_over_arenas),
		cmocka_unit_test(the_page_map_alone_tells_the_slot_of_every_address),
		cmocka_unit_test(a_span_of_nothing_cannot_be_touched),
		cmocka_unit_test(a_span_of_nothing_stays_one_and_is_the_next),
		cmocka_unit_test(the_page_map_gives_no_slot_where_there_are_none),
		cmocka_unit_test(an_aligned_big_span_is_aligned_and_its_edges_are_given_back),
		cmocka_unit_test(an_aligned_span_fills_an_aligned_hole_before_the_heap_grows),
		cmocka_unit_test(an_aligned_span_through_the_page_cache_loses_no_page),
		cmocka_unit_test(lengths_and_alignments_that_cannot_be_are_null),
		cmocka_unit_test(a_huge_span_goes_back_when_it_is_freed_and_so_does_a_huge_tail),
		cmocka_unit_test(a_zeroed_span_reads_as_zero_whatever_was_in_its_pages),
		cmocka_unit_test(a_big_span_shrinks_in_place_and_its_tail_is_free),
		cmocka_unit_test(a_big_span_grows_into_free_pages_behind_it_only),
		cmocka_unit_test(the_last_span_of_the_heap_grows_with_the_heap),
		cmocka_unit_test(growing_at_the_end_fills_exactly_up_to_the_committed_end),
		cmocka_unit_test(a_second_short_run_comes_from_the_cache_without_the_heap),
		cmocka_unit_test(a_flushed_cache_has_given_every_page_back),
		cmocka_unit_test(
			a_request_that_may_not_grow_the_heap_leaves_the_next_group_as_large),
		cmocka_unit_test(a_run_freed_across_the_edge_of_the_cached_word_loses_no_page),
		cmocka_unit_test(
			the_tail_of_a_span_in_the_cached_word_is_used_before_the_heap_is_asked),
		cmocka_unit_test(
			the_tail_of_a_span_that_is_not_in_the_cached_word_goes_to_the_heap),
		cmocka_unit_test(a_run_freed_just_below_or_behind_the_cached_word_goes_to_the_heap),
		cmocka_unit_test(the_cache_knows_which_pages_are_zero),
		cmocka_unit_test(a_random_history_through_two_caches_loses_no_page),
		cmocka_unit_test(each_span_in_use_is_visited_once_in_the_order_of_pages),
		cmocka_unit_test(a_child_of_a_quiet_heap_goes_on_with_it),
		cmocka_unit_test(a_child_mends_a_heap_that_was_being_changed),
		cmocka_unit_test(
			pages_that_leave_a_span_while_the_heap_is_rebuilt_are_freed_once),
		cmocka_unit_test(without_memory_the_answer_is_null_and_the_heap_is_as_before),
		cmocka_unit_test(a_refused_commit_is_tried_again_with_less),
		cmocka_unit_test(places_below_one_another_are_one_heap),
		cmocka_unit_test(a_place_that_ends_where_an_older_one_begins_is_used_without_harm),
		cmocka_unit_test(
			a_small_reservation_into_an_arena_that_is_known_is_used_without_harm),
		cmocka_unit_test(an_extension_into_an_arena_that_is_known_is_used_without_harm),
		cmocka_unit_test(mheap_check_stops_at_each_kind_of_lie),
		cmocka_unit_test(what_cannot_be_had_takes_no_arenas),
	};

	return cmocka_run_group_tests_name("mheap", tests, NULL, NULL);
}
