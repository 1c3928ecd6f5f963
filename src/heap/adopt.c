/* SPDX-License-Identifier: MIT */
/*
 * adopt.c - takes the caches of lost threads apart, in a forked child. See malloc.c for the
 * overview.
 *
 * A lost thread may have stopped in the middle of any change. The owner of a list or a stack
 * changes it by one store at a time, so that what lies there is whole or not there at all. What
 * adoption takes leaves its place before it is free elsewhere: a child that is forked meanwhile
 * adopts anew.
 *
 * Locks    none of its own. Takes mcentral.lock and mheap.lock, never both.
 */
#include "heap/adopt.h"

void adopt_slot(struct mcache *c, unsigned sc, uintptr_t addr)
{
	struct mspan *s = span_of(addr);
	uint32_t slot;
	bool twice;

	/* The thread may have stopped in the middle of a push or a pop. */
	if (s == NULL || (sc != NUM_SPAN_CLASSES && s->spanclass != sc) ||
	    !mspan_slot_of(s, addr, &slot) || slot_state(&s->state[slot]) != SLOT_FREE)
		return;
	if (mspan_free_remote(s, slot, &twice))
		mcache_claim(c, s);
}

/* Frees the entries of a bin's stack, down to the entry of address 0. */
static void adopt_stack(struct mcache *c, struct mcache *dead, unsigned bin)
{
	struct bin *b = &dead->bins[bin];
	unsigned sc =
		bin < NUM_SPAN_CLASSES ? bin : make_spanclass(bin - NUM_SPAN_CLASSES, SCAN);
	uintptr_t addr;

	/* The thread may have stopped when it made the cache: then the top is 0. */
	while (b->stack_top != 0 && (addr = stack_entry(dead, b->stack_top)[-1].addr) != 0) {
		b->stack_top -= ENTRY_NBYTES;
		order_stores();
		adopt_slot(c, sc, addr);
	}
}

void adopt_stacks(struct mcache *c, struct mcache *dead)
{
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		adopt_stack(c, dead, sc);
		mcache_reset_stack(&dead->bins[sc], (spanclass_t)sc);
	}
	mcache_reset_places(dead);
	for (unsigned class = 1; class < NUM_SIZE_CLASSES; class++)
		adopt_stack(c, dead, COUNTED_BIN(class));
	mcache_init_counted(dead);
}

/* Takes a span of dead over, and gives it to mcentral, or to the heap if it is empty. Its states
 * tell which slots are free. */
static void adopt_span(struct mcache *c, struct mcache *dead, struct mspan *s)
{
	if (s == NULL || mspan_owner_relaxed(s) != mcache_owner(dead))
		return;
	mspan_rebuild(s);
	mspan_set_owner(s, mcache_owner(c));
	mcache_give_span(c, s);
}

/* The caches of an adoption. */
struct adoption {
	struct mcache *c;
	struct mcache *dead;
};

static void adopt_if_owned(struct mspan *s, void *arg)
{
	struct adoption *a = arg;

	if (s->kind != SPAN_BIG)
		adopt_span(a->c, a->dead, s);
}

void adopt_all_spans(struct mcache *c, struct mcache *dead)
{
	struct adoption a = { c, dead };

	adopt_spans(c, dead);
	mheap_each_span(adopt_if_owned, &a);
}

static void lose_if_owned(struct mspan *s, void *arg)
{
	if (s->kind != SPAN_BIG && mspan_owner_relaxed(s) == mcache_owner(arg))
		mspan_set_owner(s, 0);
}

void adopt_lose_spans(struct mcache *dead)
{
	mheap_each_span(lose_if_owned, dead);
}

void adopt_spans(struct mcache *c, struct mcache *dead)
{
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		struct bin *b = &dead->bins[sc];
		struct mspan *s;

		adopt_span(c, dead, b->span);
		while ((s = b->partial) != NULL && mspan_owner_relaxed(s) == mcache_owner(dead)) {
			b->partial = s->next;
			order_stores();
			adopt_span(c, dead, s);
		}
		while ((s = dead->spares.list[sc]) != NULL &&
		       mspan_owner_relaxed(s) == mcache_owner(dead)) {
			dead->spares.list[sc] = s->next;
			order_stores();
			adopt_span(c, dead, s);
		}
		b->span = NULL;
		b->partial = NULL;
		b->npartial = 0;
		b->alloc_cache = 0;
	}
	dead->partial_npages = 0;
	dead->spares = (struct spares){ .npages = 0 };
	dead->review_at = NULL;
	bigcache_adopt(&dead->big);
	mheap_flush_pcache(&dead->pages);
}
