/* SPDX-License-Identifier: MIT */
/*
 * heapwalk.h - tells what every page of the heap is used for, in the order of addresses. See
 * heapwalk.c.
 *
 *	heapwalk_init(&w);
 *	while (heapwalk_arena(&w))
 *		while (heapwalk_run(&w, &r))
 *			...
 */
#ifndef GOALLOC_HEAPWALK_H
#define GOALLOC_HEAPWALK_H

#include "heap/mheap.h"
#include "tools/heaprun.h"

/* A walk. It belongs to the walker. */
struct heapwalk {
	const struct heap_arena *ha;               /* the arena of the walk */
	uint32_t next_arena;                       /* number */
	uint32_t page; /* number in the arena, where the next run begins */
	size_t ahead;                              /* pages of the last span from page on */
	struct heap_run span;                      /* that span */
	uint32_t huge_regions;                     /* a copy of the arena's, as the following */
	uint64_t alloc_bits[ARENA_PAGES / 64];
	uint64_t clean_bits[ARENA_PAGES / 64];
	uint64_t committed_words[ARENA_PAGES / 64 / 64];
};

/* Begins a walk. */
void heapwalk_init(struct heapwalk *w);

/* Goes to the next arena. Returns false if there is none. Takes mheap.lock to copy the bitmaps. */
bool heapwalk_arena(struct heapwalk *w);

/* Sets *r to the next run of the arena. Returns false if there is none. Takes no lock. */
bool heapwalk_run(struct heapwalk *w, struct heap_run *r);

#endif
