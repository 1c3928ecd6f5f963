/* SPDX-License-Identifier: MIT */
/*
 * test_introspection.c - mallinfo, mallinfo2, malloc_info, malloc_stats, mallopt and malloc_trim
 * tell the truth about this heap, not zeros about glibc's.
 *
 * SLACK is what caches and cmocka itself may add or hide. Every amount that is tested is far above
 * it.
 */
#include "face.h"

#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SLACK (256 * KiB)

/* Returns the bytes in use by the program: the sum of glibc's two fields, for small and for
 * mapped objects. */
static size_t in_use(void)
{
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

static void malloc_is_the_one_under_test(void **state)
{
	(void)state;
	assert_true(face_malloc_is_goalloc());
}

static void mallinfo2_grows_by_small_objects_and_falls_when_they_are_freed(void **state)
{
	enum { N = 20000, SIZE = 1000 };
	static void *p[N];
	size_t before = in_use(), with, after;

	(void)state;
	for (size_t i = 0; i < N; i++)
		p[i] = malloc(SIZE);
	with = in_use();
	for (size_t i = 0; i < N; i++)
		free(p[i]);
	after = in_use();
	assert_in_range(with - before, (size_t)N * SIZE, (size_t)N * 1024 + SLACK);
	assert_in_range(after, 0, before + SLACK);
}

static void mallinfo2_grows_by_one_big_object_and_falls_when_it_is_freed(void **state)
{
	size_t before = in_use(), with, after;
	void *p = malloc(64 * MiB);

	(void)state;
	with = in_use();
	free(p);
	after = in_use();
	assert_in_range(with - before, 64 * MiB, 64 * MiB + SLACK);
	assert_in_range(after, 0, before + SLACK);
}

static void *allocate_8_MiB(void *arg)
{
	void **p = arg;
	for (size_t i = 0; i < 2048; i++)
		p[i] = malloc(4096);
	return NULL;
}

static void mallinfo2_counts_what_other_and_ended_threads_allocated(void **state)
{
	static void *p[2048];
	size_t before = in_use();
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, allocate_8_MiB, p), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_in_range(in_use() - before, 8 * MiB, 8 * MiB + 2 * SLACK);
	for (size_t i = 0; i < 2048; i++)
		free(p[i]);
	assert_in_range(in_use(), 0, before + 2 * SLACK);
}

static void mallinfo2s_arena_covers_what_is_in_use_and_free(void **state)
{
	void *p = malloc(10 * MiB);
	struct mallinfo2 m = mallinfo2();

	(void)state;
	assert_true(m.arena + m.hblkhd >= m.uordblks);
	assert_true(m.arena + m.hblkhd >= 10 * MiB);
	assert_true(m.fordblks <= m.arena);
	assert_true(m.keepcost <= m.arena);
	free(p);
}

typedef struct mallinfo mallinfo_fn(void);

static void mallinfo_says_the_same_in_ints(void **state)
{
	mallinfo_fn *p_mallinfo = (mallinfo_fn *)face_sym("mallinfo");
	void *p = malloc(10 * MiB);
	struct mallinfo small = p_mallinfo();
	size_t wide = in_use(), narrow = (size_t)small.uordblks + (size_t)small.hblkhd;

	(void)state;
	assert_in_range(narrow, wide - SLACK, wide + SLACK);
	free(p);
}

/* --- malloc_info: well-formed XML in glibc's shape --- */

static char *malloc_info_text(void)
{
	static char text[1 << 20];
	FILE *f = fmemopen(text, sizeof(text), "w");

	assert_non_null(f);
	assert_int_equal(malloc_info(0, f), 0);
	assert_int_equal(fclose(f), 0);
	return text;
}

/* Reads name="value" pairs up to > or />; the place after, or NULL when not well formed. */
static const char *skip_attributes(const char *s, bool *closed)
{
	for (;;) {
		s += strspn(s, " \t\n");
		if (*s == '>' || strncmp(s, "/>", 2) == 0) {
			*closed = *s == '/';
			return s + (*closed ? 2 : 1);
		}
		size_t name = strspn(s, "abcdefghijklmnopqrstuvwxyz_-");
		if (name == 0 || s[name] != '=' || s[name + 1] != '"')
			return NULL;
		s = strchr(s + name + 2, '"');
		if (s == NULL)
			return NULL;
		s++;
	}
}

