/* SPDX-License-Identifier: MIT */
/*
 * test_limits.c - a small address space: malloc returns NULL and sets ENOMEM, nothing is harmed,
 * and freed memory can be had again, in other sizes too.
 *
 * The program sets the limit and runs itself anew, so that the library starts under it, as under
 * `ulimit -v`. Usage: test_limits KIB CASE.
 */
#include "face.h"

#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* The table is as long as the limit can need and no longer, because it counts against the limit
 * too. */
static size_t max_objects;
static void **objects;
static const uint64_t tag = 0x11;

/* Allocates objects of n bytes until malloc returns NULL. Returns how many there are. */
static size_t fill_up(size_t n)
{
	size_t count = 0;

	for (;;) {
		errno = 0;
		void *p = count % 2 == 0 ? malloc(n) : calloc(1, n);
		if (p == NULL)
			break;
		CHECK(errno == 0);
		for (size_t k = 0; k < n; k += 4096)
			((char *)p)[k] = 1;
		face_object_fill(p, n, tag);
		CHECK(count < max_objects);
		objects[count++] = p;
	}
	CHECK(errno == ENOMEM);
	return count;
}

static void check_and_free(size_t from, size_t to, size_t step, size_t n)
{
	for (size_t i = from; i < to; i += step) {
		CHECK(face_object_intact(objects[i], n, tag));
		free(objects[i]);
		objects[i] = NULL;
	}
}

static void every_entry_point_says_ENOMEM_when_full(void)
{
	void *p = &p;

	errno = 0;
	CHECK(malloc(16 * MiB) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(calloc(16, MiB) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(realloc(NULL, 16 * MiB) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(realloc(objects[0], 16 * MiB) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(aligned_alloc(4096, 16 * MiB) == NULL && errno == ENOMEM);
	errno = 0;
	CHECK(memalign(4096, 16 * MiB) == NULL && errno == ENOMEM);
	CHECK(posix_memalign(&p, 4096, 16 * MiB) == ENOMEM && p == &p);
}

/* Sets a limit of 200 MB, of which the library, its table and libc leave at least half to the
 * program. */
static void full_and_empty_again_in_other_sizes(void)
{
	static const size_t sizes[] = {1 << 20, 1000, 40000, 2000, 5000, 300000, 1500, 1 << 20};
	void *p;

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		size_t n = sizes[s];
		size_t count = fill_up(n);
		CHECK_LE(96 * MiB, count * n);
		every_entry_point_says_ENOMEM_when_full();
		/* one freed, one had again */
		CHECK(face_object_intact(objects[count / 2], n, tag));
		free(objects[count / 2]);
		objects[count / 2] = malloc(n);
		CHECK(objects[count / 2] != NULL);
		face_object_fill(objects[count / 2], n, tag);
		/* every second freed: the holes are used, big ones also by smaller objects */
		check_and_free(0, count, 2, n);
		for (size_t i = 0; i < count; i += 2) {
			objects[i] = malloc(n / 2 > 32768 ? n / 2 + 1 : n);
			CHECK(objects[i] != NULL);
		}
		for (size_t i = 0; i < count; i += 2)
			free(objects[i]);
		check_and_free(1, count, 2, n);
		/* all freed: one big object fits where there were many small ones */
		p = malloc(24 * MiB);
		CHECK(p != NULL);
		memset(p, 1, 24 * MiB);
		free(p);
	}
}

static void a_failed_big_request_does_not_harm_small_ones(void)
{
	volatile size_t big = (size_t)1 << 30;

	for (int i = 0; i < 1000; i++) {
		void *p;
		errno = 0;
		CHECK(malloc(big) == NULL && errno == ENOMEM);
		p = malloc((size_t)i);
		CHECK(p != NULL && errno == ENOMEM);
		free(p);
	}
}

/* Programs like `true` need no more than this. */
static void a_small_program_runs(void)
{
	enum { N = 1000 };

	for (size_t i = 0; i < N; i++) {
		objects[i] = malloc(100);
		CHECK(objects[i] != NULL);
		face_object_fill(objects[i], 100, tag);
	}
	check_and_free(0, N, 1, 100);
	for (size_t n = 1; n <= 256 * KiB; n = n * 3 / 2 + 1) {
		char *p = calloc(1, n);
		CHECK(p != NULL);
		p = realloc(p, n / 2 + 1);
		CHECK(p != NULL && p[0] == 0);
		free(p);
	}
}

int main(int argc, char **argv)
{
	struct rlimit limit;

	CHECK(argc == 3);
	if (getenv("FACE_LIMITED") == NULL) {
		limit.rlim_cur = limit.rlim_max = (rlim_t)strtoull(argv[1], NULL, 10) * KiB;
		CHECK(setenv("FACE_LIMITED", "1", 1) == 0);
		CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
		(void)execv("/proc/self/exe", argv);
		check_fail(__FILE__, __LINE__, "exec");
	}
	CHECK(face_malloc_is_goalloc());
	max_objects = strcmp(argv[2], "full") == 0 ? 1 << 20 : 1000;
	objects = mmap(NULL, max_objects * sizeof(*objects), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(objects != MAP_FAILED);
	if (strcmp(argv[2], "full") == 0) {
		a_failed_big_request_does_not_harm_small_ones();
		full_and_empty_again_in_other_sizes();
	}
	a_small_program_runs();
	return 0;
}
