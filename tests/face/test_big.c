/* SPDX-License-Identifier: MIT */
/*
 * test_big.c - what objects with pages of their own cost: huge ones that are freed, calloc, realloc
 * that shrinks or grows, and large alignments. Each case looks at the resident size or at faults.
 *
 * Usage: test_big CASE; grown_again runs with a long decay time.
 */
#include "face.h"

#include <malloc.h>
#include <sys/resource.h>

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

/* Cuts large buffers to what was read into them, several at a time. */
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

/* Grows n buffers to `most` bytes in turn, by half of their length each time, and frees them. */
static void grow_in_turn(size_t n, size_t most)
{
	static char *v[10];
	size_t nbytes = 64, next;

	for (size_t i = 0; i < n; i++) {
		v[i] = malloc(nbytes);
		CHECK(v[i] != NULL);
		memset(v[i], (int)i, nbytes);
	}
	for (; nbytes < most; nbytes = next) {
		next = nbytes + nbytes / 2 < most ? nbytes + nbytes / 2 : most;
		for (size_t i = 0; i < n; i++) {
			v[i] = realloc(v[i], next);
			CHECK(v[i] != NULL && v[i][0] == (char)i && v[i][nbytes - 1] == (char)i);
			memset(v[i] + nbytes, (int)i, next - nbytes);
		}
	}
	for (size_t i = 0; i < n; i++) {
		for (size_t at = 0; at < most; at++)
			CHECK(v[i][at] == (char)i);
		free(v[i]);
	}
}

/* Places that growing buffers have left serve the next ones that grow. */
static void grown_in_turn(void)
{
	for (int round = 0; round < 25; round++)
		grow_in_turn(10, MiB);
	CHECK_LE(proc_status_bytes("VmHWM"), begin_rss + 10 * MiB * 2 + ROOM / 2);
}

static size_t count_faults(void)
{
	struct rusage usage;

	CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
	return (size_t)usage.ru_minflt;
}

/* Buffers that grow and are freed again and again have their memory from the time before. */
static void grown_again(void)
{
	size_t before;

	for (int round = 0; round < 10; round++)
		grow_in_turn(3, 3 * MiB);
	before = count_faults();
	for (int round = 0; round < 10; round++)
		grow_in_turn(3, 3 * MiB);
	CHECK_LE(count_faults() - before, 10 * 9 * MiB / 4096 / 4);
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
		{"grown_in_turn", grown_in_turn},
		{"grown_again", grown_again},
		{"aligned_64k", aligned_to_64_KiB},
		{"aligned_2m", aligned_to_2_MiB},
	};

	/* stdio has been used once before the first look */
	free(malloc(100000));
	(void)malloc_trim(0);
	begin_rss = proc_rss();
	return face_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
