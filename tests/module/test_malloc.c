/* SPDX-License-Identifier: MIT */
/*
 * test_malloc.c - the kind of memory: an object is in a span of the kind that was asked for,
 * whatever happened to the object since.
 *
 * test_oom.c has malloc.c without memory. What programs see is in tests/face.
 */
#include "module.h"

#include "heap.h"
#include "heap/heapcheck.h"
#include "base/options.h"
#include "tools/sample.h"

#include <stdlib.h>
#include <string.h>

#define OBJECTS 700

struct object {
	void *p;
	size_t size;
	enum scan scan;
};

/* Returns a size. All orders of magnitude are equally likely: every class, and big sizes. */
static size_t any_size(uint64_t *rnd)
{
	size_t order = rng_below(rnd, 21);

	return rng_below(rnd, (size_t)1 << order) + 1;
}

/* Checks that the page map has the span of every page that a small object is on. Of a big object
 * the first page is enough. */
static void check_kind(const struct object *o)
{
	struct mspan *s = span_of((uintptr_t)o->p);

	CHECK(s != NULL);
	/* What cannot hold a pointer may be beside what does not. */
	if (o->size < sizeof(void *) && s->kind == SPAN_TINY)
		return;
	CHECK(spanclass_scan(s->spanclass) == o->scan);
	CHECK(s->kind != SPAN_TINY || o->scan == NOSCAN);
	CHECK(s->kind == SPAN_BIG || span_of((uintptr_t)o->p + o->size - 1) == s);
}

static void *make(uint64_t *rnd, size_t size, enum scan scan)
{
	switch (rng_below(rnd, 4)) {
	case 0:
		return scan == NOSCAN ? heap_calloc_noscan(size) : heap_calloc(size);
	case 1:
		return heap_aligned((size_t)1 << rng_below(rnd, 14), size, scan);
	case 2:
		return heap_realloc(NULL, size, scan, "realloc");
	default:
		return scan == NOSCAN ? heap_malloc_noscan(size) : heap_malloc(size);
	}
}

static void live_a_while(unsigned steps)
{
	static struct object objects[OBJECTS];
	uint64_t rnd = 0x90a110c;

	for (unsigned i = 0; i < steps; i++) {
		struct object *o = &objects[rng_below(&rnd, OBJECTS)];

		if (o->p != NULL)
			check_kind(o);
		o->size = any_size(&rnd);
		o->scan = rng_below(&rnd, 2) != 0 ? NOSCAN : SCAN;
		if (o->p != NULL && rng_below(&rnd, 3) != 0) {
			o->p = heap_realloc(o->p, o->size, o->scan, "realloc");
		} else {
			heap_free(o->p, "free");
			o->p = make(&rnd, o->size, o->scan);
		}
		CHECK(o->p != NULL);
		memset(o->p, 0x5a, o->size);
		check_kind(o);
	}
	for (unsigned i = 0; i < OBJECTS; i++) {
		if (objects[i].p != NULL)
			check_kind(&objects[i]);
		heap_free(objects[i].p, "free");
		objects[i].p = NULL;
	}
}

TEST_IN_CHILD(an_object_is_in_a_span_of_its_kind)
{
	live_a_while(40000);
}

TEST_IN_CHILD(an_object_is_in_a_span_of_its_kind_with_hardening)
{
	CHECK(setenv("GOALLOC", "hardened=1", 1) == 0);
	live_a_while(5000);
	CHECK(options.hardened);
}

TEST_IN_CHILD(an_object_is_in_a_span_of_its_kind_while_allocations_are_sampled)
{
	heap_free(heap_malloc(1), "free");
	sample_begin(1000, 0);
	live_a_while(40000);
	sample_end();
	live_a_while(1000);
}

TEST_IN_CHILD(a_free_slot_of_noscan_memory_is_taken_again)
{
	for (size_t size = TINY_SIZE + 1; size <= MAX_SMALL_SIZE; size += size / 2) {
		void *p = heap_malloc_noscan(size), *q;

		heap_free(p, "free");
		q = heap_malloc_noscan(size);
		CHECK(p == q);
		memset(q, 0xff, size);
		heap_free(q, "free");
		q = heap_calloc_noscan(size);
		CHECK(p == q);
		for (size_t i = 0; i < size; i++)
			CHECK(((char *)q)[i] == 0);
		heap_free(q, "free");
	}
}

/* --- calloc of big objects --- */

/* Returns a big size, now and then that of a huge object. */
static size_t any_big_size(uint64_t *rnd)
{
	size_t most = rng_below(rnd, 40) == 0 ? MiB(48) : MiB(1) >> rng_below(rnd, 5);

	return MAX_SMALL_SIZE + 1 + rng_below(rnd, most);
}

