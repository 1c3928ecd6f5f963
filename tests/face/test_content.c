/* SPDX-License-Identifier: MIT */
/*
 * test_content.c - what is in the memory: calloc's zeros, and realloc's copy.
 *
 * dirty_heap() comes before every look for zeros, because memory that was never used is zero by
 * itself and proves nothing.
 */
#include "face.h"
#include "pattern.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const size_t sizes[] = {
	1,     2,     7,     8,     9,     15,     16,     17,      24,      31,       32,
	48,    63,    64,    100,   128,   200,    256,    300,     500,     512,      700,
	1000,  1024,  1500,  2000,  2048,  3000,   4000,   4096,    5000,    8000,     8192,
	10000, 16000, 20000, 32000, 32768, 32769,  40000,  65536,   100000,  200000,   500000,
	1 << 20, (1 << 20) + 1, 3 << 20, 9 << 20,
};

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* Leaves non-zero bytes in freed slots of every size, all of the slot. */
static void dirty_heap(void)
{
	enum { N = 64 };

	for (size_t i = 0; i < SIZES; i++) {
		void *p[N];
		size_t count = sizes[i] > 100000 ? 3 : N;
		for (size_t k = 0; k < count; k++) {
			p[k] = malloc(sizes[i]);
			assert_non_null(p[k]);
			memset(p[k], 0xdb, malloc_usable_size(p[k]));
		}
		for (size_t k = 0; k < count; k++)
			free(p[k]);
	}
}

static void look_for_zeros(void)
{
	enum { N = 96 };

	for (size_t i = 0; i < SIZES; i++) {
		unsigned char *p[N];
		size_t count = sizes[i] > 100000 ? 4 : N;
		for (size_t k = 0; k < count; k++) {
			p[k] = k % 2 == 0 ? calloc(1, sizes[i]) : calloc(sizes[i], 1);
			assert_non_null(p[k]);
			if (!all_zero(p[k], sizes[i]))
				fail_msg("calloc(%zu) is not zero", sizes[i]);
			memset(p[k], 0x77, sizes[i]);
		}
		for (size_t k = 0; k < count; k++)
			free(p[k]);
	}
}

static void malloc_is_the_one_under_test(void **state)
{
	(void)state;
	assert_true(face_malloc_is_goalloc());
}

static void calloc_of_fresh_memory_is_zero(void **state)
{
	(void)state;
	look_for_zeros();
}

static void calloc_of_reused_memory_is_zero(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		dirty_heap();
		look_for_zeros();
	}
}

static void calloc_of_trimmed_memory_is_zero(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		dirty_heap();
		(void)malloc_trim(0);
		look_for_zeros();
	}
}

/* Some pages of the run were used by small objects, and the others were never used. */
static void calloc_over_pages_with_a_mixed_past_is_zero(void **state)
{
	enum { N = 4000 };
	static void *p[N];

	(void)state;
	for (int round = 0; round < 8; round++) {
		unsigned char *q;
		for (size_t i = 0; i < N; i++) {
			p[i] = malloc(16 + i % 700);
			assert_non_null(p[i]);
			memset(p[i], 0xdb, 16 + i % 700);
		}
		for (size_t i = 0; i < N; i++)
			free(p[i]);
		if (round % 2 == 1)
			(void)malloc_trim(0);
		for (size_t n = 40000; n < 6 * MiB; n = n * 3 / 2) {
			q = calloc(n, 1);
			assert_non_null(q);
			assert_true(all_zero(q, n));
			memset(q, 0xdb, n);
			free(q);
		}
	}
}

static void random_callocs_among_mallocs_are_zero(void **state)
{
	enum { LIVE = 500, ROUNDS = 60000 };
	static unsigned char *p[LIVE];
	uint64_t rng = 42;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		size_t k = rng_next(&rng) % LIVE, n = rng_mixed_size(&rng);
		free(p[k]);
		if (i % 3 == 0) {
			p[k] = calloc(1, n);
			assert_non_null(p[k]);
			assert_true(all_zero(p[k], n));
		} else {
			p[k] = malloc(n);
			assert_non_null(p[k]);
		}
		memset(p[k], 0xdb, n);
	}
	for (size_t k = 0; k < LIVE; k++)
		free(p[k]);
}

