/* SPDX-License-Identifier: MIT */
/*
 * cacheparts.c - the record of a cache: making one, how much memory it has, and giving that back.
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

/* With hardened=1 long spans come first: the more slots there are, the less an attacker knows of
 * where an object will be. */
uint8_t mcache_first_length(void)
{
	return options.hardened ? SPAN_LENGTHS - 1 : 0;
}

void mcache_init(struct mcache *c, struct mcache_rest *rest)
{
	c->rest_at = rest != NULL ? (uint32_t)((uintptr_t)rest - (uintptr_t)c) : 0;
	c->has_area = false;
	mcache_reset_places(c);
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		c->bins[sc].elemsize = spanclass_info((spanclass_t)sc)->elemsize;
		c->bins[sc].span_length = mcache_first_length();
		mcache_reset_stack(&c->bins[sc], (spanclass_t)sc);
	}
	mcache_init_counted(c);
	bigcache_init(&c->big, mcache_owner(c));
	c->review_sc = NUM_SPAN_CLASSES;
	c->tick_ms = c->poll_ms = c->idle_ms = os_now_ms();
}

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
