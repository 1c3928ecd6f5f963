/* SPDX-License-Identifier: MIT */
/*
 * test_limit.c - what counts against the memory limit, what is given back for it, and what is
 * refused.
 *
 * A test is one process with a heap of its own. Free pages stay for ever unless a limit asks for
 * them.
 */
#include "module.h"

#include "heap/heapcheck.h"
#include "heap/limit.h"
#include "heap.h"
#include "heap/mheap.h"
#include "os/os.h"
#include "base/options.h"
#include "os_fail.h"
#include "heap/scavenge.h"
#include "heap/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOREVER_MS 80000000

static void start(size_t bytes, bool hard)
{
	options.memlimit = bytes;
	options.hard = hard;
	options.scavenge_ms = FOREVER_MS;
	/* The tests look at the heap without a lock. */
	options.scavthread = SCAVTHREAD_OFF;
	heap_free(heap_malloc(1), "free");
	os_fail_nth(OS_RELEASE, 0);
}

/* Puts off the next round for a long time. */
static void put_off_rounds(void)
{
	limit.next_round = os_now_ms() + ((uint64_t)1 << 60);
	limit.round_used = GiB(1);
}

static void *make(size_t size)
{
	void *p = heap_malloc(size);

	CHECK(p != NULL);
	return p;
}

static void drop(void *p)
{
	heap_free(p, "free");
}

/* Lets the thread, which is alone, keep many big objects: as one that has learnt to. */
static void may_keep_all(void)
{
	thread_cache()->big.most = BIG_PAGES_ALONE;
}

static size_t dirty_bytes(void)
{
	return (mheap.pages.nfree - mheap.pages.nclean) * PAGE_SIZE;
}

/* --- what counts --- */

static void add_pages(struct mspan *s, void *arg)
{
	*(size_t *)arg += s->npages;
}

static void add_released(struct mspan *s, void *arg)
{
	*(size_t *)arg += s->kind == SPAN_BIG || options.hard ? 0 : s->released;
}

/* Counts anew what counts against the limit: from the spans, the calling thread's word of pages
 * and the bitmaps. */
static size_t recount(void)
{
	size_t npages = popcount64(thread_cache()->pages.free), released = 0;

	mheap_each_span(add_pages, &npages);
	mheap_each_span(add_released, &released);
	for (uint32_t i = 0; i < mheap.pages.narenas; i++)
		for (unsigned w = 0; mheap.pages.arenas[i] != NULL && w < ARENA_PAGES / 64; w++)
			npages += popcount64(~(mheap.pages.arenas[i]->alloc_bits[w] |
					       mheap.pages.arenas[i]->clean_bits[w]));
	return npages * PAGE_SIZE - released * os_page_size() + fixalloc_used_bytes();
}

static size_t any_size(uint64_t *r)
{
	switch (rng_below(r, 16)) {
	case 0:
		return rng_below(r, MiB(3));
	case 1:
	case 2:
		return rng_below(r, KiB(300));
	case 3:
		return 0;
	default:
		return rng_below(r, 3000);
	}
}

static void what_counts_is_a_recount_at_every_step(size_t bytes, bool hard, unsigned steps)
{
	static void *objects[300];
	uint64_t r = 4711;
	unsigned nulls = 0;

	start(bytes, hard);
	for (unsigned step = 0; step < steps; step++) {
		void **p = &objects[rng_below(&r, 300)];
		void *q;

		switch (rng_below(&r, 8)) {
		case 0:
			(void)heap_trim();
			break;
		case 1:
			q = heap_realloc(*p, any_size(&r) + 1, SCAN, "realloc");
			*p = q != NULL ? q : *p;
			nulls += q == NULL;
			break;
		case 2:
			drop(*p);
			*p = heap_aligned((size_t)1 << rng_below(&r, 22), any_size(&r), SCAN);
			nulls += *p == NULL;
			break;
		default:
			drop(*p);
			*p = NULL;
			if (rng_below(&r, 3) != 0)
				nulls += (*p = heap_malloc(any_size(&r))) == NULL;
			break;
		}
		CHECK(mheap_used_bytes() == recount());
		CHECK(!hard || mheap_used_bytes() <= bytes);
	}
	CHECK(!hard || nulls != 0);
	heapcheck();
	for (unsigned i = 0; i < 300; i++)
		drop(objects[i]);
	CHECK(mheap_used_bytes() == recount());
	(void)heap_trim();
	CHECK(mheap_used_bytes() == recount());
	CHECK(mheap.pages.nclean == mheap.pages.nfree);
}

TEST_IN_CHILD(the_count_is_exact_without_a_limit)
{
	what_counts_is_a_recount_at_every_step(0, false, 3000);
}