static void realloc_keeps_the_content_between_any_two_sizes(void **state)
{
	(void)state;
	for (size_t from = 0; from < SIZES; from++) {
		for (size_t to = 0; to < SIZES; to++) {
			size_t kept = sizes[from] < sizes[to] ? sizes[from] : sizes[to];
			unsigned char *p = malloc(sizes[from]);
			assert_non_null(p);
			pattern_fill(p, kept, from);
			p = realloc(p, sizes[to]);
			assert_non_null(p);
			assert_true(malloc_usable_size(p) >= sizes[to]);
			p[sizes[to] - 1] = pattern_byte(from, sizes[to] - 1);
			if (!pattern_holds(p, kept, from))
				fail_msg("realloc(%zu -> %zu)", sizes[from], sizes[to]);
			free(p);
		}
	}
}

static void realloc_of_aligned_memory_keeps_the_content(void **state)
{
	(void)state;
	for (size_t alignment = 16; alignment <= 64 * KiB; alignment *= 4) {
		for (size_t i = 0; i < SIZES - 1; i++) {
			unsigned char *p = aligned_alloc(alignment, sizes[i]);
			assert_non_null(p);
			pattern_fill(p, sizes[i], 5);
			p = realloc(p, sizes[i + 1] + 1);
			assert_non_null(p);
			assert_true(pattern_holds(p, sizes[i], 5));
			free(p);
		}
	}
}

/* A buffer grows from one byte to many MiB and shrinks back, while neighbours take the room
 * beside it. */
static void realloc_growth_and_shrinkage_in_steps_keeps_the_content(void **state)
{
	unsigned char *p = malloc(1);
	size_t n = 1;

	(void)state;
	assert_non_null(p);
	pattern_fill(p, 1, 9);
	while (n < 40 * MiB) {
		size_t more = n + n / 3 + 5;
		void *neighbour = malloc(n % 5000);
		p = realloc(p, more);
		assert_non_null(p);
		for (size_t i = n; i < more; i++)
			p[i] = pattern_byte(9, i);
		n = more;
		free(neighbour);
		if (n < MiB)
			assert_true(pattern_holds(p, n, 9));
	}
	assert_true(pattern_holds(p, n, 9));
	while (n > 10) {
		n = n - n / 3 - 1;
		p = realloc(p, n);
		assert_non_null(p);
		if (n < 4 * MiB)
			assert_true(pattern_holds(p, n, 9));
	}
	free(p);
}

static void random_reallocs_keep_what_every_object_holds(void **state)
{
	enum { LIVE = 400, ROUNDS = 40000 };
	static unsigned char *p[LIVE];
	static size_t n[LIVE];
	uint64_t rng = 7;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		size_t k = rng_next(&rng) % LIVE, to = rng_mixed_size(&rng) + 1;
		size_t kept = n[k] < to ? n[k] : to;
		p[k] = realloc(p[k], to);
		assert_non_null(p[k]);
		if (!pattern_holds(p[k], kept, k))
			fail_msg("realloc(%zu -> %zu)", n[k], to);
		pattern_fill(p[k], to, k);
		n[k] = to;
	}
	for (size_t k = 0; k < LIVE; k++)
		free(p[k]);
}

/* The bytes of calloc stay zero through realloc. The bytes that realloc adds may hold anything. */
static void zeros_of_calloc_survive_realloc(void **state)
{
	(void)state;
	dirty_heap();
	for (size_t i = 0; i < SIZES; i++) {
		unsigned char *p = calloc(1, sizes[i]);
		assert_non_null(p);
		p = realloc(p, sizes[i] * 2 + 1);
		assert_non_null(p);
		assert_true(all_zero(p, sizes[i]));
		free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(malloc_is_the_one_under_test),
		cmocka_unit_test(calloc_of_fresh_memory_is_zero),
		cmocka_unit_test(calloc_of_reused_memory_is_zero),
		cmocka_unit_test(calloc_of_trimmed_memory_is_zero),
		cmocka_unit_test(calloc_over_pages_with_a_mixed_past_is_zero),
		cmocka_unit_test(random_callocs_among_mallocs_are_zero),
		cmocka_unit_test(realloc_keeps_the_content_between_any_two_sizes),
		cmocka_unit_test(realloc_of_aligned_memory_keeps_the_content),
		cmocka_unit_test(realloc_growth_and_shrinkage_in_steps_keeps_the_content),
		cmocka_unit_test(random_reallocs_keep_what_every_object_holds),
		cmocka_unit_test(zeros_of_calloc_survive_realloc),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
