/* SPDX-License-Identifier: MIT */
/*
 * test_memstats.c - goalloc_read_memstats, the metrics, mallinfo2 and malloc_info describe the same
 * heap in the same way. Each adds up by itself at any moment. When the program is quiet they agree
 * with each other and with what the program knows.
 *
 * Between two looks that are compared nothing allocates. cmocka's asserts do not allocate.
 */
#include "face.h"

#include "../../include/goalloc.h"

#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

#define MAX_METRICS 64

static struct {
	int (*memstats)(struct goalloc_memstats *m);
	int (*metrics_read)(struct goalloc_metric *metrics, size_t n);
	int (*metric_read)(const char *name, uint64_t *value);
	const char *(*metric_name)(size_t i);
	void (*count)(int on);
	void *(*malloc_noscan)(size_t size);
} g;

static int find_functions(void **state)
{
	(void)state;
	*(void **)&g.memstats = face_sym("goalloc_read_memstats");
	*(void **)&g.metrics_read = face_sym("goalloc_metrics_read");
	*(void **)&g.metric_read = face_sym("goalloc_metric_read");
	*(void **)&g.metric_name = face_sym("goalloc_metric_name");
	*(void **)&g.count = face_sym("goalloc_count");
	*(void **)&g.malloc_noscan = face_sym("goalloc_malloc_noscan");
	return 0;
}

static struct goalloc_memstats look(void)
{
	struct goalloc_memstats m;

	memset(&m, 0xa5, sizeof(m));
	m.size = sizeof(m);
	assert_int_equal(g.memstats(&m), 0);
	assert_int_equal(m.size, sizeof(m));
	assert_int_equal(m.version, GOALLOC_MEMSTATS_VERSION);
	return m;
}

static void adds_up(const struct goalloc_memstats *m)
{
	uint64_t mallocs = m->BigMallocs, frees = m->BigFrees;

	for (size_t i = 0; i < GOALLOC_SIZE_CLASSES; i++) {
		assert_true(m->BySize[i].Frees <= m->BySize[i].Mallocs);
		assert_true(i < 2 || m->BySize[i].Size > m->BySize[i - 1].Size);
		mallocs += m->BySize[i].Mallocs;
		frees += m->BySize[i].Frees;
	}
	assert_int_equal(mallocs, m->Mallocs);
	assert_int_equal(frees, m->Frees);
	assert_int_equal(m->Mallocs - m->Frees, m->HeapObjects);
	assert_int_equal(m->Alloc, m->HeapAlloc);
	assert_true(m->TotalAlloc >= m->Alloc);
	assert_int_equal(m->HeapInuse + m->HeapIdle, m->HeapSys);
	assert_true(m->HeapReleased <= m->HeapIdle);
	assert_true(m->HeapFree + m->PageWords <= m->HeapIdle);
	assert_int_equal(m->HeapSys + m->MSpanSys + m->MCacheSys + m->OtherSys, m->Sys);
	assert_true(m->MSpanInuse <= m->MSpanSys && m->MCacheInuse <= m->MCacheSys);
	assert_int_equal(m->HeapAlloc + m->TinySlack + m->FreeSlots + m->BigKept + m->Tails,
			 m->HeapInuse);
	assert_true(m->FreeSlotsCached <= m->FreeSlots);
	assert_true(m->NoscanAlloc <= m->HeapAlloc && m->NoscanInuse <= m->HeapInuse);
	assert_true(m->TinyAlloc <= m->NoscanAlloc && m->BigAlloc <= m->HeapAlloc);
	assert_true(m->Sys < (uint64_t)1 << 40);
}

