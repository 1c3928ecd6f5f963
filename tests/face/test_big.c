/* SPDX-License-Identifier: MIT */
/*
 * test_big.c - what objects with pages of their own cost: huge ones that are freed, calloc, realloc
 * that shrinks, and large alignments. Each case looks at the resident size.
 *
 * Usage: test_big CASE
 */
#include "face.h"

#include <malloc.h>

#define ROOM (8 * MiB)

static size_t begin_rss;

static void touch(char *p, size_t nbytes)
{
	for (size_t i = 0; i < nbytes; i += 4096)
		p[i] = 1;
}

/* A huge object is gone when it is freed, without anything else being called. */
static void huge_ones_go_back(void)
{
	for (size_t nbytes = 32 * MiB; nbytes <= 256 * MiB; nbytes += 37 * MiB) {
		char *p = malloc(nbytes), *q;

		CHECK(p != NULL);
		touch(p, nbytes);
		CHECK_LE(begin_rss + nbytes / 10 * 9, proc_rss());
		q = realloc(p, nbytes + 100 * MiB);
		CHECK(q != NULL);
		touch(q, nbytes + 100 * MiB);
		free(q);
		CHECK_LE(proc_rss(), begin_rss + ROOM);
	}
}

/* Only the touched pages of a huge object of calloc have memory, although its pages were used
 * before. */
static void calloc_touches_nothing(void)
{
	enum { N = 200000 };
	static void *v[N];

	for (int round = 0; round < 3; round++) {
		char *p;
		size_t before;

		for (int i = 0; i < N; i++) {
			v[i] = malloc(500);
			CHECK(v[i] != NULL);
			memset(v[i], 1, 500);
		}
		for (int i = 0; i < N; i++)
			free(v[i]);
		before = proc_rss();
		p = calloc(4, 20 * MiB);
		CHECK(p != NULL);
		for (size_t i = 0; i < 80 * MiB; i += MiB)
			p[i] = 1;
		CHECK_LE(proc_rss(), before + ROOM / 2);
		for (size_t i = 0; i < 80 * MiB; i++)
			CHECK(p[i] == (i % MiB == 0));
		free(p);
	}
	CHECK_LE(proc_rss(), begin_rss + 32 * MiB);
}

/* Large buffers that are cut to what was read into them, several at a time. */
static void cut_buffers(size_t nbytes, size_t most)
{
	enum { N = 3000, FLIGHT = 8 };
	static char *v[N];
	size_t live = 0;
	uint64_t rng = 7;

	for (int i = 0; i < N + FLIGHT; i++) {
		if (i >= FLIGHT) {
			size_t n = most / 4 + rng_next(&rng) % (most / 4 * 3);

			live += n;
			v[i - FLIGHT] = realloc(v[i - FLIGHT], n);
			CHECK(v[i - FLIGHT] != NULL && v[i - FLIGHT][n - 1] == 1);
		}
		if (i < N) {
			v[i] = malloc(nbytes);
			CHECK(v[i] != NULL);
			memset(v[i], 1, nbytes);
		}
	}
	CHECK_LE(proc_rss(), begin_rss + live / 10 * 13 + ROOM + FLIGHT * nbytes);
	for (int i = 0; i < N; i++)
		free(v[i]);
}

static void shrunk_to_small(void)
{
	cut_buffers(64 * KiB, 16 * KiB);
}

static void shrunk_to_big(void)
{
	cut_buffers(256 * KiB, 100 * KiB);
}

static void churn_aligned(size_t align, size_t n, bool beside)
{
	static char *v[1000];
	uint64_t rng = 11;
	size_t stays = 0;

	for (size_t i = 0; i < 25 * n; i++) {
		size_t k = rng_next(&rng) % n;
		size_t nbytes = 3000 + rng_next(&rng) % 60000;
		void *p, *q = beside ? malloc(nbytes) : NULL;

		free(v[k]);
		CHECK(posix_memalign(&p, align, align) == 0 && (uintptr_t)p % align == 0);
		touch(p, align);
		v[k] = p;
		if (i % 7 != 0)
			free(q);
		else
			stays += nbytes;
	}
	CHECK_LE(proc_rss(), begin_rss + n * align / 10 * 11 + ROOM + stays);
	for (size_t k = 0; k < n; k++)
		free(v[k]);
}

static void aligned_to_64_KiB(void)
{
	churn_aligned(64 * KiB, 1000, false);
}

static void aligned_to_2_MiB(void)
{
	churn_aligned(2 * MiB, 60, true);
}

int main(int argc, char **argv)
{
	static const struct face_case cases[] = {
		{"huge", huge_ones_go_back},
		{"calloc", calloc_touches_nothing},
		{"shrunk_to_small", shrunk_to_small},
		{"shrunk_to_big", shrunk_to_big},
		{"aligned_64k", aligned_to_64_KiB},
		{"aligned_2m", aligned_to_2_MiB},
	};

	/* stdio has been used once before the first look */
	free(malloc(100000));
	(void)malloc_trim(0);
	begin_rss = proc_rss();
	return face_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
