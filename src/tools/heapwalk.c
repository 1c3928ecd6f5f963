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

/* --- one span --- */

/* Returns how many of the eight bytes are not 0. */
static unsigned count_bytes(uint64_t word)
{
	word |= word >> 4;
	word |= word >> 2;
	word |= word >> 1;
	return popcount64(word & UINT64_C(0x0101010101010101));
}

/* Returns eight state bytes at once. */
READS_OTHERS static uint64_t states_at(const struct mspan *s, unsigned i)
{
	return PEEK(*(const any_word *)(const void *)&s->state[i]);
}

/* Counts the live objects of a span. The room for states is whole words. Bytes behind the last
 * slot's state do not count, because the record may be another span's by now. */
static struct span_fill fill_of_small(const struct mspan *s, unsigned nelems)
{
	/* As in slot_is_live(). */
	const uint64_t live = (SLOT_LIVE | SLOT_RESIZED) * UINT64_C(0x0101010101010101);
	struct span_fill f = { 0, 0, 0, 0, 0 };

	for (unsigned i = 0; i < nelems; i += sizeof(any_word))
		f.objects += count_bytes(states_at(s, i) & live & low_mask64(8 * (nelems - i)));
	f.slots = f.objects;
	return f;
}

/* Adds the objects that start in eight bytes of a tiny block. */
static void add_tiny(struct span_fill *f, uint64_t states)
{
	for (; states != 0; states >>= 8) {
		uint8_t nbytes = (uint8_t)states;

		f->objects += nbytes != SLOT_FREE && nbytes <= TINY_SIZE;
		f->nbytes += nbytes <= TINY_SIZE ? nbytes : 0;
	}
}

static struct span_fill fill_of_tiny(const struct mspan *s, unsigned nelems)
{
	struct span_fill f = { 0, 0, 0, 0, 0 };

	for (unsigned slot = 0; slot < nelems; slot++) {
		uint64_t low = states_at(s, slot * TINY_SIZE);
		uint64_t high = states_at(s, slot * TINY_SIZE + TINY_SIZE / 2);
		uint32_t before = f.objects;

		add_tiny(&f, low);
		add_tiny(&f, high);
		f.slots += f.objects != before;
		/* The pin is the last byte. */
		f.pinned += f.objects == before && high >> 56 == TINY_PIN;
	}
	return f;
}

/* Reads fields of a record that its owner may be changing. */
READS_OTHERS static void read_big(const struct mspan *s, struct heap_run *r)
{
	r->spanclass = (spanclass_t)(PEEK(s->spanclass) & 1 ? SPANCLASS_BIG_NOSCAN : SPANCLASS_BIG);
	r->span_npages = PEEK(s->npages);
	/* The memory of the record was given back. */
	if (r->span_npages == 0)
		r->span_npages = 1;
}

/* Reads fields of a record that may be another span's by now. What it says about its length is
 * bounded by the class and by the room for states. */
READS_OTHERS static void read_small(const struct mspan *s, spanclass_t sc, struct heap_run *r)
{
	size_t npages = max_size(PEEK(s->npages), 1);
	unsigned room = PEEK(s->state_bytes);

	r->spanclass = sc;
	r->span_npages = min_size(npages, spanclass_max_npages(sc));
	r->nelems = spanclass_nelems(sc, r->span_npages);
	if (sc == SPANCLASS_TINY)
		r->fill = fill_of_tiny(s, (unsigned)min_size(r->nelems, room / TINY_SIZE));
	else
		r->fill = fill_of_small(s, (unsigned)min_size(r->nelems, room));
	r->fill.released = PEEK(s->released);
}

/* Reads the span that begins at the current page, by the page's entry. */
static void read_span(struct heapwalk *w, uint64_t entry)
{
	struct mspan *s = entry_span(entry);
	struct heap_run *r = &w->span;
	spanclass_t sc = entry_spanclass(entry);

	r->use = RUN_SPAN;
	r->base = w->ha->base + w->page * PAGE_SIZE;
	if (sc == SPANCLASS_BIG) {
		read_big(s, r);
		r->nelems = 1;
		r->fill = (struct span_fill){ 0, 0, 0, 0, 0 };
		r->fill.objects = slot_is_live(&s->state[0]);
		r->fill.slots = r->fill.objects;
		return;
	}
	read_small(s, sc, r);
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
	read_span(w, entry);
	w->ahead = w->span.span_npages;
	take_ahead(w, r, true);
	return true;
}