static void calloc_and_dirty(unsigned steps)
{
	enum { N = 40 };
	char *p[N] = { NULL };
	size_t size[N];
	uint64_t rnd = 0xca110c;

	for (unsigned step = 0; step < steps; step++) {
		size_t i = rng_below(&rnd, N);

		heap_free(p[i], "free");
		size[i] = any_big_size(&rnd);
		if (rng_below(&rnd, 5) == 0) {
			p[i] = heap_malloc(size[i] % KiB(32));
			size[i] %= KiB(32);
		} else {
			p[i] = rng_below(&rnd, 3) == 0 ? heap_calloc_noscan(size[i])
						       : heap_calloc(size[i]);
			CHECK(p[i] != NULL && all_zero(p[i], size[i]));
		}
		memset(p[i], 0xa5, size[i]);
		if (rng_below(&rnd, 4) == 0) {
			size[i] = any_big_size(&rnd);
			p[i] = heap_realloc(p[i], size[i], SCAN, "realloc");
			memset(p[i], 0xa5, size[i]);
		}
		if (step % 50 == 0)
			(void)heap_trim();
	}
	heapcheck();
}

TEST_IN_CHILD(calloc_is_zero_whatever_was_in_the_pages)
{
	calloc_and_dirty(600);
}

TEST_IN_CHILD(calloc_is_zero_whatever_was_in_the_pages_near_the_limit)
{
	CHECK(setenv("GOALLOC", "memlimit=31457280", 1) == 0);
	calloc_and_dirty(300);
}

/* --- realloc that shrinks --- */

/* Makes a big object and another behind it, so that nothing but the object itself leaves pages. */
static char *big_with_neighbour(size_t size)
{
	char *p = heap_malloc(size);

	CHECK(p != NULL && heap_malloc(PAGE_SIZE * 40) != NULL);
	pattern_fill(p, size, size);
	return p;
}

TEST_IN_CHILD(a_big_object_below_half_of_its_pages_is_copied_and_leaves_them_whole)
{
	static const size_t big[] = { KiB(40), KiB(64), KiB(64) + 33, KiB(256), MiB(4) };
	static const size_t least[] = { 1, 100, KiB(4), KiB(20) - 1 };

	for (size_t b = 0; b < 5; b++) {
		for (size_t l = 0; l < 5; l++) {
			size_t nbytes = align_up(big[b], PAGE_SIZE);
			size_t most = min_size(nbytes / 2, MOVE_PAGES_MIN) - 1;
			size_t size = l < 4 ? least[l] : most;
			char *p = big_with_neighbour(big[b]);
			char *q = heap_realloc(p, size, SCAN, "realloc");

			CHECK(pattern_holds(q, size, big[b]));
			CHECK(q != p && heap_usable_size(q, "test") < 2 * size + 16);
			if (nbytes <= BIG_CACHE_MAX_RUN * PAGE_SIZE)
				CHECK(heap_malloc(big[b]) == p);
			heap_free_sized(q, size, 0, "free_sized");
			heapcheck();
		}
	}
}

TEST_IN_CHILD(a_big_object_stays_at_half_of_its_pages_and_where_it_is_much_to_copy)
{
	static const size_t big[] = { KiB(64), KiB(256), MiB(4), MiB(40) };

	for (size_t b = 0; b < 4; b++) {
		for (size_t size = big[b]; size >= min_size(big[b] / 2, MOVE_PAGES_MIN);
		     size = size / 2 + size / 8) {
			char *p = big_with_neighbour(big[b]);
			char *q = heap_realloc(p, size, SCAN, "realloc");

			CHECK(q == p && pattern_holds(q, size, big[b]));
			CHECK(heap_usable_size(q, "test") == align_up(size, PAGE_SIZE));
			heap_free_sized(q, size, 0, "free_sized");
			heapcheck();
		}
	}
}

/* The stack takes the first of many frees. The others go on by heap_free_sized_slot(), which leaves
 * to the checks what it cannot free. */
TEST_IN_CHILD(a_sized_free_behind_a_full_stack_frees_live_objects_of_its_size_only)
{
	enum { N = 20000 };
	static void *v[N];

	for (size_t i = 0; i < N; i++) {
		v[i] = heap_malloc(200);
		CHECK(v[i] != NULL);
	}
	for (size_t i = 0; i < N; i += 2)
		heap_free_sized(v[i], 200, 0, "free_sized");
	for (size_t i = 0; i < N; i++) {
		char *p = v[i];

		CHECK(heap_owns(p) && (heap_usable_size_or_0(p, "test") != 0) == (i % 2 != 0));
		CHECK(!heap_free_sized_slot(sizeclass_malloc, p, 100, 0, "free_sized"));
		CHECK(!heap_free_sized_slot(sizeclass_malloc, p, 200, 16, "free_sized"));
		CHECK(!heap_free_sized_slot(sizeclass_malloc, p + 16, 200, 0, "free_sized"));
		CHECK(heap_free_sized_slot(sizeclass_malloc, p, 200, 0, "free_sized") ==
		      (i % 2 != 0));
		CHECK(heap_usable_size_or_0(p, "test") == 0);
	}
	heapcheck();
}

