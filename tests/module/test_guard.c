/* SPDX-License-Identifier: MIT */
/*
 * test_guard.c - slots of guarded objects: where objects are in them, when they are used again, and
 * what becomes of them where the kernel has no fences or refuses a call.
 *
 * Every test runs in a child, whose heap is untouched, so that options can be set before the first
 * object.
 */
#include "module.h"

#include "live.h"
#include "safe/guard.h"
#include "heap.h"
#include "os/os.h"
#include "os_fail.h"
#include "proc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void with_efence(void)
{
	options.efence = true;
	heap_free(heap_malloc(1), "free");
}

static void with_rate(uint32_t rate)
{
	options.guardrate = rate;
	heap_free(heap_malloc(1), "free");
}

static size_t visited, visited_bytes;

static void visit(const struct guarded *g, void *arg)
{
	CHECK(arg == &visited);
	visited++;
	visited_bytes += g->size;
}

static size_t count_live(void)
{
	visited = 0;
	visited_bytes = 0;
	guard_each(visit, &visited);
	return visited;
}

static bool can_touch(uintptr_t addr)
{
	return os_can_read(align_down(addr, 8));
}

/* --- where objects are --- */

TEST_IN_CHILD(an_object_is_at_an_end_of_its_pages_between_guards)
{
	size_t page = os_page_size(), left = 0, right = 0;

	with_rate(1);
	for (size_t i = 0; i < 2000; i++) {
		size_t size = 1 + i * 37 % (3 * page);
		char *p = heap_malloc(size);
		uintptr_t first = align_down((uintptr_t)p, page),
			  last = align_up((uintptr_t)p + size, page);
		size_t align = size < 16 ? 8 : 16;

		CHECK(guard_owns((uintptr_t)p) && heap_usable_size(p, "") == size);
		CHECK((uintptr_t)p % align == 0);
		if ((uintptr_t)p == first)
			left++;
		else if (last - ((uintptr_t)p + size) < align)
			right++;
		else
			CHECK(false);
		CHECK(!can_touch(first - 1) && can_touch(first) && can_touch(last - 1) &&
		      !can_touch(last));
		for (size_t k = 0; k < size; k++)
			CHECK(p[k] == 0);
		memset(p, 'x', size);
		if (i % 3 == 0)
			continue;
		heap_free(p, "free");
		CHECK(!can_touch((uintptr_t)p) && !can_touch(last - 1));
	}
	/* By chance: those that fill their pages are both. */
	CHECK(left > 800 && right > 800);
}

TEST_IN_CHILD(objects_are_aligned_as_asked)
{
	with_efence();
	for (size_t align = 1; align <= MiB(64); align *= 2) {
		for (size_t size = 0; size < 20000; size += 1777) {
			char *p = heap_aligned(align, size, SCAN);

			CHECK(guard_owns((uintptr_t)p) && (uintptr_t)p % align == 0);
			memset(p, 'x', size);
			heap_free(p, "free");
		}
	}
}

TEST_IN_CHILD(objects_aligned_beyond_a_gib_are_ordinary_ones)
{
	char *p;

	with_efence();
	p = heap_aligned(GiB(1), 1, SCAN);
	CHECK(guard_owns((uintptr_t)p) && (uintptr_t)p % GiB(1) == 0);
	heap_free(p, "free");
	p = heap_aligned(GiB(2), 1, SCAN);
	CHECK(p != NULL && !guard_owns((uintptr_t)p) && (uintptr_t)p % GiB(2) == 0);
	heap_free(p, "free");
	CHECK(heap_aligned(GiB(4096), 1, SCAN) == NULL);
}

/* --- when slots are used again --- */

TEST_IN_CHILD(with_efence_no_address_comes_twice_and_freed_regions_cost_nothing)
{
	uintptr_t last = 0;
	size_t rss, tables;

	with_efence();
	rss = proc_status_bytes("VmRSS") / 1024;
	tables = proc_status_bytes("VmPTE") / 1024;
	for (size_t i = 0; i < 60000; i++) {
		void *p = heap_malloc(100);
		size_t page = os_page_size();

		CHECK(guard_owns((uintptr_t)p));
		/* A reservation is used from its start to its end. */
		CHECK(align_down((uintptr_t)p, page) > last);
		last = align_down((uintptr_t)p, page);
		heap_free(p, "free");
	}
	CHECK(count_live() == 0);
	/* 480 MB of addresses have gone by. Of records there are GUARD_REMEMBERED, of half a KiB,
	 * and 16 bytes of map an object. */
	/* Sanitizers have memory and mappings beside. */
	if (GOALLOC_SANITIZED)
		return;
	CHECK(proc_status_bytes("VmRSS") / 1024 - rss < 24000 &&
	      proc_status_bytes("VmPTE") / 1024 - tables < 500);
	CHECK(proc_mappings() < 100);
}

