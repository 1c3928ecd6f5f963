/* SPDX-License-Identifier: MIT */
/*
 * main.c - bench_count: repeats one operation of the fast paths N times and does nothing else.
 *
 * bench/check counts the instructions of a run under callgrind. The operation "idle" prints how
 * much anonymous memory the process has, for the cost of start-up. The library is in LD_PRELOAD.
 *
 * Holds    the instructions outside of the allocator, of the loop and of the calls through the PLT,
 *          are few and about the same in every operation.
 *
 * Exit status: 0; 1 if an allocation failed or /proc is missing; 2 for a wrong command line.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prng.h"
#include "sizes.h"

/* A function of C23, which glibc 2.36 lacks and the library under test has. */
extern void free_sized(void *p, size_t nbytes) __attribute__((weak));

enum { BULK = 500, MIX_MOST = 100000 };

static void must(const void *p)
{
	if (p == NULL)
		_Exit(1);
}

static void count_pair(size_t nbytes, unsigned long n)
{
	for (; n > 0; n--) {
		void *p = malloc(nbytes);

		must(p);
		free(p);
	}
}

static void count_sized(size_t nbytes, unsigned long n)
{
	for (; n > 0; n--) {
		void *p = malloc(nbytes);

		must(p);
		free_sized(p, nbytes);
	}
}

static void count_calloc(size_t nbytes, unsigned long n)
{
	for (; n > 0; n--) {
		void *p = calloc(1, nbytes);

		must(p);
		free(p);
	}
}

static void count_aligned(size_t nbytes, unsigned long n)
{
	for (; n > 0; n--) {
		void *p = aligned_alloc(64, nbytes);

		must(p);
		free(p);
	}
}

/* Resizes an object by one byte and back, within its slot. */
static void count_realloc(size_t nbytes, unsigned long n)
{
	void *p = malloc(nbytes);

	must(p);
	for (; n > 0; n--) {
		p = realloc(p, nbytes - n % 2);
		must(p);
	}
	free(p);
}

static void count_usable(size_t nbytes, unsigned long n)
{
	void *p = malloc(nbytes);

	must(p);
	for (; n > 0; n--)
		if (malloc_usable_size(p) < nbytes)
			_Exit(1);
	free(p);
}

/* Counts pairs as well, but BULK mallocs are followed by their frees. */
static void count_bulk(size_t nbytes, unsigned long n)
{
	static void *object[BULK];

	for (; n >= BULK; n -= BULK) {
		for (int i = 0; i < BULK; i++) {
			object[i] = malloc(nbytes);
			must(object[i]);
		}
		for (int i = 0; i < BULK; i++)
			free(object[i]);
	}
}

/* Keeps nlive objects of the usual sizes and replaces random ones, as the workload "mix" does. */
static void count_mix(size_t nlive, unsigned long n)
{
	static void *object[MIX_MOST];
	static struct sizes sizes;
	struct prng r = prng_seed(1);
	uint64_t nth = 0;

	if (nlive - 1 >= MIX_MOST)
		_Exit(2);
	sizes_usual(&sizes, 2);
	for (size_t i = 0; i < nlive; i++) {
		object[i] = malloc(sizes_at(&sizes, nth++));
		must(object[i]);
	}
	for (; n > 0; n--) {
		uint32_t i = prng_below(&r, (uint32_t)nlive);

		free(object[i]);
		object[i] = malloc(sizes_at(&sizes, nth++));
		must(object[i]);
	}
}

/* Prints RssAnon of /proc/self/status in KiB. The rest of RSS does not count, because how much of a
 * library's file is resident depends on the page cache. */
static void count_idle(size_t nbytes, unsigned long n)
{
	char line[128];
	unsigned long kib;
	FILE *f;

	count_pair(nbytes, n);
	f = fopen("/proc/self/status", "r");
	if (f == NULL)
		_Exit(1);
	while (fgets(line, sizeof line, f) != NULL)
		if (sscanf(line, "RssAnon: %lu", &kib) == 1) {
			printf("%lu\n", kib);
			fclose(f);
			return;
		}
	_Exit(1);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(size_t nbytes, unsigned long n);
	} ops[] = {
		{ "pair", count_pair },       { "sized", count_sized },
		{ "calloc", count_calloc },   { "aligned", count_aligned },
		{ "realloc", count_realloc }, { "usable", count_usable },
		{ "bulk", count_bulk },       { "mix", count_mix },
		{ "idle", count_idle },
	};

	for (size_t i = 0; argc == 4 && i < sizeof ops / sizeof ops[0]; i++) {
		if (strcmp(argv[1], ops[i].name) != 0)
			continue;
		if (ops[i].run == count_sized && free_sized == NULL)
			break;
		ops[i].run(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
		return 0;
	}
	fprintf(stderr,
		"usage: bench_count OPERATION BYTES N\n"
		"OPERATION is pair, sized, calloc, aligned, realloc, usable, bulk, mix or idle.\n"
		"BYTES of mix is how many objects live, at most 100000.\n");
	return 2;
}
