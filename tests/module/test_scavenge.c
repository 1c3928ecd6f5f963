/* SPDX-License-Identifier: MIT */
/*
 * test_scavenge.c - what was free for the decay time goes back to the system, and nothing else
 * does.
 */
#include "module.h"
#include "spans.h"

#include "heap/mheap.h"
#include "base/options.h"
#include "os/forked.h"
#include "os_fail.h"
#include "heap/scavenge.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Where the test's clock stands at the start: later than any time the heap has seen. */
static uint64_t start_ms;

static struct mspan *big(size_t npages)
{
	struct mspan *s = mheap_alloc_big(NULL, npages, 1, SCAN, EFFORT_GROW);

	CHECK(s != NULL);
	return s;
}

static struct mspan *used(size_t npages)
{
	struct mspan *s = big(npages);

	memset((void *)s->base, 1, mspan_nbytes(s));
	return s;
}

static size_t dirty_pages(void)
{
	return mheap.pages.nfree - mheap.pages.nclean;
}

/* Makes a heap that was polled at start_ms and counts what it releases from now on. */
static void start(uint32_t decay_ms)
{
	options.scavenge_ms = decay_ms;
	options.thp = false;
	mheap_init();
	start_ms = mheap.scavenger.now_ms + 1000000;
	mheap_scavenge_poll(start_ms);
	os_fail_nth(OS_RELEASE, 0);
}

static size_t resident_pages(uintptr_t addr, size_t nbytes)
{
	static unsigned char in_core[65536];
	size_t os_page = (size_t)sysconf(_SC_PAGESIZE);
	size_t n = 0;

	CHECK(nbytes / os_page <= sizeof(in_core));
	CHECK(mincore((void *)addr, nbytes, in_core) == 0);
	for (size_t i = 0; i < nbytes / os_page; i++)
		n += in_core[i] & 1;
	return n;
}

TEST_IN_CHILD(released_pages_are_clean_have_no_memory_and_read_as_zero)
{
	struct mspan *s;
	uintptr_t base;

	start(1000);
	s = used(100);
	base = s->base;
	CHECK(resident_pages(base, 100 * PAGE_SIZE) != 0);
	mheap_free_span(NULL, s);
	CHECK(dirty_pages() == 100);
	CHECK(mheap_scavenge_all() == 100 * PAGE_SIZE);
	CHECK(dirty_pages() == 0);
	CHECK(resident_pages(base, 100 * PAGE_SIZE) == 0);
	mheap_check();
	s = big(100);
	CHECK(s->base == base && s->zeroed && all_zero((void *)base, mspan_nbytes(s)));
}

TEST_IN_CHILD(pages_that_were_never_used_are_not_released)
{
	struct mspan *s;

	start(0);
	s = big(10);
	CHECK(mheap_scavenge_all() == 0);
	mheap_scavenge_poll(start_ms + 1);
	CHECK(os_fail_seen() == 0);
	(void)s;
}

TEST_IN_CHILD(pages_in_use_are_never_released)
{
	struct mspan *s[60];

	start(0);
	for (size_t i = 0; i < 60; i++) {
		s[i] = big(1 + i % 5);
		pattern_fill((void *)s[i]->base, mspan_nbytes(s[i]), i);
	}
	for (size_t i = 0; i < 60; i += 2)
		mheap_free_span(NULL, s[i]);
	CHECK(mheap_scavenge_all() != 0);
	CHECK(dirty_pages() == 0);
	for (size_t i = 1; i < 60; i += 2)
		CHECK(pattern_holds((void *)s[i]->base, mspan_nbytes(s[i]), i));
	mheap_check();
}

TEST_IN_CHILD(nothing_is_released_before_the_decay_time_and_all_after_it)
{
	struct mspan *s;

	start(100);
	s = used(50);
	mheap_free_span(NULL, s);
	mheap_scavenge_poll(start_ms + 1);
	mheap_scavenge_poll(start_ms + 99);
	CHECK(os_fail_seen() == 0 && dirty_pages() == 50);
	mheap_scavenge_poll(start_ms + 100);
	CHECK(os_fail_seen() == 1 && dirty_pages() == 0);
	mheap_scavenge_poll(start_ms + 1000);
	CHECK(os_fail_seen() == 1);
	mheap_check();
}