TEST_IN_CHILD(with_guardrate_the_slot_freed_first_is_used_first_and_after_so_many_others)
{
	static uintptr_t pages[3 * GUARD_QUARANTINE];
	size_t again = 0;

	with_rate(1);
	for (size_t i = 0; i < 3 * GUARD_QUARANTINE; i++) {
		void *p = heap_malloc(100);

		pages[i] = align_down((uintptr_t)p, os_page_size());
		heap_free(p, "free");
		for (size_t k = i < GUARD_QUARANTINE ? 0 : i - GUARD_QUARANTINE; k < i; k++)
			CHECK(pages[k] != pages[i]);
		again += i > GUARD_QUARANTINE && pages[i - GUARD_QUARANTINE - 1] == pages[i];
	}
	CHECK(again > GUARD_QUARANTINE);
}

TEST_IN_CHILD(with_guardrate_live_objects_have_a_bound)
{
	size_t n = 0;

	with_rate(1);
	for (size_t i = 0; i < GUARD_SAMPLED_MAX + 1000; i++)
		n += guard_owns((uintptr_t)heap_malloc(10));
	CHECK(n <= GUARD_SAMPLED_MAX && n > GUARD_SAMPLED_MAX - 10);
}

static void free_long_ago(void)
{
	char *p;

	with_efence();
	p = heap_malloc(100);
	heap_free(p, "free");
	for (size_t i = 0; i < GUARD_REMEMBERED + 10; i++)
		heap_free(heap_malloc(10), "free");
	heap_free(p, "free");
}

static void an_object_freed_long_ago_is_still_known_to_be_freed(void **state)
{
	char text[2000];
	int status = child_status(free_long_ago, text, sizeof(text));

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(text, "): double free\n"));
}

/* --- questions --- */

TEST_IN_CHILD(what_lives_is_counted_visited_and_found_by_any_byte)
{
	char *p[300];
	size_t bytes = 0, n = 0;

	with_efence();
	for (size_t i = 0; i < 300; i++)
		p[i] = i % 2 == 0 ? heap_malloc(i * 100) : heap_malloc_noscan(i * 100);
	for (size_t i = 0; i < 300; i++) {
		const struct guarded *g;

		if (i % 3 == 0) {
			heap_free(p[i], "free");
			continue;
		}
		n++;
		bytes += i * 100;
		g = guard_object_of((uintptr_t)p[i]);
		CHECK(i * 100 == 0 || (g != NULL && g->addr == (uintptr_t)p[i] &&
				       g->size == i * 100 &&
				       g->scan == (i % 2 == 0 ? SCAN : NOSCAN)));
		CHECK(guard_object_of((uintptr_t)p[i] + i * 100 - 1) == g);
		CHECK(guard_object_of((uintptr_t)p[i] - 1) == NULL &&
		      guard_object_of((uintptr_t)p[i] + i * 100) == NULL);
		CHECK(g->allocated.n > 1);
	}
	CHECK(count_live() == n && visited_bytes == bytes);
}

/* --- a kernel without fences, and one that refuses --- */

static void *kept[GUARD_MAPPED_MAX + 2000];

static void fill_mappings(void)
{
	size_t guarded = 0, before;

	os_fail_from(OS_FENCE | OS_UNFENCE, 1);
	with_efence();
	before = proc_mappings();
	for (size_t i = 0; i < GUARD_MAPPED_MAX + 2000; i++) {
		kept[i] = heap_malloc(50);
		CHECK(kept[i] != NULL);
		memset(kept[i], 'x', 50);
		guarded += guard_owns((uintptr_t)kept[i]);
	}
	CHECK(guarded == GUARD_MAPPED_MAX);
	CHECK(GOALLOC_SANITIZED || proc_mappings() <= before + 2 * GUARD_MAPPED_MAX + 10);
	for (size_t i = 0; i < GUARD_MAPPED_MAX + 2000; i++)
		heap_free(kept[i], "free");
	/* What is freed is one mapping with its neighbours. */
	CHECK(proc_mappings() < before + 50);
	CHECK(guard_owns((uintptr_t)heap_malloc(50)));
	_exit(0);
}

