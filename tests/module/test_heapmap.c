/* SPDX-License-Identifier: MIT */
/*
 * test_heapmap.c - the map, as picture and as text, shows every committed page once and as what it
 * is.
 */
#include "module.h"

#include "tools/heapmap.h"
#include "heap.h"
#include "tools/stat.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX MiB(4)

static char text[TEXT_MAX];

/* Writes the map into text. */
static size_t write_map(bool svg)
{
	char path[] = "/tmp/goalloc_map_XXXXXX";
	int fd = mkstemp(path);
	ssize_t n;

	CHECK(fd >= 0 && unlink(path) == 0);
	CHECK(heapmap_write_or_errno(fd, svg) == 0);
	n = pread(fd, text, TEXT_MAX - 1, 0);
	CHECK(n > 0 && (size_t)n < TEXT_MAX - 1);
	text[n] = '\0';
	CHECK(close(fd) == 0);
	return (size_t)n;
}

/* --- a heap with something of everything --- */

static void *held[4000];

static void make_heap(size_t n, size_t nbig)
{
	uint64_t r = 9;

	for (size_t i = 0; i < n; i++) {
		size_t size = rng_below(&r, (size_t)16 << rng_below(&r, 11));

		held[i] = i % 3 == 0 ? heap_malloc_noscan(size) : heap_malloc(size);
	}
	for (size_t i = 0; i < n; i++)
		if (rng_below(&r, 2) == 0)
			heap_free(held[i], "free");
	for (size_t i = 0; i < nbig; i++)
		(void)heap_malloc(MiB(1) + i);
	heap_free(heap_malloc(MiB(6)), "free");
	heap_free(heap_malloc(KiB(200)), "free");
	(void)heap_malloc(0);
}

/* --- SVG, read as a program would: tags, classes, lengths --- */

struct picture {
	size_t columns, cell_pages;
	size_t npages[NUM_KINDS];             /* as long as boxes and paths are */
	struct map_total legend[NUM_KINDS];
	size_t nlegend;
};

static size_t number_after(const char *s, const char *end, const char *key)
{
	const char *at = strstr(s, key);

	CHECK(at != NULL && at < end);
	return (size_t)strtoull(at + strlen(key), NULL, 10);
}

static void add_path(struct picture *p, unsigned kind, const char *tag, const char *end)
{
	size_t x, y, n;

	for (const char *at = strchr(strstr(tag, " d="), 'M'); at != NULL && at < end;
	     at = strchr(at + 1, 'M')) {
		CHECK(sscanf(at, "M%zu %zuh%zu", &x, &y, &n) == 3 && n != 0 && x + n <= p->columns);
		p->npages[kind] += n * p->cell_pages;
	}
}

static void add_box(struct picture *p, unsigned kind, const char *tag, const char *end)
{
	size_t n = number_after(tag, end, "width=\"");

	CHECK(n != 0 && number_after(tag, end, "x=\"") + n <= p->columns);
	p->npages[kind] += n;
}

static void add_entry(struct picture *p, const char *tag, const char *end)
{
	struct map_total *t = &p->legend[number_after(tag, end, "data-kind=\"")];

	t->npages = number_after(tag, end, "data-pages=\"");
	t->spans = number_after(tag, end, "data-spans=\"");
	t->slots = number_after(tag, end, "data-slots=\"");
	t->used = number_after(tag, end, "data-used=\"");
	p->nlegend++;
}

/* Every tag is closed in order, and every attribute quoted. The picture. */
static struct picture *read_svg(void)
{
	static struct picture p;
	const char *open[16];
	unsigned depth = 0, kind = 0;

	memset(&p, 0, sizeof(p));
	p.cell_pages = number_after(text, text + strlen(text), "data-cell-pages=\"");
	p.columns = number_after(text, text + strlen(text), "data-columns=\"");
	for (const char *s = strchr(text, '<'); s != NULL; s = strchr(s + 1, '<')) {
		const char *end = strchr(s, '>');
		size_t quotes = 0;

		CHECK(end != NULL);
		for (const char *c = s; c < end; c++)
			quotes += *c == '"';
		CHECK(quotes % 2 == 0 && memchr(s + 1, '<', (size_t)(end - s - 1)) == NULL);
		if (s[1] == '/') {
			CHECK(depth-- > 0 &&
			      strncmp(open[depth] + 1, s + 2, (size_t)(end - s - 2)) == 0);
			continue;
		}
		(void)sscanf(s, "<g class=\"k%u\"", &kind);
		if (strncmp(s, "<rect class=\"t\"", 15) == 0 ||
		    strncmp(s, "<rect class=\"p\"", 15) == 0)
			add_box(&p, kind, s, end);
		if (sscanf(s, "<path class=\"k%u", &kind) == 1)
			add_path(&p, kind, s, end);
		if (strncmp(s, "<g class=\"entry\"", 16) == 0)
			add_entry(&p, s, end);
		if (end[-1] == '/')
			continue;
		CHECK(depth < 16);
		open[depth++] = s;
	}
	CHECK(depth == 0);
	return &p;
}

