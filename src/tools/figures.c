/* SPDX-License-Identifier: MIT */
/*
 * figures.c - the heap in figures: adds up what a reader finds, page by page and cache by cache.
 *
 * Owns     nothing: a snapshot belongs to its reader.
 * Holds    the equations in figures.h, whatever the threads of the heap do while it is read. Of two
 *          figures that make up a third, one is read and the other is the rest. A value that two
 *          looks could see differently is bounded by what was seen first.
 */
#include "tools/figures.h"

/* --- spans --- */

/* Returns the most bytes that an object of this class has beyond what malloc was asked for. */
static size_t most_rounding(unsigned class)
{
	unsigned before = class - 1;

	/* malloc has no objects of 24 bytes. */
	if (before > 1 && sizeclasses[before].elemsize % 16 != 0)
		before--;
	return sizeclasses[class].elemsize - sizeclasses[before].elemsize - 1;
}

static void add_big(struct stat_class *k, const struct heap_run *r)
{
	/* The parts in each arena are added, because the length of a span that is being resized is
	 * read once, and may be cut short. */
	size_t nbytes = r->npages * PAGE_SIZE;

	k->span_bytes += nbytes;
	if (r->fill.objects != 0)
		k->live_bytes += nbytes;
	else
		k->free_bytes += nbytes;
	if (!r->first)
		return;
	k->spans++;
	k->slots++;
	k->live += r->fill.objects;
	k->free_slots += 1 - r->fill.slots;
	k->rounding_max += r->fill.objects * (PAGE_SIZE - 1);
}

static void add_small(struct stat_class *k, const struct heap_run *r, size_t kernel_page)
{
	const struct sizeclass *info = spanclass_info(r->spanclass);
	size_t nbytes = r->span_npages * PAGE_SIZE;
	size_t room = (size_t)info->elemsize * r->nelems;
	size_t used = (size_t)r->fill.slots * info->elemsize;
	bool tiny = r->spanclass == SPANCLASS_TINY;

	if (!r->first)
		return;
	k->spans++;
	k->span_bytes += nbytes;
	k->live += r->fill.objects;
	k->slots += r->nelems;
	k->free_slots += r->nelems - r->fill.slots;
	if (r->spanclass == SPANCLASS_ZERO) {
		/* Objects of no bytes lie in pages that cannot be touched. */
		k->tail_bytes += nbytes;
		return;
	}
	k->live_bytes += tiny ? r->fill.nbytes : used;
	k->slack_bytes += tiny ? used - r->fill.nbytes : 0;
	k->free_bytes += room - used;
	k->tail_bytes += nbytes - room;
	/* The two were not read at the same moment. */
	k->drained_bytes += min_size(r->fill.released * kernel_page, nbytes - used);
	k->cached_bytes += (size_t)r->fill.pinned * TINY_SIZE;
	k->rounding_max += tiny ? 0 : r->fill.objects * most_rounding(r->spanclass >> 1);
}

static void add_span(struct stat_snapshot *st, const struct heap_run *r)
{
	struct stat_class *k = &st->classes[r->spanclass];

	if (r->spanclass >> 1 == 0)
		add_big(k, r);
	else
		add_small(k, r, st->kernel_page);
	if (r->fill.objects == 0)
		st->empty_bytes += r->npages * PAGE_SIZE;
}

void figures_add_run(struct stat_snapshot *st, const struct heap_run *r)
{
	size_t nbytes = r->npages * PAGE_SIZE;

	st->released_bytes += r->use == RUN_RELEASED ? nbytes : 0;
	st->free_bytes += r->use == RUN_FREE ? nbytes : 0;
	st->moving_bytes += r->use == RUN_TAKEN ? nbytes : 0;
	if (r->use == RUN_SPAN)
		add_span(st, r);
}

/* --- threads --- */