TEST_IN_CHILD(the_count_is_exact_beyond_a_soft_limit)
{
	what_counts_is_a_recount_at_every_step(MiB(16), false, 3000);
}

TEST_IN_CHILD(the_count_is_exact_and_never_beyond_a_hard_limit)
{
	what_counts_is_a_recount_at_every_step(MiB(30), true, 3000);
}

TEST_IN_CHILD(the_count_is_exact_and_never_beyond_a_hard_limit_with_hardened)
{
	options.hardened = true;
	what_counts_is_a_recount_at_every_step(MiB(30), true, 3000);
}

/* --- giving back --- */

/* Leaves nbytes in the heap as free pages that have memory behind them. */
static void leave_dirty(size_t nbytes)
{
	/* A huge object would not be kept. */
	size_t low = nbytes < HUGE_PAGES * PAGE_SIZE ? 0 : nbytes / 2;
	void *p = make(low), *q = make(nbytes - low);

	memset(p, 1, low);
	memset(q, 1, nbytes - low);
	drop(p);
	drop(q);
	bigcache_flush(&thread_cache()->big, &thread_cache()->pages);
	CHECK(dirty_bytes() >= nbytes);
}

TEST_IN_CHILD(what_is_free_goes_before_the_limit_is_crossed)
{
	void *kept[4];

	start(MiB(64), false);
	leave_dirty(MiB(40));
	/* Not for the one who asks for less than there is room for: it uses what is there. */
	kept[0] = make(MiB(30));
	CHECK(os_fail_seen() == 0);
	/* The rest is 10 MiB free, and no room for 30 in it. */
	kept[1] = make(MiB(30));
	CHECK(os_fail_seen() != 0);
	CHECK(mheap_used_bytes() <= MiB(64) && limit_get_state() == LIMIT_NEAR);
	/* No more than was needed, some share of the limit aside. */
	drop(kept[1]);
	drop(kept[0]);
}

TEST_IN_CHILD(far_from_the_limit_nothing_is_given_back)
{
	start(MiB(64), false);
	for (int i = 0; i < 100; i++)
		leave_dirty(MiB(2) + (size_t)i * KiB(100));
	CHECK(os_fail_seen() == 0 && limit_get_state() == LIMIT_FAR);
}

TEST_IN_CHILD(what_the_thread_keeps_goes_before_the_limit_is_crossed)
{
	static void *p[100], *q[2000];

	start(MiB(32), false);
	may_keep_all();
	for (int i = 0; i < 100; i++)
		p[i] = make(KiB(256));
	for (int i = 0; i < 100; i++)
		drop(p[i]);
	CHECK(bigcache_npages(&thread_cache()->big) >= 90 * KiB(256) / PAGE_SIZE);
	/* Of another length: none of them is of use as it is. */
	for (int i = 0; i < 1000; i++) {
		q[i] = make(KiB(28));
		CHECK(mheap_used_bytes() <= MiB(32));
	}
	for (int i = 0; i < 1000; i++)
		drop(q[i]);
}

static void *use_some(void *arg)
{
	pthread_barrier_t *barrier = arg;
	void *p[20];

	for (int i = 0; i < 8; i++)
		p[i] = make(KiB(64));
	for (int i = 0; i < 8; i++)
		drop(p[i]);
	CHECK(bigcache_npages(&thread_cache()->big) >= 16);
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	/* A slow path. */
	p[0] = make(KiB(512));
	CHECK(bigcache_npages(&thread_cache()->big) == 0);
	drop(p[0]);
	return NULL;
}

TEST_IN_CHILD(other_threads_give_back_what_they_keep_at_their_next_slow_path)
{
	pthread_barrier_t barrier;
	pthread_t thread;
	void *p;

	start(MiB(16), false);
	CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
	CHECK(pthread_create(&thread, NULL, use_some, &barrier) == 0);
	pthread_barrier_wait(&barrier);
	p = make(MiB(20));
	pthread_barrier_wait(&barrier);
	CHECK(pthread_join(thread, NULL) == 0);
	drop(p);
}

TEST_IN_CHILD(near_the_limit_free_pages_stay_a_part_of_the_decay_time)
{
	void *p;

	start(MiB(64), false);
	options.scavenge_ms = 16000;
	CHECK(limit_decay_ms() == 16000);
	p = make(MiB(59));
	CHECK(limit_get_state() == LIMIT_FAR && limit_decay_ms() == 16000);
	drop(p);
	(void)heap_trim();
	p = make(MiB(61));
	CHECK(limit_get_state() == LIMIT_NEAR && limit_decay_ms() == 1000);
	drop(p);
	/* And far again when they are gone. */
	(void)heap_trim();
	drop(make(KiB(40)));
	CHECK(limit_get_state() == LIMIT_FAR && limit_decay_ms() == 16000);
}