TEST_IN_CHILD(a_decay_of_0_releases_at_the_next_poll)
{
	start(0);
	mheap_free_span(NULL, used(50));
	mheap_scavenge_poll(start_ms);
	CHECK(dirty_pages() == 0);
}

TEST_IN_CHILD(a_chunk_that_is_freed_into_waits_anew)
{
	struct mspan *a, *b;

	start(100);
	a = used(10);
	b = used(10);
	mheap_free_span(NULL, a);
	mheap_scavenge_poll(start_ms + 60);
	mheap_free_span(NULL, b);
	mheap_scavenge_poll(start_ms + 100);
	CHECK(dirty_pages() == 20);
	mheap_scavenge_poll(start_ms + 160);
	CHECK(dirty_pages() == 0);
}

TEST_IN_CHILD(a_poll_by_a_thread_whose_clock_is_behind_releases_nothing_early)
{
	start(100);
	mheap_free_span(NULL, used(10));
	mheap_scavenge_poll(start_ms - 5);
	CHECK(dirty_pages() == 10);
}

/* Frees 70 chunks, in objects shorter than a huge one. Each free gives back some of what is too
 * much. Returns how many pages are dirty then. */
static size_t free_many_chunks(void)
{
	struct mspan *s[10];

	for (int i = 0; i < 10; i++)
		s[i] = big(7 * CHUNK_PAGES);
	for (int i = 0; i < 10; i++)
		mheap_free_span(NULL, s[i]);
	return dirty_pages();
}

TEST_IN_CHILD(one_poll_is_bounded_and_the_rest_follows)
{
	unsigned polls = 0;
	size_t left;

	start(100);
	left = free_many_chunks();
	while (dirty_pages() != 0) {
		mheap_scavenge_poll(start_ms + 100);
		CHECK(dirty_pages() < left);
		CHECK(left - dirty_pages() <= 20 * CHUNK_PAGES);
		left = dirty_pages();
		CHECK(++polls < 50);
	}
	CHECK(polls > 1);
	mheap_check();
}

TEST_IN_CHILD(the_longer_a_process_was_idle_the_more_one_poll_may_release)
{
	size_t before;

	start(100);
	before = free_many_chunks();
	CHECK(before > 16 * CHUNK_PAGES);
	mheap_scavenge_poll(start_ms + 255);
	CHECK(dirty_pages() != 0);
	start_ms += 255;
	(void)free_many_chunks();
	mheap_scavenge_poll(start_ms + 256 * 10);
	CHECK(dirty_pages() == 0);
	mheap_check();
}

TEST_IN_CHILD(a_chunk_that_is_not_due_does_not_hold_up_those_that_are)
{
	struct mspan *a, *b;

	start(100);
	a = used(2 * CHUNK_PAGES);
	b = used(2 * CHUNK_PAGES);
	mheap_free_span(NULL, b);
	mheap_scavenge_poll(start_ms + 50);
	mheap_free_span(NULL, a);
	mheap_scavenge_poll(start_ms + 100);
	/* At most the chunk in which the two meet waits on. */
	CHECK(dirty_pages() >= 2 * CHUNK_PAGES && dirty_pages() <= 3 * CHUNK_PAGES);
	mheap_scavenge_poll(start_ms + 150);
	CHECK(dirty_pages() == 0);
}

TEST_IN_CHILD(scavenge_all_waits_for_nothing_and_says_how_much)
{
	start(1000000);
	mheap_free_span(NULL, used(3 * CHUNK_PAGES));
	CHECK(mheap_scavenge_all() == 3 * CHUNK_PAGES * PAGE_SIZE);
	CHECK(mheap_scavenge_all() == 0);
	CHECK(dirty_pages() == 0);
	mheap_check();
}

