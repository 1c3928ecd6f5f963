/* SPDX-License-Identifier: MIT */
/*
 * dirtyruns.c - makes the pages of a new object read as zero where they do not yet.
 * See malloc.c for the overview.
 *
 * Clean pages need nothing: to clear them would only make the kernel give them memory. A dirty page
 * that is released and touched again costs about ten times what clearing it costs. So pages are
 * released only for an object so long that its memory goes back when it is freed, too.
 *
 * Locks    none of its own.
 */
#include "heap/dirtyruns.h"
#include "os/os.h"

/* A shorter run is cleared: the call to the system would cost more. */
#define DROP_RUN_PAGES 16

void dirty_runs_find(struct dirty_runs *d, const struct pagealloc *pa, uint64_t page,
		     size_t npages)
{
	size_t at = 0;

	d->n = 0;
	for (;;) {
		size_t n;

		at += pagealloc_clean_run(pa, page + at, npages - at);
		if (at == npages)
			return;
		n = pagealloc_dirty_run(pa, page + at, npages - at);
		if (d->n < DIRTY_RUNS)
			d->run[d->n++].first = (uint32_t)at;
		at += n;
		d->run[d->n - 1].npages = (uint32_t)at - d->run[d->n - 1].first;
	}
}

void dirty_runs_all(struct dirty_runs *d, size_t npages)
{
	d->n = 1;
	d->run[0].first = 0;
	d->run[0].npages = (uint32_t)npages;
}

static bool drop_run(void *p, size_t nbytes)
{
	return nbytes >= DROP_RUN_PAGES * PAGE_SIZE && os_is_whole_pages(p, nbytes) &&
	       os_drop(p, nbytes);
}

void dirty_runs_clear(const struct dirty_runs *d, uintptr_t base, size_t npages)
{
	for (unsigned i = 0; i < d->n; i++) {
		void *p = (void *)(base + d->run[i].first * PAGE_SIZE);
		size_t nbytes = d->run[i].npages * PAGE_SIZE;

		if (npages < HUGE_PAGES || !drop_run(p, nbytes))
			zero_bytes(p, nbytes);
	}
}
