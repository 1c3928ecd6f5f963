/* SPDX-License-Identifier: MIT */
/*
 * bigcache.h - the freed big objects that a thread keeps for its next requests. See bigcache.c.
 */
#ifndef GOALLOC_BIGCACHE_H
#define GOALLOC_BIGCACHE_H

#include "heap/mheap.h"

/* A thread looks at the clock, and at how much it may keep, after it has kept about so many objects
 * of one length; after twice as many at most. Shorter objects behind a longer one may be more. */
#define BIG_FREES_PER_LOOK 64

/*
 * The kept pages are sum - room - taken. So a malloc and a free each change one of the three words.
 * Between two looks, see mcache_free_big(), a thread may keep `room` pages more. If that is too
 * little, the pages that malloc took become room again, `refills` times.
 * Access: the thread that owns it
 */
struct bigcache {
	uintptr_t home;                       /* const: owner word of its cache */
	uint32_t sum;                         /* pages kept, of the room, and taken together */
	uint32_t room;                        /* pages that may be kept before the next look */
	uint32_t taken;                       /* pages that malloc took since they were room */
	uint32_t refills;                     /* how often `taken` may become room */
	uint32_t most;                        /* pages that a thread alone may keep: BIG_PAGES_ALL,
					       * or what it has learnt */
	bool freed;                           /* an object was kept since the last tick */
	bool emptied;                         /* since then the thread has taken all it kept */
	uint32_t overflow;                    /* pages of an object that had no room; 0 when one was
					       * asked for since */
	uint32_t hand;                        /* the list of the next object to go */
	struct mspan_link list[BIG_LISTS];    /* by length, linked by kept */
};

/* Returns the pages of all kept objects. */
static inline uint32_t bigcache_npages(const struct bigcache *bc)
{
	return bc->sum - bc->room - bc->taken;
}

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

/* Ends the process, because an object on a list is not kept by it: two threads have freed it at the
 * same moment. */
_Noreturn void bigcache_freed_twice(const struct mspan *s);

/* Takes the object of a link off its list and gives it another owner word. */
FAST_PATH void bigcache_unlink(struct mspan_link *link, uintptr_t home, uintptr_t owner)
{
	struct mspan *s = link->span;

	if (UNLIKELY(mspan_owner_relaxed(s) != home + SPAN_KEPT))
		bigcache_freed_twice(s);
	mspan_link_set(link, s->kept.span, s->kept.addr);
	/* Relaxed: see mspan_owner_relaxed(). */
	atomic_store_explicit(&s->owner, owner, memory_order_relaxed);
}

/* Makes the object of a link live, for malloc of the thread that owns bc, and returns its address.
 * state is SLOT_LIVE, or SLOT_RESIZED where the span is longer than a new span would be. */
FAST_PATH void *bigcache_take_home(struct bigcache *bc, struct mspan_link *link, uint32_t npages,
				   uintptr_t home, uint8_t state)
{
	struct mspan *s = link->span;
	uintptr_t addr = link->addr;

	bigcache_unlink(link, home, home + SPAN_HOME);
	bc->taken += npages;
	s->spanclass = SPANCLASS_BIG;
	HOLD_ADDRESS(addr);
	ASSUME(addr != 0);
	slot_set(&s->state[0], state);
	return (void *)addr;
}

/* Returns a kept object of npages, at most BIG_CACHE_MAX_RUN, as bigcache_take_home() does, or NULL
 * if there is none. home is bc->home. */
FAST_PATH void *bigcache_take_short(struct bigcache *bc, size_t npages, uintptr_t home)
{
	struct mspan_link *link = &bc->list[npages];

	return UNLIKELY(link->span == NULL) ?
		       NULL :
		       bigcache_take_home(bc, link, (uint32_t)npages, home, SLOT_LIVE);
}

/* Returns the length of the longest object that may serve a request for npages, at most
 * BIG_CACHE_MAX_RUN: it is longer by a quarter. */
static inline size_t bigcache_longest(size_t npages)
{
	return min_size(npages + npages / 4, BIG_CACHE_MAX_RUN);
}

/* Returns an object as bigcache_take_short() does, but one that is longer than npages. */
void *bigcache_take_longer(struct bigcache *bc, size_t npages);