TEST_IN_CHILD(what_a_page_cache_gives_back_is_released_too)
{
	struct pcache pc = { .base = 0 };
	struct mspan *s;

	start(1000);
	big(1);
	s = mheap_alloc_big(&pc, 5, 1, SCAN, EFFORT_GROW);
	CHECK(s->base == pc.base + PAGE_SIZE);
	memset((void *)s->base, 1, mspan_nbytes(s));
	mheap_free_span(&pc, s);
	/* While they are the cache's they are nobody else's. */
	CHECK(mheap_scavenge_all() == 0);
	mheap_flush_pcache(&pc);
	CHECK(dirty_pages() == 5);
	CHECK(mheap_scavenge_all() == 5 * PAGE_SIZE);
}

TEST_IN_CHILD(the_tail_of_a_shrunk_span_is_released_and_its_head_is_kept)
{
	struct mspan *s;

	start(1000);
	s = big(100);
	pattern_fill((void *)s->base, mspan_nbytes(s), 8);
	CHECK(mheap_resize_big(NULL, s, 30, EFFORT_GROW));
	CHECK(mheap_scavenge_all() == 70 * PAGE_SIZE);
	CHECK(pattern_holds((void *)s->base, mspan_nbytes(s), 8));
	CHECK(mheap_resize_big(NULL, s, 100, EFFORT_GROW));
	CHECK(all_zero((char *)s->base + 30 * PAGE_SIZE, 70 * PAGE_SIZE));
}

TEST_IN_CHILD(pages_that_the_system_does_not_take_stay_free_and_used)
{
	struct mspan *s;

	start(0);
	s = used(50);
	mheap_free_span(NULL, s);
	os_fail_from(OS_RELEASE, 1);
	CHECK(mheap_scavenge_all() == 0);
	CHECK(os_fail_failed() != 0);
	os_fail_stop();
	CHECK(dirty_pages() == 50);
	mheap_check();
	CHECK(!big(50)->zeroed);
}

TEST_IN_CHILD(pages_that_the_system_did_not_take_are_offered_again)
{
	start(0);
	mheap_free_span(NULL, used(50));
	os_fail_nth(OS_RELEASE, 1);
	CHECK(mheap_scavenge_all() == 0);
	os_fail_stop();
	CHECK(mheap_scavenge_all() == 50 * PAGE_SIZE);
	CHECK(dirty_pages() == 0);
}

/* Another thread takes the free pages of the chunk that is last on the list, and then goes through
 * the list itself. */
static void take_last_chunk(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	(void)big(CHUNK_PAGES);
	(void)mheap_scavenge_all();
}

TEST_IN_CHILD(scavenge_all_ends_though_the_system_refuses_and_the_list_changes)
{
	static const struct os_space_hooks hooks = { .before_release = take_last_chunk };
	struct mspan *first, *between, *last;

	start(0);
	first = used(CHUNK_PAGES);
	between = big(CHUNK_PAGES);
	last = used(CHUNK_PAGES);
	CHECK(between->base == first->base + mspan_nbytes(first));
	mheap_free_span(NULL, first);
	mheap_free_span(NULL, last);
	os_fail_set_hooks(&hooks);
	os_fail_from(OS_RELEASE, 1);
	alarm(10);
	CHECK(mheap_scavenge_all() == 0);
	CHECK(os_fail_failed() != 0);
	os_fail_stop();
	mheap_check();
	CHECK(mheap_scavenge_all() == CHUNK_SIZE);
	CHECK(dirty_pages() == 0);
}

/* --- a fork by a signal's handler, while pages are released --- */

static void rebuild(bool by_forker)
{
	(void)by_forker;
	CHECK(mheap_after_fork());
}

static pid_t forked_pid = -1;
static bool mends_at_once;

/* Stands for the handler. Another thread holds the lock when it forks. In the child the handler may
 * return at once, or use the heap first, which mends it. */
static void fork_in_handler(void)
{
	os_fail_set_hooks(NULL);
	lock_holder_start(&mheap.lock);
	forked_pid = fork();
	CHECK(forked_pid >= 0);
	if (forked_pid != 0)
		lock_holder_stop();
	else if (mends_at_once)
		forked_look_in_wait();
}

/* Releases the pages of two freed spans of 10 and 20 pages with one between them. Returns in the
 * child of the handler. */