READS_OTHERS size_t figures_add_cache(struct stat_snapshot *st, const struct mcache *c)
{
	size_t kept = 0;

	st->held_bytes += popcount64(PEEK(c->pages.free)) * PAGE_SIZE;
	st->held_released_bytes += popcount64(PEEK(c->pages.clean)) * PAGE_SIZE;
	for (unsigned slot = 2; slot < NUM_BINS; slot++) {
		const struct bin *t = &c->bins[slot];
		unsigned sc = slot < NUM_SPAN_CLASSES
				      ? slot
				      : make_spanclass(slot - NUM_SPAN_CLASSES, SCAN);
		size_t top = PEEK(t->stack_top), bottom = PEEK(t->stack_bottom);
		size_t n = top > bottom ? (top - bottom) / sizeof(struct free_entry) : 0;

		/* Tiny blocks in caches were counted by their pins. */
		n += sc == SPANCLASS_TINY ? 0 : popcount64(PEEK(t->alloc_cache));
		n *= spanclass_info((spanclass_t)sc)->elemsize;
		st->classes[sc].cached_bytes += n;
		kept += n;
	}
	return kept;
}

void figures_fit_caches(struct stat_snapshot *st)
{
	st->held_bytes = min_size(st->held_bytes, st->moving_bytes);
	st->held_released_bytes = min_size(st->held_released_bytes, st->held_bytes);
	st->moving_bytes -= st->held_bytes;
}

void figures_set_metadata(struct stat_snapshot *st, size_t nbytes)
{
	size_t parts = st->spans.bytes + st->caches.bytes + st->arenas.bytes;

	/* Where threads run, the sum that a reader from outside finds may be the older one. */
	st->metadata_bytes = max_size(nbytes, parts);
	st->other_bytes = st->metadata_bytes - parts;
}

/* --- sums --- */

/* Sets what was allocated since counting began, which is never less than what is live. */
static void set_counts(struct stat_class *k, spanclass_t sc, const struct alloc_counts *counts)
{
	size_t each = sc == SPANCLASS_ZERO ? 0 : spanclass_info(sc)->elemsize;

	k->mallocs = counts->mallocs[sc];
	k->frees = k->mallocs - k->live;
	k->freed_bytes =
		sc > SPANCLASS_BIG_NOSCAN ? k->frees * each : counts->big_bytes[sc] - k->live_bytes;
	k->malloc_bytes = k->live_bytes + k->freed_bytes;
}

void figures_set_counts(struct stat_snapshot *st, const struct alloc_counts *counts)
{
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		set_counts(&st->classes[sc], (spanclass_t)sc, counts);
}

static void add_class(struct stat_class *sum, const struct stat_class *k)
{
	sum->spans += k->spans;
	sum->slots += k->slots;
	sum->live += k->live;
	sum->free_slots += k->free_slots;
	sum->span_bytes += k->span_bytes;
	sum->live_bytes += k->live_bytes;
	sum->slack_bytes += k->slack_bytes;
	sum->free_bytes += k->free_bytes;
	sum->cached_bytes += k->cached_bytes;
	sum->tail_bytes += k->tail_bytes;
	sum->drained_bytes += k->drained_bytes;
	sum->rounding_max += k->rounding_max;
	sum->mallocs += k->mallocs;
	sum->frees += k->frees;
	sum->malloc_bytes += k->malloc_bytes;
	sum->freed_bytes += k->freed_bytes;
}

void figures_sum_up(struct stat_snapshot *st)
{
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		struct stat_class *k = &st->classes[sc];

		k->cached_bytes = min_size(k->cached_bytes, k->free_bytes);
		add_class(&st->all, k);
		if (spanclass_scan((spanclass_t)sc) == NOSCAN)
			add_class(&st->noscan, k);
	}
	st->heap_bytes = st->all.span_bytes + st->free_bytes + st->released_bytes + st->held_bytes +
			 st->moving_bytes;
	st->sys_bytes = st->heap_bytes + st->metadata_bytes;
}