/* Checks that there is one root element, that every tag is closed in order, and that the text is
 * white space. */
static bool is_well_formed(const char *s)
{
	char open[16][32];
	size_t depth = 0, roots = 0;

	for (;;) {
		s += strspn(s, " \t\n");
		if (*s == 0)
			return depth == 0 && roots == 1;
		if (*s++ != '<')
			return false;
		bool end = *s == '/';
		s += end;
		size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz_-");
		if (len == 0 || len >= sizeof(open[0]))
			return false;
		if (end) {
			if (depth == 0 || strlen(open[depth - 1]) != len ||
			    memcmp(open[depth - 1], s, len) != 0 || s[len] != '>')
				return false;
			depth--;
			s += len + 1;
			continue;
		}
		if (depth == 16)
			return false;
		memcpy(open[depth], s, len);
		open[depth][len] = 0;
		bool closed;
		s = skip_attributes(s + len, &closed);
		if (s == NULL)
			return false;
		roots += depth == 0;
		depth += !closed;
	}
}

static void malloc_info_is_well_formed_in_glibcs_shape(void **state)
{
	const char *text = malloc_info_text(), *heap_end;

	(void)state;
	assert_true(is_well_formed(text));
	assert_int_equal(strncmp(text, "<malloc version=\"1\">", 20), 0);
	assert_non_null(strstr(text, "<heap nr=\"0\">"));
	heap_end = strstr(text, "</heap>");
	assert_non_null(heap_end);
	while (strstr(heap_end + 1, "</heap>") != NULL)
		heap_end = strstr(heap_end + 1, "</heap>");
	/* the sums over all heaps */
	assert_non_null(strstr(heap_end, "<total type=\"fast\" count=\""));
	assert_non_null(strstr(heap_end, "<total type=\"rest\" count=\""));
	assert_non_null(strstr(heap_end, "<total type=\"mmap\" count=\""));
	assert_non_null(strstr(heap_end, "<system type=\"current\" size=\""));
	assert_non_null(strstr(heap_end, "<system type=\"max\" size=\""));
	assert_non_null(strstr(heap_end, "<aspace type=\"total\" size=\""));
	assert_non_null(strstr(heap_end, "<aspace type=\"mprotect\" size=\""));
}

/* Returns the size behind the last occurrence of a key, which is the sum over all heaps. */
static size_t last_size(const char *text, const char *key)
{
	const char *at = NULL, *next = text;

	while ((next = strstr(next, key)) != NULL)
		at = next++;
	assert_non_null(at);
	at = strstr(at, "size=\"");
	assert_non_null(at);
	return (size_t)strtoull(at + 6, NULL, 10);
}

static void malloc_infos_numbers_cover_what_is_allocated(void **state)
{
	enum { N = 10000, SIZE = 2048 };
	static void *p[N];
	const char *text;

	(void)state;
	for (size_t i = 0; i < N; i++)
		p[i] = malloc(SIZE);
	text = malloc_info_text();
	/* glibc counts big objects of their own in "mmap", the rest in "system" */
	assert_in_range(last_size(text, "<system type=\"current\"") +
				last_size(text, "<total type=\"mmap\""),
			(size_t)N * SIZE, SIZE_MAX);
	assert_true(last_size(text, "<system type=\"max\"") >=
		    last_size(text, "<system type=\"current\""));
	for (size_t i = 0; i < N; i++)
		free(p[i]);
}

static void malloc_info_with_options_is_EINVAL(void **state)
{
	int said;

	(void)state;
	/* the manual has -1 and errno; glibc itself returns the number */
	errno = 0;
	said = malloc_info(1, stdout);
	assert_true(said == EINVAL || (said == -1 && errno == EINVAL));
}

/* --- the others --- */