static void release_in_child(uintptr_t *first, uintptr_t *second)
{
	static const struct os_space_hooks hooks = { .before_release = fork_in_handler };
	struct mspan *a, *b;

	start(0);
	forked_watch(rebuild);
	a = used(10);
	(void)used(1);
	b = used(20);
	(void)used(1);
	*first = a->base;
	*second = b->base;
	mheap_free_span(NULL, a);
	mheap_free_span(NULL, b);
	os_fail_set_hooks(&hooks);
	(void)mheap_scavenge_all();
	if (forked_pid != 0) {
		CHECK(child_wait(forked_pid) == 0);
		_exit(0);
	}
	CHECK(mheap.pages.rebuilds == 1);
	mheap_check();
	CHECK(mheap.pages.ntotal - mheap.pages.nfree == 2);
}

TEST_IN_CHILD(pages_in_hand_are_freed_once_when_the_heap_is_rebuilt)
{
	uintptr_t first, second;

	release_in_child(&first, &second);
	CHECK(big(10)->base == first && big(20)->base == second);
	mheap_check();
}

TEST_IN_CHILD(pages_that_a_handler_took_after_the_rebuild_are_not_released)
{
	uintptr_t first, second;

	mends_at_once = true;
	release_in_child(&first, &second);
	/* Of the second run nothing was released, because it may have been in use again. */
	CHECK(resident_pages(second, 20 * PAGE_SIZE) == 20 * PAGE_SIZE / os_page_size());
}

TEST_IN_CHILD(pages_that_an_object_took_stay_its_own_when_the_heap_is_rebuilt_meanwhile)
{
	static const struct os_space_hooks hooks = { .before_release = fork_in_handler };
	struct mspan *old, *s;

	start(1000);
	forked_watch(rebuild);
	old = used(3 * EXCHANGE_PAGES_MIN);
	(void)used(1);
	mheap_free_span(NULL, old);
	os_fail_set_hooks(&hooks);
	/* The object finds no room but fresh pages, and dirty ones are released for it. */
	s = big(4 * EXCHANGE_PAGES_MIN);
	if (forked_pid != 0) {
		CHECK(child_wait(forked_pid) == 0);
		_exit(0);
	}
	CHECK(mheap.pages.rebuilds == 1 && s != NULL);
	mheap_check();
	CHECK(mheap.pages.ntotal - mheap.pages.nfree == 1 + 4 * EXCHANGE_PAGES_MIN);
	CHECK(big(4 * EXCHANGE_PAGES_MIN)->base != s->base);
	mheap_check();
}

static bool is_huge(uintptr_t addr)
{
	return (arena_of(addr)->huge_regions >> addr % ARENA_SIZE / REGION_SIZE & 1) != 0;
}

/* Returns whether the mapping at addr has this flag in /proc/self/smaps. Returns true where the
 * kernel has no huge pages at all. */
static bool kernel_was_told(uintptr_t addr, const char *flag)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	bool inside = false, told = false;
	char line[512];

	CHECK(smaps != NULL);
	while (fgets(line, sizeof(line), smaps) != NULL) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = from <= addr && addr < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			told = strstr(line, flag) != NULL;
	}
	fclose(smaps);
	return told || access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0;
}

/* Makes a heap so large that it wants huge pages, nearly all of it one untouched object, and
 * small spans up to the first that begins a region. Returns that span. *pc has the rest of its
 * word. */
static struct mspan *begin_region(struct pcache *pc)
{
	struct mspan *s;

	start(1000);
	options.thp = true;
	/* Below the size of a heap that wants them: none, however many small spans come. */
	for (int i = 0; i < 600; i++) {
		s = alloc_longest(pc, 2);
		CHECK(s != NULL && !is_huge(s->base));
	}
	big(THP_MIN_HEAP / PAGE_SIZE);
	for (int i = 0; i < 4 * REGION_PAGES; i++) {
		s = alloc_longest(pc, 2);
		CHECK(s != NULL);
		if (is_huge(s->base)) {
			CHECK(s->base % REGION_SIZE == 0 && s->zeroed);
			return s;
		}
	}
	CHECK(false);
}

