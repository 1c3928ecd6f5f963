/* SPDX-License-Identifier: MIT */
/*
 * dirtyruns.h - which of the pages for a new object do not read as zero. See dirtyruns.c.
 */
#ifndef GOALLOC_DIRTYRUNS_H
#define GOALLOC_DIRTYRUNS_H

#include "heap/pagealloc.h"

#define DIRTY_RUNS 16

/* The runs of dirty pages, lowest first, in pages from the object's base. If there are more than
 * DIRTY_RUNS, the last one goes on to the last dirty page. */
struct dirty_runs {
	unsigned n;
	struct {
		uint32_t first, npages;
	} run[DIRTY_RUNS];
};

/* Finds the dirty runs of pages that are free. The lock of the pages is held. */
void dirty_runs_find(struct dirty_runs *d, const struct pagealloc *pa, uint64_t page,
		     size_t npages);

/* Makes all of an object's npages one dirty run. */
void dirty_runs_all(struct dirty_runs *d, size_t npages);

/* Makes the runs of the object at base, of npages, read as zero. No lock is held. */
void dirty_runs_clear(const struct dirty_runs *d, uintptr_t base, size_t npages);

#endif
