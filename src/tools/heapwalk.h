/* SPDX-License-Identifier: MIT */
/*
 * heapwalk.h - what every page of the heap is used for, in the order of addresses. See heapwalk.c.
 *
 *	heapwalk_init(&w);
 *	while (heapwalk_arena(&w))
 *		while (heapwalk_run(&w, &r))
 *			...
 */
#ifndef GOALLOC_HEAPWALK_H
#define GOALLOC_HEAPWALK_H

#include "heap/mheap.h"

/* What a page is. Each page of an arena is in exactly one run of a walk. */
enum run_use {
	RUN_NONE,        /* not committed */
	RUN_RELEASED,    /* free, without memory behind it */
	RUN_FREE,        /* free, maybe with memory */
	RUN_TAKEN,       /* in no span, and not free: in a thread's page word, or on its way */
	RUN_SPAN,
};

/* How full a span is, by the states of its slots at one look. */
struct span_fill {
	uint32_t objects;    /* live; of a tiny span more than slots */
	uint32_t slots;      /* that hold a live object */
	uint32_t pinned;     /* slots of a tiny span that hold none, and are in a cache */
	uint32_t nbytes;     /* of a tiny span: of the objects themselves */
};

/* Pages in a row, of one use. A span that lies in two arenas is a run in each. */
struct heap_run {
	enum run_use use;
	uint32_t page;           /* number in the arena */
	uint32_t npages;
	/* The rest of RUN_SPAN only, and of the whole span. */
	bool first;              /* the span begins with this run */
	spanclass_t spanclass;   /* 0 and 1: a big object */
	uintptr_t base;          /* address */
	size_t span_npages;
	struct span_fill fill;   /* of a big object: objects and slots 1 or 0 */
};

/*
 * A walk. On the walker's stack.
 * Access: the walker
 */
struct heapwalk {
	const struct heap_arena *ha;               /* the arena that is walked */
	uint32_t next_arena;                       /* number */
	uint32_t page;                             /* in the arena: where the next run begins */
	size_t ahead;                              /* pages of the last span that come after page */
	struct heap_run span;                      /* that span */
	uint32_t huge_regions;                     /* of the arena, as the following: a moment's copy of what heap_arena has */
	uint64_t alloc_bits[ARENA_PAGES / 64];
	uint64_t clean_bits[ARENA_PAGES / 64];
	uint64_t committed_words[ARENA_PAGES / 64 / 64];
};

void heapwalk_init(struct heapwalk *w);

/* The next arena; false: there is none. Takes mheap.lock, for a copy of two bitmaps. */
bool heapwalk_arena(struct heapwalk *w);

/* The next run of the arena; false: that was the last. No lock. */
bool heapwalk_run(struct heapwalk *w, struct heap_run *r);

#endif
