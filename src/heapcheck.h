/* SPDX-License-Identifier: MIT */
/*
 * heapcheck.h - walks the whole heap: for tests, and for the figures of mallinfo. See heapcheck.c.
 */
#ifndef GOALLOC_HEAPCHECK_H
#define GOALLOC_HEAPCHECK_H

#include "base.h"
#include "config.h"

/* Checks every invariant of every module; aborts with the broken one. The caller sees to it that no other
 * thread is in the heap. */
void heapcheck(void);

/* The heap in figures, all in bytes unless said otherwise. Of one moment only if the program stands still;
 * else every part is right for some moment of the walk. */
struct heap_stats {
	size_t mapped;              /* pages the heap has grown to */
	size_t free_pages;          /* of these, in no span, in the heap's bitmaps */
	size_t released;            /* of the free ones, without memory behind them */
	size_t span_bytes;          /* in spans */
	size_t live_bytes;          /* slots that hold a live object */
	size_t live_objects;        /* count */
	size_t big_bytes;           /* of live_bytes: big objects */
	size_t big_objects;         /* count */
	size_t noscan_bytes;        /* of live_bytes: in noscan spans */
	size_t metadata;            /* our own records, address space */
	size_t spans;               /* count */
	size_t threads;             /* caches in use, count */
	size_t class_live[NUM_SIZE_CLASSES];   /* live objects by size class, count */
	size_t class_spans[NUM_SIZE_CLASSES];  /* spans by size class, count */
};

void heap_stats_read(struct heap_stats *hs);

#endif