/* Reads all metrics at once; each is good and the classes sum up. The number of the name. */
static uint64_t metrics_add_up(const char *name)
{
	static struct goalloc_histogram histograms[MAX_METRICS];
	struct goalloc_metric m[MAX_METRICS];
	uint64_t sum = 0, total = 0, allocs = 0, frees = 0, live = 0, value = UINT64_MAX;
	size_t n = 0;

	for (; g.metric_name(n) != NULL; n++) {
		m[n].name = g.metric_name(n);
		m[n].histogram = &histograms[n];
	}
	assert_int_equal(g.metrics_read(m, n), 0);
	for (size_t i = 0; i < n; i++) {
		uint64_t counts = 0;

		if (m[i].kind == GOALLOC_METRIC_HISTOGRAM) {
			for (size_t k = 0; k < GOALLOC_SIZE_CLASSES; k++)
				counts += histograms[i].counts[k];
			assert_int_equal(counts, m[i].value);
		} else {
			assert_int_equal(m[i].kind, GOALLOC_METRIC_UINT64);
		}
		if (strcmp(m[i].name, "/memory/classes/total:bytes") == 0)
			total = m[i].value;
		else if (strncmp(m[i].name, "/memory/classes/", 16) == 0)
			sum += m[i].value;
		allocs = strcmp(m[i].name, "/gc/heap/allocs:objects") == 0 ? m[i].value : allocs;
		frees = strcmp(m[i].name, "/gc/heap/frees:objects") == 0 ? m[i].value : frees;
		live = strcmp(m[i].name, "/gc/heap/objects:objects") == 0 ? m[i].value : live;
		value = strcmp(m[i].name, name) == 0 ? m[i].value : value;
		assert_true(i == 0 || strcmp(m[i - 1].name, m[i].name) < 0);
	}
	assert_int_equal(sum, total);
	assert_int_equal(allocs - frees, live);
	return value;
}

static void mallinfo_adds_up(const struct mallinfo2 *mi)
{
	assert_int_equal(mi->uordblks + mi->fordblks, mi->arena);
	assert_true(mi->fsmblks <= mi->fordblks && mi->keepcost <= mi->fordblks);
	assert_true(mi->arena + mi->hblkhd < (size_t)1 << 40);
}

/* Returns the number in an attribute of the last element of this kind. */
static size_t of_element(const char *xml, const char *element, const char *attribute)
{
	const char *at = NULL, *next = xml;

	while ((next = strstr(next, element)) != NULL)
		at = next++;
	assert_non_null(at);
	at = strstr(at, attribute);
	assert_non_null(at);
	return (size_t)strtoull(at + strlen(attribute), NULL, 10);
}

struct info {
	size_t fast, rest, mapped, current, sizes;
};

enum { INFO_ROOM = 1 << 16 };

/* Writes into a file that is open already, because opening one would allocate. The text is cleared
 * first: the file ends what it writes with a 0 only where it becomes longer than ever, so the rest
 * of a longer text would follow a shorter one. */
static struct info read_malloc_info(FILE *f, char *text)
{
	struct info i = { 0, 0, 0, 0, 0 };

	memset(text, 0, INFO_ROOM);
	rewind(f);
	assert_int_equal(malloc_info(0, f), 0);
	assert_int_equal(fflush(f), 0);
	i.fast = of_element(text, "<total type=\"fast\"", "size=\"");
	i.rest = of_element(text, "<total type=\"rest\"", "size=\"");
	i.mapped = of_element(text, "<total type=\"mmap\"", "size=\"");
	i.current = of_element(text, "<system type=\"current\"", "size=\"");
	for (const char *s = text; (s = strstr(s, "<size from=\"")) != NULL; s++)
		i.sizes += (size_t)strtoull(strstr(s, "total=\"") + 7, NULL, 10);
	return i;
}

/* --- at any moment --- */

static atomic_bool stop;

static void *allocate(void *arg)
{
	uint64_t random = (uintptr_t)arg;
	void *p[300] = { NULL };

	while (!atomic_load(&stop)) {
		size_t i = rng_next(&random) % 300;

		free(p[i]);
		p[i] = i % 3 == 0 ? g.malloc_noscan(rng_mixed_size(&random) % 40)
				  : malloc(rng_mixed_size(&random));
	}
	for (size_t i = 0; i < 300; i++)
		free(p[i]);
	return NULL;
}

static void every_face_adds_up_while_others_allocate(void **state)
{
	enum { THREADS = 3 };
	static char text[INFO_ROOM];
	pthread_t thread[THREADS];
	FILE *f = fmemopen(text, sizeof(text), "w");

	(void)state;
	atomic_store(&stop, false);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, allocate, (void *)(i + 1)), 0);
	for (int i = 0; i < 200; i++) {
		struct goalloc_memstats m = look();
		struct mallinfo2 mi = mallinfo2();
		struct info info;

		adds_up(&m);
		mallinfo_adds_up(&mi);
		(void)metrics_add_up("");
		info = read_malloc_info(f, text);
		assert_true(info.fast + info.rest <= info.current &&
			    info.sizes <= info.fast + info.rest);
		g.count(i % 40 < 20);
	}
	g.count(0);
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	(void)fclose(f);
}

