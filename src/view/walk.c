/* SPDX-License-Identifier: MIT */
/*
 * walk.c - tells what every page of a target's heap is used for.
 *
 * It finds what heapwalk.c finds in its own process. Bitmaps are copied before the page map, and
 * the page map before the records of spans. While the threads of a process run, a span may have
 * gone, or may be another one, by the time its record is copied: then the record does not fit the
 * page, and both are read again.
 *
 * Holds    every page is in one run. What does not fit after some tries is left out, and counted.
 */
#include "view/walk.h"
#include "view/room.h"

#include <stdlib.h>

#define TRIES 8
#define STATES_MOST (SPAN_MAX_SLOTS / 2 * TINY_SIZE)

/* The record of a span, with room for the states of any. */
union record {
	struct mspan span;
	char bytes[sizeof(struct mspan) + STATES_MOST + 2 * sizeof(any_word)];
};

/* The walk through one arena. */
struct walk {
	struct snapshot *sn;
	struct heap_arena arena;           /* a copy */
	uint64_t entries[ARENA_PAGES];     /* its part of the page map */
	uint32_t page;
	size_t pages_left;                 /* in this arena and in those behind it without a gap */
	struct snapshot_run span;          /* found last */
	size_t ahead;                      /* its pages from page on */
	union record record;
};

/* --- one span --- */

static bool fits_small(const struct mspan *s, spanclass_t sc)
{
	bool tiny = sc == SPANCLASS_TINY;
	unsigned states = s->nelems * (tiny ? TINY_SIZE : 1u);

	return sc < NUM_SPAN_CLASSES && s->spanclass == sc &&
	       s->kind == (tiny ? SPAN_TINY : SPAN_SMALL) && s->npages != 0 &&
	       s->npages <= spanclass_max_npages(sc) &&
	       s->elemsize == spanclass_info(sc)->elemsize &&
	       s->nelems == spanclass_nelems(sc, s->npages) && states <= s->state_bytes &&
	       s->state_bytes <= STATES_MOST;
}

static bool fits(const struct walk *w, const struct mspan *s, spanclass_t sc, uintptr_t base)
{
	if (s->base != base)
		return false;
	if (sc != SPANCLASS_BIG)
		return fits_small(s, sc);
	return s->kind == SPAN_BIG && s->spanclass <= SPANCLASS_BIG_NOSCAN && s->npages != 0 &&
	       s->npages <= w->pages_left - w->page;
}

static bool read_bytes(struct snapshot *sn, bool again, uintptr_t addr, void *to, size_t nbytes)
{
	return again ? target_read_all(sn->target, addr, to, nbytes) :
		       copy_read(&sn->copy, addr, to, nbytes);
}

/* Returns the bytes of states that belong to the slots of a span. */
static size_t states_of(const struct mspan *s)
{
	return s->kind == SPAN_TINY ? (size_t)s->nelems * TINY_SIZE :
	       s->kind == SPAN_BIG  ? 1 :
				      s->nelems;
}

/* Keeps the span whose record was copied. */
static void keep_span(struct walk *w, uintptr_t record, spanclass_t sc, uintptr_t base)
{
	struct snapshot *sn = w->sn;
	struct mspan *s = &w->record.span;
	size_t n = states_of(s);

	w->span = (struct snapshot_run){ .record = record, .kind = s->kind };
	/* The word of a big object is no owner. Relaxed: it is a copy. */
	if (s->kind != SPAN_BIG)
		w->span.owner = atomic_load_explicit(&s->owner, memory_order_relaxed);
	heaprun_read_span(&w->span.run, s, sc, base);
	w->span.states_at = sn->nstates;
	for (size_t i = 0; i < n; i++) {
		sn->states = room_for_more(sn->states, sn->nstates, 1);
		sn->states[sn->nstates++] = slot_state(&s->state[i]);
	}
}

/* Returns whether the entry stands for the first page of a span. */
static bool begins_span(const struct walk *w, uint64_t entry)
{
	return entry != 0 && (entry >> 8 & 0xff) == 0 &&
	       (uintptr_t)entry_span(entry) != (uintptr_t)w->sn->root.dead;
}

/* Reads the span that begins at the current page. Returns false if none does. */
static bool read_span(struct walk *w)
{
	uintptr_t base = w->arena.base + w->page * PAGE_SIZE;
	uintptr_t entry_at = (uintptr_t)&w->arena.spans[w->page];
	uint64_t *entry = &w->entries[w->page];
	struct snapshot *sn = w->sn;
	unsigned tries = sn->target->is_core ? 1 : TRIES;
	bool readable = false;

	for (unsigned i = 0; i < tries && begins_span(w, *entry); i++) {
		uintptr_t record = (uintptr_t)entry_span(*entry);
		struct mspan *s = &w->record.span;

		zero_bytes(&w->record, sizeof(w->record));
		readable = read_bytes(sn, i != 0, record, s, sizeof(*s));
		if (readable && fits(w, s, entry_spanclass(*entry), base)) {
			readable = read_bytes(sn, i != 0, record + sizeof(*s),
					      w->record.bytes + sizeof(*s), states_of(s));
			if (readable) {
				keep_span(w, record, entry_spanclass(*entry), base);
				return true;
			}
		}
		if (i + 1 < tries &&
		    !target_read_all(sn->target, entry_at, entry, sizeof(*entry)))
			break;
	}
	if (begins_span(w, *entry)) {
		sn->ndamaged += readable;
		sn->nmissing += !readable;
	}
	*entry = 0;
	return false;
}

/* --- runs --- */

static enum run_use use_of_page(const struct walk *w, uint32_t page)
{
	const struct heap_arena *ha = &w->arena;
	uint32_t word = page / 64;

