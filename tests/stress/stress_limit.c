/* SPDX-License-Identifier: MIT */
/*
 * stress_limit.c - threads at a memory limit that changes all the time. Whether a request is
 * refused or not, nothing is lost and no thread waits for ever.
 *
 * Threads allocate, resize, free and exchange objects, whose first bytes say how long they are.
 * With hard=1 a request may be refused; otherwise none may be. Now and then a thread sets another
 * limit or decay time, trims, or gives back what it keeps, and one thread keeps the limit as
 * scavthread.c does. Between rounds all threads stand still: the heap is checked, and what counts
 * against the limit is counted again, page by page.
 */
#include "stress.h"

#include "heap/limit.h"
#include "heap/mheap.h"
#include "base/options.h"
#include "os/os.h"
#include "os/metakey.h"
#include "os/os.h"
#include "tools/stat.h"

#include <errno.h>

#define THREADS 4
#define CELLS 2048
#define STEPS 40000

/* The beginning of an object. The last byte behind it is its tag. */
struct head {
	size_t size;
	unsigned char tag;
};

static _Atomic(struct head *) cells[CELLS];
static _Atomic size_t refused;

static size_t any_size(uint64_t *r)
{
	size_t size = rng_below(r, 32) == 0 ? rng_below(r, 400000) : stress_size(r);

	return size + sizeof(struct head);
}

static unsigned char *last_byte(struct head *h)
{
	return (unsigned char *)h + h->size - 1;
}

/* Writes the head of a new or resized object and returns it. h is NULL when there was no memory,
 * which counts as a refusal. */
static struct head *made(struct head *h, uint64_t *r, size_t size)
{
	if (h == NULL) {
		CHECK(errno == ENOMEM && options.hard);
		atomic_fetch_add_explicit(&refused, 1, memory_order_relaxed);
		return NULL;
	}
	h->size = size;
	h->tag = (unsigned char)rng_next(r);
	if (size > sizeof(*h))
		*last_byte(h) = h->tag;
	return h;
}

static void check(struct head *h)
{
	CHECK(h->size == sizeof(*h) || *last_byte(h) == h->tag);
}

static struct head *allocate(uint64_t *r)
{
	size_t size = any_size(r);

	switch (rng_below(r, 4)) {
	case 0:
		return made(heap_calloc(size), r, size);
	case 1:
		return made(heap_aligned((size_t)8 << rng_below(r, 13), size, SCAN), r, size);
	default:
		return made(heap_malloc(size), r, size);
	}
}

static void use(struct head *old, uint64_t *r)
{
	size_t size = any_size(r);
	struct head *h;

	if (old == NULL)
		return;
	check(old);
	if (rng_below(r, 4) == 0) {
		h = made(heap_realloc(old, size, SCAN, "realloc"), r, size);
		old = h != NULL ? h : old;
		check(old);
	}
	heap_free(old, "free");
}

static void *worker(void *arg)
{
	uint64_t r = (uint64_t)(uintptr_t)arg * UINT64_C(0x9e3779b97f4a7c15);

	for (int i = 0; i < STEPS; i++) {
		struct head *h = rng_below(&r, 8) < 5 ? allocate(&r) : NULL;

		use(atomic_exchange_explicit(&cells[rng_below(&r, CELLS)], h, memory_order_acq_rel),
		    &r);
		if (rng_below(&r, STEPS / 8) == 0)
			(void)heap_set_limit(
				rng_below(&r, 8) == 0 ? SIZE_MAX : MiB(2) + rng_below(&r, MiB(40)));
		if (rng_below(&r, STEPS) == 0)
			(void)heap_trim();
		if (rng_below(&r, STEPS / 16) == 0)
			heap_thread_idle();
		if (rng_below(&r, STEPS / 8) == 0)
			heap_set_scavenge_ms(rng_below(&r, 2) == 0 ? 0 : 1000);
	}
	return NULL;
}

static _Atomic bool round_ended;

/* Keeps the limit as the library's own thread does, but without a pause. */
static void *keeper(void *arg)
{
	(void)arg;
	while (!atomic_load_explicit(&round_ended, memory_order_relaxed)) {
		uint32_t rights = metakey_open();

		(void)mheap_scavenge_poll(os_now_ms());
		mheap_keep_limit();
		metakey_close(rights);
		os_sleep_ms(1);
	}
	return NULL;
}

/* Returns how many bytes count: all pages of the heap, except those without memory that are free
 * or, without hard=1, have free slots only. heapcheck() has counted the latter anew. */
static size_t recount(void)
{
	uint32_t rights = metakey_open();
	size_t npages = 0;

	for (uint32_t i = 0; i < mheap.pages.narenas; i++) {
		const struct heap_arena *ha = mheap.pages.arenas[i];

		for (unsigned w = 0; ha != NULL && w < ARENA_PAGES / 64; w++)
			if ((ha->committed_words[w / 64] >> w % 64 & 1) != 0)
				npages += 64 - popcount64(ha->clean_bits[w]);
	}
	metakey_close(rights);
	return npages * PAGE_SIZE - (options.hard ? 0 : mspan_count_released() * os_page_size()) +
	       fixalloc_used_bytes();
}

static void run_threads(unsigned round)
{
	pthread_t threads[THREADS], keeps;

	atomic_store_explicit(&round_ended, false, memory_order_relaxed);
	CHECK(pthread_create(&keeps, NULL, keeper, NULL) == 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, worker, (void *)(i + 1 + round * 100)) ==
		      0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	atomic_store_explicit(&round_ended, true, memory_order_relaxed);
	CHECK(pthread_join(keeps, NULL) == 0);
	heapcheck();
	CHECK(mheap.scavenger.nreleasing == 0 && mheap_used_bytes() == recount());
}

int main(int argc, char **argv)
{
	double end = clock_seconds() + stress_seconds(argc, argv);
	unsigned rounds = 0;
	struct stat_snapshot st;

	heap_free(heap_malloc(1), "free");
	/* keeper() does its work, and ends with each round. */
	options.scavthread = SCAVTHREAD_OFF;
	do {
		options.hard = rounds % 2 == 0;
		heap_set_scavenge_ms(rounds % 4 < 2 ? 1000 : 0);
		run_threads(rounds++);
	} while (clock_seconds() < end || rounds < 4);
	CHECK(atomic_load(&refused) != 0);
	for (int i = 0; i < CELLS; i++)
		heap_free(atomic_load(&cells[i]), "free");
	(void)heap_set_limit(SIZE_MAX);
	(void)heap_trim();
	heapcheck();
	stat_read(&st);
	CHECK(st.all.live == 0);
	CHECK(mheap_used_bytes() == recount() && mheap.pages.nclean == mheap.pages.nfree);
	printf("stress_limit: %u rounds, refused %zu times\n", rounds, atomic_load(&refused));
	return 0;
}
