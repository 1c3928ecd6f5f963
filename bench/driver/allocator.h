/* SPDX-License-Identifier: MIT */
/*
 * allocator.h - the columns of the bench: which allocators there are and which library each is.
 *
 * Owns     the list, built once by allocators_find().
 * Callers  main.c; results.c and what prints them read names and paths.
 * Holds    allocator 0 is glibc, without preload; allocator 1 is goalloc. Of each other one it has
 *          been seen that malloc comes from its library when it is preloaded: ld.so goes on
 *          without a library it cannot load, and glibc would be measured under its name.
 */
#ifndef BENCH_ALLOCATOR_H
#define BENCH_ALLOCATOR_H

#include <stddef.h>

#include "options.h"

#define MAX_NALLOCATORS   (2 + 4 + MAX_NWITH)
#define ALLOCATOR_GLIBC   0u
#define ALLOCATOR_GOALLOC 1u

struct allocator {
	const char *name;
	char *path;    /* file that malloc comes from */
	char *preload; /* value for LD_PRELOAD; NULL for glibc */
};

struct allocators {
	struct allocator at[MAX_NALLOCATORS];
	size_t count;
};

/* Finds and probes them, `workload` being bench_workload. Says on stderr which peer is missing; a
 * library named on the command line that does not work is one line on stderr and exit 2. */
void allocators_find(struct allocators *a, const struct options *o, const char *workload);

#endif
