/* SPDX-License-Identifier: MIT */
/*
 * test_sample.c - allocations are counted exactly, samples are as likely as they should be, and
 * each ends once.
 *
 * profile_alloc() and profile_free() are wrapped: the test keeps the records.
 */
#include "module.h"

#include "live.h"
#include "heap/heapcheck.h"
#include "heap.h"
#include "tools/profile.h"
#include "start.h"
#include "tools/sample.h"
#include "os_fail.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OBJECTS 200000

/* Samples that the heap told of: address -> bytes, in an open table. */
static struct {
	uintptr_t addr;
	size_t nbytes;
} records[1 << 20];
static size_t sampled_objects, live_samples;
static double estimated_bytes, estimated_objects;
static _Atomic size_t rate_now;
static pthread_mutex_t records_lock = PTHREAD_MUTEX_INITIALIZER;

void __wrap_profile_alloc(uintptr_t addr, size_t nbytes);
void __wrap_profile_free(uintptr_t addr);

static size_t find_record(uintptr_t addr)
{
	size_t i = addr * UINT64_C(0x9e3779b97f4a7c15) >> 44;

	while (records[i].addr != addr && records[i].addr != 0)
		i = (i + 1) % (1 << 20);
	return i;
}

void __wrap_profile_alloc(uintptr_t addr, size_t nbytes)
{
	size_t i;

	pthread_mutex_lock(&records_lock);
	i = find_record(addr);
	CHECK(nbytes != 0 && records[i].nbytes == 0);
	records[i].addr = addr;
	records[i].nbytes = nbytes;
	sampled_objects++;
	live_samples++;
	estimated_objects += 1 / -expm1(-(double)nbytes / (double)rate_now);
	estimated_bytes += (double)nbytes / -expm1(-(double)nbytes / (double)rate_now);
	pthread_mutex_unlock(&records_lock);
}

void __wrap_profile_free(uintptr_t addr)
{
	size_t i;

	pthread_mutex_lock(&records_lock);
	i = find_record(addr);
	CHECK(records[i].nbytes != 0);
	records[i].nbytes = 0;
	live_samples--;
	pthread_mutex_unlock(&records_lock);
}

static void begin(size_t rate)
{
	rate_now = rate;
	sample_begin(rate, 0);
}

/* --- counts --- */

static void count_live_span(struct mspan *s, void *arg)
{
	struct live_counts *live = arg;
	unsigned n = span_count_live(s);

	live->objects[s->spanclass] += n;
	if (s->kind == SPAN_BIG && n != 0)
		live->big_bytes[s->spanclass] += mspan_nbytes(s);
}

static void read_counts(struct live_counts *live, struct alloc_counts *made)
{
	*live = (struct live_counts){ 0 };
	mheap_each_span(count_live_span, live);
	sample_read_counts(live, made);
}

static spanclass_t class_at(void *p)
{
	return span_of((uintptr_t)p)->spanclass;
}

/* Makes a request of any kind. */
static void *request(uint64_t *r)
{
	size_t size = rng_below(r, 16) == 0 ? rng_below(r, 300000) : rng_below(r, 1200);

	switch (rng_below(r, 6)) {
	case 0:
		return heap_calloc(size);
	case 1:
		return heap_malloc_noscan(size);
	case 2:
		return heap_calloc_noscan(size % 20);
	case 3:
		return heap_aligned((size_t)16 << rng_below(r, 8), size, rng_below(r, 2) != 0);
	default:
		return heap_malloc(size);
	}
}

static void *objects[MAX_OBJECTS];

/* Makes n objects, counts them in `expected`, and frees about half of them. */
static size_t churn(uint64_t *r, size_t nobjects, size_t n, struct alloc_counts *expected)
{
	for (size_t i = 0; i < n; i++) {
		void *p = request(r);
		spanclass_t sc;

		CHECK(p != NULL && nobjects < MAX_OBJECTS);
		sc = class_at(p);
		expected->mallocs[sc]++;
		if (sc <= SPANCLASS_BIG_NOSCAN)
			expected->big_bytes[sc] += mspan_nbytes(span_of((uintptr_t)p));
		objects[nobjects++] = p;
		if (rng_below(r, 2) == 0) {
			size_t k = rng_below(r, nobjects);

			heap_free(objects[k], "free");
			objects[k] = objects[--nobjects];
		}
	}
	return nobjects;
}

static void check_counts(const struct alloc_counts *expected)
{
	struct live_counts live;
	struct alloc_counts made;

	read_counts(&live, &made);
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		CHECK(made.mallocs[sc] == expected->mallocs[sc]);
		CHECK(made.mallocs[sc] >= live.objects[sc]);
	}
	CHECK(made.big_bytes[0] == expected->big_bytes[0] &&
	      made.big_bytes[1] == expected->big_bytes[1]);
}

