/* SPDX-License-Identifier: MIT */
/*
 * test_metric.c - the figures of a snapshot under Go's names: the names are sorted and complete,
 * the memory classes add up, and a histogram puts every size where Go puts it.
 */
#include "module.h"

#include "heap.h"
#include "tools/metric.h"
#include "tools/stat.h"

#include <string.h>

static void the_names_are_in_alphabetic_order_and_end_with_null(void **state)
{
	size_t n = 0;

	(void)state;
	for (; metric_name(n) != NULL; n++)
		assert_true(n == 0 || strcmp(metric_name(n - 1), metric_name(n)) < 0);
	assert_true(n >= 20);
	assert_null(metric_name(n + 1));
	assert_null(metric_name(SIZE_MAX));
}

static void a_name_that_is_not_there_stores_nothing(void **state)
{
	static const char *const names[] = {
		"", "/", "/memory/classes/total", "/memory/classes/total:byte",
		"/memory/classes/total:bytess", "/MEMORY/classes/total:bytes",
	};
	static const struct stat_snapshot st;
	struct metric_histogram h, before;

	(void)state;
	memset(&h, 7, sizeof(h));
	before = h;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint64_t value = 4711;

		assert_int_equal(metric_read(&st, names[i], &value, &h), METRIC_BAD);
		assert_int_equal(value, 4711);
		assert_memory_equal(&h, &before, sizeof(h));
	}
}

/* Every figure comes from its own field: a snapshot with one of them set shows it under one
 * name. */
static void a_count_is_shown_under_its_own_name(void **state)
{
	struct stat_snapshot st;
	uint64_t value;

	(void)state;
	memset(&st, 0, sizeof(st));
	st.all.mallocs = 11;
	st.all.frees = 12;
	st.all.malloc_bytes = 13;
	st.all.freed_bytes = 14;
	st.all.live = 15;
	st.all.live_bytes = 16;
	st.classes[SPANCLASS_TINY].mallocs = 17;
	assert_int_equal(metric_read(&st, "/gc/heap/allocs:objects", &value, NULL), METRIC_UINT64);
	assert_int_equal(value, 11);
	(void)metric_read(&st, "/gc/heap/frees:objects", &value, NULL);
	assert_int_equal(value, 12);
	(void)metric_read(&st, "/gc/heap/allocs:bytes", &value, NULL);
	assert_int_equal(value, 13);
	(void)metric_read(&st, "/gc/heap/frees:bytes", &value, NULL);
	assert_int_equal(value, 14);
	(void)metric_read(&st, "/gc/heap/objects:objects", &value, NULL);
	assert_int_equal(value, 15);
	(void)metric_read(&st, "/gc/heap/live:bytes", &value, NULL);
	assert_int_equal(value, 16);
	(void)metric_read(&st, "/gc/heap/tiny/allocs:objects", &value, NULL);
	assert_int_equal(value, 17);
}

TEST_IN_CHILD(the_limit_is_the_largest_number_of_go_where_there_is_none)
{
	struct stat_snapshot st;
	uint64_t value;

	(void)heap_malloc(1);
	stat_read(&st);
	CHECK(metric_read(&st, "/gc/gomemlimit:bytes", &value, NULL) == METRIC_UINT64);
	CHECK(value == (uint64_t)INT64_MAX);
	(void)heap_set_limit(MiB(100));
	stat_read(&st);
	(void)metric_read(&st, "/gc/gomemlimit:bytes", &value, NULL);
	CHECK(value == MiB(100));
}

static void check_memory_classes(const struct stat_snapshot *st)
{
	uint64_t sum = 0, total = 0, value;

	for (size_t i = 0; metric_name(i) != NULL; i++) {
		CHECK(metric_read(st, metric_name(i), &value, NULL) != METRIC_BAD);
		if (strncmp(metric_name(i), "/memory/classes/total",
			    sizeof("/memory/classes/total") - 1) == 0)
			total = value;
		else if (strncmp(metric_name(i), "/memory/classes/",
				 sizeof("/memory/classes/") - 1) == 0)
			sum += value;
	}
	CHECK(total == sum && total == st->sys_bytes && total != 0);
}

