/* SPDX-License-Identifier: MIT */
/*
 * cacheparts.c - the memory of a cache's record: how much there is, and giving it back.
 * See malloc.c for the overview.
 *
 * A record has the struct mcache, committed while a thread has the cache or may get it soon, and
 * behind it a struct mcache_rest of two parts. freestack.c commits the stack area, counted.c the
 * stacks of the counted bins, each when it is first needed.
 *
 * Owns     nothing. The flags has_area and has_counted are the cache's.
 * Locks    none of its own. Takes the metadata lock.
 * Holds    a cache is flushed before its parts are given back, so that no stack is in them.
 */
#include "heap/mcache.h"
#include "heap/partalloc.h"
#include "os/os.h"

READS_OTHERS size_t mcache_nbytes(const struct mcache *c)
{
	return sizeof(*c) +
	       (PEEK(c->has_area) ? sizeof(((struct mcache_rest *)NULL)->stack_area) : 0) +
	       (PEEK(c->has_counted) ? sizeof(((struct mcache_rest *)NULL)->counted_stacks) : 0);
}

void mcache_release_rest(struct mcache *c)
{
	uintptr_t rest = (uintptr_t)mcache_rest(c);
	size_t nbytes = c->has_counted ? sizeof(struct mcache_rest) :
					 offsetof(struct mcache_rest, counted_stacks);
	uintptr_t from = align_up(rest, os_page_size());
	uintptr_t to = align_down(rest + nbytes, os_page_size());

	if (c->has_area)
		(void)os_release((void *)from, to - from);
}

void mcache_uncommit(struct mcache *c)
{
	size_t of_rest = mcache_nbytes(c) - sizeof(*c);

	if (of_rest != 0)
		partalloc_uncommit(mcache_rest(c), sizeof(struct mcache_rest), of_rest);
	partalloc_uncommit(c, sizeof(*c), sizeof(*c));
}
