/* SPDX-License-Identifier: MIT */
/*
 * heapmap.h - a map of the heap, with every page by its use. See heapmap.c, and heapsvg.c for the
 * picture.
 */
#ifndef GOALLOC_HEAPMAP_H
#define GOALLOC_HEAPMAP_H

#include "tools/heapwalk.h"

/* Writes the map as a picture (SVG) or as text (UTF-8). Other threads run on, and each arena is
 * shown as it was at one moment. Returns 0, the errno of a failed write, or ENOMEM. Takes
 * mheap.lock to copy the bitmaps of an arena, and the locks of stat_read(). */
int heapmap_write_or_errno(int fd, bool svg);

/* Returns whether a file of this name is text: it ends with .txt. */
bool heapmap_is_text(const char *file);

/* --- for heapsvg.c --- */

/* The kinds of cells: span classes by their number, and these. */
enum {
	KIND_FREE = NUM_SPAN_CLASSES,
	KIND_RELEASED,
	KIND_TAKEN,
	KIND_NONE,
	NUM_KINDS,
};

/* The totals of a kind. */
struct map_total {
	size_t npages;       /* count */
	size_t spans;        /* count */
	size_t slots;
	size_t used;         /* slots with a live object */
};

/* A cell of the map: a page of an arena, or some pages. */
struct map_cell {
	uint8_t kind;
	uint8_t fill;        /* share of its span's slots in use, of 255 */
	bool first;          /* a span begins here */
};

/* An arena that is drawn. */
struct map_arena {
	uintptr_t base;
	uint32_t huge_regions;
	uint32_t begin, end; /* all committed pages lie between; multiples of 64 */
	struct map_cell cells[ARENA_PAGES];
};

/* Returns the kind of a run. */
unsigned map_kind(const struct heap_run *r);

/* Returns the share of slots in use, of 255. */
uint8_t map_fill(const struct heap_run *r);

/* Sets the first page of the arena's committed words and the page behind the last; 0 and 0 for
 * none. */
void map_extent(const struct heapwalk *w, uint32_t *begin, uint32_t *end);

/* Adds a run to the totals of its kind. */
void map_add(struct map_total totals[NUM_KINDS], const struct heap_run *r);

/* Sets *r to the next run of the arena, cut off at page end. Returns false if there is none before
 * it. */
bool map_next(struct heapwalk *w, struct heap_run *r, uint32_t end);

/* Fills in *a from the arena of the walk up to page end, and adds it to the totals. */
void map_paint(struct map_arena *a, struct heapwalk *w, uint32_t end,
	       struct map_total totals[NUM_KINDS]);

/* Merges n cells into one: cell i then stands for n cells from i * n on. It gets the most frequent
 * kind, and the mean fill of the cells of that kind. */
void map_merge(struct map_cell *cells, size_t ncells, unsigned n);

/* Writes the map as a picture. Returns 0, the errno of a failed write, or ENOMEM. In heapsvg.c. */
int heapsvg_write_or_errno(int fd);

#endif
