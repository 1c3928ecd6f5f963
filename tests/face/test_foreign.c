/* SPDX-License-Identifier: MIT */
/*
 * test_foreign.c - pointers from glibc's own heap, got through the address of its malloc, given to
 * our free, realloc and malloc_usable_size: they are handed on to glibc.
 *
 * Callers  CTest, linked with the library and preloaded.
 * Holds    glibc's mallinfo2, reached past ours, tells whether its heap took them back.
 */
#include "face.h"
#include "libcs_own.h"

#include <malloc.h>
#include <pthread.h>

typedef void *malloc_fn(size_t);
typedef void *memalign_fn(size_t, size_t);
typedef struct mallinfo2 mallinfo2_fn(void);

static malloc_fn *glibc_malloc;
static memalign_fn *glibc_memalign;
static mallinfo2_fn *glibc_mallinfo2;

static const size_t sizes[] = {0, 1, 24, 100, 1000, 1040, 5000, 33000, 140000, 1 << 20, 40 << 20};

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static size_t glibc_in_use(void)
{
	struct mallinfo2 m = glibc_mallinfo2();
	return m.uordblks + m.hblkhd;
}

static void free_hands_it_back_to_glibc(void)
{
	enum { N = 200 };
	static void *p[N];
	size_t before = glibc_in_use();

	for (size_t i = 0; i < N; i++) {
		p[i] = glibc_malloc(20000 + i * 10);
		CHECK(p[i] != NULL);
	}
	CHECK_LE(before + (size_t)N * 20000, glibc_in_use());
	for (size_t i = 0; i < N; i++)
		free(p[i]);
	CHECK_LE(glibc_in_use(), before + 100000);
	for (size_t i = 0; i < SIZES; i++)
		free(glibc_malloc(sizes[i]));
	for (size_t a = 16; a <= 64 * KiB; a *= 4)
		free(glibc_memalign(a, 1000));
}

static void realloc_keeps_the_content(void)
{
	for (size_t i = 0; i < SIZES; i++) {
		for (size_t k = 1; k < SIZES; k++) {
			size_t kept = sizes[i] < sizes[k] ? sizes[i] : sizes[k];
			char *p = glibc_malloc(sizes[i]);
			CHECK(p != NULL);
			memset(p, 'g', kept);
			p = realloc(p, sizes[k]);
			CHECK(p != NULL);
			CHECK(kept == 0 || (p[0] == 'g' && p[kept - 1] == 'g'));
			CHECK(kept == 0 || p[kept / 2] == 'g');
			memset(p, 'h', sizes[k]);
			free(p);
		}
	}
}

static void realloc_to_0_frees(void)
{
	volatile size_t zero = 0;
	size_t before = glibc_in_use();
	void *p = glibc_malloc(100000);

	CHECK(p != NULL);
	CHECK(realloc(p, zero) == NULL);
	CHECK_LE(glibc_in_use(), before + 50000);
}

static void a_failed_realloc_keeps_it(void)
{
	volatile size_t huge = SIZE_MAX / 2 + 1;
	char *p = glibc_malloc(100);

	CHECK(p != NULL);
	memset(p, 'k', 100);
	errno = 0;
	CHECK(realloc(p, huge) == NULL && errno == ENOMEM);
	CHECK(p[0] == 'k' && p[99] == 'k');
	free(p);
}

static void malloc_usable_size_asks_glibc(void)
{
	for (size_t i = 1; i < SIZES; i++) {
		void *p = glibc_malloc(sizes[i]);
		CHECK(p != NULL);
		CHECK_LE(sizes[i], malloc_usable_size(p));
		memset(p, 1, malloc_usable_size(p));
		free(p);
	}
}

static void errno_is_kept(void)
{
	void *p = glibc_malloc(100), *q = glibc_malloc(1 << 20);

	errno = 4711;
	free(p);
	free(q);
	CHECK(errno == 4711);
}

static void *free_all(void *arg)
{
	void **p = arg;
	for (int i = 0; i < 1000; i++)
		free(p[i]);
	return NULL;
}

static void another_thread_may_free_it(void)
{
	static void *p[1000];
	pthread_t thread;

	for (size_t i = 0; i < 1000; i++)
		p[i] = i % 2 == 0 ? malloc(i) : glibc_malloc(i);
	CHECK(pthread_create(&thread, NULL, free_all, p) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

/* --- libc's second names: they are ours, whatever libc itself has by them --- */

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t), *__libc_valloc(size_t), *__libc_pvalloc(size_t);
extern void __libc_free(void *);
extern int __libc_mallopt(int, int);
extern struct mallinfo __libc_mallinfo(void);

static void the_libc_names_mix_with_the_others(void)
{
	size_t before = glibc_in_use();
	char *p;

	for (size_t i = 0; i < SIZES; i++) {
		__libc_free(malloc(sizes[i]));
		free(__libc_malloc(sizes[i]));
		p = __libc_calloc(1, sizes[i]);
		CHECK(p != NULL && (sizes[i] == 0 || (p[0] == 0 && p[sizes[i] - 1] == 0)));
		p = realloc(p, sizes[i] + 10);
		p = __libc_realloc(p, sizes[i] + 1000);
		CHECK(p != NULL && malloc_usable_size(p) >= sizes[i] + 1000);
		__libc_free(p);
		p = __libc_memalign(256, sizes[i]);
		CHECK(p != NULL && (uintptr_t)p % 256 == 0);
		free(p);
		free(__libc_valloc(sizes[i]));
		free(__libc_pvalloc(sizes[i]));
	}
	__libc_free(NULL);
	__libc_free(strdup("by libc"));
	CHECK(__libc_mallopt(M_MMAP_THRESHOLD, 100000) == 1);
	p = malloc(10000);
	CHECK(__libc_mallinfo().uordblks >= 10000);
	free(p);
	CHECK(glibc_in_use() == before);
}

int main(void)
{
	CHECK(face_malloc_is_goalloc());
	glibc_malloc = (malloc_fn *)libcs_own("malloc");
	glibc_memalign = (memalign_fn *)libcs_own("memalign");
	glibc_mallinfo2 = (mallinfo2_fn *)libcs_own("mallinfo2");
	CHECK(glibc_malloc != NULL && glibc_memalign != NULL && glibc_mallinfo2 != NULL);
	the_libc_names_mix_with_the_others();
	free_hands_it_back_to_glibc();
	realloc_keeps_the_content();
	realloc_to_0_frees();
	a_failed_realloc_keeps_it();
	malloc_usable_size_asks_glibc();
	errno_is_kept();
	another_thread_may_free_it();
	return 0;
}