/* --- quiet --- */

static void all_faces_agree_when_the_program_is_quiet(void **state)
{
	static char text[INFO_ROOM];
	static void *p[2000];
	FILE *f = fmemopen(text, sizeof(text), "w");
	uint64_t random = 5;
	struct goalloc_memstats m;
	struct mallinfo2 mi;
	struct info info;

	(void)state;
	for (size_t i = 0; i < 2000; i++)
		p[i] = malloc(rng_mixed_size(&random));
	for (size_t i = 0; i < 2000; i += 3)
		free(p[i]);
	(void)read_malloc_info(f, text);
	m = look();
	mi = mallinfo2();
	info = read_malloc_info(f, text);
	adds_up(&m);
	mallinfo_adds_up(&mi);
	assert_int_equal(metrics_add_up("/memory/classes/heap/objects:bytes"), m.HeapAlloc);
	assert_int_equal(metrics_add_up("/memory/classes/heap/unused:bytes"),
			 m.HeapInuse - m.HeapAlloc);
	assert_int_equal(metrics_add_up("/memory/classes/heap/released:bytes"), m.HeapReleased);
	assert_int_equal(metrics_add_up("/memory/classes/heap/free:bytes"),
			 m.HeapIdle - m.HeapReleased);
	assert_int_equal(metrics_add_up("/memory/classes/metadata/mspan/inuse:bytes"),
			 m.MSpanInuse);
	assert_int_equal(metrics_add_up("/memory/classes/metadata/mcache/inuse:bytes"),
			 m.MCacheInuse);
	assert_int_equal(metrics_add_up("/memory/classes/total:bytes"), m.Sys);
	assert_int_equal(metrics_add_up("/gc/heap/objects:objects"), m.HeapObjects);
	assert_int_equal(metrics_add_up("/gc/heap/allocs:bytes"), m.TotalAlloc);
	assert_int_equal(metrics_add_up("/gc/gomemlimit:bytes"), INT64_MAX);
	assert_int_equal(mi.uordblks + mi.hblkhd, m.HeapAlloc);
	assert_int_equal(mi.arena + mi.hblkhd, m.HeapSys);
	assert_int_equal(mi.hblks, m.BigObjects);
	assert_int_equal(mi.fsmblks, m.FreeSlotsCached);
	assert_int_equal(mi.keepcost, m.HeapFree);
	assert_int_equal(info.fast, mi.fsmblks);
	assert_int_equal(info.fast + info.rest, mi.fordblks);
	assert_int_equal(info.current, mi.arena);
	assert_int_equal(info.mapped, mi.hblkhd);
	assert_int_equal(info.sizes, m.FreeSlots);
	for (size_t i = 0; i < 2000; i++)
		if (i % 3 != 0)
			free(p[i]);
	(void)fclose(f);
}

/* Returns the number before a word in the line of the page that begins with this text. */
static uint64_t on_page(const char *text, const char *line, const char *word)
{
	const char *at = strstr(text, line), *digits;

	assert_non_null(at);
	digits = strstr(at + strlen(line), word);
	assert_non_null(digits);
	assert_true(memchr(at + 1, '\n', (size_t)(digits - at - 1)) == NULL);
	while (digits > at && strchr("0123456789", digits[-1]) != NULL)
		digits--;
	return strtoull(digits, NULL, 10);
}

