/* SPDX-License-Identifier: MIT */
/*
 * textmap.h - a map of a heap as text. See textmap.c.
 *
 *	textmap_begin(map, ...);
 *	for each arena
 *		textmap_begin_arena(map, base);
 *		for each of its runs, which cover it
 *			textmap_add(map, r);
 *		textmap_end_arena(map);
 *	error = textmap_end_or_errno(map);
 */
#ifndef GOALLOC_TEXTMAP_H
#define GOALLOC_TEXTMAP_H

#include "os/out.h"
#include "tools/heaprun.h"

/* The kinds of cells: span classes by their number, and these. */
enum {
	KIND_FREE = NUM_SPAN_CLASSES,
	KIND_RELEASED,
	KIND_TAKEN,
	KIND_NONE,
	NUM_KINDS,
};

/* A cell of the map: a page of an arena, or some pages. */
struct map_cell {
	uint8_t kind;
	uint8_t fill;        /* share of its span's slots in use, of 255 */
};

/* An arena that is drawn. */
struct textmap_arena {
	uintptr_t base;
	uint32_t begin, end; /* all committed pages lie between; multiples of 64, or both 0 */
	struct map_cell cells[ARENA_PAGES];
};

/* The pages of each letter. */
struct textmap_letters {
	size_t npages[128];
};

/* A map that is being written. It begins with zeros, and is large for a stack. */
struct textmap {
	struct textmap_letters letters;
	struct textmap_arena arena;
	unsigned cell_pages;         /* that a letter stands for */
	struct out out;
};

/* Begins a map of a heap of nbytes. Its first line is the heading (heading.h). */
void textmap_begin(struct textmap *map, int fd, const char *heading, size_t nbytes);

/* Draw the arena at base, run by run. */
void textmap_begin_arena(struct textmap *map, uintptr_t base);
void textmap_add(struct textmap *map, const struct heap_run *r);
void textmap_end_arena(struct textmap *map);

/* Writes the legend. Returns 0, or the errno of a failed write. */
int textmap_end_or_errno(struct textmap *map);

/* Merges n cells into one: cell i then stands for n cells from i * n on. It gets the most frequent
 * kind, and the mean fill of the cells of that kind. */
void textmap_merge(struct map_cell *cells, size_t ncells, unsigned n);

#endif
