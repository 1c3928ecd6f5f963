/* SPDX-License-Identifier: MIT */
/*
 * test_mark.c - every address in an object leads to the object and no other word does, and an
 * object that is found is searched.
 *
 * Marks are put into the heap, so each test has a child of its own.
 */
#include "module.h"

#include "tools/mark.h"
#include "heap/mcentral.h"
#include "base/options.h"
#include "os/os.h"
#include "os/os_process.h"
#include "os/procmap.h"
#include "tools/snapshot.h"
#include "heap/tiny.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct mcache cache;
static struct mark mark;

static void start(void)
{
	options.scavenge_ms = 1000000;
	mheap_init();
	mcache_init(&cache, NULL);
}

static void *make(spanclass_t sc)
{
	bool fresh;
	void *p = mcache_alloc_fast(&cache, sc, &fresh);

	if (p == NULL)
		p = mcache_alloc_slow(&cache, sc, &fresh);
	CHECK(p != NULL);
	memset(p, 0, spanclass_info(sc)->elemsize);
	return p;
}

static void *make_scan(unsigned class)
{
	return make(make_spanclass(class, SCAN));
}

static void *make_big(size_t npages, enum scan scan)
{
	bool fresh;
	struct mspan *s = mcache_alloc_big(&cache, npages, 1, scan, &fresh);

	CHECK(s != NULL);
	memset((void *)s->base, 0, mspan_nbytes(s));
	return mspan_set_big_live(s);
}

/* Removes the mark of an object. */
static void unmark(void *p)
{
	struct mspan *s = span_of((uintptr_t)p);
	uint32_t slot = 0;

	CHECK(s->kind == SPAN_BIG || mspan_slot_of(s, (uintptr_t)p, &slot));
	slot_set(&s->state[slot], SLOT_LIVE);
}

static void count(const struct mark_object *o, bool direct, void *arg)
{
	(void)o;
	*(size_t *)arg += direct;
}

/* Returns how many objects are lost. *ndirect of them are direct. */
static size_t lost(size_t *ndirect)
{
	struct mark_counts counts;

	*ndirect = 0;
	mark_each_lost(count, ndirect, &counts);
	return counts.nlost;
}

static size_t num_lost(void)
{
	size_t ndirect;

	return lost(&ndirect);
}

static void root(const void *p)
{
	uintptr_t word = (uintptr_t)p;

	mark_roots(&mark, (uintptr_t)&word, (uintptr_t)(&word + 1));
}

/* Of every class three objects beside each other: the one in the middle is found by its first and
 * its last byte, no other is. */
TEST_IN_CHILD(an_address_leads_to_its_object_alone)
{
	char *at[NUM_SIZE_CLASSES];

	start();
	for (unsigned class = 2; class < NUM_SIZE_CLASSES; class++) {
		(void)make_scan(class);
		at[class] = make_scan(class);
		(void)make_scan(class);
	}
	CHECK(mark_start(&mark));
	CHECK(num_lost() == 3 * (NUM_SIZE_CLASSES - 2));
	for (unsigned class = 2; class < NUM_SIZE_CLASSES; class++) {
		size_t before = num_lost(), nbytes = sizeclasses[class].elemsize;
		struct mspan *s = span_of((uintptr_t)at[class]);
		uint32_t slot = (uint32_t)(((uintptr_t)at[class] - s->base) / nbytes);

		root(class % 2 != 0 ? at[class] : at[class] + nbytes - 1);
		CHECK(num_lost() == before - 1);
		CHECK(mark_of(&s->state[slot]) == MARK_REACHED);
		root(at[class] + nbytes / 2);
		CHECK(num_lost() == before - 1);
	}
}

