/* SPDX-License-Identifier: MIT */
/*
 * stress_exchange.c - threads that free what others allocated, in every order the protocol knows.
 *
 * A table of objects is shared; each cell is swapped atomically, so an object passes from thread to
 * thread with the acquire and release that a program would use. Every thread allocates, swaps,
 * frees or resizes what it got. The threads end and are replaced now and then, so spans are given
 * back, claimed from the dead and recycled. Between rounds everybody stands still and the whole
 * heap is checked. Few sizes are used at a time, so that spans become full, partial and empty all
 * the time.
 */
#include "stress.h"

#define THREADS 4
#define CELLS 4096
#define STEPS 200000

static _Atomic(struct object *) cells[CELLS];
static _Atomic unsigned round_size;

static void *worker(void *arg)
{
	uint64_t r = (uint64_t)(uintptr_t)arg * UINT64_C(0x9e3779b97f4a7c15);
	size_t narrow = atomic_load(&round_size);
	uint32_t range = 1u << (6 + rng_below(&r, 7));

	for (int i = 0; i < STEPS; i++) {
		struct object *o = NULL, *old;
		size_t cell = rng_below(&r, range);

		if (rng_below(&r, 8) < 5) {
			size_t size =
				narrow != 0 ? 1 + rng_below(&r, (uint32_t)narrow) : stress_size(&r);

			o = heap_malloc(sizeof(*o));
			CHECK(o != NULL);
			object_make(o, &r, size);
		}
		old = atomic_exchange_explicit(&cells[cell], o, memory_order_acq_rel);
		if (old == NULL)
			continue;
		if (rng_below(&r, 8) == 0)
			object_resize(old, &r);
		object_free(old);
		heap_free(old, "free");
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static const unsigned narrow_sizes[] = { 0, 7, 64, 24, 2048, 16, 32768, 130 };
	double end = clock_seconds() + stress_seconds(argc, argv);
	unsigned rounds = 0;

	do {
		pthread_t threads[THREADS];

		atomic_store(&round_size, narrow_sizes[rounds % 8]);
		for (uintptr_t i = 0; i < THREADS; i++)
			CHECK(pthread_create(&threads[i], NULL, worker,
					     (void *)(i + 1 + rounds * 100)) == 0);
		for (int i = 0; i < THREADS; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
		heapcheck();
		if (rounds % 4 == 3)
			heap_trim();
		rounds++;
	} while (clock_seconds() < end);
	cells_free(cells, CELLS);
	heap_trim();
	heapcheck();
	struct stat_snapshot st;

	stat_read(&st);
	/* Nothing is live, so nothing may be lost: what is left are spans of the main thread's
	 * caches. */
	CHECK(st.all.live == 0);
	CHECK(st.all.span_bytes <= MiB(1));
	printf("stress_exchange: %u rounds, %zu bytes of spans left\n", rounds, st.all.span_bytes);
	return 0;
}
