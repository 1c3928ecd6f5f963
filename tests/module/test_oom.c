/* SPDX-License-Identifier: MIT */
/*
 * test_oom.c - the system refuses memory at any call: the request returns NULL, nothing is lost,
 * and the heap works again when there is memory again.
 *
 * A scenario runs in a forked child with the n-th memory call failing, alone or with all that
 * follow, for n = 1, 2, ... until a run meets no failure. Builds with a sanitizer, where a fork is
 * slow, try every third n.
 */
#include "module.h"
#include "spans.h"

#include "heap/heapcheck.h"
#include "heap.h"
#include "heap/mcentral.h"
#include "base/options.h"
#include "os_fail.h"
#include "heap/scavenge.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Far more than a scenario makes: the loop must end by itself. */
#define MAX_CALLS 3000

/* Exit codes of a scenario's child. */
enum { MET_FAILURE = 0, NO_FAILURE = 42 };

static struct {
	void (*scenario)(void);
	bool keep_failing;
	unsigned n;
	unsigned nulls;     /* NULL answers of this run */
} run;

static void run_body(void)
{
	options.scavenge_ms = 1000000;
	if (run.keep_failing)
		os_fail_from(OS_ALL_CALLS, run.n);
	else
		os_fail_nth(OS_ALL_CALLS, run.n);
	run.scenario();
	_exit(os_fail_failed() == 0 ? NO_FAILURE : MET_FAILURE);
}

/* Returns how many memory calls a scenario makes. */
static unsigned fail_every_call_of(void (*scenario)(void), bool keep_failing)
{
	run.scenario = scenario;
	run.keep_failing = keep_failing;
	for (run.n = 1; run.n < MAX_CALLS; run.n += GOALLOC_SANITIZED ? 3 : 1) {
		char text[1024];
		int status = child_status(run_body, text, sizeof(text));

		if (WIFEXITED(status) && WEXITSTATUS(status) == NO_FAILURE)
			return run.n - 1;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != MET_FAILURE || text[0] != '\0')
			fail_msg("call %u failing%s: status 0x%x: %s", run.n,
				 keep_failing ? " and all that follow" : "", (unsigned)status,
				 text);
	}
	fail_msg("the scenario makes more than %d memory calls", MAX_CALLS);
	return 0;
}

/* --- spans and pages --- */

enum { SPANS = 40 };

static struct mspan *spans[SPANS];

static void check_span_bytes(size_t i)
{
	struct mspan *s = spans[i];

	if (s == NULL)
		return;
	CHECK(span_of(s->base) == s);
	CHECK(pattern_holds((void *)s->base, 256, i));
	CHECK(pattern_holds((char *)s->base + PAGE_SIZE - 256, 256, i + 1000));
}

static void keep_span(size_t i, struct mspan *s)
{
	spans[i] = s;
	if (s == NULL) {
		/* Only for want of memory. */
		CHECK(os_fail_failed() != 0);
		return;
	}
	CHECK(!s->zeroed || all_zero((void *)s->base, PAGE_SIZE));
	pattern_fill((void *)s->base, 256, i);
	pattern_fill((char *)s->base + PAGE_SIZE - 256, 256, i + 1000);
	((char *)s->base)[mspan_nbytes(s) - 1] |= 1;
}

/* Returns a span of any class and any of its lengths. */
static struct mspan *use_small(struct pcache *pc, uint64_t *rnd)
{
	spanclass_t sc = (spanclass_t)(4 + rng_below(rnd, 132));

	return mheap_alloc_small(pc, sc, spanclass_info(sc)->npages[rng_below(rnd, SPAN_LENGTHS)],
				 EFFORT_GROW);
}

