/* SPDX-License-Identifier: MIT */
/*
 * spill.c - returns a part of a full free stack to the spans, in a large heap. See malloc.c for the
 * overview.
 *
 * The records of a large heap's spans are not in the processor's caches, so each slot that returns
 * to its span is a miss. The record's first line, which tells where the free bits are, was loaded
 * for the free itself. Where frees go from span to span, a full stack returns SPILL_ENTRIES entries
 * together: it asks for the free bits of all of them first, and waits once. Where frees stay in one
 * span, its record is at hand, and the slots return to it one by one.
 *
 * Owns     nothing. overflow_span and overflow_wanders are the cache's.
 * Locks    none: a cache belongs to one thread. Takes mcentral.lock, mheap.lock through mcache.c.
 * Holds    an entry leaves the stack before its slot is returned, as in mcache_flush_stack(). A
 *          slot that is on a stack keeps its span from being freed.
 */
#include "heap/mcache.h"
#include "heap/pagemap.h"

static uint32_t slot_of(const struct free_entry *e, const struct mspan *s)
{
	return (uint32_t)(e->state - s->state);
}

/* Asks for the free bits of the last entries of a stack. */
static void look_ahead(struct mcache *c, const struct bin *b)
{
	const struct free_entry *end = stack_entry(c, b->stack_top);

	for (const struct free_entry *e = end - SPILL_ENTRIES; e < end; e++) {
		struct mspan *s = span_of(e->addr);

		prefetch(&mspan_free_bits(s)[slot_of(e, s) / 64]);
	}
}

bool mcache_spill(struct mcache *c, const struct mspan *s, const char *func)
{
	struct bin *b = &c->bins[s->spanclass];
	bool wanders = s != c->overflow_span, wandered = c->overflow_wanders;
	uint32_t top = b->stack_top;

	DCHECK(top == b->stack_limit && stack_depth(b) >= SPILL_ENTRIES);
	c->overflow_span = s;
	c->overflow_wanders = wanders;
	if (!wanders || !wandered || (mspan_owner_relaxed(s) & ~SPAN_FULL) != mcache_owner(c))
		return false;

	look_ahead(c, b);
	/* A span that comes to be empty may lead to a flush of all stacks. */
	for (unsigned i = 0; i < SPILL_ENTRIES && b->stack_top == top; i++) {
		struct free_entry e;
		struct mspan *of;

		top -= ENTRY_NBYTES;
		b->stack_top = top;
		e = *stack_entry(c, top);
		of = span_of(e.addr);
		mcache_return_slot(c, of, slot_of(&e, of), func);
	}
	return true;
}