TEST_IN_CHILD(a_region_that_small_objects_begin_has_a_huge_page_and_gives_all_of_it_back)
{
	struct pcache pc = { .base = 0 };
	struct mspan *s = begin_region(&pc);
	uintptr_t base = s->base;
	size_t in_core;

	CHECK(kernel_was_told(base, " hg") && kernel_was_told(base + REGION_SIZE - 1, " hg"));
	*(volatile char *)base = 1;
	/* All of it, where the kernel has huge pages. */
	in_core = resident_pages(base, REGION_SIZE);
	CHECK(in_core == 1 || in_core == REGION_SIZE / (size_t)sysconf(_SC_PAGESIZE));
	mheap_check();
	/* In use: the rest goes back, the page that is used does not. */
	mheap_flush_pcache(&pc);
	mheap_free_span(NULL, alloc_longest(NULL, 2));
	mheap_scavenge_all();
	CHECK(!is_huge(base) && kernel_was_told(base, " nh"));
	CHECK(*(char *)base == 1);
	CHECK(resident_pages(base + PAGE_SIZE, REGION_SIZE - PAGE_SIZE) == 0);
	mheap_check();
	mheap_free_span(NULL, s);
	mheap_scavenge_all();
	CHECK(resident_pages(base, REGION_SIZE) == 0);
	CHECK(dirty_pages() == 0);
	mheap_check();
}

TEST_IN_CHILD(where_big_objects_have_more_than_half_no_region_has_a_huge_page)
{
	struct pcache pc = { .base = 0 };

	(void)begin_region(&pc);
	/* A word of small spans, and three that are one big object. */
	for (int i = 0; i < 40; i++) {
		for (int n = 0; n < PCACHE_PAGES; n++) {
			struct mspan *s = alloc_longest(&pc, 2);

			CHECK(s != NULL && (i < 8 || !is_huge(s->base)));
		}
		big(3 * PCACHE_PAGES);
	}
	/* They have them again once they are alone. */
	for (int n = 0; n < 4 * REGION_PAGES; n++)
		if (is_huge(alloc_longest(&pc, 2)->base))
			return;
	CHECK(false);
}

TEST_IN_CHILD(what_of_a_huge_page_was_never_handed_out_is_released_with_what_was)
{
	struct pcache pc = { .base = 0 };
	struct mspan *s = begin_region(&pc);
	uintptr_t base = s->base;

	*(volatile char *)base = 1;
	mheap_flush_pcache(&pc);
	mheap_free_span(NULL, s);
	CHECK(dirty_pages() != 0);
	mheap_scavenge_all();
	CHECK(resident_pages(base, REGION_SIZE) == 0 && !is_huge(base) && dirty_pages() == 0);
	mheap_check();
	/* It reads as zero, and can have a huge page again: not for a thread's first words, but for
	 * one that took as many as that. */
	pc = (struct pcache){ .next = PCACHE_PAGES, .nwords = THP_MIN_WORDS - 2 };
	s = alloc_longest(&pc, 2);
	CHECK(s->base == base && !is_huge(base) && pc.nwords == THP_MIN_WORDS - 1);
	mheap_flush_pcache(&pc);
	CHECK(pc.nwords == THP_MIN_WORDS - 1);
	mheap_free_span(NULL, s);
	mheap_scavenge_all();
	pc.next = PCACHE_PAGES;
	s = alloc_longest(&pc, 2);
	CHECK(s->zeroed && all_zero((void *)s->base, PAGE_SIZE));
	CHECK(s->base == base && is_huge(base));
}

TEST_IN_CHILD(big_objects_begin_no_region_and_neither_does_any_with_thp_off)
{
	struct pcache pc = { .base = 0 };

	start(1000);
	options.thp = true;
	for (int i = 0; i < 100; i++)
		CHECK(!is_huge(big(MiB(2) / PAGE_SIZE)->base));
	options.thp = false;
	for (int i = 0; i < 1000; i++)
		CHECK(!is_huge(alloc_longest(&pc, 2)->base));
}