static void the_page_has_the_same_figures(void **state)
{
	static char text[1 << 16];
	FILE *f = tmpfile();
	int saved = dup(2);
	struct goalloc_memstats m;
	ssize_t n;

	(void)state;
	assert_non_null(f);
	(void)fflush(stderr);
	(void)dup2(fileno(f), 2);
	m = look();
	malloc_stats();
	(void)dup2(saved, 2);
	(void)close(saved);
	n = pread(fileno(f), text, sizeof(text) - 1, 0);
	(void)fclose(f);
	assert_true(n > 0);
	text[n] = 0;
	assert_int_equal(on_page(text, "\n  live objects", " object"), m.HeapObjects);
	assert_int_equal(on_page(text, "\n  behind the last slots", " span"), m.Spans);
	assert_int_equal(on_page(strchr(text, '\n'), "\nheap  ", " arena"), m.Arenas);
	assert_int_equal(on_page(text, "\n  thread caches", " thread"), m.Threads);
	/* A line for each class in use, of columns in order. */
	for (size_t i = 1; i < GOALLOC_SIZE_CLASSES; i++) {
		char line[64];
		unsigned long long spans, slots, live;
		const char *at;

		(void)snprintf(line, sizeof(line), "\n%8u  scan", m.BySize[i].Size);
		at = strstr(text, line);
		if (at == NULL)
			continue;
		assert_int_equal(sscanf(at + strlen(line), "%llu %llu %llu", &spans, &slots, &live),
				 3);
		assert_true(live <= slots && live <= m.BySize[i].Mallocs - m.BySize[i].Frees);
	}
	for (const char *s = text, *end; (end = strchr(s, '\n')) != NULL; s = end + 1)
		assert_true(end - s <= 100);
}

static void each_class_is_exact(void **state)
{
	enum { N = 50 };
	void *p[N];

	(void)state;
	for (size_t class = 1; class < GOALLOC_SIZE_CLASSES; class++) {
		struct goalloc_memstats before = look(), after;
		size_t size = before.BySize[class].Size, got;

		for (size_t i = 0; i < N; i++)
			p[i] = malloc(size);
		got = malloc_usable_size(p[0]);
		after = look();
		assert_int_equal(after.HeapObjects - before.HeapObjects, N);
		assert_int_equal(after.HeapAlloc - before.HeapAlloc, N * got);
		for (size_t k = 0; k < GOALLOC_SIZE_CLASSES; k++)
			assert_int_equal(after.BySize[k].Mallocs - before.BySize[k].Mallocs,
					 k > 0 && after.BySize[k].Size == got ? N : 0);
		assert_int_equal(after.NoscanObjects, before.NoscanObjects);
		for (size_t i = 0; i < N; i++)
			free(p[i]);
		after = look();
		assert_int_equal(after.HeapObjects, before.HeapObjects);
		assert_int_equal(after.HeapAlloc, before.HeapAlloc);
	}
}

static void noscan_tiny_big_and_nothing_are_told_apart(void **state)
{
	struct goalloc_memstats before = look(), after;
	void *noscan = g.malloc_noscan(1000), *tiny = g.malloc_noscan(7), *big = malloc(MiB),
	     *nothing = malloc(0);

	(void)state;
	after = look();
	assert_int_equal(after.NoscanObjects - before.NoscanObjects, 3); /* malloc(0)'s, too */
	assert_int_equal(after.NoscanAlloc - before.NoscanAlloc, 1024 + 7);
	assert_int_equal(after.TinyObjects - before.TinyObjects, 1);
	assert_int_equal(after.TinyAlloc - before.TinyAlloc, 7);
	assert_int_equal(after.TinyMallocs - before.TinyMallocs, 1);
	assert_int_equal(after.BigObjects - before.BigObjects, 1);
	assert_int_equal(after.BigAlloc - before.BigAlloc, MiB);
	assert_int_equal(after.BySize[0].Mallocs - before.BySize[0].Mallocs, 1);
	assert_int_equal(after.HeapAlloc - before.HeapAlloc, 1024 + 7 + MiB);
	free(noscan);
	free(tiny);
	free(big);
	free(nothing);
	after = look();
	assert_int_equal(after.HeapObjects, before.HeapObjects);
	assert_int_equal(after.HeapAlloc, before.HeapAlloc);
}

static void counted_allocations_are_exact(void **state)
{
	enum { N = 5000 };
	static void *p[N];
	struct goalloc_memstats before, after;

	(void)state;
	g.count(1);
	before = look();
	assert_int_equal(before.Counting, 1);
	for (size_t i = 0; i < N; i++)
		p[i] = malloc(48);
	for (size_t i = 0; i < N; i++)
		free(p[i]);
	free(malloc(2 * MiB));
	free(calloc(3, 100));
	after = look();
	assert_int_equal(after.Mallocs - before.Mallocs, N + 2);
	assert_int_equal(after.Frees - before.Frees, N + 2);
	assert_int_equal(after.TotalAlloc - before.TotalAlloc, N * 48 + 2 * MiB + 320);
	assert_int_equal(after.BigMallocs - before.BigMallocs, 1);
	assert_int_equal(after.BySize[5].Mallocs - before.BySize[5].Mallocs, N);
	assert_int_equal(after.BySize[5].Frees - before.BySize[5].Frees, N);
	assert_int_equal(metrics_add_up("/gc/heap/frees:objects"), after.Frees);
	g.count(0);
	after = look();
	/* A profile counts on. */
	if (getenv("GOALLOC") == NULL)
		assert_int_equal(after.Counting, 0);
	adds_up(&after);
}