TEST_IN_CHILD(every_allocation_is_counted_in_its_span_class)
{
	uint64_t r = 1;
	struct alloc_counts expected = { 0 };
	size_t n = 0;

	start_late_init();
	begin(0);
	for (int round = 0; round < 20; round++) {
		n = churn(&r, n, 3000, &expected);
		check_counts(&expected);
	}
	/* What is on the stacks of counted bins goes back, and was not allocated. */
	(void)heap_trim();
	check_counts(&expected);
	heapcheck();
	CHECK(sampled_objects == 0);
}

TEST_IN_CHILD(without_memory_for_counted_stacks_every_allocation_is_counted_all_the_same)
{
	uint64_t r = 1;
	struct alloc_counts expected = { 0 };
	size_t n;

	start_late_init();
	/* The thread has a cache. */
	heap_free(heap_malloc(10), "free");
	begin(0);
	os_fail_from(OS_COMMIT_METADATA, 1);
	n = churn(&r, 0, 3000, &expected);
	CHECK(os_fail_failed() != 0 && !thread_cache()->has_counted);
	check_counts(&expected);
	os_fail_stop();
	(void)churn(&r, n, 3000, &expected);
	CHECK(thread_cache()->has_counted);
	check_counts(&expected);
	heapcheck();
}

TEST_IN_CHILD(what_was_live_before_counts_once_and_frees_while_off_do_not)
{
	uint64_t r = 2;
	struct alloc_counts expected = { 0 }, ignored = { 0 }, made;
	struct live_counts live;
	uint64_t frees[NUM_SPAN_CLASSES];
	size_t n = 0;

	start_late_init();
	n = churn(&r, n, 5000, &ignored);
	for (int round = 0; round < 4; round++) {
		/* Off: allocations are what is live and what was seen freed. */
		read_counts(&live, &made);
		for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
			frees[sc] = made.mallocs[sc] - live.objects[sc];
		n = churn(&r, n, 2000, &ignored);
		read_counts(&live, &expected);
		for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
			CHECK(expected.mallocs[sc] == live.objects[sc] + frees[sc]);
		begin(0);
		check_counts(&expected);
		n = churn(&r, n, 2000, &expected);
		check_counts(&expected);
		sample_end();
		check_counts(&expected);
	}
}

static void *churner(void *arg)
{
	uint64_t r = (uintptr_t)arg;
	void *mine[64] = { NULL };

	for (int i = 0; i < 20000; i++) {
		size_t k = rng_below(&r, 64);

		heap_free(mine[k], "free");
		mine[k] = heap_malloc(1 + rng_below(&r, 2000));
	}
	for (int k = 0; k < 64; k++)
		heap_free(mine[k], "free");
	return NULL;
}

TEST_IN_CHILD(threads_that_ended_are_counted)
{
	struct live_counts live;
	struct alloc_counts before, after;
	uint64_t more = 0;
	pthread_t t[4];

	start_late_init();
	begin(4096);
	read_counts(&live, &before);
	for (uintptr_t i = 0; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, churner, (void *)(i + 7)) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	read_counts(&live, &after);
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		more += after.mallocs[sc] - before.mallocs[sc];
	/* libc's own for threads are some more. */
	CHECK(more >= 80000 && more < 80100);
	/* Also when their caches have no memory any more. */
	(void)heap_trim();
	CHECK(thread_count_caches().bytes == thread_count_caches().inuse_bytes);
	read_counts(&live, &before);
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		CHECK(before.mallocs[sc] >= after.mallocs[sc]);
	CHECK(live_samples < sampled_objects && sampled_objects > 1000);
	heapcheck();
}

