/* SPDX-License-Identifier: MIT */
/*
 * test_tiny.c - small noscan objects share blocks; each is found and freed by itself.
 */
#include "caches.h"
#include "heap/adopt.h"
#include "module.h"

#include "os_fail.h"
#include "heap/tiny.h"

#include <string.h>

static struct mspan *span_at(const void *p)
{
	struct mspan *s = span_of((uintptr_t)p);

	CHECK(s != NULL && s->kind == SPAN_TINY);
	return s;
}

static size_t size_at(const void *p)
{
	return tiny_object_size(span_at(p), (uintptr_t)p);
}

static uintptr_t block_of(const void *p)
{
	return align_down((uintptr_t)p, TINY_SIZE);
}

static void put(struct mcache *c, void *p)
{
	CHECK(size_at(p) != 0);
	tiny_free(c, span_at(p), (uintptr_t)p);
	/* Nothing starts there now; its span may have gone with it. */
	CHECK(span_of((uintptr_t)p) == &mspan_dead || size_at(p) == 0);
}

/* Returns the largest power of two that is no larger than size, but at least `floor`. */
static size_t alignment(size_t size, size_t floor)
{
	size_t align = floor;

	while (align * 2 <= size)
		align *= 2;
	return align;
}

TEST_IN_CHILD(every_size_is_aligned_by_the_c_rule_and_to_the_floor)
{
	start();
	for (size_t floor = 1; floor <= TINY_SIZE; floor *= 2)
		for (size_t size = 0; size <= TINY_SIZE; size++)
			for (int i = 0; i < 20; i++) {
				void *p = tiny_alloc(&cache[0], size, floor);

				CHECK(p != NULL);
				CHECK((uintptr_t)p % alignment(size, floor) == 0);
				CHECK(size_at(p) == tiny_nbytes(size, floor));
				CHECK(size_at(p) >= size && size_at(p) >= 1 &&
				      size_at(p) % floor == 0);
				CHECK(((uintptr_t)p - block_of(p)) + size_at(p) <= TINY_SIZE);
				/* An odd one before the next, so that offsets differ. */
				if (i % 3 == 0)
					CHECK(tiny_alloc(&cache[0], 1, 1) != NULL);
			}
	check_all();
}

TEST_IN_CHILD(sixteen_objects_of_a_byte_fill_a_block)
{
	char *p[17];

	start();
	for (int i = 0; i < 17; i++)
		p[i] = tiny_alloc(&cache[0], 1, 1);
	for (int i = 1; i < 16; i++)
		CHECK(p[i] == p[0] + i);
	CHECK(block_of(p[16]) != block_of(p[0]));
	for (int i = 0; i < 17; i++)
		put(&cache[0], p[i]);
	end_with_empty_heap();
}

TEST_IN_CHILD(with_a_floor_of_8_two_objects_share_a_block)
{
	char *a, *b, *c;

	start();
	a = tiny_alloc(&cache[0], 1, 8);
	b = tiny_alloc(&cache[0], 7, 8);
	c = tiny_alloc(&cache[0], 0, 8);
	CHECK(b == a + 8);
	CHECK(block_of(c) != block_of(a));
	CHECK(size_at(a) == 8 && size_at(b) == 8 && size_at(c) == 8);
}

TEST_IN_CHILD(objects_keep_their_bytes_and_sizes)
{
	enum { N = 4000 };
	static unsigned char *p[N];
	static size_t size[N];
	uint64_t rnd = 8;

	start();
	for (size_t i = 0; i < N; i++) {
		size[i] = rng_below(&rnd, TINY_SIZE + 1);
		p[i] = tiny_alloc(&cache[0], size[i], (size_t)1 << rng_below(&rnd, 4));
		pattern_fill(p[i], size_at(p[i]), i);
	}
	for (size_t i = 0; i < N; i++) {
		CHECK(size_at(p[i]) >= size[i]);
		CHECK(pattern_holds(p[i], size_at(p[i]), i));
	}
	for (size_t i = 0; i < N; i++)
		put(&cache[0], p[i]);
	end_with_empty_heap();
}

TEST_IN_CHILD(each_object_of_a_block_is_freed_by_itself)
{
	char *p[4];

	start();
	for (int i = 0; i < 4; i++)
		p[i] = tiny_alloc(&cache[0], 4, 4);
	put(&cache[0], p[1]);
	CHECK(size_at(p[0]) == 4 && size_at(p[2]) == 4 && size_at(p[3]) == 4);
	put(&cache[0], p[3]);
	put(&cache[0], p[0]);
	CHECK(size_at(p[2]) == 4);
	put(&cache[0], p[2]);
	end_with_empty_heap();
}

