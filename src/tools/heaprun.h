/* SPDX-License-Identifier: MIT */
/*
 * heaprun.h - pages of one use, and how full a span is. See heaprun.c.
 */
#ifndef GOALLOC_HEAPRUN_H
#define GOALLOC_HEAPRUN_H

#include "heap/mspan.h"

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

/* Sets *r, except for page and npages, to the span of a record, which begins at base and has this
 * span class by the page map. The record's owner may be changing it. */
void heaprun_read_span(struct heap_run *r, const struct mspan *s, spanclass_t sc, uintptr_t base);

#endif
