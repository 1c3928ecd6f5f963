/* SPDX-License-Identifier: MIT */
/*
 * drain.c - gives back the kernel pages of a span in which all slots are free.
 * See malloc.c for the overview.
 *
 * A few live objects keep a whole span from going back to the heap. The kernel pages between them
 * go back here: after malloc_trim(), and when the span was not used for the decay time. Slots in
 * caches have no free bit, so their pages stay. The slots of a drained span are handed out as
 * before, and read as zero. hardened=1 expects that of free memory, but it does not find a write to
 * freed memory that was given back. With clobberfree=1 nothing is drained, because freed memory
 * keeps its fill.
 *
 * Owns     nothing.
 * Locks    mheap.lock, where regions of huge pages end. No lock is held while the kernel works.
 * Holds    a drained span has in `released` how many kernel pages of it have no memory, until one
 *          of its slots is handed out (mspan_begin_use()).
 */
#include "heap/drain.h"
#include "base/options.h"
#include "os/os.h"

/* What drain_span() has done. */
struct drained {
	unsigned npages;
	unsigned ncalls;
};

/* Releases the whole kernel pages from `from` to `to`. */
static void release_pages(uintptr_t from, uintptr_t to, struct drained *d)
{
	from = align_up(from, os_page_size());
	to = align_down(to, os_page_size());
	if (from >= to)
		return;
	/* First, because the kernel would make the region whole again. A span is in two at most. */
	if (mheap_has_huge_regions()) {
		scavenge_end_huge_region(&mheap.scavenger, from);
		scavenge_end_huge_region(&mheap.scavenger, to - 1);
	}
	d->ncalls++;
	if (os_drop((void *)from, to - from))
		d->npages += (unsigned)((to - from) / os_page_size());
}

unsigned drain_span(struct mspan *s)
{
	uintptr_t behind = s->base + mspan_nbytes(s);
	struct drained d = { 0, 0 };
	unsigned first = 0, end = 0;

	s->seen_nfree = s->nfree;
	if (s->spanclass == SPANCLASS_ZERO || options.clobberfree)
		return 0;
	for (; next_run(mspan_free_bits(s), s->nelems, &first, &end); first = end)
		release_pages(mspan_slot_addr(s, first),
			      end == s->nelems ? behind : mspan_slot_addr(s, end), &d);
	/* Behind the last slot there is nothing, but the pages may have been used before. */
	if (end != s->nelems)
		release_pages(mspan_slot_addr(s, s->nelems), behind, &d);
	mspan_set_released(s, d.npages);
	return d.ncalls;
}
