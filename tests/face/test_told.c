/* SPDX-License-Identifier: MIT */
/*
 * test_told.c - a program that keeps registrations of memory for a device learns of all memory that
 * loses its pages. It replaces madvise(), as UCX and MPI do, and allocates there.
 *
 * Owns     `told`, the ranges that the hook saw.
 * Callers  CTest, linked with the library and preloaded; ENABLE_EXPORTS shows the hook.
 */
#include "face.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { RANGES = 1 << 16, PAGE = 4096 };

static struct {
	_Atomic uintptr_t from, to;
} told[RANGES];
static _Atomic unsigned ntold;

/* The hook makes and frees a large object when it is called the next time, and notes where. */
static _Atomic bool large_in_hook;
static uintptr_t large;

static uintptr_t free_large(void)
{
	void *p = malloc(20 * MiB);
	uintptr_t addr = (uintptr_t)p;

	CHECK(p != NULL);
	memset(p, 1, 20 * MiB);
	free(p);
	return addr;
}

int madvise(void *at, size_t n, int advice)
{
	void *volatile p = malloc(1000);
	void *volatile q = malloc(200000);
	unsigned i;

	if (atomic_exchange(&large_in_hook, false))
		large = free_large();
	errno = 5;
	if (advice == MADV_DONTNEED) {
		i = atomic_fetch_add(&ntold, 1) % RANGES;
		atomic_store(&told[i].from, (uintptr_t)at);
		atomic_store(&told[i].to, (uintptr_t)at + n);
	}
	free(q);
	free(p);
	return (int)syscall(SYS_madvise, at, n, advice);
}

static bool is_told(uintptr_t page)
{
	unsigned n = atomic_load(&ntold);

	CHECK(n < RANGES);
	for (unsigned i = 0; i < n; i++)
		if (page >= atomic_load(&told[i].from) && page < atomic_load(&told[i].to))
			return true;
	return false;
}

/* Returns how many whole pages of the range have no memory; each of them must be told. */
static size_t check_gone(uintptr_t from, uintptr_t to)
{
	size_t gone = 0;

	from = (from + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
	for (uintptr_t page = from; page + PAGE <= to; page += PAGE) {
		unsigned char resident = 0;

		CHECK(mincore((void *)page, PAGE, &resident) == 0);
		if ((resident & 1) != 0)
			continue;
		gone++;
		CHECK(is_told(page));
	}
	return gone;
}

static void freed_memory_is_told(void)
{
	enum { N = 20000 };
	static unsigned char *small[N];
	unsigned char *big = malloc(20 * MiB);
	size_t gone = 0;

	CHECK(big != NULL);
	memset(big, 1, 20 * MiB);
	for (int i = 0; i < N; i++) {
		small[i] = malloc(500);
		CHECK(small[i] != NULL);
		memset(small[i], 1, 500);
	}
	free(big);
	for (int i = 0; i < N; i++)
		free(small[i]);
	errno = 3;
	malloc_trim(0);
	gone = check_gone((uintptr_t)big, (uintptr_t)big + 20 * MiB);
	CHECK(gone >= 19 * MiB / PAGE);
}

/* The hook is not called within itself. So the pages of an object that it frees stay until it can
 * be told. */
static void memory_freed_by_the_hook_is_told(void)
{
	atomic_store(&large_in_hook, true);
	(void)free_large();
	malloc_trim(0);
	CHECK(!atomic_load(&large_in_hook) && large != 0);
	(void)check_gone(large, large + 20 * MiB);
	malloc_trim(0);
	CHECK_LE(19 * MiB / PAGE, check_gone(large, large + 20 * MiB));
}

/* Where realloc moves pages to another place, the old ones lose theirs. */
static void moved_memory_is_told(void)
{
	unsigned char *p = malloc(8 * MiB), *behind = malloc(8 * MiB), *q;
	uintptr_t before = (uintptr_t)p;

	CHECK(p != NULL && behind != NULL);
	memset(p, 7, 8 * MiB);
	memset(behind, 7, 8 * MiB);
	q = realloc(p, 64 * MiB);
	CHECK(q != NULL && q[0] == 7 && q[8 * MiB - 1] == 7);
	if ((uintptr_t)q != before)
		check_gone(before, before + 8 * MiB);
	free(q);
	free(behind);
	malloc_trim(0);
	check_gone(before, before + 8 * MiB);
}

static void *churn(void *arg)
{
	uint64_t rng = (uintptr_t)arg;
	unsigned char *live[50] = { NULL };

	for (int i = 0; i < 20000; i++) {
		size_t k = rng_next(&rng) % 50,
		       n = rng_next(&rng) % (i % 100 == 0 ? 3 * MiB : 20000) + 1;

		CHECK(live[k] == NULL || *live[k] == k);
		if (i % 3 == 0) {
			live[k] = realloc(live[k], n);
		} else {
			free(live[k]);
			live[k] = malloc(n);
		}
		CHECK(live[k] != NULL);
		*live[k] = (unsigned char)k;
		errno = 9;
		if (i % 500 == 0) {
			malloc_trim(0);
			CHECK(errno == 9);
		}
	}
	for (size_t k = 0; k < 50; k++)
		free(live[k]);
	return NULL;
}

static void hooks_allocate_in_threads(void)
{
	pthread_t thread[4];

	for (uintptr_t i = 0; i < 4; i++)
		CHECK(pthread_create(&thread[i], NULL, churn, (void *)(i + 1)) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
}

int main(void)
{
	CHECK(face_malloc_is_goalloc());
	freed_memory_is_told();
	/* With hardened=2 a large object is guarded when it is freed, even by the hook. */
	if (getenv("GOALLOC") == NULL || strstr(getenv("GOALLOC"), "hardened") == NULL)
		memory_freed_by_the_hook_is_told();
	moved_memory_is_told();
	atomic_store(&ntold, 0);
	hooks_allocate_in_threads();
	CHECK(atomic_load(&ntold) > 0);
	return 0;
}
