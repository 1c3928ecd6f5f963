/* SPDX-License-Identifier: MIT */
/*
 * heapmap.h - a map of the heap: every page, by what it is used for. See heapmap.c, and heapsvg.c for the picture.
 */
#ifndef GOALLOC_HEAPMAP_H
#define GOALLOC_HEAPMAP_H

#include "tools/heapwalk.h"

/* Writes the map as a picture (SVG) or as text (UTF-8). Any thread; others run on, and each arena
 * is shown as it was at one moment. 0, or the errno of the write that failed; ENOMEM: there was no
 * memory for the map. Takes mheap.lock, for a copy of an arena's bitmaps, and what stat_read()
 * takes. */
int heapmap_write_or_errno(int fd, bool svg);

/* A file of this name is text: it ends with .txt. */
bool heapmap_is_text(const char *file);

/* --- for heapsvg.c --- */

/* What a cell shows: span classes by their number, and these. */
enum {
	KIND_FREE = NUM_SPAN_CLASSES,
	KIND_RELEASED,
	KIND_TAKEN,
	KIND_NONE,
	NUM_KINDS,
};

/* All that is shown of a kind. */
struct map_total {
	size_t npages;       /* count */
	size_t spans;        /* count, as all of these */
	size_t slots;
	size_t used;         /* slots that hold a live object */
};

/* A page of an arena. */
struct map_cell {
	uint8_t kind;
	uint8_t fill;        /* of 255, the share of slots in use of its span */
	bool first;          /* a span begins here */
};

/* One arena as it is drawn. */
struct map_arena {
	uintptr_t base;
	uint32_t huge_regions;
	uint32_t begin, end;                     /* pages, multiples of 64: none outside is committed */
	struct map_cell cells[ARENA_PAGES];
};

/* A kind of a run of a walk. */
unsigned map_kind(const struct heap_run *r);

/* The share of slots in use, of 255. */
uint8_t map_fill(const struct heap_run *r);

/* First and one past the last page of the arena's committed words; both 0 when there are none. */
void map_extent(const struct heapwalk *w, uint32_t *begin, uint32_t *end);

/* Adds a run to the totals of its kind. */
void map_add(struct map_total totals[NUM_KINDS], const struct heap_run *r);

/* The next run of the arena, cut off at page end; false: there is none before it. */
bool map_next(struct heapwalk *w, struct heap_run *r, uint32_t end);

/* Fills in the arena of the walk up to page end, and adds it to the totals. */
void map_paint(struct map_arena *a, struct heapwalk *w, uint32_t end, struct map_total totals[NUM_KINDS]);

/* Cells of n pages each in place of one: cell i stands for those from i * n on. It has the kind that most of them have, and is as
 * full as they are in the mean. */
void map_merge(struct map_cell *cells, size_t ncells, unsigned n);

/* heapsvg.c */
int heapsvg_write_or_errno(int fd);

#endif