TEST_IN_CHILD(a_block_is_used_again_only_when_its_last_object_is_freed)
{
	enum { N = 512 * 4 };
	static char *p[N];
	char *q;

	start();
	/* Every block of a span, four objects each. */
	for (int i = 0; i < N; i++)
		p[i] = tiny_alloc(&cache[0], 4, 4);
	CHECK(span_at(p[0]) == span_at(p[N - 1]));
	for (int i = 0; i < N; i++)
		if (i % 4 != 2)
			put(&cache[0], p[i]);
	for (int i = 0; i < 100; i++) {
		q = tiny_alloc(&cache[0], 4, 4);
		CHECK(span_at(q) != span_at(p[0]));
	}
	check_all();
	for (int i = 2; i < N; i += 4) {
		CHECK(size_at(p[i]) == 4);
		put(&cache[0], p[i]);
	}
}

TEST_IN_CHILD(a_current_block_that_is_empty_starts_anew)
{
	char *p, *q;

	start();
	p = tiny_alloc(&cache[0], 3, 1);
	q = tiny_alloc(&cache[0], 3, 1);
	put(&cache[0], p);
	put(&cache[0], q);
	CHECK(tiny_alloc(&cache[0], 5, 1) == p);
	/* A pair that repeats stays in its block. */
	put(&cache[0], p);
	for (int i = 0; i < 100; i++) {
		CHECK(tiny_alloc(&cache[0], 8, 1) == p);
		put(&cache[0], p);
	}
	end_with_empty_heap();
}

TEST_IN_CHILD(inside_is_not_at_the_start_nor_behind_the_end)
{
	struct mspan *s;
	char *p;

	start();
	p = tiny_alloc(&cache[0], 5, 1);
	s = span_at(p);
	CHECK(tiny_object_size(s, (uintptr_t)p) == 5);
	CHECK(!tiny_is_interior(s, (uintptr_t)p));
	for (int i = 1; i < 5; i++) {
		CHECK(tiny_object_size(s, (uintptr_t)p + (unsigned)i) == 0);
		CHECK(tiny_is_interior(s, (uintptr_t)p + (unsigned)i));
	}
	CHECK(!tiny_is_interior(s, (uintptr_t)p + 5));
	/* The pinned last byte of the current block is no object. */
	CHECK(tiny_object_size(s, block_of(p) + 15) == 0);
	CHECK(!tiny_is_interior(s, block_of(p) + 15));
	put(&cache[0], p);
	CHECK(!tiny_is_interior(s, (uintptr_t)p + 1));
	/* Behind the last block and outside of the span. */
	CHECK(tiny_object_size(s, s->base + PAGE_SIZE) == 0);
	CHECK(tiny_object_size(s, s->base + 100 * PAGE_SIZE) == 0);
}

TEST_IN_CHILD(an_object_in_the_last_byte_is_an_object)
{
	char *p[16];

	start();
	for (int i = 0; i < 16; i++)
		p[i] = tiny_alloc(&cache[0], 1, 1);
	CHECK((uintptr_t)p[15] % 16 == 15 && size_at(p[15]) == 1);
	for (int i = 0; i < 15; i++)
		put(&cache[0], p[i]);
	CHECK(size_at(p[15]) == 1);
	check_all();
	put(&cache[1], p[15]);
	end_with_empty_heap();
}

/* --- several threads --- */

TEST_IN_CHILD(what_other_threads_free_comes_back)
{
	enum { N = 6000 };
	static unsigned char *p[N];

	start();
	for (unsigned i = 0; i < N; i++) {
		p[i] = tiny_alloc(&cache[0], 1 + i % 15, 1);
		pattern_fill(p[i], 1 + i % 15, i);
	}
	for (unsigned i = 0; i < N; i += 2)
		put(&cache[1], p[i]);
	check_all();
	for (unsigned i = 1; i < N; i += 2) {
		CHECK(pattern_holds(p[i], 1 + i % 15, i));
		put(&cache[2], p[i]);
	}
	end_with_empty_heap();
}

TEST_IN_CHILD(the_current_block_is_not_taken_by_who_frees_its_objects)
{
	char *p, *q;

	start();
	p = tiny_alloc(&cache[0], 4, 4);
	/* Freed elsewhere: the block is still cache 0's. */
	put(&cache[1], p);
	q = tiny_alloc(&cache[0], 4, 4);
	CHECK(block_of(q) == block_of(p) && q != p);
	for (int i = 0; i < 2000; i++)
		CHECK(block_of(tiny_alloc(&cache[1], 16, 1)) != block_of(q));
	check_all();
	CHECK(size_at(q) == 4);
}