static void without_fences_objects_beyond_a_bound_are_the_heaps_and_it_says_so_once(void **state)
{
	char text[2000];
	int status = child_status(fill_mappings, text, sizeof(text));

	(void)state;
	assert_string_equal(text, "goalloc: efence=1: the system gives no more guarded pages; from "
				  "now on some objects are without\n");
	assert_int_equal(status, 0);
}

TEST_IN_CHILD(memory_that_can_be_fenced_no_more_is_used_again_at_either_end_of_its_slot)
{
	size_t size = 2 * os_page_size() + 1;

	with_rate(1);
	heap_free(heap_malloc(1), "free");
	/* As by mlockall(2). What is in the first step of addresses is fenced already. */
	os_fail_from(OS_FENCE, 1);
	for (size_t i = 0; i < 3 * GUARD_QUARANTINE; i++) {
		char *p = heap_malloc(size);

		CHECK(guard_owns((uintptr_t)p) && p[0] == 0 && p[size - 1] == 0);
		memset(p, 'x', size);
		heap_free(p, "free");
		CHECK(!can_touch((uintptr_t)p));
	}
}

static unsigned refused_calls;

static void use_while_refused(void)
{
	uint64_t random = 88172645463325252;
	unsigned char *p[64] = { NULL };

	options.efence = refused_calls % 2 == 0;
	options.guardrate = 1;
	options.scavenge_ms = 1000000;
	heap_free(heap_malloc(1), "free");
	os_fail_at_random(OS_ALL_CALLS & ~(unsigned)OS_HUGE_PAGES, 2 + refused_calls % 7,
			  refused_calls);
	for (size_t i = 0; i < 3000; i++) {
		size_t k = rng_below(&random, 64),
		       size = rng_below(&random, i % 50 == 0 ? MiB(3) : 5000);

		if (p[k] != NULL)
			CHECK(p[k][0] == k);
		heap_free(p[k], "free");
		p[k] = heap_calloc(size + 1);
		if (p[k] == NULL)
			continue;
		CHECK(p[k][0] == 0 && p[k][size] == 0);
		memset(p[k], (int)k, size + 1);
	}
	os_fail_stop();
	for (size_t i = 0; i < 64; i++)
		heap_free(p[i], "free");
	CHECK(heap_malloc(100) != NULL);
	CHECK(count_live() <= 1);
	_exit(0);
}

static void calls_that_fail_lose_nothing(void **state)
{
	(void)state;
	for (refused_calls = 0; refused_calls < 14; refused_calls++) {
		char text[2000];
		int status = child_status(use_while_refused, text, sizeof(text));

		if (status != 0)
			fail_msg("seed %u: status 0x%x: %s", refused_calls, (unsigned)status, text);
	}
}

/* --- sbrk=1 --- */

TEST_IN_CHILD(a_slot_that_is_not_reused_is_neither_live_nor_free)
{
	struct mspan *s;
	uint32_t slot;
	char *p;

	options.sbrk = true;
	heap_free(heap_malloc(1), "free");
	p = heap_malloc(100);
	s = span_of((uintptr_t)p);
	CHECK(mspan_slot_of(s, (uintptr_t)p, &slot));
	CHECK(slot_is_live(&s->state[slot]));
	heap_free(p, "free");
	CHECK(!slot_is_live(&s->state[slot]) && slot_state(&s->state[slot]) != SLOT_FREE);
	CHECK(span_count_live(s) == 0);
	mspan_rebuild(s);
	CHECK(slot_state(&s->state[slot]) == SLOT_DEAD && s->nfree < s->nelems);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_object_is_at_an_end_of_its_pages_between_guards),
		cmocka_unit_test(objects_are_aligned_as_asked),
		cmocka_unit_test(objects_aligned_beyond_a_gib_are_ordinary_ones),
		cmocka_unit_test(with_efence_no_address_comes_twice_and_freed_regions_cost_nothing),
		cmocka_unit_test(
			with_guardrate_the_slot_freed_first_is_used_first_and_after_so_many_others),
		cmocka_unit_test(with_guardrate_live_objects_have_a_bound),
		cmocka_unit_test(an_object_freed_long_ago_is_still_known_to_be_freed),
		cmocka_unit_test(what_lives_is_counted_visited_and_found_by_any_byte),
		cmocka_unit_test(
			without_fences_objects_beyond_a_bound_are_the_heaps_and_it_says_so_once),
		cmocka_unit_test(
			memory_that_can_be_fenced_no_more_is_used_again_at_either_end_of_its_slot),
		cmocka_unit_test(calls_that_fail_lose_nothing),
		cmocka_unit_test(a_slot_that_is_not_reused_is_neither_live_nor_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