/* Every byte of every slot of a span, and those behind the last one. */
TEST_IN_CHILD(every_byte_of_a_span)
{
	const unsigned classes[] = { 2, 5, 13, 33, 66, 67 };

	start();
	CHECK(mark_start(&mark));
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		struct mspan *s = span_of((uintptr_t)make_scan(classes[i]));
		size_t step = s->elemsize > 1024 ? 61 : 1;

		for (uint32_t slot = 0; slot < s->nelems; slot++)
			slot_set(&s->state[slot], SLOT_LIVE);
		CHECK(mark_start(&mark));
		for (size_t at = 0; at < mspan_nbytes(s); at += step) {
			root((char *)s->base + at);
			for (uint32_t slot = 0; slot < s->nelems; slot++)
				CHECK((mark_of(&s->state[slot]) == MARK_REACHED) ==
				      (slot == at / s->elemsize));
			if (at / s->elemsize < s->nelems)
				slot_set(&s->state[at / s->elemsize], SLOT_LIVE);
		}
	}
}

TEST_IN_CHILD(free_and_foreign_addresses_lead_nowhere)
{
	void *freed, *kept;
	int local;

	start();
	freed = make_scan(10);
	kept = make_scan(10);
	*(void **)freed = kept;
	slot_set(&span_of((uintptr_t)freed)
			  ->state[((uintptr_t)freed - span_of((uintptr_t)freed)->base) /
				  sizeclasses[10].elemsize],
		 SLOT_FREE);
	CHECK(mark_start(&mark));
	root(freed);
	root(&local);
	root(NULL);
	root((void *)UINTPTR_MAX);
	root((void *)((uintptr_t)kept ^ (uintptr_t)1 << 50));
	root((void *)(mark.low - 1));
	root((void *)(mark.low + mark.span));
	CHECK(num_lost() == 1);
	/* A page of the arena that no span has. */
	root((void *)(align_down((uintptr_t)kept, ARENA_SIZE) + ARENA_SIZE - 8));
	CHECK(num_lost() == 1);
	root(kept);
	CHECK(num_lost() == 0);
}

TEST_IN_CHILD(noscan_is_not_searched)
{
	void **holder, **big, *a, *b;

	start();
	holder = make(make_spanclass(10, NOSCAN));
	big = make_big(3, NOSCAN);
	a = make_scan(10);
	b = make_scan(10);
	*holder = a;
	big[1500] = b;
	CHECK(mark_start(&mark));
	root(holder);
	root(big);
	CHECK(num_lost() == 2);
}

TEST_IN_CHILD(every_page_of_a_big_object)
{
	char *big;
	void *content;

	start();
	big = make_big(40, SCAN);
	content = make_scan(4);
	*(void **)(void *)(big + 39 * PAGE_SIZE + PAGE_SIZE - 8) = content;
	(void)make_big(1, SCAN);
	for (size_t page = 0; page < 40; page++) {
		CHECK(mark_start(&mark));
		CHECK(num_lost() == 3);
		root(big + page * PAGE_SIZE + page);
		CHECK(num_lost() == 1);
		slot_set(&span_of((uintptr_t)big)->state[0], SLOT_LIVE);
		slot_set(&span_of((uintptr_t)content)->state[0], SLOT_LIVE);
	}
	root(big + 40 * PAGE_SIZE);
	CHECK(num_lost() <= 3);
}

/* An ignored object and what it leads to is reached; a lost object that leads to it is not. */
TEST_IN_CHILD(ignored_objects_are_roots)
{
	void **before, **ignored, **behind;
	char *tiny;
	size_t ndirect;

	start();
	before = make_scan(4);
	ignored = make_big(3, SCAN);
	behind = make_scan(5);
	tiny = tiny_alloc(&cache, 3, 1);
	(void)tiny_alloc(&cache, 3, 1);
	before[0] = ignored;
	ignored[1000] = behind;
	CHECK(mark_start(&mark));
	CHECK(num_lost() == 5);
	for (int i = 0; i < 2; i++) {
		void *p = i == 0 ? (void *)ignored : tiny;
		struct mspan *s = span_of((uintptr_t)p);
		_Atomic uint8_t *state = &s->state[i == 0 ? 0 : (uintptr_t)p - s->base];

		slot_set(state, slot_state(state) | SLOT_IGNORED);
	}
	mark_ignored(&mark);
	CHECK(num_lost() == 2);
	mark_lost(&mark);
	CHECK(lost(&ndirect) == 2 && ndirect == 2);
	CHECK(mark_of(&span_of((uintptr_t)before)->state[0]) == MARK_FOLLOWED);
}

