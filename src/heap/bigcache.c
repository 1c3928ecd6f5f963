/* SPDX-License-Identifier: MIT */
/*
 * bigcache.c - the freed big objects that a thread keeps for its next requests.
 * See malloc.c for the overview.
 *
 * Owns     struct bigcache: lists by length, up to BIG_PAGES_ALONE pages. cachecap.c decides how
 *          much a cache may keep. Here a thread alone learns how much that is worth.
 * Locks    none: a bigcache belongs to one thread.
 * Holds    a kept object is in the page map, its state is free, its owner word names the cache that
 *          keeps it, and no other thread can reach it: mcache_check() tests that. Lists change by
 *          one store at a time, so that a forked child can walk them.
 *
 * The thread that keeps an object is its home. When that thread takes the object and frees it
 * again, the owner word alone tells that the free is right, and no atomic read-modify-write is
 * needed. All other frees exchange the state: see big.c. If two threads free one object at the same
 * moment, the home may not see it. Then the object may be on the lists of two threads. The owner
 * word names one of them, and bigcache_unlink() of the other ends the process.
 */
#include "heap/bigcache.h"
#include "os/fatal.h"

/* The kept objects of a list that a search looks at. */
#define TRIES 16

void bigcache_freed_twice(const struct mspan *s)
{
	fatal_pointer("free", (void *)s->base, "double free");
}

void *bigcache_take_longer(struct bigcache *bc, size_t npages)
{
	for (size_t n = npages + 1; n <= bigcache_longest(npages); n++)
		if (bc->list[n].span != NULL)
			return bigcache_take_home(bc, &bc->list[n], (uint32_t)n, bc->home,
						  SLOT_RESIZED);
	return NULL;
}

/* Returns the link to a kept object of npages, or NULL. */
static struct mspan_link *find(struct bigcache *bc, size_t npages, size_t align_pages)
{
	struct mspan_link *link;

	if (npages > BIG_PAGES_ALONE)
		return NULL;
	link = &bc->list[bigcache_list(npages)];
	for (unsigned i = 0; i < TRIES && link->span != NULL; i++, link = &link->span->kept) {
		if (link->span->npages != npages || link->addr % (align_pages * PAGE_SIZE) != 0)
			continue;
		bc->emptied |= bigcache_npages(bc) == npages;
		return link;
	}
	return NULL;
}

void *bigcache_take_long(struct bigcache *bc, size_t npages)
{
	struct mspan_link *link = find(bc, npages, 1);

	return link == NULL ? NULL
			    : bigcache_take_home(bc, link, (uint32_t)npages, bc->home, SLOT_LIVE);
}

struct mspan *bigcache_take(struct bigcache *bc, size_t npages, size_t align_pages,
			    enum scan scan)
{
	struct mspan_link *link = find(bc, npages, align_pages);
	struct mspan *s;

	if (link == NULL)
		return NULL;
	s = link->span;
	bigcache_unlink(link, bc->home, 0);
	bc->sum -= s->npages;
	s->spanclass = make_spanclass(0, scan);
	return s;
}

void bigcache_keep(struct bigcache *bc, struct mspan *s)
{
	bc->sum += s->npages;
	bc->room += s->npages;
	(void)bigcache_keep_in_room(bc, s);
	bc->freed = true;
}

bool bigcache_keep_in_room(struct bigcache *bc, struct mspan *s)
{
	if (!bigcache_may_keep(s) || !bigcache_has_room(bc, s->npages))
		return false;
	bc->room -= s->npages;
	s->keep_list = (uint16_t)bigcache_list(s->npages);
	bigcache_push(bc, s, s->base, bc->home);
	return true;
}

void bigcache_set_room(struct bigcache *bc, uint32_t npages, uint32_t refills)
{
	bc->sum = bigcache_npages(bc) + npages;
	bc->room = npages;
	bc->taken = 0;
	bc->refills = refills;
}

/* Frees the first object of a list to the page word or the heap. */
static void free_first(struct bigcache *bc, struct pcache *pc, unsigned list)
{
	struct mspan *s = bc->list[list].span;

	bigcache_unlink(&bc->list[list], bc->home, 0);
	bc->sum -= s->npages;
	mheap_free_span(pc, s);
}

/* Frees objects until at most npages are kept: one of each list in turn, so that some of every
 * length stay. */
static void evict(struct bigcache *bc, struct pcache *pc, uint32_t npages)
{
	while (bigcache_npages(bc) > npages) {
		if (bc->list[bc->hand].span != NULL)
			free_first(bc, pc, bc->hand);
		bc->hand = (bc->hand + 1) % BIG_LISTS;
	}
}

bool bigcache_make_room(struct bigcache *bc, struct pcache *pc, uint32_t npages, uint32_t most)
{
	if (bigcache_npages(bc) + npages <= most)
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

/* Makes the thread forget half of what it has learnt. */
static void forget(struct bigcache *bc)
{
	bc->most = (uint32_t)max_size(bc->most / 2, BIG_PAGES_ALL);
}

void bigcache_init(struct bigcache *bc, uintptr_t home)
{
	bc->home = home;
	forget(bc);
}

void bigcache_tick(struct bigcache *bc, struct pcache *pc)
{
	if (!bc->emptied) {
		bigcache_flush(bc, pc);
		forget(bc);
	}
	bc->overflow = 0;
	bc->emptied = false;
	bc->freed = false;
	/* The next free looks, and notes that there was one. */
	bigcache_set_room(bc, 0, 0);
}

void bigcache_flush(struct bigcache *bc, struct pcache *pc)
{
	for (unsigned n = 0; bigcache_npages(bc) != 0 && n < BIG_LISTS; n++)
		while (bc->list[n].span != NULL)
			free_first(bc, pc, n);
}

void bigcache_adopt(struct bigcache *dead)
{
	for (unsigned n = 0; n < BIG_LISTS; n++) {
		struct mspan *s;

		while ((s = dead->list[n].span) != NULL) {
			dead->list[n].span = s->kept.span;
			order_stores();
			/* The thread was gone before it had taken the object off the list. */
			if (slot_state(&s->state[0]) == SLOT_FREE)
				mheap_free_span(NULL, s);
		}
	}
	dead->sum = dead->room = dead->taken = 0;
}
