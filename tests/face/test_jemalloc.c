/* SPDX-License-Identifier: MIT */
/*
 * test_jemalloc.c - jemalloc's names and flags, as jemalloc(3) has them.
 */
#include "face.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

void *mallocx(size_t n, int flags);
void *rallocx(void *p, size_t n, int flags);
size_t xallocx(void *p, size_t n, size_t extra, int flags);
size_t sallocx(const void *p, int flags);
void dallocx(void *p, int flags);
void sdallocx(void *p, size_t n, int flags);
size_t nallocx(size_t n, int flags);

/* <jemalloc/jemalloc.h> has these. */
#define MALLOCX_LG_ALIGN(lg) (lg)
#define MALLOCX_ZERO         0x40
#define MALLOCX_TCACHE_NONE  ((int)((unsigned)(-1 + 2) << 8))
#define MALLOCX_ARENA(a)     ((((int)(a)) + 1) << 20)

static const size_t sizes[] = { 1,   7,    8,    9,     16,    17,    20,     24,
				100, 1000, 4096, 30000, 32768, 40000, 300000, 5000000 };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))
static const size_t too_large = (size_t)PTRDIFF_MAX + 1;

/* Returns true if the variable GOALLOC has this. A guarded object has the size that was asked for,
 * and libc's objects have other sizes. */
static bool told(const char *option)
{
	const char *options = getenv("GOALLOC");

	return options != NULL && strstr(options, option) != NULL;
}

static void nallocx_tells_what_mallocx_gives(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		for (int lg = 0; lg <= 16; lg++) {
			int flags = MALLOCX_LG_ALIGN(lg) | MALLOCX_TCACHE_NONE | MALLOCX_ARENA(3);
			char *p = mallocx(sizes[i], flags);

			assert_non_null(p);
			assert_int_equal((uintptr_t)p & (((uintptr_t)1 << lg) - 1), 0);
			if (!told("efence") && !told("guardrate") && !told("off=1"))
				assert_int_equal(sallocx(p, flags), nallocx(sizes[i], flags));
			assert_int_equal(malloc_usable_size(p), sallocx(p, 0));
			assert_true(sallocx(p, 0) >= sizes[i]);
			memset(p, 'm', sallocx(p, 0));
			if (i % 2 == 0)
				sdallocx(p, sizes[i], flags);
			else
				dallocx(p, flags);
		}
	}
}

static bool is_zero(const char *p, size_t from, size_t to)
{
	while (from < to && p[from] == 0)
		from++;
	return from >= to;
}

static void zero_reaches_to_the_real_size(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < SIZES; i++) {
			for (int lg = 0; lg <= 13; lg++) {
				int flags = MALLOCX_LG_ALIGN(lg) | MALLOCX_ZERO;
				char *p = mallocx(sizes[i], flags);
				size_t had = sallocx(p, 0);

				assert_true(is_zero(p, 0, had));
				memset(p, 'z', had);
				p = rallocx(p, sizes[i] * 3 + 5, flags);
				assert_non_null(p);
				assert_int_equal((uintptr_t)p & (((uintptr_t)1 << lg) - 1), 0);
				if (had < sizes[i] * 3 + 5)
					assert_true(p[0] == 'z' && p[had - 1] == 'z');
				assert_true(is_zero(p, had, sallocx(p, 0)));
				memset(p, 'y', sallocx(p, 0));
				sdallocx(p, sizes[i] * 3 + 5, flags);
			}
		}
	}
}

static void rallocx_keeps_what_fits(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		for (size_t k = 0; k < SIZES; k++) {
			int flags = MALLOCX_LG_ALIGN((int)(i + k) % 14);
			size_t kept = sizes[i] < sizes[k] ? sizes[i] : sizes[k];
			char *p = mallocx(sizes[i], 0);

			memset(p, 'r', sizes[i]);
			p = rallocx(p, sizes[k], flags);
			assert_non_null(p);
			assert_int_equal((uintptr_t)p & (((uintptr_t)1 << ((i + k) % 14)) - 1), 0);
			assert_true(p[0] == 'r' && p[kept - 1] == 'r');
			sdallocx(p, sizes[k], flags);
		}
	}
}

static void xallocx_tells_the_real_size_and_never_moves(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		for (size_t k = 0; k < SIZES; k++) {
			char *p = mallocx(sizes[i], 0);
			size_t had = sallocx(p, 0), has;

			memset(p, 'x', had);
			has = xallocx(p, sizes[k], k % 2 == 0 ? 0 : sizes[k],
				      k % 3 == 0 ? MALLOCX_ZERO : 0);
			assert_int_equal(has, sallocx(p, 0));
			assert_true(p[0] == 'x' && p[(had < has ? had : has) - 1] == 'x');
			assert_true(k % 3 != 0 || is_zero(p, had, has));
			memset(p, 'w', has);
			dallocx(p, 0);
		}
	}
}

static void xallocx_gives_pages_back_and_takes_extra_ones(void **state)
{
	char *p = mallocx(4 * MiB, 0);

	(void)state;
	if (told("=1") || told("hardened"))
		return; /* objects stay as they are */
	assert_int_equal(xallocx(p, MiB, 0, 0), MiB);
	assert_int_equal(xallocx(p, MiB + 1, 0, 0), nallocx(MiB + 1, 0));
	assert_int_equal(xallocx(p, 2 * MiB, MiB, 0), 3 * MiB);
	/* More than there can be: as much as is asked for at least. */
	assert_int_equal(xallocx(p, 2 * MiB, SIZE_MAX, 0), 2 * MiB);
	assert_int_equal(xallocx(p, too_large, 0, 0), 2 * MiB);
	sdallocx(p, 2 * MiB, 0);
}

static void what_is_too_large_is_null_and_0(void **state)
{
	void *p = mallocx(100, 0);

	(void)state;
	assert_null(mallocx(too_large, 0));
	assert_null(mallocx(too_large, MALLOCX_ZERO));
	assert_null(mallocx(too_large, MALLOCX_LG_ALIGN(12) | MALLOCX_ZERO));
	assert_null(mallocx(1, MALLOCX_LG_ALIGN(63)));
	assert_null(rallocx(p, too_large, 0));
	assert_null(rallocx(p, too_large, MALLOCX_ZERO));
	assert_null(rallocx(p, too_large, MALLOCX_LG_ALIGN(12)));
	assert_int_equal(nallocx(too_large, 0), 0);
	assert_int_equal(xallocx(p, too_large, 0, 0), sallocx(p, 0));
	dallocx(p, 0);
}

static void they_mix_with_malloc(void **state)
{
	(void)state;
	free(mallocx(100, 0));
	dallocx(malloc(100), 0);
	sdallocx(calloc(10, 10), 100, 0);
	sdallocx(aligned_alloc(8, 20), 20, MALLOCX_LG_ALIGN(3));
	free(rallocx(malloc(100), 5000, MALLOCX_ZERO));
	free(realloc(mallocx(5000, MALLOCX_LG_ALIGN(13)), 10));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nallocx_tells_what_mallocx_gives),
		cmocka_unit_test(zero_reaches_to_the_real_size),
		cmocka_unit_test(rallocx_keeps_what_fits),
		cmocka_unit_test(xallocx_tells_the_real_size_and_never_moves),
		cmocka_unit_test(xallocx_gives_pages_back_and_takes_extra_ones),
		cmocka_unit_test(what_is_too_large_is_null_and_0),
		cmocka_unit_test(they_mix_with_malloc),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
