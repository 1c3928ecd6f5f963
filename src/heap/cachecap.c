/* SPDX-License-Identifier: MIT */
/*
 * cachecap.c - how much one thread cache may keep.
 * See malloc.c for the overview.
 *
 *   free stacks      STACK_BYTES each. A thread alone learns which may be deeper (freestack.c)
 *   partial spans    a share of what all threads may keep; without a bound in a thread alone
 *   spare spans      what the cache has learnt, up to its share
 *   big objects      a share; in a thread alone what it has learnt
 *   pages            one word (pcache.c)
 * Near a memory limit a cache may keep less.
 *
 * Owns     nothing.
 * Locks    none. The caller is the thread of the cache.
 */
#include "heap/mcache.h"
#include "heap/limit.h"
#include "base/options.h"

/* A thread that outlives others does not count as alone, because it would hoard what their
 * successors need. */
uint32_t mcache_share(uint32_t alone, uint32_t all, uint32_t least)
{
	uint32_t ncaches = mcaches_count();

	return ncaches <= 1 ? alone : (uint32_t)max_size(all / ncaches, least);
}

uint32_t mcache_max_partial(void)
{
	return mcache_share(UINT32_MAX / 2, PARTIAL_PAGES_ALL, PARTIAL_PAGES_MIN);
}

uint32_t mcache_max_big(const struct mcache *c)
{
	if (limit_get_state() == LIMIT_OVER)
		return 0;
	if (limit_get_state() != LIMIT_FAR)
		return mcache_share(BIG_PAGES_NEAR, BIG_PAGES_NEAR, BIG_PAGES_ALWAYS);
	return mcache_share(c->big.most, BIG_PAGES_ALL, BIG_PAGES_MIN);
}

uint32_t mcache_max_spare(const struct mcache *c)
{
	if (limit_get_state() != LIMIT_FAR)
		return 0;
	return (uint32_t)min_size(
		SPARE_PAGES_MIN + (size_t)c->spares.learnt,
		mcache_share(SPARE_PAGES_ALONE, SPARE_PAGES_ALL, SPARE_PAGES_MIN));
}

void mcache_admit_big(struct mcache *c, size_t npages, uint32_t most)
{
	size_t wanted = npages * (BIG_FREES_PER_LOOK - 1), room;

	if (options.hardened || options.clobberfree || options.sbrk) {
		bigcache_set_room(&c->big, 0, 0);
		return;
	}
	if (limit_bytes() != 0)
		most = BIG_PAGES_ALWAYS;
	room = most - min_size(most, bigcache_npages(&c->big));
	bigcache_set_room(&c->big, (uint32_t)min_size(room, wanted),
			  room < wanted && limit_bytes() == 0 ?
				  (uint32_t)(wanted / max_size(room, npages)) :
				  0);
}
