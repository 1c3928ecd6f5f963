/* SPDX-License-Identifier: MIT */
/*
 * test_heapmap.c - the map shows every committed page once and as what it is.
 */
#include "module.h"

#include "tools/heapmap.h"
#include "tools/textmap.h"
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
static size_t write_map(void)
{
	char path[] = "/tmp/goalloc_map_XXXXXX";
	int fd = mkstemp(path);
	ssize_t n;

	CHECK(fd >= 0 && unlink(path) == 0);
	CHECK(heapmap_write_or_errno(fd) == 0);
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

TEST_IN_CHILD(a_heap_that_was_never_used_has_no_page)
{
	(void)write_map();
	CHECK(count_lines(text) == 2);
	CHECK(strstr(text, "\nheap map: a letter is ") != NULL);
}

TEST_IN_CHILD(merged_cells_are_what_most_of_them_are)
{
	struct map_cell cells[8] = {
		{ 4, 100 },       { 6, 255 },       { 6, 155 },       { KIND_FREE, 0 },
		{ KIND_FREE, 0 }, { KIND_FREE, 0 }, { KIND_NONE, 0 }, { 8, 9 },
	};

	/* The first of as many. */
	struct map_cell even[4] = { { 4, 1 }, { 4, 1 }, { 6, 1 }, { 6, 1 } };

	textmap_merge(cells, 2, 4);
	CHECK(cells[0].kind == 6 && cells[0].fill == 205);
	CHECK(cells[1].kind == KIND_FREE);
	CHECK(cells[7].kind == 8);
	textmap_merge(even, 1, 4);
	CHECK(even[0].kind == 4);
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
	CHECK(write_map() < KiB(64));
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
	char word[5];
	size_t n;

	while ((at = strstr(at + 1, key)) != NULL)
		/* An address may begin like a number of pages, as in 51ea0. */
		if (sscanf(at + 2, "%zu %4[page]", &n, word) == 2 && strcmp(word, "page") == 0)
			return n;
	return 0;
}

/* The map has as many letters of each kind as its legend says. Returns the pages of all. */
static size_t check_letters(void)
{
	size_t count[128] = { 0 }, sum = 0;

	/* Letters stand for one page. */
	count_text(count);
	for (char c = '!'; c <= '~'; c++) {
		CHECK(count[(unsigned char)c] == legend_of(c));
		sum += count[(unsigned char)c];
	}
	return sum;
}

TEST_IN_CHILD(the_letters_of_the_text_are_those_of_the_legend)
{
	size_t count[128] = { 0 }, sum;
	struct stat_snapshot st;

	/* Of two arenas, so that lines are the same up to the end of the first. */
	make_heap(2000, 80);
	(void)write_map();
	count_text(count);
	stat_read(&st);
	sum = check_letters();
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

TEST_IN_CHILD(no_line_is_longer_than_80_columns)
{
	size_t columns = 0;

	make_heap(2000, 20);
	(void)write_map();
	for (const char *s = strchr(text, '\n') + 1; *s != '\0'; s++) {
		/* What continues a character is none. */
		columns = *s == '\n' ? 0 : columns + ((*s & 0xc0) != 0x80);
		CHECK(columns <= 80);
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
		(void)write_map();
		check_letters();
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
}

TEST_IN_CHILD(what_cannot_be_written_is_said)
{
	CHECK(heapmap_write_or_errno(-1) == EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_heap_that_was_never_used_has_no_page),
		cmocka_unit_test(merged_cells_are_what_most_of_them_are),
		cmocka_unit_test(a_big_heap_of_fragments_stays_small),
		cmocka_unit_test(the_letters_of_the_text_are_those_of_the_legend),
		cmocka_unit_test(no_line_is_longer_than_80_columns),
		cmocka_unit_test(a_map_is_whole_while_others_allocate),
		cmocka_unit_test(what_cannot_be_written_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
