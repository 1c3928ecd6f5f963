/* SPDX-License-Identifier: MIT */
/*
 * test_stat.c - the snapshot's equations hold at any moment, its figures are exact when the program
 * is quiet, and the walk behind it has every page once.
 */
#include "module.h"

#include "tools/heapwalk.h"
#include "heap.h"
#include "heap/mcentral.h"
#include "os/os.h"
#include "tools/sample.h"
#include "tools/stat.h"

#include <errno.h>
#include <pthread.h>

static spanclass_t spanclass_of_size(size_t size)
{
	return sizeclass_of_malloc(size);
}

static void check_class(const struct stat_class *k)
{
	CHECK(k->span_bytes == k->live_bytes + k->slack_bytes + k->free_bytes + k->tail_bytes);
	CHECK(k->span_bytes <= GiB(64) && k->live_bytes <= k->span_bytes &&
	      k->free_bytes <= k->span_bytes);
	CHECK(k->slack_bytes <= k->span_bytes && k->tail_bytes <= k->span_bytes);
	CHECK(k->cached_bytes <= k->free_bytes);
	CHECK(k->drained_bytes <= k->free_bytes + k->slack_bytes + k->tail_bytes);
	CHECK(k->mallocs - k->frees == k->live);
	CHECK(k->malloc_bytes - k->freed_bytes == k->live_bytes);
	CHECK(k->mallocs >= k->live && k->malloc_bytes >= k->live_bytes);
	CHECK(k->mallocs < (uint64_t)1 << 40 && k->malloc_bytes < (uint64_t)1 << 60);
	CHECK(k->free_slots <= k->slots);
}

/* Checks the equations of stat.h. */
static void check_snapshot(const struct stat_snapshot *st)
{
	struct stat_class sum = { 0 };

	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		check_class(&st->classes[sc]);
		sum.span_bytes += st->classes[sc].span_bytes;
		sum.live += st->classes[sc].live;
		sum.mallocs += st->classes[sc].mallocs;
	}
	check_class(&st->all);
	check_class(&st->noscan);
	CHECK(sum.span_bytes == st->all.span_bytes && sum.live == st->all.live &&
	      sum.mallocs == st->all.mallocs);
	CHECK(st->heap_bytes == st->all.span_bytes + st->free_bytes + st->released_bytes +
					st->held_bytes + st->moving_bytes);
	CHECK(st->heap_bytes <= GiB(64) && st->free_bytes <= st->heap_bytes &&
	      st->released_bytes <= st->heap_bytes);
	CHECK(st->held_released_bytes <= st->held_bytes);
	CHECK(st->held_bytes <= st->heap_bytes && st->moving_bytes <= st->heap_bytes);
	CHECK(st->empty_bytes <= st->all.span_bytes);
	CHECK(st->sys_bytes == st->heap_bytes + st->metadata_bytes);
	CHECK(st->metadata_bytes ==
	      st->spans.bytes + st->caches.bytes + st->arenas.bytes + st->other_bytes);
	CHECK(st->other_bytes <= st->metadata_bytes && st->spans.inuse_bytes <= st->spans.bytes);
	CHECK(st->caches.inuse_bytes <= st->caches.bytes &&
	      st->arenas.inuse_bytes <= st->arenas.bytes);
}

/* Checks the equations of stat.h and those that hold in a program that stands still. */
static void check_quiet(struct stat_snapshot *st)
{
	struct heapwalk w;
	struct heap_run r;
	size_t guarded = mheap.guarded_npages * PAGE_SIZE, nspans = 0;

	stat_read(st);
	check_snapshot(st);
	CHECK(st->moving_bytes == 0);
	CHECK(st->heap_bytes == atomic_load(&mheap.growth.committed));
	CHECK(st->free_bytes + st->released_bytes == mheap.pages.nfree * PAGE_SIZE);
	CHECK(st->released_bytes == mheap.pages.nclean * PAGE_SIZE);
	CHECK(st->all.drained_bytes == mspan_count_released() * os_page_size());
	CHECK(guarded <= st->all.span_bytes);
	CHECK(st->spans.inuse == st->all.spans);
	heapwalk_init(&w);
	while (heapwalk_arena(&w)) {
		uint32_t page = 0;

		while (heapwalk_run(&w, &r)) {
			CHECK(r.page == page && r.npages != 0);
			page += r.npages;
			nspans += r.use == RUN_SPAN && r.first;
			if (r.use == RUN_SPAN && r.first)
				CHECK(span_of(w.ha->base + r.page * PAGE_SIZE)->npages ==
				      r.span_npages);
		}
		CHECK(page == ARENA_PAGES);
	}
	CHECK(nspans == st->all.spans);
}

