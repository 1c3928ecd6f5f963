/* SPDX-License-Identifier: MIT */
/*
 * hugetrial.h - whether huge pages are worth asking for on this machine. See hugetrial.c.
 */
#ifndef GOALLOC_HUGETRIAL_H
#define GOALLOC_HUGETRIAL_H

#include "heap/arena.h"

/*
 * Access: [h] mheap.lock
 */
struct hugetrial {
	uint8_t recent;      /* [h] a bit for each of the last 8 regions: the touch was slow */
	uint32_t left;       /* [h] regions that do not ask before the next one does */
	uint32_t pause;      /* [h] what left began with; 0 while huge pages are cheap */
};

/* Returns true if the next region shall ask for a huge page. Counts the regions that do not. */
bool hugetrial_allows(struct hugetrial *t);

/* Returns true, and marks the region, if a region of the arena shall ask for a huge page of which
 * only word w of pages was just taken: the other pages are clean, small objects have half of the
 * region before it, and the trial allows it. The heap's lock is held. */
bool hugetrial_begin(struct hugetrial *t, struct heap_arena *ha, unsigned w);

/* Asks for a huge page for the region of addr, and touches the page at addr, which was never used
 * and is used next. Returns true if that was slow. Called without the lock. */
bool hugetrial_touch(uintptr_t addr);

/* Records whether the first touch of a region with a huge page was slow. */
void hugetrial_note(struct hugetrial *t, bool slow);

#endif
