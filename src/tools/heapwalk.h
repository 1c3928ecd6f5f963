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

/* The use of a page. Each page of an arena is in exactly one run of a walk. */
enum run_use {
	RUN_NONE,        /* not committed */
	RUN_RELEASED,    /* free, without memory behind it */
	RUN_FREE,        /* free, maybe with memory */
	RUN_TAKEN,       /* in no span and not free: in a page word, or changing its use */
	RUN_SPAN,
};

/* How full a span is, by one look at the states of its slots. */
struct span_fill {
	uint32_t objects;    /* live; in a tiny span there may be more than slots */
	uint32_t slots;      /* with a live object */
	uint32_t pinned;     /* slots of a tiny span without a live object that a cache has */
	uint32_t nbytes;     /* of the objects in a tiny span */
	uint32_t released;   /* kernel pages of free slots that have no memory */
};

/* Consecutive pages of one use. A span in two arenas is a run in each. */
struct heap_run {
	enum run_use use;
	uint32_t page;           /* number in the arena */
	uint32_t npages;
	/* The rest is only for RUN_SPAN, and about the whole span. */
	bool first;              /* the span begins with this run */
	spanclass_t spanclass;   /* 0 and 1: a big object */
	uintptr_t base;          /* address */
	size_t span_npages;
	unsigned nelems;         /* slots of the span; 1 for a big object */
	struct span_fill fill;   /* of a big object: objects and slots 1 or 0 */
};

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
