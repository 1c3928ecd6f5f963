/* SPDX-License-Identifier: MIT */
/*
 * bigcache.c - the freed big objects that a thread keeps for its next requests.
 * See malloc.c for the overview.
 *
 * Owns     struct bigcache: lists by length, up to BIG_PAGES_ALONE pages. How much a cache may keep
 *          is decided in mcache.c, but for what a thread alone learns.
 * Locks    none: a bigcache belongs to one thread.
 * Holds    a kept object is in the page map, its state is free, and no one else can reach it. Lists
 *          change by one store at a time, so that a forked child can walk them.
 */
#include "heap/bigcache.h"

/* The kept objects of a list that a search looks at. */
#define TRIES 16

struct mspan *bigcache_take_longer(struct bigcache *bc, size_t npages, enum scan scan)
{
	for (size_t n = npages + 1; n <= bigcache_longest(npages); n++)
		if (bc->list[n] != NULL)
			return bigcache_unlink(bc, &bc->list[n], scan);
	return NULL;
}

struct mspan *bigcache_take(struct bigcache *bc, size_t npages, size_t align_pages,
			    enum scan scan)
{
	struct mspan **link;

	if (npages > BIG_PAGES_ALONE)
		return NULL;
	link = &bc->list[bigcache_list(npages)];
	for (unsigned i = 0; i < TRIES && *link != NULL; i++, link = &(*link)->next) {
		if ((*link)->npages != npages || (*link)->base % (align_pages * PAGE_SIZE) != 0)
			continue;
		bc->emptied |= bc->npages == npages;
		return bigcache_unlink(bc, link, scan);
	}
	return NULL;
}

/* Frees the first object of a list to the page word or the heap. */
static void free_first(struct bigcache *bc, struct pcache *pc, unsigned list)
{
	struct mspan *s = bc->list[list];

	bc->list[list] = s->next;
	bc->npages -= s->npages;
	mheap_free_span(pc, s);
}

/* Frees objects until at most npages are kept: one of each list in turn, so that some of every
 * length stay. */
static void evict(struct bigcache *bc, struct pcache *pc, uint32_t npages)
{
	while (bc->npages > npages) {
		if (bc->list[bc->hand] != NULL)
			free_first(bc, pc, bc->hand);
		bc->hand = (bc->hand + 1) % BIG_LISTS;
	}
}

bool bigcache_make_room(struct bigcache *bc, struct pcache *pc, uint32_t npages, uint32_t most)
{
	if (bc->npages + npages <= most)
		return true;
	bc->overflow = npages;
	if (npages <= most)
		evict(bc, pc, most - npages);
	return npages <= most;
}

void bigcache_missed(struct bigcache *bc, size_t npages)
{
	size_t overflow = bc->overflow;

	if (overflow == 0 || npages > BIG_PAGES_ALONE)
		return;
	bc->overflow = 0;
	/* A buffer that grows does not come back to the length of its last place. */
	if (npages <= max_size(overflow, BIG_CACHE_MAX_RUN))
		bc->most = (uint32_t)min_size(max_size(2 * (size_t)bc->most, npages),
					      BIG_PAGES_ALONE);
}

void bigcache_forget(struct bigcache *bc)
{
	bc->most = (uint32_t)max_size(bc->most / 2, BIG_PAGES_ALL);
}

void bigcache_tick(struct bigcache *bc, struct pcache *pc)
{
	if (!bc->emptied) {
		bigcache_flush(bc, pc);
		bigcache_forget(bc);
	}
	bc->overflow = 0;
	bc->emptied = false;
	bc->ticked = bc->frees;
}

void bigcache_flush(struct bigcache *bc, struct pcache *pc)
{
	for (unsigned n = 0; bc->npages != 0 && n < BIG_LISTS; n++)
		while (bc->list[n] != NULL)
			free_first(bc, pc, n);
}

void bigcache_adopt(struct bigcache *dead)
{
	for (unsigned n = 0; n < BIG_LISTS; n++) {
		struct mspan *s;

		while ((s = dead->list[n]) != NULL) {
			dead->list[n] = s->next;
			order_stores();
			/* The thread was gone before it had taken the object off the list. */
			if (slot_state(&s->state[0]) == SLOT_FREE)
				mheap_free_span(NULL, s);
		}
	}
	dead->npages = 0;
}
