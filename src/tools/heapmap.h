/* SPDX-License-Identifier: MIT */
/*
 * heapmap.h - a map of the heap, with every page by its use. See heapmap.c.
 */
#ifndef GOALLOC_HEAPMAP_H
#define GOALLOC_HEAPMAP_H

#include "tools/heapwalk.h"

/* Writes the map as text (UTF-8). Other threads run on, and each arena is shown as it was at one
 * moment. Returns 0, the errno of a failed write, or ENOMEM. Takes mheap.lock to copy the bitmaps
 * of an arena, and the locks of stat_read(). */
int heapmap_write_or_errno(int fd);

/* --- for the tests --- */

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

/* Merges n cells into one: cell i then stands for n cells from i * n on. It gets the most frequent
 * kind, and the mean fill of the cells of that kind. */
void heapmap_merge(struct map_cell *cells, size_t ncells, unsigned n);

#endif