static void use_pages(struct pcache *pc, uint64_t *rnd)
{
	static const size_t lengths[] = { 1, 2, 5, 16, 17, 60, 100, 600, 1000 };

	for (unsigned step = 0; step < 200; step++) {
		size_t i = rng_below(rnd, SPANS);
		size_t npages = lengths[rng_below(rnd, sizeof(lengths) / sizeof(lengths[0]))];
		struct pcache *with = rng_below(rnd, 2) == 0 ? pc : NULL;

		check_span_bytes(i);
		if (spans[i] == NULL) {
			if (rng_below(rnd, 3) == 0)
				keep_span(i, use_small(with, rnd));
			else
				keep_span(i, mheap_alloc_big(with, npages,
							     rng_below(rnd, 4) == 0 ? 16 : 1, SCAN,
							     EFFORT_GROW));
		} else if (spans[i]->kind == SPAN_BIG && rng_below(rnd, 2) == 0) {
			size_t had = spans[i]->npages;
			enum resize r = mheap_resize_big(with, spans[i], npages, EFFORT_GROW);

			CHECK(spans[i]->npages == (r == RESIZE_DONE ? npages : had));
		} else {
			mheap_free_span(with, spans[i]);
			spans[i] = NULL;
		}
		if (step % 50 == 0)
			mheap_scavenge_all();
	}
}

static void page_scenario(void)
{
	struct pcache pc = { .base = 0 };
	uint64_t rnd = 31;

	mheap_init();
	use_pages(&pc, &rnd);
	mheap_check();
	os_fail_stop();
	/* The next ones work, the old ones are as they were. */
	for (size_t i = 0; i < SPANS; i++) {
		check_span_bytes(i);
		if (spans[i] == NULL) {
			keep_span(i, mheap_alloc_big(&pc, 70 * (i + 1), 1, SCAN, EFFORT_GROW));
			CHECK(spans[i] != NULL);
		}
	}
	mheap_check();
	for (size_t i = 0; i < SPANS; i++) {
		check_span_bytes(i);
		mheap_free_span(&pc, spans[i]);
	}
	mheap_flush_pcache(&pc);
	mheap_check();
	CHECK(mheap.pages.nfree + mheap.guarded_npages == mheap.pages.ntotal);
}

/* --- objects --- */

enum { OBJECTS = 400 };

static struct object {
	unsigned char *p;
	size_t nbytes;
	uint64_t seed;
} objects[OBJECTS];

static void check_object(const struct object *o)
{
	if (o->p == NULL)
		return;
	CHECK(heap_usable_size(o->p, "test") >= o->nbytes);
	CHECK(pattern_holds(o->p, min_size(o->nbytes, 300), o->seed));
	CHECK(o->nbytes == 0 || o->p[o->nbytes - 1] != 0);
}

static void fill_object(struct object *o)
{
	pattern_fill(o->p, min_size(o->nbytes, 300), o->seed);
	if (o->nbytes > 300)
		o->p[o->nbytes - 1] = 1;
}

static size_t random_size(uint64_t *rnd)
{
	switch (rng_below(rnd, 12)) {
	case 0:
		return rng_below(rnd, 8);
	case 1:
		return MAX_SMALL_SIZE + rng_below(rnd, KiB(200));
	case 2:
		return rng_below(rnd, 4) == 0 ? MiB(1) + rng_below(rnd, MiB(1)) : 100;
	case 3:
		return KiB(4) + rng_below(rnd, KiB(28));
	default:
		return 1 + rng_below(rnd, 2000);
	}
}

/* Checks that NULL comes with ENOMEM, and only when memory was refused. */
static void check_null(const void *p)
{
	if (p != NULL) {
		CHECK(errno == 0);
		return;
	}
	CHECK(errno == ENOMEM);
	CHECK(os_fail_failed() != 0);
	run.nulls++;
}

static void new_object(struct object *o, size_t size, uint64_t *rnd)
{
	size_t align = (size_t)8 << rng_below(rnd, 13);
	bool noscan = rng_below(rnd, 4) == 0;

	errno = 0;
	switch (rng_below(rnd, 5)) {
	case 0:
		o->p = noscan ? heap_calloc_noscan(size) : heap_calloc(size);
		CHECK(o->p == NULL || all_zero(o->p, size));
		break;
	case 1:
		o->p = heap_aligned(align, size, noscan);
		CHECK((uintptr_t)o->p % align == 0);
		break;
	default:
		o->p = noscan ? heap_malloc_noscan(size) : heap_malloc(size);
		break;
	}
	check_null(o->p);
	if (o->p == NULL)
		return;
	o->nbytes = size;
	o->seed = rng_next(rnd);
	fill_object(o);
}

