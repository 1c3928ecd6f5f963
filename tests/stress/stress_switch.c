/* SPDX-License-Identifier: MIT */
/*
 * stress_switch.c - counting of allocations is switched on and off while threads run on.
 *
 * The thread that switches makes the counted bins of all caches ready. Their owners find them in
 * malloc, by the table of slots, and in the slow paths that empty the stacks, by the cache's flag.
 * ThreadSanitizer sees whether both are ordered. The first switch, which alone makes the slots of a
 * cache ready, finds no other thread than the one that empties its stacks. A thread that allocates
 * would order the two: it finds the table, and then takes locks that both take.
 */
#include "stress.h"

#include "tools/sample.h"

#define THREADS 3

static _Atomic bool stopping;
static _Atomic unsigned trims;

static void *worker(void *arg)
{
	uint64_t r = (uint64_t)(uintptr_t)arg * 7919;
	struct object objects[256] = { { NULL, 0, 0 } };

	while (!atomic_load(&stopping)) {
		struct object *o = &objects[rng_below(&r, 256)];

		if (o->p != NULL)
			object_free(o);
		else
			object_make(o, &r, stress_size(&r));
		if (rng_below(&r, 1024) == 0)
			heap_trim();
	}
	for (int i = 0; i < 256; i++)
		object_free(&objects[i]);
	return NULL;
}

/* Empties its stacks again and again. It has no other order with the thread that switches than the
 * cache's flag. */
static void *trimmer(void *arg)
{
	(void)arg;
	heap_free(heap_malloc(100), "free");
	while (!atomic_load_explicit(&stopping, memory_order_relaxed)) {
		heap_trim();
		/* Relaxed: orders nothing. */
		atomic_fetch_add_explicit(&trims, 1, memory_order_relaxed);
	}
	return NULL;
}

static void await_trims(unsigned n)
{
	unsigned from = atomic_load_explicit(&trims, memory_order_relaxed);

	while (atomic_load_explicit(&trims, memory_order_relaxed) - from < n)
		usleep(1000);
}

int main(int argc, char **argv)
{
	double end = clock_seconds() + stress_seconds(argc, argv);
	pthread_t threads[THREADS];
	unsigned switches = 0;

	/* Starts the heap. */
	heap_free(heap_malloc(1), "free");
	CHECK(pthread_create(&threads[0], NULL, trimmer, NULL) == 0);
	await_trims(2);
	sample_count(switches++ % 2 == 0);
	await_trims(2);
	for (uintptr_t i = 1; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, worker, (void *)i) == 0);
	do {
		struct stat_snapshot st;

		usleep(20000);
		sample_count(switches++ % 2 == 0);
		/* Takes no lock meanwhile, by which threads would be ordered. */
		await_trims(2);
		stat_read(&st);
	} while (clock_seconds() < end);
	atomic_store(&stopping, true);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	sample_count(false);
	heapcheck();
	printf("stress_switch: %u switches\n", switches);
	return 0;
}
