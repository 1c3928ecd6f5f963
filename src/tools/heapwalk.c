/* SPDX-License-Identifier: MIT */
/*
 * heapwalk.c - tells what every page of the heap is used for, without stopping any thread.
 *
 * Locks    mheap.lock, while the bitmaps of one arena are copied; none while its pages are looked
 *          at.
 * Holds    every page is in exactly one run, so sums over the runs add up whatever other threads
 *          do. The page map decides: a page with a span belongs to the span, whatever the copied
 *          bitmap says. The result is exact when the program is quiet. Span records are
 *          type-stable, so a stale record describes a span that was.
 */
#include "tools/heapwalk.h"

void heapwalk_init(struct heapwalk *w)
{
	w->ha = NULL;
	w->next_arena = 0;
	w->page = 0;
	w->ahead = 0;
}

bool heapwalk_arena(struct heapwalk *w)
{
	const struct heap_arena *before = w->ha;
	const struct heap_arena *ha = NULL;

	if (!mheap.ready)
		return false;
	lock_acquire(&mheap.lock);
	while (ha == NULL && w->next_arena < mheap.pages.narenas)
		ha = mheap.pages.arenas[w->next_arena++];
	if (ha != NULL) {
		w->huge_regions = ha->huge_regions;
		copy_bytes(w->alloc_bits, ha->alloc_bits, sizeof(w->alloc_bits));
		copy_bytes(w->clean_bits, ha->clean_bits, sizeof(w->clean_bits));
		copy_bytes(w->committed_words, ha->committed_words, sizeof(w->committed_words));
	}
	lock_release(&mheap.lock);
	/* A span reaches only into the arena that follows. Otherwise these are the remains of a
	 * span that changed. */
	if (ha == NULL || before == NULL || before->idx + 1 != ha->idx)
		w->ahead = 0;
	w->ha = ha;
	w->page = 0;
	return ha != NULL;
}

/* --- runs --- */

/* Returns the entry of the page if a span begins there, else 0. */
static uint64_t entry_of_page(const struct heapwalk *w, uint32_t page)
{
	/* Acquire: as in entry_of(). */
	uint64_t entry = atomic_load_explicit(&w->ha->spans[page], memory_order_acquire);

	/* This is a later page of a small span that was made after its first page was looked at. */
	if ((entry >> 8 & 0xff) != 0 || entry_span(entry) == &mspan_dead)
		return 0;
	return entry;
}

/* Returns whether any of these 64 pages may be in the page map. If not, the map's memory is not
 * touched. */
static bool may_have_spans(const struct heapwalk *w, uint32_t word)
{
	/* Relaxed: a bit that is set later belongs to a later span. */
	return (atomic_load_explicit(&w->ha->mapped_words[word / 64], memory_order_relaxed) >>
			word % 64 &
		1) != 0;
}

static enum run_use use_of_page(const struct heapwalk *w, uint32_t page)
{
	uint32_t word = page / 64;

	if ((w->committed_words[word / 64] >> word % 64 & 1) == 0)
		return RUN_NONE;
	if ((w->alloc_bits[word] >> page % 64 & 1) != 0)
		return RUN_TAKEN;
	return (w->clean_bits[word] >> page % 64 & 1) != 0 ? RUN_RELEASED : RUN_FREE;
}

/* Takes the next part of the span that was found last. */
static void take_ahead(struct heapwalk *w, struct heap_run *r, bool first)
{
	*r = w->span;
	r->first = first;
	r->page = w->page;
	r->npages = (uint32_t)min_size(w->ahead, ARENA_PAGES - w->page);
	w->page += r->npages;
	w->ahead -= r->npages;
}

bool heapwalk_run(struct heapwalk *w, struct heap_run *r)
{
	uint64_t entry = 0;

	if (w->page == ARENA_PAGES)
		return false;
	if (w->ahead != 0) {
		take_ahead(w, r, false);
		return true;
	}
	r->use = use_of_page(w, w->page);
	r->page = w->page;
	for (; w->page < ARENA_PAGES && use_of_page(w, w->page) == r->use; w->page++) {
		entry = r->use != RUN_NONE && may_have_spans(w, w->page / 64)
				? entry_of_page(w, w->page)
				: 0;
		if (entry != 0)
			break;
	}
	r->npages = w->page - r->page;
	if (r->npages != 0)
		return true;
	heaprun_read_span(&w->span, entry_span(entry), entry_spanclass(entry),
			  w->ha->base + w->page * PAGE_SIZE);
	w->ahead = w->span.span_npages;
	take_ahead(w, r, true);
	return true;
}
