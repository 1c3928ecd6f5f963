/* SPDX-License-Identifier: MIT */
/*
 * freestack.c - the places of a cache's free stacks: one that is not deep costs no memory page of
 * its own.
 * See malloc.c for the overview.
 *
 * Owns     the bounds of the stacks. What is on them belongs to mcache.c.
 * Locks    none: a cache belongs to one thread. Takes the metadata lock.
 * Holds    the top of a stack alone says in which of its two places the stack is.
 */
#include "heap/mcache.h"
#include "base/options.h"
#include "heap/partalloc.h"

static uint32_t first_bottom(spanclass_t sc)
{
	size_t i = (spanclass_scan(sc) == NOSCAN ? (size_t)NUM_SIZE_CLASSES : 0) + sc / 2u;

	return (uint32_t)(offsetof(struct mcache, first_stacks) +
			  (i * (1 + STACK_FIRST_ENTRIES) + 1) * sizeof(struct free_entry));
}

static uint32_t deep_bottom(const struct mcache *c, spanclass_t sc)
{
	return c->rest_at + (uint32_t)(offsetof(struct mcache_rest, deep_stacks) +
				       spanclass_info(sc)->stack_first * sizeof(struct free_entry));
}

uint32_t mcache_stack_bottom(const struct mcache *c, spanclass_t sc)
{
	uint32_t first = first_bottom(sc);

	return c->bins[sc].stack_top > first + STACK_FIRST_ENTRIES * sizeof(struct free_entry)
		       ? deep_bottom(c, sc)
		       : first;
}

void mcache_reset_stack(struct bin *b, spanclass_t sc)
{
	const struct sizeclass *info = spanclass_info(sc);
	/* With these options every free takes the slow path. */
	size_t entries = options.clobberfree || options.hardened || options.sbrk
				 ? 0
				 : min_size(info->stack_entries, STACK_FIRST_ENTRIES);

	if (mcaches_count() > STACK_DEEP_CACHES)
		entries = min_size(entries,
				   max_size(STACK_BYTES_MANY / max_size(info->elemsize, 1), 1));
	b->stack_bottom = first_bottom(sc);
	b->stack_limit = b->stack_bottom + (uint32_t)(entries * sizeof(struct free_entry));
	b->stack_grows = entries != 0 && info->stack_first != 0 && spanclass_scan(sc) == SCAN;
	b->stack_top = b->stack_bottom;
}

static bool commit_deep(struct mcache *c)
{
	if (!c->has_deep && c->rest_at != 0)
		c->has_deep = partalloc_commit(mcache_rest(c)->deep_stacks,
					       sizeof(mcache_rest(c)->deep_stacks));
	return c->has_deep;
}

void mcache_deepen_stack(struct mcache *c, spanclass_t sc)
{
	struct bin *b = &c->bins[sc];
	uint32_t nbytes = b->stack_top - b->stack_bottom;
	uint32_t bottom = deep_bottom(c, sc);

	b->stack_grows = false;
	if (!commit_deep(c))
		return;

	copy_bytes(stack_entry(c, bottom), stack_entry(c, b->stack_bottom), nbytes);
	/* A child forked here finds the stack in the one place or in the other. */
	order_stores();
	b->stack_top = bottom + nbytes;
	b->stack_bottom = bottom;
	b->stack_limit =
		bottom + spanclass_info(sc)->stack_entries * (uint32_t)sizeof(struct free_entry);
}
