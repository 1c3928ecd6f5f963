/* SPDX-License-Identifier: MIT */
/*
 * test_hardened.c - what GOALLOC=hardened=1 adds and no message tells: sizes, zeros, guarded pages, the order of addresses. The messages are in
 * tests/abort.
 *
 * Callers  CTest, with the option in the environment.
 */
#include "face.h"

#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

/* Through volatile pointers: no compiler looks through. */
static void *(*volatile do_malloc)(size_t) = malloc;
static void (*volatile do_free)(void *) = free;

static const size_t sizes[] = { 1, 8, 9, 24, 100, 1000, 4096, 8184, 20000, 32752, 32768, 32769, 100000, 1 << 20 };
#define NSIZES (sizeof(sizes) / sizeof(sizes[0]))

static bool all_zero(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

/* The number of the signal that touching p[at] ends a child with; 0 for none. */
static int touch(volatile char *p, size_t at)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);   /* cmocka has a handler */
		p[at]++;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void the_usable_size_is_what_was_asked_for(void **state)
{
	(void)state;
	for (size_t i = 0; i < NSIZES; i++) {
		void *p = do_malloc(sizes[i]);

		assert_non_null(p);
		assert_int_equal(malloc_usable_size(p), sizes[i]);
		p = realloc(p, sizes[i] + 1);
		assert_int_equal(malloc_usable_size(p), sizes[i] + 1);
		p = realloc(p, sizes[i] / 2 + 1);
		assert_int_equal(malloc_usable_size(p), sizes[i] / 2 + 1);
		free(p);
	}
}

static void memory_is_zero_whatever_was_there(void **state)
{
	enum { N = 300 };
	static char *p[N];

	(void)state;
	for (size_t i = 0; i < NSIZES; i++)
		for (int round = 0; round < 4; round++) {
			for (int k = 0; k < N; k++) {
				p[k] = do_malloc(sizes[i]);
				assert_true(all_zero(p[k], sizes[i]));
				memset(p[k], 0xaa, sizes[i]);
			}
			for (int k = 0; k < N; k++)
				do_free(p[k]);
		}
}

static void what_is_freed_is_not_what_comes_next(void **state)
{
	(void)state;
	for (size_t i = 0; i < NSIZES; i++)
		for (int round = 0; round < 100; round++) {
			void *p = do_malloc(sizes[i]);

			do_free(p);
			assert_ptr_not_equal(do_malloc(sizes[i]), p);
		}
}

static void neighbours_in_time_are_seldom_neighbours_in_place(void **state)
{
	char *before = do_malloc(100);
	int near = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		char *p = do_malloc(100);

		near += p - before == 112 || before - p == 112;
		before = p;
	}
	/* In order all would be; at random one in 36. */
	assert_in_range(near, 0, 200);
}

static void behind_a_big_object_is_a_guard(void **state)
{
	char *p = do_malloc(256 * KiB);

	(void)state;
	assert_int_equal(touch(p, 256 * KiB - 1), 0);
	assert_int_equal(touch(p, 256 * KiB), SIGSEGV);
	assert_int_equal(touch(p, 256 * KiB + 8191), SIGSEGV);
	do_free(p);
}

static void a_big_object_that_was_freed_is_guarded(void **state)
{
	char *p = do_malloc(256 * KiB);

	(void)state;
	p[0] = 1;
	do_free(p);
	assert_int_equal(touch(p, 0), SIGSEGV);
	assert_int_equal(touch(p, 256 * KiB - 1), SIGSEGV);
}

static void alignments_hold(void **state)
{
	(void)state;
	for (size_t align = 8; align <= 64 * KiB; align *= 2)
		for (size_t i = 0; i < NSIZES; i++) {
			void *p = NULL;

			assert_int_equal(posix_memalign(&p, align, sizes[i]), 0);
			assert_int_equal((uintptr_t)p % align, 0);
			assert_int_equal(malloc_usable_size(p), sizes[i]);
			assert_true(all_zero(p, sizes[i]));
			memset(p, 1, sizes[i]);
			free(p);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_usable_size_is_what_was_asked_for),
		cmocka_unit_test(memory_is_zero_whatever_was_there),
		cmocka_unit_test(what_is_freed_is_not_what_comes_next),
		cmocka_unit_test(neighbours_in_time_are_seldom_neighbours_in_place),
		cmocka_unit_test(behind_a_big_object_is_a_guard),
		cmocka_unit_test(a_big_object_that_was_freed_is_guarded),
		cmocka_unit_test(alignments_hold),
	};

	return cmocka_run_group_tests_name("hardened", tests, NULL, NULL);
}