/* With what can be in a word of a tiny block that is in a cache. */
TEST_IN_CHILD(tiny_objects_by_each_byte)
{
	char *p[8];

	start();
	for (int i = 0; i < 8; i++)
		p[i] = tiny_alloc(&cache, 3, 1);
	CHECK(mark_start(&mark));
	CHECK(num_lost() == 8);
	root(p[0] + 2);
	CHECK(num_lost() == 7);
	/* Aligned to 2: between two is a byte that is nobody's. */
	root(p[0] + 3);
	CHECK(num_lost() == 7);
	for (int i = 0; i < 8; i++)
		root(p[i] + i % 3);
	CHECK(num_lost() == 0);
	root((char *)align_down((uintptr_t)p[7], TINY_SIZE) + TINY_SIZE - 1);
	CHECK(num_lost() == 0);
}

/* Wider than a part of the stack, and deeper. */
TEST_IN_CHILD(many_at_once)
{
	enum { N = 3 * MARK_PART };
	void **wide, **last = NULL, *first = NULL;
	size_t ndirect;

	start();
	wide = make_big(N * sizeof(*wide) / PAGE_SIZE + 1, SCAN);
	for (int i = 0; i < N; i++) {
		void **p = make_scan(4);

		wide[i] = p;
		if (i % 2 == 0)
			continue;
		if (last == NULL)
			first = p;
		else
			last[1] = p;
		last = p;
	}
	CHECK(mark_start(&mark));
	root(first);
	CHECK(num_lost() == N / 2 + 2);
	mark_lost(&mark);
	CHECK(!mark.failed);
	CHECK(lost(&ndirect) == N / 2 + 2 && ndirect == 1);
	for (int i = 0; i < N; i++)
		unmark(wide[i]);
	unmark(wide);
	CHECK(mark_start(&mark));
	root(wide);
	CHECK(num_lost() == 0);
}

/* In random graphs, the objects that are reached and direct are those that a plain search finds. */
enum { NODES = 60, EDGES = 3 };
static void **node[NODES];

static void reach(int from, bool *seen)
{
	if (seen[from])
		return;
	seen[from] = true;
	for (int e = 0; e < EDGES; e++)
		for (int to = 0; to < NODES; to++)
			if (node[from][e] == node[to])
				reach(to, seen);
}

struct expected {
	bool lost[NODES];
	bool in_ring[NODES][NODES];     /* each leads to the other */
	bool from_elsewhere[NODES];     /* led to by one that it does not lead to */
	bool direct[NODES];
};

static void note_direct(const struct mark_object *o, bool direct, void *arg)
{
	struct expected *want = arg;
	int i = 0;

	while ((uintptr_t)node[i] != o->base)
		i++;
	CHECK(want->lost[i]);
	want->direct[i] = direct;
}

static void expect_graph(struct expected *want, bool (*leads)[NODES])
{
	for (int i = 0; i < NODES; i++) {
		for (int j = 0; j < NODES; j++) {
			want->in_ring[i][j] = i == j || (leads[i][j] && leads[j][i]);
			want->from_elsewhere[i] |= want->lost[j] && leads[j][i] && !leads[i][j];
		}
	}
}

TEST_IN_CHILD(graphs)
{
	uint64_t r = 4711;

	start();
	for (int i = 0; i < NODES; i++)
		node[i] = make_scan(4);
	for (int round = 0; round < 500; round++) {
		static bool leads[NODES][NODES];
		struct expected want = { .lost = { false } };
		struct mark_counts counts;
		bool reached[NODES] = { false };

		memset(leads, 0, sizeof(leads));
		for (int i = 0; i < NODES; i++) {
			unmark(node[i]);
			for (int e = 0; e < EDGES; e++)
				node[i][e] =
					rng_below(&r, 4) == 0 ? node[rng_below(&r, NODES)] : NULL;
		}
		for (int i = 0; i < NODES; i++)
			reach(i, leads[i]);
		CHECK(mark_start(&mark));
		for (int i = 0; i < 3; i++) {
			size_t from = rng_below(&r, NODES);

			root(node[from]);
			reach((int)from, reached);
		}
		for (int i = 0; i < NODES; i++)
			want.lost[i] = !reached[i];
		mark_lost(&mark);
		mark_each_lost(note_direct, &want, &counts);
		expect_graph(&want, leads);
		for (int i = 0; i < NODES; i++) {
			int ndirect = 0;

			for (int j = 0; j < NODES; j++)
				ndirect += want.in_ring[i][j] && want.direct[j];
			CHECK(!want.lost[i] || ndirect == !want.from_elsewhere[i]);
		}
	}
}