TEST_IN_CHILD(a_heap_that_was_never_used_is_all_zero)
{
	struct stat_snapshot st;

	stat_read(&st);
	check_snapshot(&st);
	CHECK(all_zero(&st, sizeof(st)));
	CHECK(stat_print(-1) == EBADF);
}

/* --- exact --- */

TEST_IN_CHILD(every_size_class_is_counted_by_itself)
{
	enum { N = 37 };
	struct stat_snapshot before, after;

	heap_free(heap_malloc(1), "free");
	for (unsigned class = 1; class < NUM_SIZE_CLASSES; class++) {
		size_t size = sizeclasses[class].elemsize;
		unsigned sc =
			make_spanclass(heap_good_size(size, 0) == size ? class : class + 1, SCAN);
		size_t each = sizeclasses[sc >> 1].elemsize;
		void *p[N];

		check_quiet(&before);
		for (int i = 0; i < N; i++)
			p[i] = heap_malloc(size);
		check_quiet(&after);
		CHECK(after.classes[sc].live - before.classes[sc].live == N);
		CHECK(after.classes[sc].live_bytes - before.classes[sc].live_bytes == N * each);
		CHECK(after.all.live - before.all.live == N);
		CHECK(after.classes[sc].slots - after.classes[sc].free_slots ==
		      after.classes[sc].live);
		for (int i = 0; i < N; i++)
			heap_free(p[i], "free");
		check_quiet(&after);
		CHECK(after.classes[sc].live == before.classes[sc].live &&
		      after.all.live_bytes == before.all.live_bytes);
	}
}

TEST_IN_CHILD(big_objects_that_span_arenas_are_counted_once)
{
	struct stat_snapshot st;
	void *p[3];

	for (int i = 0; i < 3; i++)
		p[i] = heap_malloc(MiB(90));
	check_quiet(&st);
	CHECK(st.classes[SPANCLASS_BIG].spans == 3 && st.classes[SPANCLASS_BIG].live == 3);
	CHECK(st.classes[SPANCLASS_BIG].live_bytes == 3 * MiB(90));
	CHECK(st.narenas >= 5);
	CHECK(st.classes[SPANCLASS_BIG].rounding_max == 3 * (PAGE_SIZE - 1));
	for (int i = 0; i < 3; i++)
		heap_free(p[i], "free");
	check_quiet(&st);
	CHECK(st.classes[SPANCLASS_BIG].live == 0 && st.classes[SPANCLASS_BIG].live_bytes == 0);
}

TEST_IN_CHILD(a_small_span_in_two_arenas_is_counted_once)
{
	spanclass_t sc = spanclass_of_size(27264);
	size_t npages = spanclass_info(sc)->npages[0];
	struct stat_snapshot st;
	uintptr_t hole;
	void *p;

	CHECK(npages > 3);
	CHECK(heap_malloc((ARENA_PAGES - 3) * PAGE_SIZE) != NULL);
	/* An object across the end of the arena is made as short as the span, with another one
	 * behind it, so that no word of pages has room for the span. */
	p = heap_malloc((npages + 17) * PAGE_SIZE);
	hole = (uintptr_t)p;
	CHECK(heap_malloc(100 * PAGE_SIZE) != NULL);
	CHECK(heap_realloc(p, (npages + 6) * PAGE_SIZE, SCAN, "realloc") == p);
	CHECK(heap_realloc(p, npages * PAGE_SIZE, SCAN, "realloc") == p);
	heap_trim();
	CHECK((uintptr_t)heap_malloc(17 * PAGE_SIZE) == hole + npages * PAGE_SIZE);
	heap_free(p, "free");
	heap_trim();
	/* The lowest run that is long enough. */
	p = heap_malloc(27264);
	CHECK(span_of((uintptr_t)p)->base == hole &&
	      hole % ARENA_SIZE == ARENA_SIZE - 3 * PAGE_SIZE);
	check_quiet(&st);
	CHECK(st.classes[sc].spans == 1 && st.classes[sc].live == 1);
	CHECK(st.classes[sc].span_bytes == npages * PAGE_SIZE);
}

TEST_IN_CHILD(freed_big_objects_that_a_thread_keeps_are_free_bytes)
{
	struct stat_snapshot st;

	heap_free(heap_malloc(KiB(100)), "free");
	check_quiet(&st);
	CHECK(st.classes[SPANCLASS_BIG].spans == 1 && st.classes[SPANCLASS_BIG].live == 0);
	CHECK(st.classes[SPANCLASS_BIG].free_bytes == KiB(104) && st.empty_bytes >= KiB(104));
	heap_trim();
	check_quiet(&st);
	CHECK(st.all.span_bytes == 0 && st.free_bytes == 0 && st.held_bytes == 0);
	CHECK(st.released_bytes == st.heap_bytes);
}