static void change_object(struct object *o, size_t size)
{
	unsigned char *p;
	size_t kept = min_size(min_size(o->nbytes, size), 300);

	errno = 0;
	p = heap_realloc(o->p, size, SCAN, "realloc");
	check_null(p);
	/* An object that shrinks needs no memory if a new one could be in its place. */
	CHECK(p != NULL || size > o->nbytes || (uintptr_t)o->p % 16 != 0 ||
	      spanclass_scan(span_of((uintptr_t)o->p)->spanclass) == NOSCAN);
	if (p == NULL) {
		check_object(o);
		return;
	}
	CHECK(pattern_holds(p, kept, o->seed));
	o->p = p;
	o->nbytes = size;
	fill_object(o);
}

static void use_objects(uint64_t *rnd, unsigned steps)
{
	for (unsigned step = 0; step < steps; step++) {
		struct object *o = &objects[rng_below(rnd, OBJECTS)];
		size_t size = random_size(rnd);

		check_object(o);
		if (o->p == NULL) {
			new_object(o, size, rnd);
		} else if (rng_below(rnd, 3) == 0) {
			change_object(o, size == 0 ? 1 : size);
		} else {
			errno = 77;
			heap_free(o->p, "free");
			CHECK(errno == 77);
			o->p = NULL;
		}
		if (step % 300 == 299)
			heap_trim();
	}
}

static void object_scenario(void)
{
	uint64_t rnd = 12;

	use_objects(&rnd, 900);
	heapcheck();
	os_fail_stop();
	for (unsigned i = 0; i < OBJECTS; i++)
		check_object(&objects[i]);
	/* There is memory again: whatever failed works. */
	for (unsigned i = 0; i < OBJECTS; i++) {
		struct object *o = &objects[i];

		if (o->p != NULL)
			continue;
		o->nbytes = random_size(&rnd);
		o->p = heap_malloc(o->nbytes);
		CHECK(o->p != NULL);
		o->seed = i;
		fill_object(o);
	}
	heapcheck();
	for (unsigned i = 0; i < OBJECTS; i++) {
		check_object(&objects[i]);
		heap_free(objects[i].p, "free");
	}
	heap_trim();
	heapcheck();
	/* Nothing was lost on the way. */
	CHECK(mheap.pages.nfree + mheap.guarded_npages == mheap.pages.ntotal);
}

/* Reallocates one large object up and down. Its pages move, or are copied where the kernel
 * refuses that. */
static void realloc_scenario(void)
{
	static const size_t sizes[] = { KiB(40), MiB(2),  MiB(5), MiB(1),
					MiB(9),  KiB(33), MiB(3), MiB(20) };
	struct object big = { NULL, 0, 7 };
	struct object wall[8] = { { NULL, 0, 0 } };

	for (unsigned round = 0; round < 8; round++) {
		if (big.p == NULL) {
			errno = 0;
			big.p = heap_malloc(KiB(100));
			check_null(big.p);
			big.nbytes = KiB(100);
			if (big.p != NULL)
				fill_object(&big);
		} else {
			change_object(&big, sizes[round]);
		}
		/* So that it cannot grow where it is. */
		errno = 0;
		wall[round].p = heap_malloc(KiB(64));
		check_null(wall[round].p);
		wall[round].nbytes = KiB(64);
		wall[round].seed = round;
		if (wall[round].p != NULL)
			fill_object(&wall[round]);
	}
	os_fail_stop();
	heapcheck();
	check_object(&big);
	if (big.p != NULL)
		change_object(&big, MiB(30));
	for (unsigned round = 0; round < 8; round++) {
		check_object(&wall[round]);
		heap_free(wall[round].p, "free");
	}
	heap_free(big.p, "free");
	heap_trim();
	heapcheck();
	CHECK(mheap.pages.nfree + mheap.guarded_npages == mheap.pages.ntotal);
}