static void every_allocation_counts_once_in_every_mode(void **state)
{
	enum { N = 3000 };
	static void *p[N];
	struct goalloc_memstats before, after;

	(void)state;
	g.count(1);
	before = look();
	for (size_t i = 0; i < N; i++)
		p[i] = i % 3 == 0 ? g.malloc_noscan(i) : malloc(i * 20);
	after = look();
	assert_int_equal(after.Mallocs - before.Mallocs, N);
	assert_int_equal(after.Frees, before.Frees);
	for (size_t i = 0; i < N; i++)
		free(p[i]);
	after = look();
	assert_int_equal(after.Mallocs - before.Mallocs, N);
	assert_int_equal(after.Frees - before.Frees, N);
	adds_up(&after);
	g.count(0);
}

/* --- arguments --- */

static void the_callers_size_is_kept_to(void **state)
{
	struct {
		struct goalloc_memstats m;
		unsigned char beyond[64];
	} longer;
	struct goalloc_memstats m;

	(void)state;
	memset(&m, 0x5a, sizeof(m));
	m.size = 0;
	errno = 0;
	assert_int_equal(g.memstats(&m), -1);
	assert_int_equal(errno, EINVAL);
	m.size = offsetof(struct goalloc_memstats, Sys);
	assert_int_equal(g.memstats(&m), 0);
	assert_true(m.Alloc == m.HeapAlloc || m.HeapAlloc == 0x5a5a5a5a5a5a5a5a);
	assert_int_equal(m.Sys, 0x5a5a5a5a5a5a5a5a);
	memset(&longer, 0x5a, sizeof(longer));
	longer.m.size = sizeof(longer);
	assert_int_equal(g.memstats(&longer.m), 0);
	assert_int_equal(longer.m.size, sizeof(struct goalloc_memstats));
	assert_int_equal(longer.beyond[0], 0x5a);
}

static void an_unknown_metric_is_bad_and_the_others_are_read(void **state)
{
	struct goalloc_metric m[2] = { { .name = "/sched/no:such" },
				       { .name = "/gc/heap/objects:objects" } };
	uint64_t value = 77;

	(void)state;
	errno = 0;
	assert_int_equal(g.metric_read("/gc/heap/objects", &value), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(value, 77);
	assert_int_equal(g.metrics_read(m, 2), -1);
	assert_int_equal(m[0].kind, GOALLOC_METRIC_BAD);
	assert_int_equal(m[1].kind, GOALLOC_METRIC_UINT64);
	assert_true(m[1].value > 0);
	assert_int_equal(g.metric_read("/gc/heap/objects:objects", &value), 0);
	assert_int_equal(value, m[1].value);
}

int main(void)
{
	const struct CMUnitTest in_every_mode[] = {
		cmocka_unit_test(every_face_adds_up_while_others_allocate),
		cmocka_unit_test(all_faces_agree_when_the_program_is_quiet),
		cmocka_unit_test(the_page_has_the_same_figures),
		cmocka_unit_test(every_allocation_counts_once_in_every_mode),
		cmocka_unit_test(the_callers_size_is_kept_to),
		cmocka_unit_test(an_unknown_metric_is_bad_and_the_others_are_read),
	};
	/* With hardened=1 objects are in other slots, and malloc_usable_size() tells what was asked
	 * for. */
	const struct CMUnitTest by_slots[] = {
		cmocka_unit_test(each_class_is_exact),
		cmocka_unit_test(noscan_tiny_big_and_nothing_are_told_apart),
		cmocka_unit_test(counted_allocations_are_exact),
	};
	const char *options = getenv("GOALLOC");
	int failed = cmocka_run_group_tests(in_every_mode, find_functions, NULL);

	if (options == NULL || strstr(options, "hardened") == NULL)
		failed += cmocka_run_group_tests(by_slots, find_functions, NULL);
	return failed;
}
