/* SPDX-License-Identifier: MIT */
/*
 * freestack.c - the places of a cache's free stacks, and how deep the stacks may be.
 * See malloc.c for the overview.
 *
 * A stack gets its first place, which is in the cache, at the first free that needs it. When it is
 * full it moves to a place in the cache's stack area. Places lie one behind the other, in the order
 * in which they were taken, so that few stacks, or stacks that are not deep, touch few kernel
 * pages. All places are given up together, when the stacks are flushed.
 *
 * Where there are many threads a stack gets its first place later, after its bin has been refilled
 * twice. Until then a freed object goes back to its span. So a thread that only frees what it has
 * can give all its spans back: no free stack keeps one.
 *
 * A thread alone learns. Where a stack was emptied and is full again, it moves on to a place of
 * four times the entries. A program that frees many objects of a class, and asks for as many again,
 * is then served by the stack alone. While a deep stack stays where it is, it is spilled if the
 * heap is large (spill.c).
 *
 * Owns     the bounds of the stacks. mcache.c owns their entries.
 * Locks    none: a cache belongs to one thread. Takes the metadata lock.
 * Holds    below the bottom of a place lies an entry of address 0, so that the top of a stack alone
 *          leads to all its entries. No two places overlap while one of them has an entry.
 */
#include "heap/mcache.h"
#include "base/options.h"
#include "heap/limit.h"
#include "heap/partalloc.h"

/* Returns for how many entries the first place of a stack has room. */
static uint32_t first_room(spanclass_t sc)
{
	return (uint32_t)min_size(spanclass_info(sc)->stack_entries, STACK_FIRST_ENTRIES);
}

/* Returns how many entries a stack may have in its first place; 0 if no free puts an object there.
 * They may become more when there are fewer threads. */
static uint32_t first_entries(spanclass_t sc)
{
	const struct sizeclass *info = spanclass_info(sc);
	size_t entries = first_room(sc);

	/* With these options every free takes the slow path. */
	if (options.clobberfree || options.hardened || options.sbrk)
		return 0;
	if (mcaches_count() > STACK_DEEP_CACHES)
		entries = min_size(entries, STACK_BYTES_MANY / max_size(info->elemsize, 1));
	return (uint32_t)entries;
}

void mcache_reset_stack(struct bin *b, spanclass_t sc)
{
	bool many = mcaches_count() > STACK_DEEP_CACHES;

	b->stack_top = b->stack_bottom = b->stack_limit = STACK_NOWHERE;
	b->stack_growth = many ? STACK_RESTS_LONG : STACK_BEGINS;
	if (first_entries(sc) == 0)
		b->stack_growth = STACK_STAYS;
}

void mcache_rest_stack(struct bin *b)
{
	if (b->stack_bottom == STACK_NOWHERE)
		return;
	b->stack_limit = b->stack_bottom;
	b->stack_growth = STACK_RESTS;
}

void mcache_reset_places(struct mcache *c)
{
	/* A child forked here finds no stack in a place. */
	order_stores();
	c->first_entries = 1;
	c->area_entries = 0;
	c->learnt_nbytes = 0;
}

void mcache_begin_stack(struct mcache *c, spanclass_t sc)
{
	struct bin *b = &c->bins[sc];
	uint32_t entries = first_entries(sc);
	uint32_t bottom = b->stack_bottom;
	bool grows = spanclass_info(sc)->stack_entries > STACK_FIRST_ENTRIES &&
		     spanclass_scan(sc) == SCAN;

	b->stack_growth = grows ? STACK_GROWS : STACK_STAYS;
	if (bottom == STACK_NOWHERE) {
		bottom = (uint32_t)offsetof(struct mcache, first_stacks) +
			 (c->first_entries + 1) * ENTRY_NBYTES;
		c->first_entries += 1 + first_room(sc);
		DCHECK(c->first_entries * ENTRY_NBYTES <= sizeof(c->first_stacks));
		stack_entry(c, bottom)[-1].addr = 0;
	}
	/* A child forked here finds the stack empty, in its place or without one. */
	order_stores();
	b->stack_top = bottom;
	b->stack_bottom = bottom;
	b->stack_limit = bottom + entries * ENTRY_NBYTES;
}

bool mcache_must_unlearn(const struct mcache *c)
{
	return c->learnt_nbytes != 0 && (mcaches_count() > 1 || limit_get_state() != LIMIT_FAR);
}

/* Returns how many entries the next place of a stack has. Returns 0 if the stack stays in its
 * place. */
static uint32_t next_entries(const struct mcache *c, spanclass_t sc)
{
	const struct bin *b = &c->bins[sc];
	uint32_t usual = spanclass_info(sc)->stack_entries;
	uint32_t n = (b->stack_limit - b->stack_bottom) / ENTRY_NBYTES;
	uint32_t next = (uint32_t)min_size(4 * (size_t)n, STACK_MAX_ENTRIES);

	if (n < usual)
		return usual;
	if (mcaches_count() > 1 || limit_get_state() != LIMIT_FAR ||
	    c->learnt_nbytes + (next - n) * b->elemsize > STACK_LEARNT_BYTES)
		return 0;
	return next > n ? next : 0;
}

/* Takes a place of so many entries in the area, behind an entry of address 0. Returns its bottom.
 * Returns 0 if there is no room or no memory. */
static uint32_t take_place(struct mcache *c, uint32_t entries)
{
	uint32_t bottom = c->rest_at +
			  (uint32_t)offsetof(struct mcache_rest, stack_area) +
			  (c->area_entries + 1) * ENTRY_NBYTES;

	if (entries == 0 || c->area_entries + 1 + entries > STACK_AREA_ENTRIES)
		return 0;
	if (!c->has_area && c->rest_at != 0)
		c->has_area = partalloc_commit(mcache_rest(c)->stack_area,
					       sizeof(mcache_rest(c)->stack_area));
	if (!c->has_area)
		return 0;
	c->area_entries += 1 + entries;
	stack_entry(c, bottom)[-1].addr = 0;
	return bottom;
}

/* Returns what becomes of a stack when it is full in the place that it has now. moved: it has just
 * got that place. */
static uint8_t growth_in_place(const struct bin *b, bool moved)
{
	bool deep = b->stack_limit - b->stack_bottom >= SPILL_ENTRIES * ENTRY_NBYTES;

	if (deep && growth_bytes(&mheap.growth) >= SPILL_HEAP_BYTES)
		return STACK_SPILLS;
	/* The heap of a deep stack may be large the next time. */
	return deep || moved ? STACK_WAITS : STACK_STAYS;
}

void mcache_deepen_stack(struct mcache *c, spanclass_t sc)
{
	struct bin *b = &c->bins[sc];
	uint32_t nbytes = b->stack_top - b->stack_bottom;
	uint32_t entries = next_entries(c, sc);
	uint32_t bottom = take_place(c, entries);

	b->stack_growth = growth_in_place(b, false);
	if (bottom == 0)
		return;

	if (entries > spanclass_info(sc)->stack_entries)
		c->learnt_nbytes += (entries - nbytes / ENTRY_NBYTES) * b->elemsize;
	copy_bytes(stack_entry(c, bottom), stack_entry(c, b->stack_bottom), nbytes);
	/* A child forked here finds the stack in the one place or in the other. */
	order_stores();
	b->stack_top = bottom + nbytes;
	b->stack_bottom = bottom;
	b->stack_limit = bottom + entries * ENTRY_NBYTES;
	b->stack_growth = growth_in_place(b, true);
}