/* The picture's figures are the legend's and the snapshot's. */
static void check_picture(const struct picture *p)
{
	struct stat_snapshot st;
	size_t npages = 0;

	stat_read(&st);
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		const struct stat_class *k = &st.classes[sc];

		CHECK(p->npages[sc] == p->legend[sc].npages &&
		      p->npages[sc] * PAGE_SIZE == k->span_bytes);
		CHECK(p->legend[sc].spans == k->spans && p->legend[sc].slots == k->slots);
		CHECK(p->legend[sc].used == k->slots - k->free_slots);
	}
	for (unsigned kind = 0; kind < KIND_NONE; kind++)
		npages += p->npages[kind];
	CHECK(p->npages[KIND_FREE] * PAGE_SIZE == st.free_bytes &&
	      p->legend[KIND_FREE].npages == p->npages[KIND_FREE]);
	CHECK(p->npages[KIND_RELEASED] * PAGE_SIZE == st.released_bytes);
	CHECK(p->npages[KIND_TAKEN] * PAGE_SIZE == st.held_bytes);
	CHECK(npages * PAGE_SIZE == st.heap_bytes);
}

TEST_IN_CHILD(every_span_of_a_small_heap_has_its_box)
{
	make_heap(400, 1);
	CHECK(write_map(true) < KiB(400));
	check_picture(read_svg());
	CHECK(strstr(text, "<path") == NULL && strstr(text, " slots in use, ") != NULL);
}

TEST_IN_CHILD(boxes_of_several_arenas)
{
	make_heap(4000, 150);
	(void)write_map(true);
	check_picture(read_svg());
	CHECK(strstr(text, "<path") == NULL);
}

TEST_IN_CHILD(the_paths_of_a_large_heap_have_every_page)
{
	/* Nine arenas. */
	make_heap(4000, 520);
	CHECK(write_map(true) < MiB(1));
	CHECK(strstr(text, "<path") != NULL && strstr(text, "% in use; ") != NULL);
	check_picture(read_svg());
}

TEST_IN_CHILD(a_heap_that_was_never_used_is_a_picture)
{
	(void)write_map(true);
	CHECK(read_svg()->nlegend == 3);
	(void)write_map(false);
	CHECK(count_lines(text) == 1);
}

TEST_IN_CHILD(merged_cells_are_what_most_of_them_are)
{
	struct map_cell cells[8] = {
		{ 4, 100, true },        { 6, 255, true },        { 6, 155, true },
		{ KIND_FREE, 0, false }, { KIND_FREE, 0, false }, { KIND_FREE, 0, false },
		{ KIND_NONE, 0, false }, { 8, 9, true },
	};

	/* The first of as many. */
	struct map_cell even[4] = {
		{ 4, 1, true }, { 4, 1, true }, { 6, 1, true }, { 6, 1, true }
	};

	map_merge(cells, 2, 4);
	CHECK(cells[0].kind == 6 && cells[0].fill == 205);
	CHECK(cells[1].kind == KIND_FREE);
	CHECK(cells[7].kind == 8);
	map_merge(even, 1, 4);
	CHECK(even[0].kind == 4);
}

TEST_IN_CHILD(runs_are_cut_off_where_the_picture_ends)
{
	struct heapwalk w;
	struct heap_run r;

	(void)heap_malloc(MiB(1));
	heapwalk_init(&w);
	CHECK(heapwalk_arena(&w));
	/* The heap may begin behind the start of its first arena. */
	do
		CHECK(map_next(&w, &r, ARENA_PAGES));
	while (r.use == RUN_NONE);
	CHECK(r.use == RUN_SPAN && r.npages == MiB(1) / PAGE_SIZE &&
	      r.span_npages == MiB(1) / PAGE_SIZE);
	heapwalk_init(&w);
	CHECK(heapwalk_arena(&w) && map_next(&w, &r, r.page + 10));
	while (r.use == RUN_NONE)
		CHECK(map_next(&w, &r, r.page + r.npages + 10));
	CHECK(r.use == RUN_SPAN && r.npages == 10 && r.span_npages == MiB(1) / PAGE_SIZE);
	CHECK(!map_next(&w, &r, r.page + 10));
}

TEST_IN_CHILD(a_big_heap_of_fragments_stays_small)
{
	uint64_t r = 3;

	/* 1 GiB of spans of which no two neighbours are alike; most of it is never touched. */
	for (size_t have = 0; have < GiB(1); have += KiB(80)) {
		(void)heap_malloc(KiB(32) + 1);
		(void)heap_malloc_noscan(KiB(32) + 1);
		if (rng_below(&r, 3) == 0)
			(void)heap_malloc(2048);
	}
	CHECK(write_map(true) < MiB(2));
	check_picture(read_svg());
	CHECK(write_map(false) < KiB(64));
}

/* --- text --- */

