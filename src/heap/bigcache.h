/* SPDX-License-Identifier: MIT */
/*
 * bigcache.h - the freed big objects that a thread keeps for its next requests. See bigcache.c.
 */
#ifndef GOALLOC_BIGCACHE_H
#define GOALLOC_BIGCACHE_H

#include "heap/mheap.h"

/* The number of kept objects between two looks at whether a poll is due. */
#define BIG_FREES_PER_POLL 16

/*
 * Access: the thread that owns it
 */
struct bigcache {
	uint32_t npages;                                 /* pages of all kept objects */
	uint32_t frees;                                  /* counts */
	uint32_t most;                                   /* pages that the thread may keep if it is
							  * alone: BIG_PAGES_ALL, or learnt */
	uint32_t sure;                                   /* pages that it may keep without a look at
							  * its share: see free_big_slow() */
	uint32_t ticked;                                 /* frees at the last tick */
	bool emptied;                                    /* since then the thread has taken all that
							  * it kept: see free_big_slow() */
	uint32_t overflow;                               /* pages of an object that had no room;
							  * 0 when one was asked for since */
	uint32_t hand;                                   /* the list of the next object to go */
	struct mspan *list[BIG_LISTS];                   /* by length, linked by next */
};

/* Returns the list of objects of npages. Up to BIG_CACHE_MAX_RUN pages each length has its own, and
 * above that four of a doubling. */
static inline unsigned bigcache_list(size_t npages)
{
	unsigned log2;

	if (LIKELY(npages <= BIG_CACHE_MAX_RUN))
		return (unsigned)npages;
	log2 = 63 - clz64(npages);
	return BIG_CACHE_MAX_RUN + 1 + 4 * (log2 - BIG_CACHE_MAX_RUN_SHIFT) +
	       (npages >> (log2 - 2) & 3);
}

/* Takes an object off its list. */
static inline struct mspan *bigcache_unlink(struct bigcache *bc, struct mspan **link,
					    enum scan scan)
{
	struct mspan *s = *link;

	*link = s->next;
	bc->npages -= s->npages;
	s->spanclass = make_spanclass(0, scan);
	return s;
}

/* Returns a kept object of npages, at most BIG_CACHE_MAX_RUN, not zeroed, or NULL when there is
 * none. Its state is free: see mspan_set_big_live(). */
FAST_PATH struct mspan *bigcache_take_short(struct bigcache *bc, size_t npages, enum scan scan)
{
	return bc->list[npages] == NULL ? NULL : bigcache_unlink(bc, &bc->list[npages], scan);
}

/* Returns the length of the longest object that may serve a request for npages, at most
 * BIG_CACHE_MAX_RUN: it is longer by a quarter. */
static inline size_t bigcache_longest(size_t npages)
{
	return min_size(npages + npages / 4, BIG_CACHE_MAX_RUN);
}

/* Returns a kept object as bigcache_take_short() does, but one that is longer than npages. Its
 * state is to become SLOT_RESIZED: see mspan_set_big_resized(). */
struct mspan *bigcache_take_longer(struct bigcache *bc, size_t npages, enum scan scan);

/* Returns a kept object as bigcache_take_short() does, but of any length, and with an address that
 * is a multiple of align_pages pages, a power of two. Looks only at the objects of a list that were
 * freed last. */
struct mspan *bigcache_take(struct bigcache *bc, size_t npages, size_t align_pages,
			    enum scan scan);

/* Returns false for an object that no thread keeps, because realloc made it or made it longer: the
 * next object that grows begins at the heap, where there is room behind it. */
FAST_PATH bool bigcache_may_keep(const struct mspan *s)
{
	DCHECK(s->grown || !s->moved);
	return !s->grown;
}

/* Keeps an object whose state is free. */
FAST_PATH void bigcache_keep(struct bigcache *bc, struct mspan *s)
{
	struct mspan **list = &bc->list[bigcache_list(s->npages)];

	s->next = *list;
	*list = s;
	bc->npages += s->npages;
	bc->frees++;
}

/* Keeps an object whose state is free, unless the thread must look first: at its share, or at the
 * clock, as it does once in BIG_FREES_PER_POLL objects. */
FAST_PATH bool bigcache_keep_fast(struct bigcache *bc, struct mspan *s)
{
	if (UNLIKELY(bc->frees % BIG_FREES_PER_POLL == 0) || !bigcache_may_keep(s) ||
	    bc->npages + s->npages > bc->sure)
		return false;
	bigcache_keep(bc, s);
	return true;
}

/* Makes room for npages where `most` may be kept: frees as many objects as need be. Returns false
 * when npages are too many. */
bool bigcache_make_room(struct bigcache *bc, struct pcache *pc, uint32_t npages, uint32_t most);

/* Notes that an object of npages was asked for and none was kept. A thread that frees many objects
 * and asks for as many again may keep more of them from then on. */
void bigcache_missed(struct bigcache *bc, size_t npages);

/* Makes the thread forget half of what it has learnt. Sets up a new cache, too. */
void bigcache_forget(struct bigcache *bc);

/* Frees the kept objects, and makes the thread forget, unless it has taken all that it kept since
 * the last tick. */
void bigcache_tick(struct bigcache *bc, struct pcache *pc);

/* Frees all kept objects to the page word or the heap. */
void bigcache_flush(struct bigcache *bc, struct pcache *pc);

/* Does the same to those of a thread that is gone, in a forked child or after a silent end. */
void bigcache_adopt(struct bigcache *dead);

#endif