	if ((ha->committed_words[word / 64] >> word % 64 & 1) == 0)
		return RUN_NONE;
	if ((ha->alloc_bits[word] >> page % 64 & 1) != 0)
		return RUN_TAKEN;
	return (ha->clean_bits[word] >> page % 64 & 1) != 0 ? RUN_RELEASED : RUN_FREE;
}

static void add_run(struct walk *w, struct snapshot_run *r, uint32_t page, uint32_t npages)
{
	struct snapshot *sn = w->sn;

	r->run.page = page;
	r->run.npages = npages;
	r->base = w->arena.base + page * PAGE_SIZE;
	figures_add_run(&sn->stat, &r->run);
	sn->runs = room_for_more(sn->runs, sn->nruns, sizeof(*r));
	sn->runs[sn->nruns++] = *r;
}

/* Adds the next part of the span that was found last. */
static void take_ahead(struct walk *w, bool first)
{
	struct snapshot_run r = w->span;
	uint32_t npages = (uint32_t)min_size(w->ahead, ARENA_PAGES - w->page);

	r.run.first = first;
	add_run(w, &r, w->page, npages);
	w->page += npages;
	w->ahead -= npages;
}

/* Adds the next run of the arena. */
static void next_run_of(struct walk *w)
{
	struct snapshot_run r = { .run.use = use_of_page(w, w->page) };
	uint32_t from = w->page;

	if (w->ahead != 0) {
		take_ahead(w, false);
		return;
	}
	while (w->page < ARENA_PAGES && use_of_page(w, w->page) == r.run.use) {
		if (r.run.use != RUN_NONE && begins_span(w, w->entries[w->page])) {
			if (read_span(w))
				break;
			continue;
		}
		w->page++;
	}
	if (w->page != from)
		add_run(w, &r, from, w->page - from);
	if (w->page == ARENA_PAGES || use_of_page(w, w->page) != r.run.use)
		return;
	w->ahead = w->span.run.span_npages;
	take_ahead(w, true);
}

/* --- arenas --- */

/* Copies the entries of those pages that may have one. */
static void read_entries(struct walk *w)
{
	const struct heap_arena *ha = &w->arena;

	for (uint32_t word = 0; word < ARENA_PAGES / 64; word++) {
		/* Relaxed: it is a copy. */
		uint64_t mapped = atomic_load_explicit(&ha->mapped_words[word / 64],
						       memory_order_relaxed);
		uint64_t *to = &w->entries[word * 64];

		zero_bytes(to, 64 * sizeof(*to));
		if ((mapped >> word % 64 & 1) != 0 &&
		    !target_read_all(w->sn->target, (uintptr_t)&ha->spans[word * 64], to,
				     64 * sizeof(*to)))
			w->sn->nmissing++;
	}
}

/* Copies an arena's record. Returns false if it makes no sense. */
static bool read_arena(struct walk *w, uintptr_t record, uint32_t idx)
{
	struct snapshot *sn = w->sn;

	if (!target_read_all(sn->target, record, &w->arena, sizeof(w->arena))) {
		sn->nmissing++;
		return false;
	}
	if (w->arena.base % ARENA_SIZE != 0 || w->arena.base == 0 ||
	    w->arena.base >> ADDR_BITS != 0 || w->arena.idx != idx || w->arena.spans == NULL) {
		sn->ndamaged++;
		return false;
	}
	return true;
}

static void walk_arena(struct walk *w)
{
	struct snapshot *sn = w->sn;
	struct snapshot_arena a = { .base = w->arena.base, .huge_regions = w->arena.huge_regions,
				    .first_run = sn->nruns };

	copy_bytes(a.committed_words, w->arena.committed_words, sizeof(a.committed_words));
	read_entries(w);
	for (w->page = 0; w->page < ARENA_PAGES;)
		next_run_of(w);
	a.nruns = sn->nruns - a.first_run;
	sn->arenas = room_for_more(sn->arenas, sn->narenas, sizeof(a));
	sn->arenas[sn->narenas++] = a;
	sn->stat.narenas++;
	sn->stat.huge_bytes += popcount64(a.huge_regions) * REGION_SIZE;
}

static int by_base(const void *a, const void *b)
{
	const struct snapshot_arena *x = a, *y = b;

	return x->base < y->base ? -1 : x->base > y->base;
}

/* Walks through the arenas of a list, of which some are NULL. */
static void walk_arenas(struct walk *w, const uintptr_t *records, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t last = i;

		if (records[i] == 0 || !read_arena(w, records[i], i)) {
			w->ahead = 0;
			continue;
		}
		while (last < n && records[last] != 0)
			last++;
		w->pages_left = (size_t)(last - i) * ARENA_PAGES;
		walk_arena(w);
	}
}

bool walk_heap(struct snapshot *sn)
{
	uintptr_t pages = (uintptr_t)sn->root.mheap + offsetof(struct mheap, pages);
	uint32_t narenas = 0;
	uintptr_t *records;
	struct walk *w;
	bool read = target_read_all(sn->target, pages + offsetof(struct pagealloc, narenas),
				    &narenas, sizeof(narenas));

	if (!read || narenas > MAX_ARENAS)
		return target_fail(sn->target, "the heap's own record %s",
				   read ? "is damaged" : "cannot be read");
	records = room_for(narenas, sizeof(*records));
	if (!target_read_all(sn->target, pages + offsetof(struct pagealloc, arenas), records,
			     narenas * sizeof(*records))) {
		free(records);
		return target_fail(sn->target, "the list of arenas cannot be read");
	}
	w = room_for(1, sizeof(*w));
	w->sn = sn;
	walk_arenas(w, records, narenas);
	qsort(sn->arenas, sn->narenas, sizeof(*sn->arenas), by_base);
	free(w);
	free(records);
	return true;
}