TEST_IN_CHILD(a_random_history_of_three_threads_loses_nothing)
{
	enum { N = 3000 };
	static unsigned char *p[N];
	static size_t size[N];
	uint64_t rnd = 6;

	start();
	for (unsigned step = 0; step < 100000; step++) {
		size_t i = rng_below(&rnd, N);
		struct mcache *c = &cache[rng_below(&rnd, 3)];

		if (p[i] != NULL) {
			CHECK(size_at(p[i]) == size[i]);
			CHECK(pattern_holds(p[i], size[i], i));
			put(c, p[i]);
			p[i] = NULL;
		} else {
			size_t floor = (size_t)1 << rng_below(&rnd, 4);
			size_t want = rng_below(&rnd, TINY_SIZE + 1);

			p[i] = tiny_alloc(c, want, floor);
			size[i] = tiny_nbytes(want, floor);
			pattern_fill(p[i], size[i], i);
		}
		if (step % 9973 == 0)
			mcache_flush(c);
		if (step % 5000 == 0)
			check_all();
	}
	for (size_t i = 0; i < N; i++)
		if (p[i] != NULL) {
			CHECK(pattern_holds(p[i], size[i], i));
			put(&cache[i % 3], p[i]);
		}
	end_with_empty_heap();
}

TEST_IN_CHILD(a_detached_block_lives_as_long_as_its_objects)
{
	char *p, *q;

	start();
	p = tiny_alloc(&cache[0], 4, 4);
	tiny_detach(&cache[0]);
	CHECK(cache[0].tiny.block == 0);
	CHECK(size_at(p) == 4);
	q = tiny_alloc(&cache[0], 4, 4);
	CHECK(block_of(q) != block_of(p));
	put(&cache[0], p);
	put(&cache[0], q);
	tiny_detach(&cache[0]);
	tiny_detach(&cache[0]);
	end_with_empty_heap();
}

TEST_IN_CHILD(the_block_of_a_thread_that_is_gone_is_a_block_like_any_other)
{
	char *p[3];

	start();
	for (int i = 0; i < 3; i++)
		p[i] = tiny_alloc(&cache[1], 4, 4);
	put(&cache[0], p[1]);
	tiny_forget(&cache[1]);
	adopt_stacks(&cache[0], &cache[1]);
	adopt_spans(&cache[0], &cache[1]);
	check_all();
	CHECK(cache[1].tiny.block == 0);
	CHECK(size_at(p[0]) == 4 && size_at(p[2]) == 4);
	put(&cache[0], p[0]);
	put(&cache[0], p[2]);
	end_with_empty_heap();
}

TEST_IN_CHILD(without_memory_the_answer_is_null_and_the_objects_stay)
{
	static char *p[200000];
	size_t n = 0;

	start();
	p[n++] = tiny_alloc(&cache[0], 4, 4);
	os_fail_from(OS_ALL_CALLS, 1);
	while (n < 200000 && (p[n] = tiny_alloc(&cache[0], 16, 1)) != NULL)
		n++;
	CHECK(n > 1 && n < 200000);
	check_all();
	os_fail_stop();
	CHECK((p[n] = tiny_alloc(&cache[0], 16, 1)) != NULL);
	CHECK(size_at(p[0]) == 4);
	for (size_t i = 0; i <= n; i++)
		put(&cache[0], p[i]);
	end_with_empty_heap();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_is_aligned_by_the_c_rule_and_to_the_floor),
		cmocka_unit_test(sixteen_objects_of_a_byte_fill_a_block),
		cmocka_unit_test(with_a_floor_of_8_two_objects_share_a_block),
		cmocka_unit_test(objects_keep_their_bytes_and_sizes),
		cmocka_unit_test(each_object_of_a_block_is_freed_by_itself),
		cmocka_unit_test(a_block_is_used_again_only_when_its_last_object_is_freed),
		cmocka_unit_test(a_current_block_that_is_empty_starts_anew),
		cmocka_unit_test(inside_is_not_at_the_start_nor_behind_the_end),
		cmocka_unit_test(an_object_in_the_last_byte_is_an_object),
		cmocka_unit_test(what_other_threads_free_comes_back),
		cmocka_unit_test(the_current_block_is_not_taken_by_who_frees_its_objects),
		cmocka_unit_test(a_random_history_of_three_threads_loses_nothing),
		cmocka_unit_test(a_detached_block_lives_as_long_as_its_objects),
		cmocka_unit_test(the_block_of_a_thread_that_is_gone_is_a_block_like_any_other),
		cmocka_unit_test(without_memory_the_answer_is_null_and_the_objects_stay),
	};

	return cmocka_run_group_tests_name("tiny", tests, NULL, NULL);
}
