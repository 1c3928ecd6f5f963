/* SPDX-License-Identifier: MIT */
/*
 * test_drain.c - the kernel pages of a span in which all slots are free lose their memory, and no
 * other page does.
 */
#include "module.h"

#include "heap/drain.h"
#include "base/options.h"
#include "os/os.h"

#include <string.h>
#include <sys/mman.h>

#define ME ((uintptr_t)0x10000)
#define MOST_KERNEL_PAGES 64

static void start(void)
{
	mheap_init();
}

/* Returns a span that ME owns. Its slots are live and filled, but for those that cut(slot, arg)
 * says are free. What is behind the last slot has memory, too. */
static struct mspan *make_span_of(spanclass_t sc, size_t npages,
				  bool (*cut)(uint32_t slot, uint64_t *arg), uint64_t *arg)
{
	struct mspan *s = mheap_alloc_small(NULL, sc, npages, EFFORT_GROW);
	unsigned word;
	uint64_t bits;
	bool fresh;

	CHECK(s != NULL);
	mspan_set_owner(s, ME);
	memset((void *)s->base, 0x5a, mspan_nbytes(s));
	while (mspan_take_word(s, 0, &word, &bits, &fresh))
		;
	for (uint32_t slot = 0; slot < s->nelems; slot++) {
		if (cut(slot, arg)) {
			mspan_free_local(s, slot);
		} else {
			slot_set(&s->state[slot], SLOT_LIVE);
			pattern_fill((void *)mspan_slot_addr(s, slot), s->elemsize, slot);
		}
	}
	return s;
}

/* Makes the longest span of the class. */
static struct mspan *make_span(spanclass_t sc, bool (*cut)(uint32_t slot, uint64_t *arg),
			       uint64_t *arg)
{
	return make_span_of(sc, spanclass_max_npages(sc), cut, arg);
}

static void check_live(struct mspan *s)
{
	for (uint32_t slot = 0; slot < s->nelems; slot++)
		CHECK(!slot_is_live(&s->state[slot]) ||
		      pattern_holds((void *)mspan_slot_addr(s, slot), s->elemsize, slot));
}

static bool is_resident(uintptr_t page)
{
	unsigned char in;

	CHECK(mincore((void *)page, os_page_size(), &in) == 0);
	return (in & 1) != 0;
}

/* Returns true if the byte is in a slot that is not free. */
static bool byte_is_taken(struct mspan *s, uintptr_t addr)
{
	size_t slot = (addr - s->base) / s->elemsize;

	return slot < s->nelems && (mspan_free_bits(s)[slot / 64] >> slot % 64 & 1) == 0;
}

/* Looks at every byte. Returns how many pages had to go, and checks that just these went. */
static unsigned check_pages(struct mspan *s)
{
	unsigned gone = 0;

	for (uintptr_t page = s->base; page < s->base + mspan_nbytes(s); page += os_page_size()) {
		bool taken = false;

		for (uintptr_t addr = page; addr < page + os_page_size(); addr++)
			taken |= byte_is_taken(s, addr);
		CHECK(is_resident(page) == taken);
		gone += !taken;
	}
	return gone;
}

static bool by_chance(uint32_t slot, uint64_t *r)
{
	(void)slot;
	return rng_below(r, 32) != 0;
}

static bool all_but_last(uint32_t slot, uint64_t *nelems)
{
	return slot + 1 != *nelems;
}

static bool none(uint32_t slot, uint64_t *arg)
{
	(void)slot;
	(void)arg;
	return false;
}

TEST_IN_CHILD(the_pages_that_go_are_those_without_a_byte_of_a_slot_in_use)
{
	uint64_t r = 7;

	start();
	for (unsigned sc = 2; sc < NUM_SPAN_CLASSES; sc++) {
		if (sc == SPANCLASS_ZERO || sc == SPANCLASS_TINY)
			continue;
		for (unsigned i = 0; i < SPAN_LENGTHS; i++) {
			struct mspan *s =
				make_span_of((spanclass_t)sc,
					     spanclass_info((spanclass_t)sc)->npages[i],
					     by_chance, &r);
			size_t before = mspan_count_released();

			(void)drain_span(s);
			CHECK(check_pages(s) == s->released);
			CHECK(mspan_count_released() == before + s->released);
			check_live(s);
		}
	}
	mheap_check();
}

