/* SPDX-License-Identifier: MIT */
/*
 * test_heapwalk.c - a walk has every page of every arena once, as what the page is, and counts the
 * objects of each span.
 */
#include "module.h"
#include "spans.h"

#include "tools/heapwalk.h"
#include "heap.h"

/* Pages by their use, and what the runs of one span say. */
struct found {
	size_t npages[RUN_SPAN + 1];
	size_t nruns;               /* of the span */
	size_t span_npages;         /* the sum over its runs */
	struct heap_run first;      /* its first run */
};

/* Walks the heap. p is an address in the span that is looked for, or NULL. */
static struct found walk(const void *p)
{
	struct found f = { .nruns = 0 };
	struct heapwalk w;
	struct heap_run r;

	heapwalk_init(&w);
	while (heapwalk_arena(&w)) {
		uint32_t page = 0;

		while (heapwalk_run(&w, &r)) {
			CHECK(r.page == page && r.npages != 0);
			page += r.npages;
			f.npages[r.use] += r.npages;
			if (r.use != RUN_SPAN || (uintptr_t)p < r.base ||
			    (uintptr_t)p >= r.base + r.span_npages * PAGE_SIZE)
				continue;
			CHECK(r.first == (f.nruns == 0));
			CHECK(w.ha->base + r.page * PAGE_SIZE ==
			      r.base + f.span_npages * PAGE_SIZE);
			if (r.first)
				f.first = r;
			f.nruns++;
			f.span_npages += r.npages;
		}
		CHECK(page == ARENA_PAGES);
		CHECK(!heapwalk_run(&w, &r));
	}
	CHECK(!heapwalk_arena(&w));
	return f;
}

TEST_IN_CHILD(a_heap_that_has_not_begun_has_no_arena)
{
	struct heapwalk w;

	heapwalk_init(&w);
	CHECK(!heapwalk_arena(&w));
}

/* Of every size class: all objects of a span, then every third of them freed. */
TEST_IN_CHILD(the_objects_of_a_span_are_its_live_slots)
{
	static void *objects[2000];

	for (unsigned class = 2; class < NUM_SIZE_CLASSES; class++) {
		size_t n = min_size(longest_nelems(make_spanclass(class, SCAN)), 2000);
		size_t live = 0, freed = 0;
		struct mspan *s;
		struct found f;

		/* malloc leaves out the classes that are not aligned to 16. */
		if (sizeclass_of_malloc(sizeclasses[class].elemsize) !=
		    make_spanclass(class, SCAN))
			continue;
		for (size_t i = 0; i < n; i++)
			objects[i] = heap_malloc(sizeclasses[class].elemsize);
		s = span_of((uintptr_t)objects[n / 2]);
		for (size_t i = 0; i < n; i++)
			live += span_of((uintptr_t)objects[i]) == s;
		f = walk(objects[n / 2]);
		CHECK(f.nruns == 1 && f.span_npages == s->npages && f.first.base == s->base);
		CHECK(f.first.spanclass == make_spanclass(class, SCAN));
		CHECK(f.first.nelems == s->nelems);
		CHECK(f.first.fill.objects == live && f.first.fill.slots == live);
		for (size_t i = 0; i < n; i += 3) {
			freed += span_of((uintptr_t)objects[i]) == s && i != n / 2;
			if (i != n / 2)
				heap_free(objects[i], "free");
		}
		CHECK(walk(objects[n / 2]).first.fill.objects == live - freed);
	}
}

TEST_IN_CHILD(a_big_object_is_one_span_in_as_many_runs_as_arenas)
{
	char *p = heap_malloc(3 * ARENA_SIZE), *small = heap_malloc_noscan(KiB(100));
	struct found f = walk(p + ARENA_SIZE);

	CHECK(f.nruns >= 3 && f.nruns <= 4);
	CHECK(f.span_npages == 3 * ARENA_PAGES && f.first.span_npages == 3 * ARENA_PAGES);
	CHECK(f.first.spanclass == SPANCLASS_BIG && f.first.fill.objects == 1);
	f = walk(small);
	CHECK(f.nruns == 1 && f.first.spanclass == SPANCLASS_BIG_NOSCAN);
	CHECK(f.span_npages == KiB(104) / PAGE_SIZE);
	heap_free(small, "free");
	/* The cache may keep the span, but there is no object in it. */
	CHECK(walk(small).first.fill.objects == 0);
}

TEST_IN_CHILD(tiny_objects_are_counted_with_their_own_bytes)
{
	size_t nbytes = 0, n = 0;
	struct found f;
	char *p = heap_malloc_noscan(1);
	struct mspan *s = span_of((uintptr_t)p);

	CHECK(s->kind == SPAN_TINY);
	for (size_t size = 1; size < TINY_SIZE; size++) {
		void *q = heap_malloc_noscan(size);

		if (span_of((uintptr_t)q) == s) {
			n++;
			nbytes += size;
		}
	}
	CHECK(n > 5);
	f = walk(p);
	CHECK(f.first.spanclass == SPANCLASS_TINY);
	CHECK(f.first.fill.objects == n + 1 && f.first.fill.nbytes == nbytes + 1);
	CHECK(f.first.fill.slots <= f.first.fill.objects && f.first.fill.slots >= n / 16);
	heap_free(p, "free");
	CHECK(walk((void *)s->base).first.fill.nbytes == nbytes);
}

TEST_IN_CHILD(free_pages_are_told_from_those_that_were_given_back)
{
	void *p = heap_malloc(MiB(10));
	struct found before, after;

	zero_bytes(p, MiB(10));
	CHECK(heap_malloc(MiB(1)) != NULL);
	before = walk(p);
	heap_free(p, "free");
	after = walk(NULL);
	CHECK(after.npages[RUN_FREE] >= before.npages[RUN_FREE] + MiB(10) / PAGE_SIZE);
	CHECK(after.npages[RUN_SPAN] == before.npages[RUN_SPAN] - MiB(10) / PAGE_SIZE);
	CHECK(heap_trim());
	after = walk(NULL);
	CHECK(after.npages[RUN_FREE] == 0);
	CHECK(after.npages[RUN_RELEASED] >= MiB(10) / PAGE_SIZE);
	CHECK(after.npages[RUN_RELEASED] == mheap.pages.nfree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_heap_that_has_not_begun_has_no_arena),
		cmocka_unit_test(the_objects_of_a_span_are_its_live_slots),
		cmocka_unit_test(a_big_object_is_one_span_in_as_many_runs_as_arenas),
		cmocka_unit_test(tiny_objects_are_counted_with_their_own_bytes),
		cmocka_unit_test(free_pages_are_told_from_those_that_were_given_back),
	};

	return cmocka_run_group_tests_name("heapwalk", tests, NULL, NULL);
}