/* Returns how many letters stand between the bars of all lines, with repeated lines. */
static void count_text(size_t count[128])
{
	char line[256] = "", *s = text;

	for (char *next; *s != '\0'; s = next) {
		size_t times = 1;

		next = strchr(s, '\n') + 1;
		if (sscanf(s, " * %zu more", &times) != 1) {
			char *from = strchr(s, '|');

			if (from == NULL || from > next)
				continue;
			memcpy(line, from + 1, 64);
			CHECK(from[65] == '|');
		}
		for (unsigned i = 0; i < 64; i++)
			count[(unsigned char)line[i]] += times;
	}
}

/* Returns the number of pages in the legend's line of a letter, or 0 when there is no such line. */
static size_t legend_of(char letter)
{
	char key[3] = { '\n', letter, '\0' };
	const char *at = text;
	size_t n;

	while ((at = strstr(at + 1, key)) != NULL)
		if (sscanf(at + 2, "%zu page", &n) == 1)
			return n;
	return 0;
}

TEST_IN_CHILD(the_letters_of_the_text_are_those_of_the_legend)
{
	size_t count[128] = { 0 }, sum = 0;
	struct stat_snapshot st;

	/* Of two arenas, so that lines are the same up to the end of the first. */
	make_heap(2000, 80);
	(void)write_map(false);
	count_text(count);
	stat_read(&st);
	for (char c = '!'; c <= '~'; c++) {
		CHECK(count[(unsigned char)c] == legend_of(c));
		sum += count[(unsigned char)c];
	}
	CHECK(sum * PAGE_SIZE == st.heap_bytes);
	CHECK(count['.'] * PAGE_SIZE == st.free_bytes &&
	      count['_'] * PAGE_SIZE == st.released_bytes);
	CHECK(count['+'] * PAGE_SIZE == st.held_bytes);
	CHECK((count['#'] + count['=']) * PAGE_SIZE ==
	      st.classes[0].live_bytes + st.classes[1].live_bytes);
	CHECK(count['-'] * PAGE_SIZE == st.classes[0].free_bytes + st.classes[1].free_bytes);
	CHECK(count['A'] == 1 && count['b'] * PAGE_SIZE == st.classes[4].span_bytes);
	CHECK(count['B'] * PAGE_SIZE == st.classes[SPANCLASS_TINY].span_bytes);
}

TEST_IN_CHILD(no_line_is_longer_than_100_columns)
{
	size_t columns = 0;

	make_heap(2000, 20);
	(void)write_map(false);
	for (const char *s = strchr(text, '\n') + 1; *s != '\0'; s++) {
		/* What continues a character is none. */
		columns = *s == '\n' ? 0 : columns + ((*s & 0xc0) != 0x80);
		CHECK(columns <= 100);
	}
}

/* --- while others allocate --- */

static _Atomic bool stop;

static void *allocate(void *arg)
{
	uint64_t r = (uintptr_t)arg;
	void *p[300] = { NULL };

	while (!atomic_load(&stop)) {
		size_t i = rng_below(&r, 300);

		heap_free(p[i], "free");
		p[i] = heap_malloc(rng_below(&r, (size_t)16 << rng_below(&r, 14)));
	}
	return NULL;
}

TEST_IN_CHILD(a_map_is_whole_while_others_allocate)
{
	pthread_t thread[2];

	heap_free(heap_malloc(1), "free");
	for (uintptr_t i = 0; i < 2; i++)
		CHECK(pthread_create(&thread[i], NULL, allocate, (void *)(i + 5)) == 0);
	for (int i = 0; i < 60; i++) {
		const struct picture *p;

		(void)write_map(true);
		p = read_svg();
		for (unsigned kind = 0; kind < KIND_NONE; kind++)
			CHECK(p->npages[kind] == p->legend[kind].npages &&
			      p->legend[kind].used <= p->legend[kind].slots);
		(void)write_map(false);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	(void)write_map(true);
	check_picture(read_svg());
}

TEST_IN_CHILD(what_cannot_be_written_is_said)
{
	CHECK(heapmap_write_or_errno(-1, false) == EBADF);
	CHECK(heapmap_write_or_errno(-1, true) == EBADF);
}

TEST_IN_CHILD(a_name_that_ends_with_txt_is_text)
{
	CHECK(heapmap_is_text("a.txt") && heapmap_is_text(".txt"));
	CHECK(!heapmap_is_text("a.svg") && !heapmap_is_text("txt") &&
	      !heapmap_is_text("a.txt.svg") && !heapmap_is_text(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_span_of_a_small_heap_has_its_box),
		cmocka_unit_test(boxes_of_several_arenas),
		cmocka_unit_test(the_paths_of_a_large_heap_have_every_page),
		cmocka_unit_test(a_heap_that_was_never_used_is_a_picture),
		cmocka_unit_test(merged_cells_are_what_most_of_them_are),
		cmocka_unit_test(runs_are_cut_off_where_the_picture_ends),
		cmocka_unit_test(a_big_heap_of_fragments_stays_small),
		cmocka_unit_test(the_letters_of_the_text_are_those_of_the_legend),
		cmocka_unit_test(no_line_is_longer_than_100_columns),
		cmocka_unit_test(a_map_is_whole_while_others_allocate),
		cmocka_unit_test(what_cannot_be_written_is_said),
		cmocka_unit_test(a_name_that_ends_with_txt_is_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