TEST_IN_CHILD(memory_classes_sum_up_to_the_total)
{
	static void *live[1000];
	struct stat_snapshot st;
	uint64_t random = 5, value;

	(void)heap_malloc(10);
	stat_read(&st);
	CHECK(st.held_released_bytes != 0);
	check_memory_classes(&st);
	for (int k = 0; k < 20000; k++) {
		void **p = &live[rng_below(&random, 1000)];

		heap_free(*p, "free");
		*p = heap_malloc(rng_mixed_size(&random));
	}
	stat_read(&st);
	check_memory_classes(&st);
	st.moving_bytes += PAGE_SIZE;
	st.sys_bytes += PAGE_SIZE;
	check_memory_classes(&st);
	CHECK(metric_read(&st, "/memory/classes/total", &value, NULL) == METRIC_BAD);
	CHECK(metric_read(&st, "", &value, NULL) == METRIC_BAD);
}

TEST_IN_CHILD(a_histogram_has_gos_bounds_and_every_object)
{
	struct metric_histogram h;
	struct stat_snapshot st;
	uint64_t value, sum = 0;

	(void)heap_malloc(16);
	(void)heap_malloc(17);
	(void)heap_malloc(32768);
	(void)heap_malloc(32769);
	(void)heap_malloc_noscan(2000);
	(void)heap_malloc(0);
	stat_read(&st);
	CHECK(metric_read(&st, "/gc/heap/allocs-by-size:bytes", &value, &h) == METRIC_HISTOGRAM);
	for (unsigned i = 0; i < NUM_SIZE_CLASSES; i++) {
		sum += h.counts[i];
		CHECK(h.bounds[i] < h.bounds[i + 1]);
		if (h.bounds[i + 1] > 1e9)
			CHECK(h.counts[i] == 1 && i == NUM_SIZE_CLASSES - 1 &&
			      h.bounds[i] == 32769.0);
	}
	CHECK(sum == 6 && value == 6);
	/* Go's: 1, 9, 17, 25, 33, 49 ... */
	CHECK(h.bounds[0] == 1.0 && h.bounds[1] == 9.0 && h.bounds[2] == 17.0 &&
	      h.bounds[5] == 49.0);
	CHECK(h.counts[0] == 1 && h.counts[1] == 1 && h.counts[3] == 1);
	CHECK(metric_read(&st, "/gc/heap/frees-by-size:bytes", &value, &h) == METRIC_HISTOGRAM &&
	      value == 0);
}

/* The bucket of a class counts its scan and its noscan objects; big ones are in the last bucket. */
static void a_bucket_has_both_span_classes_of_its_size(void **state)
{
	struct metric_histogram h;
	struct stat_snapshot st;
	uint64_t value;

	(void)state;
	memset(&st, 0, sizeof(st));
	for (unsigned class = 0; class < NUM_SIZE_CLASSES; class++) {
		st.classes[make_spanclass(class, SCAN)].frees = class + 1;
		st.classes[make_spanclass(class, NOSCAN)].frees = 1000;
	}
	st.all.frees = 4711;
	assert_int_equal(metric_read(&st, "/gc/heap/frees-by-size:bytes", &value, &h),
			 METRIC_HISTOGRAM);
	assert_int_equal(value, 4711);
	for (unsigned class = 1; class < NUM_SIZE_CLASSES; class++) {
		assert_int_equal(h.counts[class - 1], class + 1 + 1000);
		assert_true(h.bounds[class] == sizeclasses[class].elemsize + 1.0);
	}
	assert_int_equal(h.counts[NUM_SIZE_CLASSES - 1], 1 + 1000);
	assert_true(h.bounds[NUM_SIZE_CLASSES] > 1e300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_names_are_in_alphabetic_order_and_end_with_null),
		cmocka_unit_test(a_name_that_is_not_there_stores_nothing),
		cmocka_unit_test(a_count_is_shown_under_its_own_name),
		cmocka_unit_test(the_limit_is_the_largest_number_of_go_where_there_is_none),
		cmocka_unit_test(memory_classes_sum_up_to_the_total),
		cmocka_unit_test(a_histogram_has_gos_bounds_and_every_object),
		cmocka_unit_test(a_bucket_has_both_span_classes_of_its_size),
	};

	return cmocka_run_group_tests_name("metric", tests, NULL, NULL);
}
