/* SPDX-License-Identifier: MIT */
/*
 * spill.c - frees that find no room on a stack, in a large heap. See malloc.c for the overview.
 *
 * The records of a large heap's spans are not in the processor's caches, so each slot that returns
 * to its span is a miss. The record's first line, which tells where the free bits are, was loaded
 * for the free itself. Where frees go from span to span, a full stack returns SPILL_ENTRIES entries
 * together: it asks for the free bits of all of them first, and waits once. Where frees stay in one
 * span, its record is at hand, and the slots return to it one by one.
 *
 * Holds    an entry is on the stack until its slot is returned. A slot that is on a stack keeps its
 *          span from being freed.
 */
#include "heap/mcache.h"
#include "heap/pagemap.h"

/* Finds the spans of the last entries of a stack, the last first, and asks for their free bits. */
static void look_ahead(struct mcache *c, const struct bin *b, struct mspan **spans)
{
	for (unsigned i = 0; i < SPILL_ENTRIES; i++) {
		const struct free_entry *e = stack_entry(c, b->stack_top) - 1 - i;
		struct mspan *s = span_of(e->addr);

		spans[i] = s;
		prefetch(&mspan_free_bits(s)[(e->state - s->state) / 64]);
	}
}

static void free_into_span(uintptr_t addr, struct mspan *s, uint32_t slot, const char *func,
			   struct mcache *c)
{
	slot_set(&s->state[slot], SLOT_FREE);
	HOLD_ADDRESS(addr);
	mcache_return_slot(c, s, slot, func);
}

/* Returns the last entries of the full stack to their spans, and then frees a slot. */
static SLOW_PATH void spill_and_free(uintptr_t addr, struct mspan *s, uint32_t slot,
				     const char *func, struct mcache *c)
{
	struct bin *b = &c->bins[s->spanclass];
	struct mspan *spans[SPILL_ENTRIES];
	uint32_t top = b->stack_top;

	look_ahead(c, b, spans);
	/* A span that comes to be empty may lead to a flush of all stacks. */
	for (unsigned i = 0; i < SPILL_ENTRIES && b->stack_top == top; i++) {
		const struct free_entry *e;

		top -= (uint32_t)sizeof(struct free_entry);
		b->stack_top = top;
		e = stack_entry(c, top);
		mcache_return_slot(c, spans[i], (uint32_t)(e->state - spans[i]->state), func);
	}
	if (!mcache_free_fast(c, s, s->spanclass, addr, &s->state[slot]))
		free_into_span(addr, s, slot, func, c);
}

void mcache_free_in_large(uintptr_t addr, struct mspan *s, uint32_t slot, const char *func,
			  struct mcache *c)
{
	const struct bin *b = &c->bins[s->spanclass];
	bool wanders = s != c->overflow_span, wandered = c->overflow_wanders;

	c->overflow_span = s;
	c->overflow_wanders = wanders;
	if (wanders && wandered && b->stack_top == b->stack_limit &&
	    stack_depth(b) >= SPILL_ENTRIES &&
	    (mspan_owner_relaxed(s) & ~SPAN_FULL) == mcache_owner(c))
		spill_and_free(addr, s, slot, func, c);
	else
		free_into_span(addr, s, slot, func, c);
}
