/* SPDX-License-Identifier: MIT */
/*
 * stress_threads.c - threads come and go while others release the caches that no thread has, read
 * what all caches counted, and switch counting on and off.
 *
 * A thread that begins gets a cache of the pool, one whose memory went back, or a new one. Those
 * that read look at every cache.
 */
#include "stress.h"

#include "tools/sample.h"
#include "tools/stat.h"

#define SOURCES 3
#define AT_ONCE 4

static _Atomic bool stopping;
static _Atomic unsigned nthreads;

static void *comer(void *arg)
{
	uint64_t r = (uint64_t)(uintptr_t)arg;
	struct object objects[64] = { { NULL, 0, 0 } };

	/* Some free so many objects of a class that a stack deepens. */
	for (int i = 0; i < 600; i++) {
		struct object *o = &objects[rng_below(&r, 64)];

		if (o->p != NULL)
			object_free(o);
		else
			object_make(o, &r, rng_below(&r, 2) == 0 ? 64 : stress_size(&r));
	}
	for (int i = 0; i < 64; i++)
		object_free(&objects[i]);
	return NULL;
}

/* Starts threads, a few of them at a time. */
static void *source(void *arg)
{
	uint64_t r = (uint64_t)(uintptr_t)arg * 31337;
	pthread_t threads[AT_ONCE];

	while (!atomic_load(&stopping)) {
		unsigned n = 1 + (unsigned)rng_below(&r, AT_ONCE);

		for (unsigned i = 0; i < n; i++)
			CHECK(pthread_create(&threads[i], NULL, comer,
					     (void *)(uintptr_t)rng_next(&r)) == 0);
		for (unsigned i = 0; i < n; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
		atomic_fetch_add(&nthreads, n);
	}
	return NULL;
}

static void *releaser(void *arg)
{
	while (!atomic_load(&stopping)) {
		struct timespec pause = { 0, 200000 };

		thread_release_caches(0);
		(void)nanosleep(&pause, NULL);
	}
	return arg;
}

static void *reader(void *arg)
{
	static struct stat_snapshot st;
	struct alloc_counts sum;

	for (unsigned i = 0; !atomic_load(&stopping); i++) {
		struct timespec pause = { 0, 500000 };

		sample_count(i % 8 < 4);
		thread_read_counts(&sum);
		stat_read(&st);
		CHECK(st.caches.inuse_bytes <= st.caches.bytes);
		if (i % 64 == 0)
			(void)heap_trim();
		(void)nanosleep(&pause, NULL);
	}
	sample_count(false);
	return arg;
}

int main(int argc, char **argv)
{
	double seconds = stress_seconds(argc, argv), end;
	pthread_t threads[SOURCES + 2];

	heap_free(heap_malloc(1), "free");
	end = clock_seconds() + seconds;
	for (uintptr_t i = 0; i < SOURCES; i++)
		CHECK(pthread_create(&threads[i], NULL, source, (void *)(i + 1)) == 0);
	CHECK(pthread_create(&threads[SOURCES], NULL, releaser, NULL) == 0);
	CHECK(pthread_create(&threads[SOURCES + 1], NULL, reader, NULL) == 0);
	while (clock_seconds() < end) {
		struct timespec pause = { 0, 10000000 };

		(void)nanosleep(&pause, NULL);
	}
	atomic_store(&stopping, true);
	for (int i = 0; i < SOURCES + 2; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	(void)heap_trim();
	CHECK(thread_count_caches().inuse == 1);
	CHECK(thread_count_caches().bytes == thread_count_caches().inuse_bytes);
	heapcheck();
	printf("stress_threads: %u threads\n", atomic_load(&nthreads));
	return 0;
}