/* The first call of the process fails in every way: no heap, no cache. */
static void first_call_scenario(void)
{
	void *p;

	errno = 0;
	p = heap_malloc(100);
	check_null(p);
	heap_free(p, "free");
	errno = 0;
	p = heap_calloc(MiB(1));
	check_null(p);
	heap_free(p, "free");
	os_fail_stop();
	p = heap_malloc(100);
	CHECK(p != NULL);
	heap_free(p, "free");
	heapcheck();
}

#define FAILING_TEST(name, scenario, keep_failing, least) \
	static void name(void **state) \
	{ \
		unsigned calls = fail_every_call_of(scenario, keep_failing); \
		(void)state; \
		print_message("%u memory calls\n", calls); \
		assert_true(calls >= (least)); \
	}

FAILING_TEST(pages_survive_any_one_refusal, page_scenario, false, 10)
FAILING_TEST(pages_survive_refusals_from_any_call_on, page_scenario, true, 10)
FAILING_TEST(objects_survive_any_one_refusal, object_scenario, false, 20)
FAILING_TEST(objects_survive_refusals_from_any_call_on, object_scenario, true, 20)
FAILING_TEST(realloc_survives_any_one_refusal, realloc_scenario, false, 8)
FAILING_TEST(realloc_survives_refusals_from_any_call_on, realloc_scenario, true, 8)
FAILING_TEST(the_first_calls_survive_any_one_refusal, first_call_scenario, false, 3)
FAILING_TEST(the_first_calls_survive_refusals_from_any_call_on, first_call_scenario, true, 3)

static void refuse_all_body(void)
{
	os_fail_from(OS_ALL_CALLS, 1);
	errno = 0;
	CHECK(heap_malloc(10) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(heap_calloc(10) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(heap_aligned(64, 10, SCAN) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(heap_realloc(NULL, 10, SCAN, "realloc") == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(heap_malloc_noscan(1) == NULL && errno == ENOMEM);
	CHECK(!heap_trim());
	os_fail_stop();
	CHECK(heap_malloc(10) != NULL);
	heapcheck();
}

static void without_any_memory_every_call_is_null_with_enomem(void **state)
{
	(void)state;
	run_in_child(refuse_all_body);
}

/* What one class holds back is used before NULL is the answer. */
static void reclaim_body(void)
{
	enum { N = 3000 };
	static void *kept[N];
	size_t got = 0;

	options.scavenge_ms = 1000000;
	for (int i = 0; i < N; i++)
		kept[i] = heap_malloc(1000);
	for (int i = 0; i < N; i++)
		heap_free(kept[i], "free");
	os_fail_from(OS_RESERVE | OS_COMMIT | OS_ALLOC_METADATA, 1);
	while (got < N && (kept[got] = heap_malloc(2000)) != NULL)
		got++;
	/* 3 MB were free; all but what spans of 1000 bytes still hold is enough for 1400 of
	 * 2000. */
	CHECK(got >= 1300);
	CHECK(got < N);
	os_fail_stop();
	heapcheck();
}

static void memory_that_is_cached_is_used_before_the_answer_is_null(void **state)
{
	(void)state;
	run_in_child(reclaim_body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_any_memory_every_call_is_null_with_enomem),
		cmocka_unit_test(the_first_calls_survive_any_one_refusal),
		cmocka_unit_test(the_first_calls_survive_refusals_from_any_call_on),
		cmocka_unit_test(pages_survive_any_one_refusal),
		cmocka_unit_test(pages_survive_refusals_from_any_call_on),
		cmocka_unit_test(objects_survive_any_one_refusal),
		cmocka_unit_test(objects_survive_refusals_from_any_call_on),
		cmocka_unit_test(realloc_survives_any_one_refusal),
		cmocka_unit_test(realloc_survives_refusals_from_any_call_on),
		cmocka_unit_test(memory_that_is_cached_is_used_before_the_answer_is_null),
	};

	return cmocka_run_group_tests_name("oom", tests, NULL, NULL);
}
