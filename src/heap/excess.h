/* SPDX-License-Identifier: MIT */
/*
 * excess.h - how many dirty pages the heap may keep. See excess.c.
 */
#ifndef GOALLOC_EXCESS_H
#define GOALLOC_EXCESS_H

#include "base/config.h"

/*
 * All counts are in pages.
 * Access: [h] mheap.lock
 */
struct excess {
	size_t credit;           /* [h] what the heap may keep beside its share */
	size_t released;         /* [h] released for the cap lately, and not taken again */
	size_t low;              /* [h] the least number of dirty pages since aged_ms */
	size_t top;              /* [h] the most pages in use since aged_ms */
	size_t bottom;           /* [h] the least pages in use since the last rise */
	size_t depth;            /* [h] the least bottom from which the program rose since
				  * aged_ms; SIZE_MAX: there was no such rise */
	size_t depth_before;     /* [h] depth of the decay time before */
	uint64_t aged_ms;        /* [h] when the figures above were last aged */
};

/* What the heap has at this moment. */
struct excess_figures {
	size_t dirty;            /* dirty pages */
	size_t inuse;            /* pages in spans and page words */
	uint64_t now_ms;         /* the time */
	uint32_t decay_ms;       /* the decay time */
};

/* Begins with the first credit. Called once. */
void excess_init(struct excess *x, uint64_t now_ms);

/* Notes that pages were freed. Returns true if excess_freed() is to be asked. It does not need the
 * time. */
bool excess_note_freed(struct excess *x, const struct excess_figures *f);

/* Returns how many dirty pages are to be released now, 0 for none. The caller asks when pages were
 * freed. */
size_t excess_freed(struct excess *x, const struct excess_figures *f);

/* Returns how many dirty pages are to be released because an object took nfresh pages that were
 * never used, 0 for none. */
size_t excess_grown(struct excess *x, size_t nfresh, const struct excess_figures *f);

/* Notes that npages were released because one of the functions above wanted so many. If most of
 * them could not be released, the next attempt comes when there are more. */
void excess_released(struct excess *x, size_t wanted, size_t npages);

/* Returns true if excess_taken() is to be told of the pages. */
static inline bool excess_has_released(const struct excess *x)
{
	return x->released != 0;
}

/* Notes that pages were taken. nclean of them were clean, and had been used before: the time is
 * needed if there are such. */
void excess_taken(struct excess *x, size_t nclean, const struct excess_figures *f);

#endif