TEST_IN_CHILD(a_random_history_ends_with_every_free_page_released)
{
	enum { N = 150 };
	static struct mspan *s[N];
	uint64_t rnd = 4;

	start(50);
	for (unsigned step = 0; step < 5000; step++) {
		size_t i = rng_below(&rnd, N);

		if (s[i] != NULL) {
			CHECK(pattern_holds((void *)s[i]->base, 100, i));
			mheap_free_span(NULL, s[i]);
			s[i] = NULL;
		} else {
			s[i] = big(1 + rng_below(&rnd, rng_below(&rnd, 10) == 0 ? 700 : 20));
			CHECK(!s[i]->zeroed || all_zero((void *)s[i]->base, PAGE_SIZE));
			pattern_fill((void *)s[i]->base, 100, i);
		}
		if (step % 10 == 0)
			mheap_scavenge_poll(start_ms + step);
		if (step % 500 == 0)
			mheap_check();
	}
	mheap_scavenge_all();
	CHECK(dirty_pages() == 0);
	mheap_check();
	for (size_t i = 0; i < N; i++)
		if (s[i] != NULL)
			CHECK(pattern_holds((void *)s[i]->base, 100, i));
}

/* Returns the most dirty pages among npages free pages of one chunk, looked at one by one. */
static size_t most_dirty(size_t npages)
{
	uint64_t end = (uint64_t)mheap.pages.narenas * ARENA_PAGES;
	size_t most = 0;

	for (uint64_t page = 0; page + npages <= end; page++)
		if (page / CHUNK_PAGES == (page + npages - 1) / CHUNK_PAGES &&
		    pagealloc_is_free(&mheap.pages, page, npages))
			most = max_size(most,
					pagealloc_count_dirty(&mheap.pages, page, npages));
	return most;
}

TEST_IN_CHILD(the_run_that_is_found_has_as_many_dirty_pages_as_there_are)
{
	static struct mspan *s[1000];
	uint64_t r = 11;

	start(1000000);
	for (size_t i = 0; i < 1000; i++)
		s[i] = big(1 + rng_below(&r, 5));
	for (unsigned round = 0; round < 4; round++) {
		/* Some pages are free and clean, then others are free and dirty. */
		for (size_t i = 0; i < 1000; i++) {
			if (i == 500)
				(void)mheap_scavenge_all();
			if (s[i] == NULL || rng_below(&r, 3) != 0)
				continue;
			mheap_free_span(NULL, s[i]);
			s[i] = NULL;
		}
		for (size_t npages = 1; npages < 40; npages += 1 + npages / 4) {
			uint64_t page = scavenge_find_locked(&mheap.scavenger, npages);
			size_t most = most_dirty(npages);

			CHECK((page == PAGE_NONE) == (most == 0));
			if (page == PAGE_NONE)
				continue;
			CHECK(pagealloc_is_free(&mheap.pages, page, npages));
			CHECK(pagealloc_count_dirty(&mheap.pages, page, npages) == most);
		}
	}
	CHECK(scavenge_find_locked(&mheap.scavenger, CHUNK_PAGES + 1) == PAGE_NONE);
	(void)mheap_scavenge_all();
	CHECK(scavenge_find_locked(&mheap.scavenger, 1) == PAGE_NONE);
}

TEST_IN_CHILD(an_object_of_fresh_pages_releases_as_many_dirty_ones_and_its_own_stay)
{
	struct mspan *old, *s;
	size_t dirty;

	start(1000);
	old = used(3 * EXCHANGE_PAGES_MIN);
	(void)used(1);
	mheap_free_span(NULL, old);
	dirty = dirty_pages();
	CHECK(dirty >= 3 * EXCHANGE_PAGES_MIN);
	/* None is fresh: the object fits where the old one was. */
	s = used(EXCHANGE_PAGES_MIN);
	CHECK(dirty_pages() == dirty - EXCHANGE_PAGES_MIN);
	mheap_free_span(NULL, s);
	/* Too few are fresh. */
	(void)used(3 * EXCHANGE_PAGES_MIN);
	s = used(EXCHANGE_PAGES_MIN - 1);
	CHECK(dirty_pages() == dirty - 3 * EXCHANGE_PAGES_MIN);
	s = used(2 * EXCHANGE_PAGES_MIN);
	mheap_free_span(NULL, s);
	dirty = dirty_pages();
	CHECK(dirty >= 2 * EXCHANGE_PAGES_MIN);
	s = used(3 * EXCHANGE_PAGES_MIN);
	CHECK(dirty_pages() <= dirty - 2 * EXCHANGE_PAGES_MIN);
	CHECK(resident_pages(s->base, mspan_nbytes(s)) ==
	      mspan_nbytes(s) / (size_t)sysconf(_SC_PAGESIZE));
}