TEST_IN_CHILD(pages_behind_the_last_slot_count_with_it)
{
	start();
	for (unsigned class = 2; class < NUM_SIZE_CLASSES; class++) {
		spanclass_t sc = make_spanclass(class, SCAN);
		uint64_t nelems = spanclass_nelems(sc, spanclass_max_npages(sc));
		struct mspan *s = make_span(sc, all_but_last, &nelems);

		(void)drain_span(s);
		(void)check_pages(s);
		slot_set(&s->state[nelems - 1], SLOT_FREE);
		mspan_free_local(s, (uint32_t)nelems - 1);
		(void)drain_span(s);
		CHECK(check_pages(s) == mspan_nbytes(s) / os_page_size());
	}
}

TEST_IN_CHILD(a_full_span_costs_no_call)
{
	struct mspan *s;

	start();
	s = make_span(make_spanclass(40, SCAN), none, NULL);
	CHECK(drain_span(s) == 0 && s->released == 0);
	CHECK(check_pages(s) == 0);
}

TEST_IN_CHILD(a_drained_span_is_done_until_a_slot_comes_free)
{
	uint64_t nelems;
	struct mspan *s;
	bool twice;

	start();
	nelems = spanclass_nelems(make_spanclass(30, SCAN),
				  spanclass_max_npages(make_spanclass(30, SCAN)));
	s = make_span(make_spanclass(30, SCAN), all_but_last, &nelems);
	CHECK(!drain_is_done(s));
	CHECK(drain_span(s) == 1);
	CHECK(drain_is_done(s));
	slot_set(&s->state[nelems - 1], SLOT_FREE);
	CHECK(!mspan_free_remote(s, (uint32_t)nelems - 1, &twice) && !twice);
	CHECK(!drain_is_done(s));
	CHECK(mspan_absorb(s) == 1);
	CHECK(!drain_is_done(s));
	CHECK(drain_span(s) == 1);
	CHECK(drain_is_done(s));
}

TEST_IN_CHILD(all_pages_count_as_used_when_a_slot_is_handed_out_or_the_span_is_freed)
{
	uint64_t r = 3;
	struct mspan *a, *b;

	start();
	a = make_span(make_spanclass(40, SCAN), by_chance, &r);
	b = make_span(make_spanclass(40, NOSCAN), by_chance, &r);
	(void)drain_span(a);
	(void)drain_span(b);
	CHECK(a->released != 0 && b->released != 0);
	CHECK(mspan_count_released() == (size_t)a->released + b->released);
	mspan_begin_use(a);
	CHECK(a->released == 0 && mspan_count_released() == b->released && !drain_is_done(a));
	mheap_check();
	mheap_free_span(NULL, b);
	CHECK(mspan_count_released() == 0);
	mheap_check();
}

TEST_IN_CHILD(what_was_given_back_does_not_count_against_the_limit_unless_it_is_hard)
{
	uint64_t r = 3;
	struct mspan *s;
	size_t before;

	start();
	s = make_span(make_spanclass(40, SCAN), by_chance, &r);
	before = mheap_used_bytes();
	(void)drain_span(s);
	CHECK(mheap_used_bytes() == before - s->released * os_page_size());
	options.hard = true;
	CHECK(mheap_used_bytes() == before);
}

TEST_IN_CHILD(free_slots_in_no_bitmap_keep_their_pages)
{
	uint64_t r = 3;
	struct mspan *s;
	unsigned word;
	uint64_t bits;
	bool fresh;

	start();
	s = make_span(make_spanclass(40, SCAN), by_chance, &r);
	/* As a cache does. */
	while (mspan_take_word(s, 0, &word, &bits, &fresh))
		;
	CHECK(drain_span(s) == 0);
	for (uintptr_t page = s->base; page < s->base + mspan_nbytes(s); page += os_page_size())
		CHECK(is_resident(page));
}

