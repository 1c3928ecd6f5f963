/* SPDX-License-Identifier: MIT */
/*
 * counted.c - the counted bins of a cache, from which malloc takes while allocations are counted.
 * See sample.c for what is counted.
 *
 * A counted bin has a stack and nothing else. Its objects come from the plain bin of its class, a
 * number of them at a time. The stacks are committed when the first objects come. Until then, and
 * where there is no memory for them, the bins have no room: every allocation takes the slow path,
 * which counts it alone.
 *
 * Owns     bins[] of a cache from NUM_SPAN_CLASSES on.
 * Locks    none: a cache belongs to one thread.
 * Holds    an object on a counted stack is free, and has been counted as allocated.
 */
#include "heap/mcache.h"
#include "heap/partalloc.h"

static uint32_t counted_entries(unsigned class)
{
	size_t n = COUNTED_BYTES / max_size(sizeclasses[class].elemsize, 1);

	return (uint32_t)min_size(max_size(n, COUNTED_LEAST), COUNTED_MOST);
}

void mcache_init_counted(struct mcache *c)
{
	c->has_counted = false;
	for (unsigned class = 0; class < NUM_SIZE_CLASSES; class++) {
		struct bin *b = &c->bins[COUNTED_BIN(class)];

		b->stack_top = b->stack_bottom = b->stack_limit = STACK_NOWHERE;
	}
}

/* Gives the counted bins room, if there is memory for it. */
static bool make_counted(struct mcache *c)
{
	uint32_t at = c->rest_at + (uint32_t)offsetof(struct mcache_rest, counted_stacks);
	uint32_t end = at + (uint32_t)sizeof(mcache_rest(c)->counted_stacks);

	if (c->has_counted)
		return true;
	if (c->rest_at == 0 || !partalloc_commit(mcache_rest(c)->counted_stacks, end - at))
		return false;

	for (unsigned class = 0; class < NUM_SIZE_CLASSES; class++) {
		struct bin *b = &c->bins[COUNTED_BIN(class)];

		b->elemsize = sizeclasses[class].elemsize;
		b->stack_bottom = at + ENTRY_NBYTES;
		/* A child forked here finds the stack empty: its top is below its bottom. */
		order_stores();
		b->stack_limit = b->stack_bottom +
				 counted_entries(class) * ENTRY_NBYTES;
		b->stack_top = b->stack_bottom;
		at = b->stack_limit;
	}
	CHECK(at == end);
	c->has_counted = true;
	return true;
}

/* Moves up to most objects from the bin b to the entries at e, which no other code sees yet. The
 * objects freed last come last. Returns how many it moved. */
static unsigned take_entries(struct mcache *c, struct bin *b, struct free_entry *e,
			     unsigned most)
{
	unsigned nstack = (unsigned)min_size(most, stack_depth(b));
	unsigned nword = (unsigned)min_size(most - nstack, popcount64(b->alloc_cache));
	uint32_t rest = b->stack_top - nstack * ENTRY_NBYTES;
	uint64_t bits = b->alloc_cache;

	/* The lowest address lies on top. */
	for (unsigned i = nword; i-- > 0; bits &= bits - 1)
		e[i] = (struct free_entry){ b->cache_base + ctz64(bits) * b->elemsize,
					    &b->cache_state[ctz64(bits)] };
	copy_bytes(e + nword, stack_entry(c, rest), nstack * ENTRY_NBYTES);
	b->alloc_cache = bits;
	b->stack_top = rest;
	return nword + nstack;
}

unsigned mcache_refill_counted(struct mcache *c, unsigned class, uint64_t most)
{
	spanclass_t sc = make_spanclass(class, SCAN);
	struct bin *from = &c->bins[sc];
	struct bin *to = &c->bins[COUNTED_BIN(class)];
	unsigned n;

	DCHECK(to->stack_top == to->stack_bottom);
	if (!make_counted(c))
		return 0;
	n = (to->stack_limit - to->stack_bottom) / ENTRY_NBYTES;
	/* A refill for few objects would come often, so the bin itself is refilled first. */
	if (stack_depth(from) < n / 2 && from->alloc_cache == 0 && !mcache_refill(c, sc, 0) &&
	    stack_depth(from) == 0)
		return 0;
	n = take_entries(c, from, stack_entry(c, to->stack_bottom), (unsigned)min_size(most, n));
	/* A child forked meanwhile does not find an object in both places. */
	order_stores();
	to->stack_top += n * ENTRY_NBYTES;
	c->counted.made.mallocs[sc] += n;
	return n;
}

void mcache_flush_counted(struct mcache *c)
{
	if (!c->has_counted)
		return;
	for (unsigned class = 1; class < NUM_SIZE_CLASSES; class++) {
		struct bin *b = &c->bins[COUNTED_BIN(class)];
		spanclass_t sc = make_spanclass(class, SCAN);

		while (b->stack_top > b->stack_bottom) {
			b->stack_top -= ENTRY_NBYTES;
			c->counted.made.mallocs[sc]--;
			c->counted.until_sample[sc] += b->elemsize;
			c->counted.until_guard[sc]++;
			mcache_return(c, stack_entry(c, b->stack_top)->addr, "free");
		}
	}
}

void mcache_check_counted(struct mcache *c)
{
	for (unsigned class = 1; class < NUM_SIZE_CLASSES; class++) {
		struct bin *b = &c->bins[COUNTED_BIN(class)];

		CHECK(b->alloc_cache == 0 && b->span == NULL && b->partial == NULL);
		CHECK(b->stack_top <= b->stack_limit &&
		      stack_entry(c, b->stack_bottom)[-1].addr == 0);
		for (uint32_t i = 0; i < stack_depth(b); i++)
			mcache_check_kept(c, stack_entry(c, b->stack_bottom)[i].addr);
	}
}