TEST_IN_CHILD(pages_that_an_object_took_by_growing_in_place_are_fresh_no_more)
{
	struct mspan *old, *last;
	size_t dirty;

	start(1000);
	old = used(EXCHANGE_PAGES_MIN);
	last = used(1);
	CHECK(mheap_resize_big(NULL, last, 3 * EXCHANGE_PAGES_MIN, EFFORT_GROW) == RESIZE_DONE);
	memset((void *)last->base, 1, mspan_nbytes(last));
	mheap_free_span(NULL, old);
	mheap_free_span(NULL, last);
	dirty = dirty_pages();
	CHECK(dirty >= 4 * EXCHANGE_PAGES_MIN);
	(void)used(3 * EXCHANGE_PAGES_MIN);
	CHECK(dirty_pages() == dirty - 3 * EXCHANGE_PAGES_MIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(released_pages_are_clean_have_no_memory_and_read_as_zero),
		cmocka_unit_test(pages_that_were_never_used_are_not_released),
		cmocka_unit_test(pages_in_use_are_never_released),
		cmocka_unit_test(nothing_is_released_before_the_decay_time_and_all_after_it),
		cmocka_unit_test(a_decay_of_0_releases_at_the_next_poll),
		cmocka_unit_test(a_chunk_that_is_freed_into_waits_anew),
		cmocka_unit_test(a_poll_by_a_thread_whose_clock_is_behind_releases_nothing_early),
		cmocka_unit_test(one_poll_is_bounded_and_the_rest_follows),
		cmocka_unit_test(the_longer_a_process_was_idle_the_more_one_poll_may_release),
		cmocka_unit_test(a_chunk_that_is_not_due_does_not_hold_up_those_that_are),
		cmocka_unit_test(scavenge_all_waits_for_nothing_and_says_how_much),
		cmocka_unit_test(what_a_page_cache_gives_back_is_released_too),
		cmocka_unit_test(the_tail_of_a_shrunk_span_is_released_and_its_head_is_kept),
		cmocka_unit_test(pages_that_the_system_does_not_take_stay_free_and_used),
		cmocka_unit_test(pages_that_the_system_did_not_take_are_offered_again),
		cmocka_unit_test(scavenge_all_ends_though_the_system_refuses_and_the_list_changes),
		cmocka_unit_test(pages_in_hand_are_freed_once_when_the_heap_is_rebuilt),
		cmocka_unit_test(pages_that_a_handler_took_after_the_rebuild_are_not_released),
		cmocka_unit_test(
			a_region_that_small_objects_begin_has_a_huge_page_and_gives_all_of_it_back),
		cmocka_unit_test(
			where_big_objects_have_more_than_half_no_region_has_a_huge_page),
		cmocka_unit_test(
			what_of_a_huge_page_was_never_handed_out_is_released_with_what_was),
		cmocka_unit_test(big_objects_begin_no_region_and_neither_does_any_with_thp_off),
		cmocka_unit_test(the_run_that_is_found_has_as_many_dirty_pages_as_there_are),
		cmocka_unit_test(
			an_object_of_fresh_pages_releases_as_many_dirty_ones_and_its_own_stay),
		cmocka_unit_test(pages_that_an_object_took_by_growing_in_place_are_fresh_no_more),
		cmocka_unit_test(
			pages_that_an_object_took_stay_its_own_when_the_heap_is_rebuilt_meanwhile),
		cmocka_unit_test(a_random_history_ends_with_every_free_page_released),
	};

	return cmocka_run_group_tests_name("scavenge", tests, NULL, NULL);
}
