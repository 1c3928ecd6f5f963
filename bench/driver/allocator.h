/* SPDX-License-Identifier: MIT */
/*
 * allocator.h - lists the allocators that are compared, which are the columns of the tables.
 *
 * Owns     the list, which allocators_find() fills once.
 * Holds    allocator 0 is glibc, without preload; allocator 1 is goalloc. A program that ran under
 *          each of the others had its malloc from their library. Without that check glibc might be
 *          measured under another name, because ld.so goes on without a library it cannot load.
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

/* Finds the allocators and probes each by running `workload`, which is bench_workload. A peer that
 * is missing is a line on stderr. A library of the command line that does not work is a line on
 * stderr and exit status 2. */
void allocators_find(struct allocators *a, const struct options *o, const char *workload);

#endif