/* Frees an object of so many pages, and returns how many one of `wanted` pages has then. */
static size_t pages_after(size_t kept, size_t wanted)
{
	void *p = heap_malloc(kept * PAGE_SIZE), *q;
	size_t size = wanted * PAGE_SIZE - 100, nbytes;

	heap_free(p, "free");
	q = heap_malloc(size);
	CHECK(q != NULL);
	nbytes = heap_usable_size(q, "test");
	CHECK((q == p) == (nbytes == kept * PAGE_SIZE));
	CHECK((slot_state(&span_of((uintptr_t)q)->state[0]) == SLOT_RESIZED) ==
	      (nbytes > wanted * PAGE_SIZE));
	/* The size that was asked for is right wherever the object is. */
	heap_free_sized(q, size, 0, "free_sized");
	bigcache_flush(&thread_cache()->big, &thread_cache()->pages);
	return nbytes / PAGE_SIZE;
}

TEST_IN_CHILD(a_big_object_gets_the_pages_of_a_kept_one_that_is_a_quarter_longer_at_most)
{
	CHECK(pages_after(6, 5) == 6 && pages_after(7, 5) == 5);
	CHECK(pages_after(9, 8) == 9 && pages_after(10, 8) == 10 && pages_after(11, 8) == 8);
	CHECK(pages_after(7, 8) == 8);
	CHECK(pages_after(125, 100) == 125 && pages_after(126, 100) == 100);
	CHECK(pages_after(BIG_CACHE_MAX_RUN, BIG_CACHE_MAX_RUN - 1) == BIG_CACHE_MAX_RUN);
	CHECK(pages_after(BIG_CACHE_MAX_RUN + 1, BIG_CACHE_MAX_RUN) == BIG_CACHE_MAX_RUN);
	heapcheck();
}

TEST_IN_CHILD(a_kept_big_object_of_the_right_length_comes_before_a_longer_one)
{
	void *longer = heap_malloc(10 * PAGE_SIZE), *right = heap_malloc(9 * PAGE_SIZE);

	heap_free(right, "free");
	heap_free(longer, "free");
	CHECK(heap_malloc(9 * PAGE_SIZE) == right);
	CHECK(heap_malloc(9 * PAGE_SIZE) == longer);
	/* It is as long as before when it is freed. */
	heap_free(longer, "free");
	CHECK(heap_malloc(10 * PAGE_SIZE) == longer);
	CHECK(slot_state(&span_of((uintptr_t)longer)->state[0]) == SLOT_LIVE);
	heapcheck();
}

TEST_IN_CHILD(an_object_above_the_longest_short_one_comes_back_by_its_own_length_only)
{
	size_t npages = BIG_CACHE_MAX_RUN + 1;
	void *p = heap_malloc(npages * PAGE_SIZE);

	heap_free(p, "free");
	CHECK(heap_malloc(npages * PAGE_SIZE) == p);
	CHECK(slot_state(&span_of((uintptr_t)p)->state[0]) == SLOT_LIVE);
	heap_free(p, "free");
	CHECK(heap_malloc((npages + 1) * PAGE_SIZE) != p);
	CHECK(heap_malloc((npages - 1) * PAGE_SIZE + 1) == p);
	/* Rounded up to pages, these sizes would be small numbers. */
	CHECK(heap_malloc(SIZE_MAX) == NULL && heap_malloc(SIZE_MAX - PAGE_SIZE) == NULL);
	heapcheck();
}

TEST_IN_CHILD(a_counted_big_object_has_the_length_that_is_counted)
{
	void *p = heap_malloc(10 * PAGE_SIZE);

	heap_free(p, "free");
	sample_count(true);
	p = heap_malloc(9 * PAGE_SIZE);
	CHECK(heap_usable_size(p, "test") == 9 * PAGE_SIZE);
	heapcheck();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_object_is_in_a_span_of_its_kind),
		cmocka_unit_test(an_object_is_in_a_span_of_its_kind_with_hardening),
		cmocka_unit_test(an_object_is_in_a_span_of_its_kind_while_allocations_are_sampled),
		cmocka_unit_test(a_free_slot_of_noscan_memory_is_taken_again),
		cmocka_unit_test(
			a_sized_free_behind_a_full_stack_frees_live_objects_of_its_size_only),
		cmocka_unit_test(calloc_is_zero_whatever_was_in_the_pages),
		cmocka_unit_test(calloc_is_zero_whatever_was_in_the_pages_near_the_limit),
		cmocka_unit_test(
			a_big_object_below_half_of_its_pages_is_copied_and_leaves_them_whole),
		cmocka_unit_test(
			a_big_object_stays_at_half_of_its_pages_and_where_it_is_much_to_copy),
		cmocka_unit_test(
			a_big_object_gets_the_pages_of_a_kept_one_that_is_a_quarter_longer_at_most),
		cmocka_unit_test(
			a_kept_big_object_of_the_right_length_comes_before_a_longer_one),
		cmocka_unit_test(
			an_object_above_the_longest_short_one_comes_back_by_its_own_length_only),
		cmocka_unit_test(a_counted_big_object_has_the_length_that_is_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