/* Returns an object as bigcache_take_short() does, but of any length. Looks only at the objects of
 * a list that were freed last. */
void *bigcache_take_long(struct bigcache *bc, size_t npages);

/* Returns a kept object of npages, not zeroed, with an address that is a multiple of align_pages
 * pages, a power of two. Looks where bigcache_take_long() looks. Returns NULL if there is none. The
 * state of the object is free: see mspan_set_big_live(). */
struct mspan *bigcache_take(struct bigcache *bc, size_t npages, size_t align_pages,
			    enum scan scan);

/* Returns false for an object that no thread keeps, because realloc made it or made it longer: the
 * next object that grows begins at the heap, where there is room behind it. */
FAST_PATH bool bigcache_may_keep(const struct mspan *s)
{
	DCHECK(s->grown || !s->moved);
	return !s->grown;
}

/* Puts an object whose state is free on its list, s->keep_list. The link has its address addr, so
 * that malloc need not wait for the record. */
FAST_PATH void bigcache_push(struct bigcache *bc, struct mspan *s, uintptr_t addr,
			     uintptr_t home)
{
	struct mspan_link *list = &bc->list[s->keep_list];

	/* Relaxed: see mspan_owner_relaxed(). */
	atomic_store_explicit(&s->owner, home + SPAN_KEPT, memory_order_relaxed);
	mspan_link_set(&s->kept, list->span, list->addr);
	mspan_link_set(list, s, addr);
}

/* Returns true if the thread may keep npages more before it looks. Where the room is too small, the
 * pages that malloc took become room: with them no more is kept than the last look admitted. */
FAST_PATH bool bigcache_has_room(struct bigcache *bc, uint32_t npages)
{
	if (LIKELY(npages <= bc->room))
		return true;
	if (bc->refills == 0 || npages > bc->room + bc->taken)
		return false;
	bc->refills--;
	bc->room += bc->taken;
	bc->taken = 0;
	return true;
}

/* Frees a big object to its home, the thread that owns bc, unless the thread must look first.
 * Returns false if nothing was done. In a forked child that is not mended yet, the thread's own
 * cache is whole, too. */
FAST_PATH bool bigcache_free_home(struct bigcache *bc, struct mspan *s, uintptr_t addr,
				  uintptr_t home)
{
	uint32_t npages;

	if (UNLIKELY(mspan_owner_relaxed(s) != home + SPAN_HOME || s->base != addr))
		return false;
	npages = s->npages;
	if (UNLIKELY(!bigcache_has_room(bc, npages)))
		return false;
	bc->room -= npages;
	slot_set(&s->state[0], SLOT_FREE);
	/* Up to here: a leak check finds the live object by it. */
	HOLD_ADDRESS(addr);
	bigcache_push(bc, s, addr, home);
	return true;
}

/* Keeps an object whose state is free. */
void bigcache_keep(struct bigcache *bc, struct mspan *s);

/* Keeps an object whose state is free, unless the thread must look first. Returns false if nothing
 * was done. */
bool bigcache_keep_in_room(struct bigcache *bc, struct mspan *s);

/* Sets the pages that the thread may keep before it looks, and how often those that malloc takes
 * add to them. */
void bigcache_set_room(struct bigcache *bc, uint32_t npages, uint32_t refills);

/* Makes room for npages where `most` may be kept: frees as many objects as need be. Returns false
 * when npages are too many. */
bool bigcache_make_room(struct bigcache *bc, struct pcache *pc, uint32_t npages, uint32_t most);

/* Notes that an object of npages was asked for and none was kept. A thread that frees many objects
 * and asks for as many again may keep more of them from then on. */
void bigcache_missed(struct bigcache *bc, size_t npages);

/* Sets up the kept objects of a cache with this owner word. */
void bigcache_init(struct bigcache *bc, uintptr_t home);

/* Frees the kept objects, and makes the thread forget half of what it has learnt, unless it has
 * taken all that it kept since the last tick. */
void bigcache_tick(struct bigcache *bc, struct pcache *pc);

/* Frees all kept objects to the page word or the heap. */
void bigcache_flush(struct bigcache *bc, struct pcache *pc);

/* Does the same to those of a thread that is gone, in a forked child or after a silent end. */
void bigcache_adopt(struct bigcache *dead);

#endif