TEST_IN_CHILD(tiny_objects_are_counted_by_their_own_sizes)
{
	struct stat_snapshot st;
	void *p[100];
	const struct stat_class *tiny = &st.classes[SPANCLASS_TINY];

	for (int i = 0; i < 100; i++)
		p[i] = heap_malloc_noscan(5);
	check_quiet(&st);
	/* Aligned to 4: two a block. */
	CHECK(tiny->live == 100 && tiny->live_bytes == 500);
	CHECK(tiny->slots - tiny->free_slots == 50 && tiny->slack_bytes == 50 * 16 - 500);
	/* The word that the cache took, and nothing else of the span. */
	CHECK(tiny->cached_bytes == (64 - 50) * 16);
	CHECK(st.noscan.live_bytes == 500 && st.all.live_bytes == 500);
	for (int i = 0; i < 100; i++)
		heap_free(p[i], "free");
	check_quiet(&st);
	CHECK(tiny->live == 0 && tiny->live_bytes == 0 && tiny->slack_bytes == 0);
}

TEST_IN_CHILD(objects_of_no_bytes_have_none)
{
	struct stat_snapshot st;
	void *p = heap_malloc(0);

	check_quiet(&st);
	CHECK(st.classes[SPANCLASS_ZERO].live == 1 && st.all.live_bytes == 0);
	CHECK(st.classes[SPANCLASS_ZERO].tail_bytes == PAGE_SIZE);
	heap_free(p, "free");
	check_quiet(&st);
	CHECK(st.all.live == 0);
}

TEST_IN_CHILD(what_threads_have_at_hand_is_cached)
{
	struct stat_snapshot st;
	void *p[10];

	for (int i = 0; i < 10; i++)
		p[i] = heap_malloc(128);
	/* One word: 64 slots of a span. */
	check_quiet(&st);
	CHECK(st.classes[spanclass_of_size(128)].cached_bytes == 54 * 128);
	for (int i = 0; i < 5; i++)
		heap_free(p[i], "free");
	check_quiet(&st);
	CHECK(st.classes[spanclass_of_size(128)].cached_bytes == 59 * 128);
	CHECK(st.held_bytes != 0 && st.held_released_bytes == st.held_bytes);
	CHECK(st.caches.inuse == 1 && st.ncaches == 1);
}

/* --- counting --- */

TEST_IN_CHILD(allocations_are_counted_from_when_counting_begins)
{
	enum { N = 1000 };
	struct stat_snapshot st;
	void *old[10], *p[N];
	unsigned sc = spanclass_of_size(100);

	for (int i = 0; i < 10; i++)
		old[i] = heap_malloc(100);
	check_quiet(&st);
	CHECK(!st.counting && st.all.mallocs == 10 && st.all.frees == 0);
	sample_count(true);
	for (int i = 0; i < N; i++)
		p[i] = heap_malloc(100);
	check_quiet(&st);
	CHECK(st.counting && st.classes[sc].mallocs == N + 10 && st.classes[sc].frees == 0);
	for (int i = 0; i < N; i++)
		heap_free(p[i], "free");
	heap_free(heap_malloc(MiB(1)), "free");
	heap_free(heap_malloc_noscan(3), "free");
	check_quiet(&st);
	CHECK(st.classes[sc].mallocs == N + 10 && st.classes[sc].frees == N);
	CHECK(st.classes[sc].malloc_bytes == (N + 10) * 112 &&
	      st.classes[sc].freed_bytes == N * 112);
	CHECK(st.classes[SPANCLASS_BIG].mallocs == 1 &&
	      st.classes[SPANCLASS_BIG].freed_bytes == MiB(1));
	CHECK(st.classes[SPANCLASS_TINY].mallocs == 1 && st.classes[SPANCLASS_TINY].frees == 1);
	sample_count(false);
	for (int i = 0; i < 10; i++)
		heap_free(old[i], "free");
	check_quiet(&st);
	CHECK(!st.counting);
}

TEST_IN_CHILD(counts_caught_in_the_middle_of_a_change_are_not_below_what_is_live)
{
	unsigned sc = spanclass_of_size(100);
	struct stat_snapshot st;

	heap_free(heap_malloc(100), "free");
	sample_count(true);
	/* As when objects were counted as not handed out yet, but not yet as taken. */
	thread_cache()->counted.made.mallocs[sc] -= 5;
	thread_cache()->counted.made.big_bytes[0] -= 5 * PAGE_SIZE;
	stat_read(&st);
	check_snapshot(&st);
	CHECK(st.classes[sc].mallocs == 0 && st.classes[SPANCLASS_BIG].malloc_bytes == 0);
}

/* --- a program that counts for itself --- */

/* What a thread knows to be live. */
struct ledger {
	uint64_t random;
	void *p[500];
	bool noscan[500];
	size_t objects, nbytes, noscan_objects, noscan_bytes;
	_Atomic bool *stop;
};