/* --- beyond a soft limit --- */

TEST_IN_CHILD(free_pages_are_given_back_before_a_soft_limit_is_crossed)
{
	void *p;

	start(MiB(32), false);
	leave_dirty(MiB(20));
	p = make(MiB(50));
	CHECK(limit_get_state() == LIMIT_OVER);
	/* 20 MiB are a part of the new object, or they were released. */
	CHECK(dirty_bytes() < MiB(1) && mheap_used_bytes() < MiB(52));
	drop(p);
	/* 50 MiB are free now: the next that would take new pages releases them. */
	p = make(MiB(51));
	CHECK(mheap_used_bytes() <= MiB(53));
	drop(p);
	p = make(MiB(1));
	drop(p);
}

TEST_IN_CHILD(a_live_heap_of_twice_the_limit_is_not_worked_for_again_and_again)
{
	static void *objects[8192];
	uint64_t r = 5;
	unsigned calls;

	start(MiB(32), false);
	for (int i = 0; i < 8192; i++)
		objects[i] = make(KiB(8));
	CHECK(mheap_used_bytes() > MiB(64));
	/* They have a share of the time: not one for every request. */
	CHECK(limit_calls() < 100);
	calls = limit_calls();
	os_fail_nth(OS_RELEASE, 0);
	for (int i = 0; i < 200000; i++) {
		void **p = &objects[rng_below(&r, 8192)];

		drop(*p);
		*p = make(rng_below(&r, 4) == 0 ? KiB(14) : KiB(8));
	}
	CHECK(os_fail_seen() < 20000);
	CHECK(limit_calls() - calls < 200);
	CHECK(mheap_used_bytes() < MiB(120));
	for (int i = 0; i < 8192; i++)
		drop(objects[i]);
	/* Below it again, and so is the rest of the program. */
	(void)heap_trim();
	drop(make(KiB(100)));
	CHECK(limit_get_state() == LIMIT_FAR);
}

/* --- hard=1 --- */

static size_t fill_with(void **objects, size_t most, size_t size)
{
	size_t n = 0;

	while (n < most) {
		errno = 0;
		objects[n] = heap_malloc(size);
		if (objects[n] == NULL)
			break;
		n++;
	}
	CHECK(n == most || errno == ENOMEM);
	return n;
}

TEST_IN_CHILD(a_hard_limit_is_used_up_and_not_crossed)
{
	static const size_t sizes[] = { 16, 48, 1000, 8192, 20000, 40000, 100000, MiB(1), MiB(3) };
	static void *objects[MiB(32) / 16];

	start(MiB(32), true);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t n = fill_with(objects, MiB(32) / 16, sizes[i]);
		size_t again;

		CHECK(n < MiB(32) / 16);
		/* The request that was refused may have begun a slab of records, of which one
		 * kernel page stays. */
		CHECK(mheap_used_bytes() <= MiB(32) + os_page_size());
		/* Pages of the last object of 3 MiB, records of the smallest. */
		CHECK(mheap_used_bytes() >= MiB(32) - max_size(sizes[i] + MiB(1) / 4, KiB(256)));
		/* A half of them makes room for as many, but for a slab of records (32 KiB):
		 * where the heap begins is random, and so is how many spans it cuts. */
		for (size_t k = n / 2; k < n; k++)
			drop(objects[k]);
		again = n / 2 + fill_with(objects + n / 2, n, sizes[i]);
		CHECK(again >= n - max_size(2, KiB(32) / sizes[i]));
		heapcheck();
		for (size_t k = 0; k < again; k++)
			drop(objects[k]);
	}
	CHECK(mheap_used_bytes() <= MiB(32) + os_page_size());
}