static void malloc_stats_writes_to_stderr(void **state)
{
	char path[] = "/tmp/face_stats_XXXXXX", text[4096];
	int fd = mkstemp(path), saved = dup(2);
	size_t have = 0;
	ssize_t n;

	(void)state;
	assert_true(fd >= 0 && saved >= 0);
	(void)unlink(path);
	(void)fflush(stderr);
	(void)dup2(fd, 2);
	malloc_stats();
	(void)fflush(stderr);
	(void)dup2(saved, 2);
	(void)close(saved);
	(void)lseek(fd, 0, SEEK_SET);
	while (have < sizeof(text) - 1 && (n = read(fd, text + have, sizeof(text) - 1 - have)) > 0)
		have += (size_t)n;
	text[have] = 0;
	(void)close(fd);
	assert_in_range(have, 20, SIZE_MAX);
	assert_non_null(strpbrk(text, "123456789"));
	assert_non_null(strchr(text, '\n'));
}

static void mallopt_accepts_glibcs_parameters(void **state)
{
	(void)state;
	assert_int_equal(mallopt(M_TRIM_THRESHOLD, 1 << 20), 1);
	assert_int_equal(mallopt(M_ARENA_MAX, 2), 1);
	assert_int_equal(mallopt(M_PERTURB, 0), 1);
	assert_int_equal(mallopt(M_MMAP_THRESHOLD, 1 << 20), 1);
	assert_int_equal(mallopt(M_TOP_PAD, 1 << 16), 1);
}

static void malloc_trim_gives_memory_back_and_says_whether_it_did(void **state)
{
	enum { N = 32768, SIZE = 2000 };
	static void *p[N];
	size_t begin, full, left;
	int said;

	(void)state;
	(void)malloc_trim(0);
	begin = proc_rss();
	for (size_t i = 0; i < N; i++) {
		p[i] = malloc(SIZE);
		assert_non_null(p[i]);
		memset(p[i], 1, SIZE);
	}
	for (size_t i = 0; i < N; i++)
		free(p[i]);
	full = proc_rss();
	said = malloc_trim(0);
	left = proc_rss();
	assert_in_range(left, 0, begin + 4 * MiB);
	if (full > left + MiB)
		assert_int_equal(said, 1);
	else
		assert_in_range(said, 0, 1);
}

static void malloc_trim_twice_has_nothing_to_give_the_second_time(void **state)
{
	size_t before;
	int said;

	(void)state;
	(void)malloc_trim(0);
	before = proc_rss();
	said = malloc_trim(0);
	assert_in_range(said, 0, 1);
	assert_in_range(proc_rss(), before > MiB ? before - MiB : 0, before + MiB);
}

/* Only what the program still holds stays, also when it is one object here and there. */
static void malloc_trim_keeps_what_is_in_use(void **state)
{
	enum { N = 20000 };
	static unsigned char *p[N];

	(void)state;
	for (size_t i = 0; i < N; i++) {
		p[i] = malloc(100 + i % 1000);
		assert_non_null(p[i]);
		memset(p[i], (int)(i % 251), 100 + i % 1000);
	}
	for (size_t i = 0; i < N; i++)
		if (i % 64 != 0)
			free(p[i]);
	(void)malloc_trim(0);
	for (size_t i = 0; i < N; i += 64) {
		for (size_t k = 0; k < 100 + i % 1000; k++)
			assert_int_equal(p[i][k], i % 251);
		free(p[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(malloc_is_the_one_under_test),
		cmocka_unit_test(mallinfo2_grows_by_small_objects_and_falls_when_they_are_freed),
		cmocka_unit_test(mallinfo2_grows_by_one_big_object_and_falls_when_it_is_freed),
		cmocka_unit_test(mallinfo2_counts_what_other_and_ended_threads_allocated),
		cmocka_unit_test(mallinfo2s_arena_covers_what_is_in_use_and_free),
		cmocka_unit_test(mallinfo_says_the_same_in_ints),
		cmocka_unit_test(malloc_info_is_well_formed_in_glibcs_shape),
		cmocka_unit_test(malloc_infos_numbers_cover_what_is_allocated),
		cmocka_unit_test(malloc_info_with_options_is_EINVAL),
		cmocka_unit_test(malloc_stats_writes_to_stderr),
		cmocka_unit_test(mallopt_accepts_glibcs_parameters),
		cmocka_unit_test(malloc_trim_gives_memory_back_and_says_whether_it_did),
		cmocka_unit_test(malloc_trim_twice_has_nothing_to_give_the_second_time),
		cmocka_unit_test(malloc_trim_keeps_what_is_in_use),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