TEST_IN_CHILD(blocks_of_tiny_objects_go_when_all_bytes_are_free)
{
	struct mspan *s;
	unsigned word;
	uint64_t bits;
	bool fresh;

	start();
	s = mheap_alloc_small(NULL, SPANCLASS_TINY, spanclass_max_npages(SPANCLASS_TINY),
			      EFFORT_GROW);
	mspan_set_owner(s, ME);
	memset((void *)s->base, 1, mspan_nbytes(s));
	/* The first word stays in a cache. */
	CHECK(mspan_take_word(s, 0, &word, &bits, &fresh) && word == 0);
	CHECK(drain_span(s) == 1);
	CHECK(is_resident(s->base));
	for (uintptr_t page = s->base + os_page_size(); page < s->base + mspan_nbytes(s);
	     page += os_page_size())
		CHECK(!is_resident(page));
}

TEST_IN_CHILD(pages_of_malloc_0_and_filled_memory_stay_as_they_are)
{
	uint64_t r = 3;
	struct mspan *s;

	start();
	CHECK(drain_span(mheap_alloc_small(NULL, SPANCLASS_ZERO, 1, EFFORT_GROW)) == 0);
	s = make_span(make_spanclass(40, SCAN), by_chance, &r);
	options.clobberfree = true;
	CHECK(drain_span(s) == 0 && s->released == 0);
	for (uintptr_t page = s->base; page < s->base + mspan_nbytes(s); page += os_page_size())
		CHECK(is_resident(page));
}

TEST_IN_CHILD(a_region_of_huge_pages_ends_and_its_free_pages_are_dirty)
{
	uint64_t r = 3, page;
	struct heap_arena *ha;
	struct mspan *s;
	size_t nclean;

	start();
	s = make_span(make_spanclass(40, SCAN), by_chance, &r);
	ha = arena_of(s->base);
	page = pagealloc_page(ha, s->base);
	/* As if the heap were large, and the region had been begun. */
	atomic_store(&mheap.growth.committed, THP_MIN_HEAP);
	options.thp = true;
	ha->huge_regions |= (uint32_t)1 << page % ARENA_PAGES / REGION_PAGES;
	nclean = mheap.pages.nclean;
	CHECK(nclean != 0);
	CHECK(drain_span(s) != 0);
	CHECK((ha->huge_regions >> page % ARENA_PAGES / REGION_PAGES & 1) == 0);
	CHECK(mheap.pages.nclean < nclean);
	pagealloc_check(&mheap.pages);
	CHECK(mheap_scavenge_all() != 0);
	CHECK(mheap.pages.nclean == mheap.pages.nfree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pages_that_go_are_those_without_a_byte_of_a_slot_in_use),
		cmocka_unit_test(pages_behind_the_last_slot_count_with_it),
		cmocka_unit_test(a_full_span_costs_no_call),
		cmocka_unit_test(a_drained_span_is_done_until_a_slot_comes_free),
		cmocka_unit_test(
			all_pages_count_as_used_when_a_slot_is_handed_out_or_the_span_is_freed),
		cmocka_unit_test(
			what_was_given_back_does_not_count_against_the_limit_unless_it_is_hard),
		cmocka_unit_test(free_slots_in_no_bitmap_keep_their_pages),
		cmocka_unit_test(blocks_of_tiny_objects_go_when_all_bytes_are_free),
		cmocka_unit_test(pages_of_malloc_0_and_filled_memory_stay_as_they_are),
		cmocka_unit_test(a_region_of_huge_pages_ends_and_its_free_pages_are_dirty),
	};

	return cmocka_run_group_tests_name("drain", tests, NULL, NULL);
}