static void add_range(uintptr_t from, uintptr_t to, void *arg)
{
	uintptr_t *sum = arg;

	sum[0] += to - from;
	sum[1]++;
}

TEST_IN_CHILD(pages_without_memory_are_passed_over)
{
	size_t page = os_page_size(), n = 300;
	char *p = mmap(NULL, n * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t sum[2] = { 0, 0 };
	int pagemap = os_open_read("/proc/self/pagemap");

	CHECK(p != MAP_FAILED && pagemap >= 0);
	CHECK(madvise(p, n * page, MADV_NOHUGEPAGE) == 0 || true);
	mark_each_present(pagemap, (uintptr_t)p, (uintptr_t)p + n * page, add_range, sum);
	CHECK(sum[0] == 0);
	p[0] = p[127 * page] = p[128 * page] = p[200 * page] = p[201 * page] = p[(n - 1) * page] =
		1;
	mark_each_present(pagemap, (uintptr_t)p, (uintptr_t)p + n * page, add_range, sum);
	CHECK(sum[0] == 6 * page);
	/* Without /proc all of it is looked at. */
	sum[0] = 0;
	mark_each_present(-1, (uintptr_t)p, (uintptr_t)p + n * page, add_range, sum);
	CHECK(sum[0] == n * page);
}

TEST_IN_CHILD(each_run_of_pages_is_visited_once)
{
	enum { N = 1000 };
	size_t page = os_page_size();
	char *p = mmap(NULL, N * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t sum[2] = { 0, 0 };
	int pagemap = os_open_read("/proc/self/pagemap");

	CHECK(p != MAP_FAILED && pagemap >= 0);
	CHECK(madvise(p, N * page, MADV_NOHUGEPAGE) == 0 || true);
	for (size_t i = 0; i < N; i += 2)
		p[i * page] = 1;
	mark_each_present(pagemap, (uintptr_t)p, (uintptr_t)p + N * page, add_range, sum);
	CHECK(sum[0] == N / 2 * page && sum[1] == N / 2);
	/* An end within a page. */
	sum[0] = 0;
	mark_each_present(pagemap, (uintptr_t)p, (uintptr_t)p + 100, add_range, sum);
	CHECK(sum[0] == 100);
	/* A beginning within a page. The next page with memory is visited to its end. */
	sum[0] = 0;
	mark_each_present(pagemap, (uintptr_t)p + page + 100, (uintptr_t)p + 3 * page, add_range,
			  sum);
	CHECK(sum[0] == 2 * page - 100);
}

/* Before Linux 6.7, or where address space is short, there is nothing to test. */
TEST_IN_CHILD(the_kernel_finds_pages_in_a_terabyte)
{
	size_t page = os_page_size(), nbytes = (size_t)1 << 40;
	char *p = mmap(NULL, nbytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int pagemap = os_open_read("/proc/self/pagemap");
	struct os_page_run runs[2];
	uintptr_t at = (uintptr_t)p, end = at + nbytes;
	long n;

	CHECK(pagemap >= 0);
	if (p == MAP_FAILED)
		return;
	CHECK(madvise(p, nbytes, MADV_NOHUGEPAGE) == 0 || true);
	p[nbytes / 4] = p[nbytes / 2] = p[nbytes - 1] = 1;
	n = os_find_pages(pagemap, &at, end, runs, 2);
	if (n < 0) {
		CHECK(at == (uintptr_t)p);
		return;
	}
	CHECK(n == 2 && runs[0].start == (uintptr_t)p + nbytes / 4);
	CHECK(runs[0].end == runs[0].start + page && runs[1].start == (uintptr_t)p + nbytes / 2);
	CHECK(at >= runs[1].end && at <= end - page);
	n = os_find_pages(pagemap, &at, end, runs, 2);
	CHECK(n == 1 && runs[0].end == end && at == end);
}

TEST_IN_CHILD(the_mappings_are_those_of_the_process)
{
	size_t page = os_page_size();
	char *p = mmap(NULL, 3 * page, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const struct mapping *m;
	struct procmap maps;
	int local;

	CHECK(p != MAP_FAILED && mprotect(p + page, page, PROT_READ | PROT_WRITE) == 0);
	CHECK(procmap_read(&maps, getpid()));
	m = procmap_find(&maps, (uintptr_t)p + page + 1);
	CHECK(m != NULL && m->start == (uintptr_t)p + page && m->end == (uintptr_t)p + 2 * page);
	CHECK(m->flags == (MAPPING_READ | MAPPING_WRITE | MAPPING_SHARED) && m->offset == page);
	CHECK(mapping_named(m, "/dev/zero") && !mapping_named(m, "/dev/zero (deleted) and more"));
	CHECK(mapping_named(procmap_find(&maps, (uintptr_t)&local), "[stack]"));
	CHECK((procmap_find(&maps, (uintptr_t)&procmap_find)->flags & MAPPING_EXEC) != 0);
	CHECK(procmap_find(&maps, 0) == NULL && procmap_find(&maps, (uintptr_t)1 << 60) == NULL);
	for (size_t i = 1; i < maps.len; i++)
		CHECK(maps.at[i - 1].end <= maps.at[i].start);
	procmap_free(&maps);
}

/* Of the copy. */
static int *shared;
static volatile int own;

static void look_at_own(struct snapshot *sn, void *arg)
{
	CHECK(arg == &own && sn->nthreads == 0);
	shared[0] = own;
	own = 3;
	shared[1] = getpid() != sn->pid;
}

TEST_IN_CHILD(a_snapshot_is_a_copy)
{
	/* Sanitizers do not know of processes that share memory. */
	if (GOALLOC_SANITIZED)
		return;
	shared = os_alloc_shared(os_page_size());
	own = 2;
	CHECK(snapshot_take(look_at_own, (void *)(uintptr_t)&own, cpu_stack_pointer()).error == 0);
	CHECK(own == 2 && shared[0] == 2 && shared[1] == 1);
	CHECK(waitpid(-1, NULL, __WALL) == -1);
}

static void crash(struct snapshot *sn, void *arg)
{
	(void)sn;
	(void)arg;
	os_abort();
}

TEST_IN_CHILD(a_copy_that_crashes_is_told)
{
	struct snapshot_failure failure = snapshot_take(crash, NULL, cpu_stack_pointer());

	CHECK(failure.error == EIO && failure.signal == SIGABRT &&
	      strstr(failure.why, "killed") != NULL);
	CHECK(waitpid(-1, NULL, __WALL) == -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_leads_to_its_object_alone),
		cmocka_unit_test(every_byte_of_a_span),
		cmocka_unit_test(free_and_foreign_addresses_lead_nowhere),
		cmocka_unit_test(noscan_is_not_searched),
		cmocka_unit_test(every_page_of_a_big_object),
		cmocka_unit_test(ignored_objects_are_roots),
		cmocka_unit_test(tiny_objects_by_each_byte),
		cmocka_unit_test(many_at_once),
		cmocka_unit_test(graphs),
		cmocka_unit_test(pages_without_memory_are_passed_over),
		cmocka_unit_test(each_run_of_pages_is_visited_once),
		cmocka_unit_test(the_kernel_finds_pages_in_a_terabyte),
		cmocka_unit_test(the_mappings_are_those_of_the_process),
		cmocka_unit_test(a_snapshot_is_a_copy),
		cmocka_unit_test(a_copy_that_crashes_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
