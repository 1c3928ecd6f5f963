/* SPDX-License-Identifier: MIT */
/*
 * growth.h - how the heap gets more pages. See growth.c.
 */
#ifndef GOALLOC_GROWTH_H
#define GOALLOC_GROWTH_H

#include "heap/pagemap.h"

/*
 * Access: [c] constant after growth_init  [h] mheap.lock  [a] atomic counter, stored under the lock
 */
struct growth {
	struct pagealloc *pages;      /* [c] what gets the pages */
	struct arena_space space;     /* [h] where they come from */
	_Atomic size_t committed;     /* [a] bytes of pages the heap has grown to */
};

/* Begins with no address space. Called once. */
void growth_init(struct growth *g, struct pagealloc *pages);

/* Grows the heap so that it has a run of npages, at its end if in_place. Returns false, with the
 * heap as before, when there is no memory. The lock is held. */
bool growth_extend_locked(struct growth *g, size_t npages, bool in_place);

/* Returns how many bytes of pages the heap has grown to. */
static inline size_t growth_bytes(const struct growth *g)
{
	/* Relaxed: exact under the lock, and a hint elsewhere. */
	return atomic_load_explicit(&g->committed, memory_order_relaxed);
}

/* Returns how many bytes the heap will have when it has grown by one more part: by a sixteenth, but
 * at least 2 MiB. What growth pays for is done once in a part. */
static inline size_t growth_next_part(size_t nbytes)
{
	return nbytes + max_size(nbytes / 16, MiB(2));
}

/* Returns how many free pages are at the end of the heap. Pages by which it grows continue them.
 * The lock is held. */
size_t growth_tail_locked(const struct growth *g);

/* Returns true if the heap asks for huge pages. A huge page takes memory for a whole region, also
 * where few pages of it are used. So a small heap does not ask, and no heap does near its memory
 * limit. The lock is held. */
bool growth_wants_huge_locked(const struct growth *g);

#endif