TEST_IN_CHILD(at_a_hard_limit_every_way_to_memory_is_refused_and_smaller_requests_work)
{
	static void *objects[1000];
	void *p, *last;
	size_t n;

	start(MiB(32), true);
	p = make(MiB(2));
	memset(p, 7, MiB(2));
	n = fill_with(objects, 1000, MiB(1));
	last = objects[n - 1];
	memset(last, 9, MiB(1));
	errno = 0;
	CHECK(heap_calloc(MiB(1)) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(heap_aligned(MiB(1), MiB(1), SCAN) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(heap_malloc_noscan(MiB(1)) == NULL && errno == ENOMEM);
	errno = 0;
	/* In place, as the last of the heap; and moved. */
	CHECK(heap_realloc(last, MiB(3), SCAN, "realloc") == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(heap_realloc(p, MiB(4), SCAN, "realloc") == NULL && errno == ENOMEM);
	CHECK(((char *)p)[MiB(2) - 1] == 7 && ((char *)last)[MiB(1) - 1] == 9);
	errno = 0;
	CHECK(heap_malloc(GiB(100)) == NULL && errno == ENOMEM);
	CHECK(mheap_used_bytes() <= MiB(32));
	/* What fits works. */
	drop(make(100));
	drop(objects[0]);
	drop(make(MiB(1)));
	heapcheck();
}

TEST_IN_CHILD(objects_grow_in_place_up_to_a_hard_limit)
{
	char *p;
	size_t size = MiB(1);

	start(MiB(32), true);
	p = make(size);
	while (size < MiB(31)) {
		char *q = heap_realloc(p, size + KiB(64), SCAN, "realloc");

		CHECK(q != NULL);
		p = q;
		size += KiB(64);
	}
	CHECK(heap_realloc(p, MiB(33), SCAN, "realloc") == NULL);
	CHECK(mheap_used_bytes() <= MiB(32));
	drop(p);
}

TEST_IN_CHILD(what_the_thread_keeps_goes_before_an_object_is_refused_to_grow_in_place)
{
	void *kept[60];
	char *p, *q;

	start(MiB(32), true);
	may_keep_all();
	for (int i = 0; i < 60; i++)
		kept[i] = make(KiB(256));
	p = make(MiB(10));
	for (int i = 0; i < 60; i++)
		drop(kept[i]);
	CHECK(bigcache_npages(&thread_cache()->big) >= 50 * KiB(256) / PAGE_SIZE);
	q = heap_realloc(p, MiB(21), SCAN, "realloc");
	CHECK(q == p);
	drop(q);
}

TEST_IN_CHILD(near_the_limit_a_thread_that_is_alone_keeps_less)
{
	void *kept[100], *p;

	start(MiB(64), false);
	p = make(MiB(36));
	for (int i = 0; i < 100; i++)
		kept[i] = make(KiB(250));
	CHECK(limit_get_state() == LIMIT_NEAR);
	for (int i = 0; i < 100; i++)
		drop(kept[i]);
	CHECK(bigcache_npages(&thread_cache()->big) <= BIG_PAGES_ALL);
	drop(p);
}

TEST_IN_CHILD(beyond_the_limit_threads_have_words_of_pages_as_ever)
{
	/* Spans of one page, which no end of a word cuts off. */
	enum { N = 100 * PAGE_SIZE / 128 };
	static void *q[N];
	void *p;

	start(MiB(32), false);
	p = make(MiB(40));
	CHECK(limit_get_state() == LIMIT_OVER);
	put_off_rounds();
	for (int i = 0; i < N; i++) {
		q[i] = make(128);
		CHECK(thread_cache()->pages.base != 0);
	}
	for (int i = 0; i < N; i++)
		drop(q[i]);
	drop(p);
}

TEST_IN_CHILD(more_is_released_where_the_first_to_go_are_pages_of_the_request_itself)
{
	void *low, *high, *higher, *p;

	start(0, true);
	low = make(MiB(20));
	high = make(MiB(29));
	higher = make(MiB(29));
	drop(low);
	(void)heap_trim();
	drop(high);
	drop(higher);
	CHECK(heap_set_limit(MiB(64)) == SIZE_MAX && dirty_bytes() >= MiB(58));
	/* The lowest run: 20 MiB without memory, and 40 with. */
	p = make(MiB(60));
	/* ThreadSanitizer's address space has gaps: the runs do not meet there. */
	CHECK(GOALLOC_SANITIZED || (p < high && mheap_used_bytes() <= MiB(64)));
	drop(p);
}

TEST_IN_CHILD(records_are_given_back_before_a_request_is_refused)
{
	static void *objects[MiB(32) / 16];
	size_t n, records;

	start(MiB(32), true);
	n = fill_with(objects, MiB(32) / 16, 16);
	records = fixalloc_used_bytes();
	for (size_t i = 0; i < n; i++)
		drop(objects[i]);
	/* The thread's free stacks have grown meanwhile. */
	CHECK(fixalloc_used_bytes() >= records);
	records = fixalloc_used_bytes();
	/* Not because others asked. */
	thread_cache()->limit_calls = limit_calls();
	drop(make(MiB(32) - records + KiB(100)));
	CHECK(fixalloc_used_bytes() < records - KiB(100));
}

/* What the system does not take back counts. */
TEST_IN_CHILD(pages_that_cannot_be_released_count)
{
	void *p;

	start(MiB(32), true);
	p = make(MiB(20));
	memset(p, 1, MiB(20));
	drop(p);
	os_fail_from(OS_RELEASE, 1);
	CHECK(heap_malloc(MiB(30)) == NULL);
	CHECK(mheap_used_bytes() == recount() && mheap_used_bytes() >= MiB(20));
	drop(make(MiB(20)));
	os_fail_stop();
	drop(make(MiB(30)));
}

static void *hold_dirty(void *arg)
{
	(void)arg;
	drop(make(KiB(64)));
	return NULL;
}

TEST_IN_CHILD(a_thread_that_is_gone_leaves_nothing_that_counts)
{
	pthread_t thread;

	start(MiB(32), true);
	for (int i = 0; i < 100; i++) {
		CHECK(pthread_create(&thread, NULL, hold_dirty, NULL) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
	}
	drop(make(MiB(31)));
	CHECK(mheap_used_bytes() == recount());
}

/* --- setting it --- */

TEST_IN_CHILD(the_limit_is_set_at_any_time_and_the_former_is_told)
{
	void *p;

	start(0, true);
	CHECK(heap_limit() == SIZE_MAX);
	p = make(MiB(50));
	memset(p, 1, MiB(50));
	drop(p);
	CHECK(heap_set_limit(MiB(20)) == SIZE_MAX && heap_limit() == MiB(20));
	/* At once. */
	CHECK(mheap_used_bytes() <= MiB(20));
	CHECK(heap_malloc(MiB(21)) == NULL);
	CHECK(heap_set_limit(MiB(100)) == MiB(20));
	p = make(MiB(60));
	/* Lower than what is in use: nothing happens to that. */
	CHECK(heap_set_limit(MiB(10)) == MiB(100));
	CHECK(heap_malloc(MiB(1)) == NULL && mheap_used_bytes() >= MiB(60));
	CHECK(heap_set_limit(SIZE_MAX) == MiB(10) && heap_limit() == SIZE_MAX);
	drop(make(MiB(200)));
	drop(p);
	CHECK(heap_set_limit((size_t)PTRDIFF_MAX + 1) == SIZE_MAX);
	CHECK(heap_set_limit(1) == SIZE_MAX);
	CHECK(heap_malloc(MiB(1)) == NULL);
}

static void put(const char *root, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s%s", root, name);
	f = fopen(path, "w");
	CHECK(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void make_folder(const char *root, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s%s", root, name);
	CHECK(mkdir(path, 0700) == 0);
}

TEST_IN_CHILD(a_share_is_of_what_the_system_says)
{
	char root[] = "/tmp/goalloc-limit-XXXXXX", command[64];

	start(0, false);
	CHECK(mkdtemp(root) != NULL);
	make_folder(root, "/proc");
	put(root, "/proc/meminfo", "MemTotal:  1000000 kB\n");
	options.memlimit_percent = 90;
	(void)mheap_set_limit(limit_of_options(root));
	CHECK(heap_limit() == (size_t)1024000000 / 100 * 90);
	options.memlimit_percent = 100;
	(void)mheap_set_limit(limit_of_options(root));
	CHECK(heap_limit() == 1024000000);
	snprintf(command, sizeof(command), "rm -r %s", root);
	CHECK(system(command) == 0);
	options.memlimit_percent = 0;
	options.memlimit = 12345678;
	(void)mheap_set_limit(limit_of_options(root));
	CHECK(heap_limit() == 12345678);
}

static void init_without_files(void *arg)
{
	(void)arg;
	options.memlimit_percent = 50;
	(void)mheap_set_limit(limit_of_options("/nowhere"));
	options.memlimit_percent = 0;
}

static void a_share_of_nothing_that_can_be_read_is_said_and_no_limit(void **state)
{
	char text[256];

	(void)state;
	(void)capture_stderr(init_without_files, NULL, text, sizeof(text));
	assert_string_equal(
		text, "goalloc: memlimit: how much memory there is cannot be read; no limit\n");
	assert_int_equal(limit_bytes(), 0);
}

/* --- the decision, on figures alone --- */

/* With a limit of 64 MiB the margin is 4 MiB, and 1 MiB may be dirty beyond it. */
static struct limit_figures figures(size_t used, size_t dirty, size_t need)
{
	return (struct limit_figures){ .used = used, .dirty = dirty, .need = need, .now_ms = 1000 };
}

static void begin_decisions(bool hard)
{
	options.hard = hard;
	(void)limit_set(MiB(64), 1000);
}

/* Decides, acts on the answer as the heap does, and checks it. */
static void expect(const struct limit_figures *f, enum limit_verdict verdict,
		   enum limit_state state, size_t nbytes)
{
	enum limit_state before = limit_get_state();
	struct limit_answer answer = limit_decide(f);

	CHECK(limit_get_state() == before);
	CHECK(answer.verdict == verdict && answer.nbytes == nbytes);
	limit_note(&answer, f);
	CHECK(limit_get_state() == state);
}

TEST_IN_CHILD(a_request_has_room_up_to_the_limit_and_not_a_byte_beyond)
{
	struct limit_figures f = figures(MiB(59), 0, MiB(1));

	begin_decisions(false);
	expect(&f, LIMIT_ADMIT, LIMIT_FAR, 0);
	f.need++;
	expect(&f, LIMIT_ADMIT, LIMIT_NEAR, 0);
	f.need = MiB(5);
	expect(&f, LIMIT_ADMIT, LIMIT_NEAR, 0);
	f.need++;
	expect(&f, LIMIT_FLUSH, LIMIT_NEAR, 0);
	/* Well below, and not just below, it is far again. */
	f = figures(MiB(59) + 1, 0, 0);
	expect(&f, LIMIT_ADMIT, LIMIT_NEAR, 0);
	f.used--;
	expect(&f, LIMIT_ADMIT, LIMIT_FAR, 0);
}

TEST_IN_CHILD(a_request_is_answered_with_release_then_flush_then_growth)
{
	struct limit_figures f = figures(MiB(64), MiB(10), MiB(1));

	begin_decisions(false);
	/* Beyond the limit by 1 MiB, and half of the margin for the next requests. */
	expect(&f, LIMIT_RELEASE, LIMIT_FAR, MiB(1) + MiB(2));
	f.nothing_left = true;
	expect(&f, LIMIT_FLUSH, LIMIT_FAR, 0);
	/* After the flush even a byte is worth releasing. */
	f = figures(MiB(64), 1, MiB(1));
	f.flushed = true;
	expect(&f, LIMIT_RELEASE, LIMIT_FAR, 1);
	f.nothing_left = true;
	f.now_ms += 10;
	expect(&f, LIMIT_ADMIT, LIMIT_OVER, 0);
	/* The next round comes after 64 times as long as the first took. */
	limit_end_round(1000, 1010);
	f.flushed = false;
	f.now_ms = 1650;
	expect(&f, LIMIT_ADMIT, LIMIT_OVER, 0);
	f.now_ms++;
	expect(&f, LIMIT_FLUSH, LIMIT_OVER, 0);
	/* Or when the memory in use, 65 MiB then, has grown by a 64th. */
	limit_end_round(2000, 100000);
	f.need += MiB(65) / 64;
	expect(&f, LIMIT_ADMIT, LIMIT_OVER, 0);
	f.need++;
	expect(&f, LIMIT_FLUSH, LIMIT_OVER, 0);
}

TEST_IN_CHILD(beyond_a_soft_limit_a_64th_may_be_dirty_and_half_of_it_stays)
{
	struct limit_figures f = figures(MiB(128), MiB(2), MiB(1));

	begin_decisions(false);
	put_off_rounds();
	expect(&f, LIMIT_ADMIT, LIMIT_OVER, 0);
	f.dirty++;
	expect(&f, LIMIT_RELEASE, LIMIT_OVER, MiB(1) + 1);
	/* The lower the limit, the more is over: never less is released. */
	(void)limit_set(MiB(1), 1000);
	put_off_rounds();
	expect(&f, LIMIT_RELEASE, LIMIT_FAR, MiB(1) + 1);
}

TEST_IN_CHILD(a_hard_limit_releases_all_asks_for_a_flush_and_then_refuses)
{
	struct limit_figures f = figures(MiB(64), 1, 1);

	begin_decisions(true);
	for (int i = 0; i < 3; i++) {
		enum limit_state before = i == 0 ? LIMIT_FAR : LIMIT_NEAR;

		f.flushed = f.nothing_left = false;
		expect(&f, LIMIT_RELEASE, before, 1);
		f.nothing_left = true;
		expect(&f, LIMIT_FLUSH, before, 0);
		f.flushed = true;
		expect(&f, LIMIT_REFUSE, LIMIT_NEAR, 0);
	}
	f.need = 0;
	expect(&f, LIMIT_ADMIT, LIMIT_NEAR, 0);
}

/* A request of any size may be refused: what counts is what is in use. */
TEST_IN_CHILD(a_hard_limit_is_over_only_if_what_is_live_is_beyond_it)
{
	struct limit_figures f = figures(MiB(10), 0, GiB(100));

	begin_decisions(true);
	f.flushed = true;
	expect(&f, LIMIT_REFUSE, LIMIT_FAR, 0);
	f = figures(MiB(65), MiB(2), MiB(1));
	f.flushed = f.nothing_left = true;
	expect(&f, LIMIT_REFUSE, LIMIT_FAR, 0);
	f.dirty = MiB(1) - 1;
	expect(&f, LIMIT_REFUSE, LIMIT_OVER, 0);
	/* Below again. */
	f = figures(MiB(60), 0, 0);
	expect(&f, LIMIT_ADMIT, LIMIT_NEAR, 0);
}

TEST_IN_CHILD(other_threads_are_called_when_the_limit_comes_near_and_by_each_round)
{
	struct limit_figures f = figures(MiB(63), 0, MiB(1));
	uint32_t calls = limit_calls();

	begin_decisions(false);
	expect(&f, LIMIT_ADMIT, LIMIT_NEAR, 0);
	CHECK(limit_calls() == calls + 1);
	expect(&f, LIMIT_ADMIT, LIMIT_NEAR, 0);
	CHECK(limit_calls() == calls + 1);
	f.need++;
	expect(&f, LIMIT_FLUSH, LIMIT_NEAR, 0);
	CHECK(limit_calls() == calls + 2);
}

TEST_IN_CHILD(a_thread_that_was_stopped_does_not_put_off_the_next_round)
{
	struct limit_figures f = figures(MiB(64), 0, MiB(1));

	begin_decisions(false);
	limit_end_round(1000, 100000);
	f.now_ms = 110000;
	expect(&f, LIMIT_FLUSH, LIMIT_FAR, 0);
}

/* --- fork --- */

static pid_t forked = -1;
static size_t used_before;

static void fork_while_pages_are_released(void)
{
	/* Records are released, too. */
	if (mheap.scavenger.nreleasing == 0)
		return;
	os_fail_set_hooks(NULL);
	/* They count as released already. */
	CHECK(mheap_used_bytes() + mheap.scavenger.nreleasing * PAGE_SIZE <= used_before);
	forked = fork();
	/* In the child nobody else releases. */
	CHECK((forked == 0) == (mheap.scavenger.nreleasing == 0));
	CHECK(forked >= 0);
}

TEST_IN_CHILD(a_forked_child_has_the_limit_for_itself)
{
	const struct os_space_hooks hooks = { .reserve = os_fail_real_reserve,
					      .unreserve = os_fail_real_unreserve,
					      .before_release = fork_while_pages_are_released };

	start(MiB(32), true);
	leave_dirty(MiB(20));
	used_before = mheap_used_bytes();
	os_fail_set_hooks(&hooks);
	(void)heap_trim();
	CHECK(forked >= 0);
	if (forked == 0) {
		CHECK(mheap.scavenger.nreleasing == 0);
		CHECK(mheap_used_bytes() == (mheap.pages.ntotal - mheap.pages.nclean) * PAGE_SIZE +
					      fixalloc_used_bytes());
		CHECK(heap_malloc(MiB(40)) == NULL);
		drop(make(MiB(20)));
		heapcheck();
		_exit(0);
	}
	CHECK(child_wait(forked) == 0);
	CHECK(mheap_used_bytes() == recount());
	drop(make(MiB(31)));
}

/* --- the ladder of mheap's caller --- */

TEST_IN_CHILD(a_request_beyond_a_soft_limit_is_served_after_a_flush_only)
{
	size_t npages = MiB(1) / PAGE_SIZE;
	struct mspan *s;
	void *p;

	start(MiB(32), false);
	p = make(MiB(31) + KiB(512));
	limit.next_round = 0;
	CHECK(mheap_alloc_big(NULL, npages, 1, SCAN, EFFORT_REUSE) == NULL);
	CHECK(limit_get_state() != LIMIT_OVER);
	CHECK(mheap_alloc_big(NULL, npages, 1, SCAN, EFFORT_GROW) == NULL);
	s = mheap_alloc_big(NULL, npages, 1, SCAN, EFFORT_AGAIN);
	CHECK(s != NULL && limit_get_state() == LIMIT_OVER);
	put_off_rounds();
	mheap_free_span(NULL, s);
	(void)mheap_scavenge_all();
	s = mheap_alloc_big(NULL, npages, 1, SCAN, EFFORT_GROW);
	CHECK(s != NULL);
	mheap_free_span(NULL, s);
	drop(p);
}

TEST_IN_CHILD(growing_in_place_tells_a_limit_from_a_lack_of_room)
{
	struct mspan *low, *high;
	void *p;

	start(MiB(32), false);
	low = mheap_alloc_big(NULL, 100, 1, SCAN, EFFORT_GROW);
	high = mheap_alloc_big(NULL, 100, 1, SCAN, EFFORT_GROW);
	p = make(MiB(29));
	limit.next_round = 0;
	CHECK(mheap_resize_big(NULL, low, 500, EFFORT_GROW) == RESIZE_NO);
	mheap_free_span(NULL, high);
	drop(p);
	(void)mheap_scavenge_all();
	CHECK(mheap_resize_big(NULL, low, MiB(40) / PAGE_SIZE, EFFORT_GROW) == RESIZE_FLUSH);
	CHECK(low->npages == 100);
	CHECK(mheap_resize_big(NULL, low, MiB(40) / PAGE_SIZE, EFFORT_AGAIN) == RESIZE_DONE);
	mheap_free_span(NULL, low);
}

/* --- the lower the limit, the lower the peak --- */

/* Replaces objects of 40 to 400 KB at random, about 22 MiB of them, under a limit. Returns the most
 * that counted. */
static size_t peak_of_churn(size_t bytes, uint64_t seed)
{
	static void *objects[100];
	uint64_t r = seed;
	size_t peak = 0;

	(void)heap_set_limit(bytes);
	for (unsigned i = 0; i < 10000; i++) {
		void **p = &objects[rng_below(&r, 100)];

		drop(*p);
		*p = make(40000 + rng_below(&r, 360000));
		peak = max_size(peak, mheap_used_bytes());
	}
	for (unsigned i = 0; i < 100; i++) {
		drop(objects[i]);
		objects[i] = NULL;
	}
	return peak;
}

/* Below what is live a limit cannot be kept, but costs no more than 3 % over the lowest peak. */
TEST_IN_CHILD(the_lower_the_limit_the_lower_the_peak)
{
	size_t least;

	start(0, false);
	CHECK(peak_of_churn(SIZE_MAX, 3) > MiB(30));
	least = peak_of_churn(MiB(1), 3);
	CHECK(least < MiB(27));
	for (size_t mib = 32; mib >= 4; mib -= 4)
		CHECK(peak_of_churn(MiB(mib), 3) <= max_size(MiB(mib), least + least / 33));
	heapcheck();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_that_was_stopped_does_not_put_off_the_next_round),
		cmocka_unit_test(the_count_is_exact_without_a_limit),
		cmocka_unit_test(the_count_is_exact_beyond_a_soft_limit),
		cmocka_unit_test(the_count_is_exact_and_never_beyond_a_hard_limit),
		cmocka_unit_test(the_count_is_exact_and_never_beyond_a_hard_limit_with_hardened),
		cmocka_unit_test(what_is_free_goes_before_the_limit_is_crossed),
		cmocka_unit_test(far_from_the_limit_nothing_is_given_back),
		cmocka_unit_test(what_the_thread_keeps_goes_before_the_limit_is_crossed),
		cmocka_unit_test(other_threads_give_back_what_they_keep_at_their_next_slow_path),
		cmocka_unit_test(near_the_limit_free_pages_stay_a_part_of_the_decay_time),
		cmocka_unit_test(free_pages_are_given_back_before_a_soft_limit_is_crossed),
		cmocka_unit_test(a_live_heap_of_twice_the_limit_is_not_worked_for_again_and_again),
		cmocka_unit_test(a_hard_limit_is_used_up_and_not_crossed),
		cmocka_unit_test(
			at_a_hard_limit_every_way_to_memory_is_refused_and_smaller_requests_work),
		cmocka_unit_test(objects_grow_in_place_up_to_a_hard_limit),
		cmocka_unit_test(
			what_the_thread_keeps_goes_before_an_object_is_refused_to_grow_in_place),
		cmocka_unit_test(near_the_limit_a_thread_that_is_alone_keeps_less),
		cmocka_unit_test(beyond_the_limit_threads_have_words_of_pages_as_ever),
		cmocka_unit_test(
			more_is_released_where_the_first_to_go_are_pages_of_the_request_itself),
		cmocka_unit_test(records_are_given_back_before_a_request_is_refused),
		cmocka_unit_test(pages_that_cannot_be_released_count),
		cmocka_unit_test(a_thread_that_is_gone_leaves_nothing_that_counts),
		cmocka_unit_test(the_limit_is_set_at_any_time_and_the_former_is_told),
		cmocka_unit_test(a_share_is_of_what_the_system_says),
		cmocka_unit_test(a_share_of_nothing_that_can_be_read_is_said_and_no_limit),
		cmocka_unit_test(a_request_has_room_up_to_the_limit_and_not_a_byte_beyond),
		cmocka_unit_test(a_request_is_answered_with_release_then_flush_then_growth),
		cmocka_unit_test(beyond_a_soft_limit_a_64th_may_be_dirty_and_half_of_it_stays),
		cmocka_unit_test(a_hard_limit_releases_all_asks_for_a_flush_and_then_refuses),
		cmocka_unit_test(a_hard_limit_is_over_only_if_what_is_live_is_beyond_it),
		cmocka_unit_test(
			other_threads_are_called_when_the_limit_comes_near_and_by_each_round),
		cmocka_unit_test(a_request_beyond_a_soft_limit_is_served_after_a_flush_only),
		cmocka_unit_test(growing_in_place_tells_a_limit_from_a_lack_of_room),
		cmocka_unit_test(the_lower_the_limit_the_lower_the_peak),
		cmocka_unit_test(a_forked_child_has_the_limit_for_itself),
	};

	return cmocka_run_group_tests_name("limit", tests, NULL, NULL);
}
