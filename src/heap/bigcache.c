/* SPDX-License-Identifier: MIT */
/*
 * bigcache.c - the freed big objects that a thread keeps for its next requests.
 * See malloc.c for the overview.
 *
 * Owns     struct bigcache: a list for each length up to BIG_CACHE_MAX_RUN pages. How much a cache
 *          may keep is decided in mcache.c, but for what a thread alone learns.
 * Locks    none: a bigcache belongs to one thread.
 * Holds    a kept object is in the page map, its state is free, and no one else can reach it. Lists
 *          change by one store at a time, so that a forked child can walk them.
 */
#include "heap/bigcache.h"

/* The kept objects of one length that a search for an aligned one looks at. */
#define ALIGNED_TRIES 16

struct mspan *bigcache_take_aligned(struct bigcache *bc, size_t npages, size_t align_pages,
				    enum scan scan)
{
	struct mspan **link = &bc->list[min_size(npages, BIG_CACHE_MAX_RUN)];
	struct mspan *s;

	if (npages > BIG_CACHE_MAX_RUN)
		return NULL;
	for (unsigned i = 0; i < ALIGNED_TRIES && (s = *link) != NULL; i++, link = &s->next) {
		if (s->base % (align_pages * PAGE_SIZE) != 0)
			continue;
		*link = s->next;
		bc->npages -= (uint32_t)npages;
		s->spanclass = make_spanclass(0, scan);
		return s;
	}
	return NULL;
}

bool bigcache_make_room(struct bigcache *bc, struct pcache *pc, uint32_t npages, uint32_t most)
{
	if (npages > most)
		return false;
	if (bc->npages + npages > most) {
		bigcache_flush(bc, pc);
		bc->overflowed = true;
	}
	return true;
}

void bigcache_missed(struct bigcache *bc, size_t npages)
{
	if (!bc->overflowed || npages > BIG_CACHE_MAX_RUN)
		return;
	bc->overflowed = false;
	bc->most = (uint32_t)min_size(2 * (size_t)bc->most, BIG_PAGES_ALONE);
}

void bigcache_forget(struct bigcache *bc)
{
	bc->most = (uint32_t)max_size(bc->most / 2, BIG_PAGES_ALL);
}

void bigcache_flush(struct bigcache *bc, struct pcache *pc)
{
	for (unsigned n = 0; bc->npages != 0 && n <= BIG_CACHE_MAX_RUN; n++) {
		while (bc->list[n] != NULL) {
			struct mspan *s = bc->list[n];

			bc->list[n] = s->next;
			bc->npages -= n;
			mheap_free_span(pc, s);
		}
	}
}

void bigcache_adopt(struct bigcache *dead)
{
	for (unsigned n = 0; n <= BIG_CACHE_MAX_RUN; n++) {
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