/* Switched while threads allocate: nobody is lost, nothing is broken. */
TEST_IN_CHILD(switching_while_threads_allocate_breaks_nothing)
{
	struct live_counts live;
	struct alloc_counts made;
	pthread_t t[3];

	start_late_init();
	for (uintptr_t i = 0; i < 3; i++)
		CHECK(pthread_create(&t[i], NULL, churner, (void *)(i + 1)) == 0);
	for (int i = 0; i < 100; i++) {
		begin(i % 3 == 0 ? 0 : 1 + (size_t)i);
		/* The walk of this test reads plain fields of spans. */
		if (!GOALLOC_SANITIZED) {
			read_counts(&live, &made);
			for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
				CHECK(made.mallocs[sc] >= live.objects[sc]);
		}
		if (i % 2 == 0)
			sample_end();
	}
	for (int i = 0; i < 3; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	heapcheck();
}

/* --- samples --- */

/* Makes objects of a size and checks that about the right number of them were sampled. */
static void check_share(size_t size, size_t rate, bool noscan)
{
	size_t n = MAX_OBJECTS, nbytes = 0;
	double p, deviation;

	begin(rate);
	sampled_objects = 0;
	for (size_t i = 0; i < n; i++) {
		void *q = noscan ? heap_malloc_noscan(size) : heap_malloc(size);

		CHECK(q != NULL);
		nbytes = noscan && size < TINY_SIZE ? size : heap_usable_size(q, "test");
		heap_free(q, "free");
	}
	p = -expm1(-(double)nbytes / (double)rate);
	deviation = sqrt((double)n * p * (1 - p)) + 1;
	CHECK(fabs((double)sampled_objects - (double)n * p) < 6 * deviation);
	CHECK(live_samples == 0);
}

TEST_IN_CHILD(an_object_is_sampled_with_the_probability_of_its_size)
{
	start_late_init();
	check_share(1, 1000, false);
	check_share(64, 1000, false);
	check_share(64, 4096, false);
	check_share(1000, 4096, false);
	check_share(20000, 4096, false);
	check_share(40000, 100000, false);
	check_share(7, 1000, true);
	check_share(200, 1000, true);
}

TEST_IN_CHILD(every_object_is_a_sample_at_rate_1)
{
	uint64_t r = 3;
	struct alloc_counts ignored = { 0 };
	size_t n;

	start_late_init();
	begin(1);
	n = churn(&r, 0, 5000, &ignored);
	/* Not those of size 0, which take nothing. */
	CHECK(sampled_objects > 4900 && sampled_objects <= 5000);
	while (n > 0)
		heap_free(objects[--n], "free");
	CHECK(live_samples == 0);
}

TEST_IN_CHILD(the_estimate_of_bytes_and_objects_is_near_the_truth)
{
	uint64_t r = 4;
	double bytes = 0;
	size_t n = 100000;

	start_late_init();
	begin(8192);
	for (size_t i = 0; i < n; i++) {
		void *p = heap_malloc(1 + rng_below(&r, 3000));

		bytes += (double)heap_usable_size(p, "test");
		heap_free(p, "free");
	}
	/* Some 15,000 samples: a deviation of one per cent. */
	CHECK(fabs(estimated_bytes / bytes - 1) < 0.05);
	CHECK(fabs(estimated_objects / (double)n - 1) < 0.20);
}

TEST_IN_CHILD(a_sample_ends_with_its_object_whichever_way_that_ends)
{
	void *p;

	start_late_init();
	begin(1);
	p = heap_malloc(100);
	CHECK(live_samples == 1);
	heap_free_sized(p, 100, 0, "free");
	CHECK(live_samples == 0);
	p = heap_malloc(100);
	p = heap_realloc(p, 105, SCAN, "realloc");
	CHECK(live_samples == 1);
	p = heap_realloc(p, 5000, SCAN, "realloc");
	CHECK(live_samples == 1);
	p = heap_realloc(p, 100000, SCAN, "realloc");
	CHECK(live_samples == 1);
	p = heap_realloc(p, 8000000, SCAN, "realloc");
	CHECK(live_samples == 1);
	p = heap_realloc(p, 80000000, SCAN, "realloc");
	CHECK(live_samples == 1);
	p = heap_realloc(p, 50000, SCAN, "realloc");
	CHECK(live_samples == 1);
	p = heap_realloc(p, 10, NOSCAN, "realloc");
	CHECK(live_samples == 1);
	heap_free_sized(p, 10, 0, "free");
	CHECK(live_samples == 0);
	heapcheck();
}

/* A sample that was made before sampling ended is still a sample. */
TEST_IN_CHILD(a_sample_outlives_sampling)
{
	void *p, *q;

	start_late_init();
	begin(1);
	p = heap_malloc(100);
	q = heap_malloc(100000);
	sample_end();
	heap_free(heap_malloc(100), "free");
	CHECK(sampled_objects == 2 && live_samples == 2);
	heap_free(p, "free");
	heap_free(q, "free");
	CHECK(live_samples == 0);
}

static void double_free_of_a_sample_body(void)
{
	void *p;

	start_late_init();
	begin(1);
	p = heap_malloc(100000);
	heap_free(p, "free");
	heap_free(p, "free");
}

static void a_sample_freed_twice_is_a_double_free(void **state)
{
	char text[512];

	(void)state;
	(void)child_status(double_free_of_a_sample_body, text, sizeof(text));
	assert_non_null(strstr(text, "): double free\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_allocation_is_counted_in_its_span_class),
		cmocka_unit_test(
			without_memory_for_counted_stacks_every_allocation_is_counted_all_the_same),
		cmocka_unit_test(what_was_live_before_counts_once_and_frees_while_off_do_not),
		cmocka_unit_test(threads_that_ended_are_counted),
		cmocka_unit_test(switching_while_threads_allocate_breaks_nothing),
		cmocka_unit_test(an_object_is_sampled_with_the_probability_of_its_size),
		cmocka_unit_test(every_object_is_a_sample_at_rate_1),
		cmocka_unit_test(the_estimate_of_bytes_and_objects_is_near_the_truth),
		cmocka_unit_test(a_sample_ends_with_its_object_whichever_way_that_ends),
		cmocka_unit_test(a_sample_outlives_sampling),
		cmocka_unit_test(a_sample_freed_twice_is_a_double_free),
	};

	return cmocka_run_group_tests_name("sample", tests, NULL, NULL);
}
