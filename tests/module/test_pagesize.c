/* SPDX-License-Identifier: MIT */
/*
 * test_pagesize.c - kernels with pages of 16 and 64 KiB, larger than the heap's own of 8: no call
 * reaches a neighbour's bytes.
 *
 * os_page_size() answers what the test says. os_fail.c stops the process at a call whose range is
 * not whole pages of that size: the kernel would round it up, or refuse it.
 */
#include "module.h"

#include "heap/heapcheck.h"
#include "heap.h"
#include "base/options.h"
#include "os/metakey.h"
#include "os/os.h"
#include "os_fail.h"

#include <stdlib.h>

size_t __wrap_os_page_size(void);

static size_t page_size = 4096;

size_t __wrap_os_page_size(void)
{
	return page_size;
}

enum { OBJECTS = 200 };

static struct {
	unsigned char *p;
	size_t nbytes;
} objects[OBJECTS];

static size_t any_size(uint64_t *rnd)
{
	switch (rng_below(rnd, 6)) {
	case 0:
		return rng_below(rnd, 3);
	case 1:
		return 1 + rng_below(rnd, 300);
	case 2:
		return MAX_SMALL_SIZE + rng_below(rnd, KiB(200));
	case 3:
		return MiB(1) + rng_below(rnd, MiB(3));
	default:
		return 1 + rng_below(rnd, MAX_SMALL_SIZE);
	}
}

static void fill(size_t i)
{
	pattern_fill(objects[i].p, min_size(objects[i].nbytes, 300), i);
	if (objects[i].nbytes > 300)
		objects[i].p[objects[i].nbytes - 1] = 1;
}

static void check(size_t i)
{
	CHECK(pattern_holds(objects[i].p, min_size(objects[i].nbytes, 300), i));
	CHECK(objects[i].nbytes <= 300 || objects[i].p[objects[i].nbytes - 1] == 1);
}

static void make(size_t i, uint64_t *rnd)
{
	size_t size = any_size(rnd);
	size_t align = rng_below(rnd, 4) == 0 ? (size_t)16 << rng_below(rnd, 14) : 8;

	objects[i].nbytes = size;
	if (align > 8) {
		objects[i].p = heap_aligned(align, size, SCAN);
	} else {
		objects[i].p = heap_calloc(size);
		CHECK(all_zero(objects[i].p, size));
	}
	CHECK(objects[i].p != NULL && (uintptr_t)objects[i].p % align == 0);
	fill(i);
}

static void resize(size_t i, uint64_t *rnd)
{
	/* The large ones to another large size: their pages are moved where that can be. */
	size_t size =
		objects[i].nbytes >= MiB(1) ? MiB(1) + rng_below(rnd, MiB(4)) : any_size(rnd) + 1;

	check(i);
	objects[i].p = heap_realloc(objects[i].p, size, SCAN, "realloc");
	CHECK(objects[i].p != NULL);
	CHECK(pattern_holds(objects[i].p, min_size(min_size(objects[i].nbytes, size), 300), i));
	objects[i].nbytes = size;
	fill(i);
}

/* Allocates and frees in every way. Nothing is left then, and all memory went back to the
 * system, but for what shares a kernel page with a span of size 0. */
static void use_heap(void)
{
	uint64_t rnd = 5;
	size_t unit = max_size(page_size, PAGE_SIZE) / PAGE_SIZE;

	options.scavenge_ms = 0;
	for (unsigned step = 0; step < 4000; step++) {
		size_t i = rng_below(&rnd, OBJECTS);

		if (objects[i].p == NULL) {
			make(i, &rnd);
		} else if (rng_below(&rnd, 3) == 0) {
			resize(i, &rnd);
		} else {
			check(i);
			heap_free(objects[i].p, "free");
			objects[i].p = NULL;
		}
		if (step % 500 == 499)
			heap_trim();
	}
	heapcheck();
	for (size_t i = 0; i < OBJECTS; i++) {
		if (objects[i].p == NULL)
			continue;
		check(i);
		heap_free(objects[i].p, "free");
	}
	heap_trim();
	heapcheck();
	CHECK(mheap.pages.nfree + mheap.guarded_npages == mheap.pages.ntotal);
	CHECK(mheap.pages.nclean + (unit - 1) * mheap.guarded_npages >= mheap.pages.nfree);
}

static void use_with_16_kib(void)
{
	page_size = KiB(16);
	use_heap();
}

static void use_with_64_kib(void)
{
	page_size = KiB(64);
	use_heap();
}

static void use_hardened_with_16_kib(void)
{
	CHECK(setenv("GOALLOC", "hardened=1", 1) == 0);
	use_with_16_kib();
	CHECK(options.hardened);
}

static void use_hardened_with_64_kib(void)
{
	CHECK(setenv("GOALLOC", "hardened=1", 1) == 0);
	use_with_64_kib();
	CHECK(options.hardened);
}

static void no_call_is_for_a_part_of_a_page_of_16_kib(void **state)
{
	(void)state;
	run_in_child(use_with_16_kib);
	run_in_child(use_hardened_with_16_kib);
}

static void no_call_is_for_a_part_of_a_page_of_64_kib(void **state)
{
	(void)state;
	run_in_child(use_with_64_kib);
	run_in_child(use_hardened_with_64_kib);
}

/* The guard of a big object is a whole kernel page behind the object. */
static void find_the_guard(void)
{
	CHECK(setenv("GOALLOC", "hardened=1", 1) == 0);
	page_size = KiB(64);
	for (size_t size = MAX_SMALL_SIZE; size <= KiB(200); size += 4099) {
		unsigned char *p = heap_malloc(size);
		uint32_t rights = metakey_open();
		struct mspan *s = span_of((uintptr_t)p);

		CHECK((uintptr_t)p % page_size == 0 && mspan_nbytes(s) % page_size == 0);
		CHECK(s->moved && mspan_nbytes(s) - page_size >= size &&
		      mspan_nbytes(s) - page_size < size + page_size);
		metakey_close(rights);
		/* All of it can be used. */
		CHECK(heap_usable_size(p, "test") == size);
		p[size - 1] = 1;
		heap_free(p, "free");
	}
}

static void a_big_objects_guard_is_a_page_of_the_kernel(void **state)
{
	(void)state;
	run_in_child(find_the_guard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_call_is_for_a_part_of_a_page_of_16_kib),
		cmocka_unit_test(no_call_is_for_a_part_of_a_page_of_64_kib),
		cmocka_unit_test(a_big_objects_guard_is_a_page_of_the_kernel),
	};

	return cmocka_run_group_tests_name("pagesize", tests, NULL, NULL);
}
