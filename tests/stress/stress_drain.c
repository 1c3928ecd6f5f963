/* SPDX-License-Identifier: MIT */
/*
 * stress_drain.c - central spans are drained while other threads free into them, claim them and
 * allocate from them.
 *
 * Workers share a table of objects, so that most frees are another thread's, and fill it and empty
 * it by turns: spans become central with few live objects. Two threads drain all the time, one as
 * malloc_trim() does and one as ticks do with a clock of its own. Every byte of an object is
 * checked when it is freed: a page that is given back too much shows as zeros.
 */
#include "stress.h"

#include "heap/mcentral.h"

#define WORKERS 3
#define CELLS 6000
#define TURN 30000

static _Atomic(struct object *) cells[CELLS];
static _Atomic bool stopping;
static _Atomic unsigned long drains, polls;

static void *worker(void *arg)
{
	uint64_t r = (uint64_t)(uintptr_t)arg * UINT64_C(0x9e3779b97f4a7c15);

	for (unsigned i = 0; !atomic_load(&stopping); i++) {
		/* Most cells are empty at the end of every second turn. */
		bool fill = i / TURN % 2 == 0 || rng_below(&r, 16) == 0;
		struct object *o = NULL, *old;

		if (fill) {
			o = heap_malloc(sizeof(*o));
			CHECK(o != NULL);
			object_make(o, &r, 1 + rng_below(&r, 1u << (4 + rng_below(&r, 11))));
		}
		old = atomic_exchange_explicit(&cells[rng_below(&r, CELLS)], o,
					       memory_order_acq_rel);
		if (old != NULL) {
			object_free(old);
			heap_free(old, "free");
		}
	}
	return NULL;
}

static void *trimmer(void *arg)
{
	while (!atomic_load(&stopping)) {
		heap_trim();
		atomic_fetch_add(&drains, 1);
		usleep(500);
	}
	return arg;
}

static void *ticker(void *arg)
{
	/* Each poll comes a decay time after the one before. */
	for (uint64_t now_ms = 1000; !atomic_load(&stopping); now_ms += 100) {
		while (mcentral_drain_poll(now_ms, 100))
			;
		atomic_fetch_add(&polls, 1);
	}
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t threads[WORKERS + 2];
	double end;
	struct stat_snapshot st;

	heap_free(heap_malloc(1), "free");
	end = clock_seconds() + stress_seconds(argc, argv);
	do {
		double round = clock_seconds() + 1;

		atomic_store(&stopping, false);
		for (uintptr_t i = 0; i < WORKERS + 2; i++)
			CHECK(pthread_create(&threads[i], NULL,
					     i < WORKERS    ? worker
					     : i == WORKERS ? trimmer
							    : ticker,
					     (void *)(i + 1)) == 0);
		while (clock_seconds() < round)
			usleep(10000);
		atomic_store(&stopping, true);
		for (int i = 0; i < WORKERS + 2; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
		heapcheck();
	} while (clock_seconds() < end);
	cells_free(cells, CELLS);
	heap_trim();
	heapcheck();
	stat_read(&st);
	CHECK(st.all.live == 0);
	CHECK(st.all.span_bytes <= MiB(1));
	CHECK(atomic_load(&drains) != 0 && atomic_load(&polls) != 0);
	printf("stress_drain: %lu trims, %lu polls, %zu bytes of spans left\n", drains, polls,
	       st.all.span_bytes);
	return 0;
}