static void ledger_free(struct ledger *l, size_t i)
{
	size_t nbytes = l->p[i] == NULL ? 0 : heap_usable_size(l->p[i], "test");

	l->objects -= l->p[i] != NULL;
	l->nbytes -= nbytes;
	l->noscan_objects -= l->p[i] != NULL && l->noscan[i];
	l->noscan_bytes -= l->noscan[i] ? nbytes : 0;
	heap_free(l->p[i], "free");
	l->p[i] = NULL;
}

static size_t random_size(uint64_t *r)
{
	size_t most = (size_t)8 << rng_below(r, 14);

	return rng_below(r, most + 1) + (rng_below(r, 2000) == 0 ? MiB(3) : 0);
}

static void ledger_step(struct ledger *l)
{
	size_t i = rng_below(&l->random, 500), size = random_size(&l->random), nbytes;
	bool noscan = rng_below(&l->random, 2) != 0;

	ledger_free(l, i);
	switch (rng_below(&l->random, 4)) {
	case 0:
		return;
	case 1:
		l->p[i] = noscan ? heap_calloc_noscan(size) : heap_calloc(size);
		break;
	case 2:
		l->p[i] = heap_realloc(heap_malloc(random_size(&l->random)), size + 1, noscan,
				       "realloc");
		break;
	default:
		l->p[i] = noscan ? heap_malloc_noscan(size) : heap_malloc(size);
	}
	nbytes = heap_usable_size(l->p[i], "test");
	l->noscan[i] = nbytes != 0 &&
		       spanclass_scan(span_of((uintptr_t)l->p[i])->spanclass) == NOSCAN;
	l->objects++;
	l->nbytes += nbytes;
	l->noscan_objects += l->noscan[i];
	l->noscan_bytes += l->noscan[i] ? nbytes : 0;
}

TEST_IN_CHILD(a_random_programs_own_count_is_the_statistics)
{
	static struct ledger l = { .random = 11 };
	struct stat_snapshot st;

	for (int i = 0; i < 200; i++) {
		for (int k = 0; k < 200; k++)
			ledger_step(&l);
		if (i == 100)
			sample_count(true);
		check_quiet(&st);
		CHECK(st.all.live == l.objects && st.all.live_bytes == l.nbytes);
		CHECK(st.noscan.live - st.classes[SPANCLASS_ZERO].live == l.noscan_objects);
		CHECK(st.noscan.live_bytes == l.noscan_bytes);
	}
	for (size_t i = 0; i < 500; i++)
		ledger_free(&l, i);
	check_quiet(&st);
	CHECK(st.all.live == 0 && st.all.live_bytes == 0 && st.all.slack_bytes == 0);
}

static void *run_ledger(void *arg)
{
	struct ledger *l = arg;

	while (!atomic_load(l->stop))
		ledger_step(l);
	return NULL;
}

TEST_IN_CHILD(the_equations_hold_while_others_allocate)
{
	enum { THREADS = 3 };
	static struct ledger l[THREADS];
	_Atomic bool stop = false;
	pthread_t thread[THREADS];
	struct stat_snapshot st;
	size_t objects = 0, nbytes = 0;

	heap_free(heap_malloc(1), "free");
	for (uint64_t i = 0; i < THREADS; i++) {
		l[i].random = 77 + i;
		l[i].stop = &stop;
		CHECK(pthread_create(&thread[i], NULL, run_ledger, &l[i]) == 0);
	}
	for (int i = 0; i < 300; i++) {
		stat_read(&st);
		check_snapshot(&st);
		if (!GOALLOC_SANITIZED && i % 50 == 0)
			sample_count(i % 100 == 0);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++) {
		CHECK(pthread_join(thread[i], NULL) == 0);
		objects += l[i].objects;
		nbytes += l[i].nbytes;
	}
	check_quiet(&st);
	CHECK(st.all.live == objects && st.all.live_bytes == nbytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_heap_that_was_never_used_is_all_zero),
		cmocka_unit_test(every_size_class_is_counted_by_itself),
		cmocka_unit_test(big_objects_that_span_arenas_are_counted_once),
		cmocka_unit_test(a_small_span_in_two_arenas_is_counted_once),
		cmocka_unit_test(freed_big_objects_that_a_thread_keeps_are_free_bytes),
		cmocka_unit_test(tiny_objects_are_counted_by_their_own_sizes),
		cmocka_unit_test(objects_of_no_bytes_have_none),
		cmocka_unit_test(what_threads_have_at_hand_is_cached),
		cmocka_unit_test(allocations_are_counted_from_when_counting_begins),
		cmocka_unit_test(
			counts_caught_in_the_middle_of_a_change_are_not_below_what_is_live),
		cmocka_unit_test(a_random_programs_own_count_is_the_statistics),
		cmocka_unit_test(the_equations_hold_while_others_allocate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
