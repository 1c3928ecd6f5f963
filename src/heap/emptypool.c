/* SPDX-License-Identifier: MIT */
/*
 * emptypool.c - the empty spans that a thread keeps for its next spans.
 * See malloc.c for the overview.
 *
 * A class that needs a span takes the one that it has freed last: its record, its place in the page
 * map and its free slots are as they were. Which classes a program uses changes with time. So the
 * spans of a class that takes none are the first to go, to another class that needs pages or to the
 * heap. A hand goes round the classes that have spans here. It passes a class over that took a span
 * since the hand came by last.
 *
 * Owns     struct emptypool. How much a cache may keep is decided in mcache.c.
 * Locks    none: a pool belongs to one thread. Takes mheap.lock through mheap.c.
 * Holds    mcache_check() tests: a span here has the cache as owner, is on the list of its class
 *          and is empty. Lists change by one store at a time, so that a forked child can walk them.
 *          The child does not look at the bits.
 */
#include "heap/emptypool.h"

/* Returns the first class behind sc that has spans, going round. There is one. */
static unsigned next_class(const struct emptypool *p, unsigned sc)
{
	unsigned w = (sc + 1) / 64 % EMPTYPOOL_WORDS;
	uint64_t bits = p->has[w] & ~low_mask64((sc + 1) % 64);

	while (bits == 0) {
		w = (w + 1) % EMPTYPOOL_WORDS;
		bits = p->has[w];
	}
	return w * 64 + ctz64(bits);
}

struct mspan *emptypool_take_oldest(struct emptypool *p)
{
	uint64_t used, bit;
	struct mspan *s;

	if (p->npages == 0)
		return NULL;
	for (;;) {
		p->hand = next_class(p, p->hand);
		bit = (uint64_t)1 << p->hand % 64;
		used = p->used[p->hand / 64];
		p->used[p->hand / 64] &= ~bit;
		if ((used & bit) == 0)
			break;
	}
	s = emptypool_take(p, (spanclass_t)p->hand);
	p->used[p->hand / 64] &= ~bit;
	return s;
}

/* Makes an empty span one of another class, if it has the length and its record the shape for it.
 * Returns false if not. It keeps its owner. */
static bool recarve(struct mspan *s, spanclass_t sc, size_t npages)
{
	uintptr_t owner = mspan_owner_relaxed(s);

	if (s->npages != npages || s->spanclass == SPANCLASS_ZERO || sc == SPANCLASS_ZERO ||
	    s->shape != mspan_shape(sc, spanclass_nelems(sc, npages)))
		return false;
	mspan_begin_use(s);
	/* First, because a child forked while the map changes leaves a span without owner alone. */
	mspan_set_owner(s, 0);
	order_stores();
	mspan_init_small(s, s->base, sc, npages, false);
	pagemap_map_span(s);
	mspan_set_owner(s, owner);
	return true;
}

struct mspan *emptypool_recarve(struct emptypool *p, struct pcache *pc, spanclass_t sc,
				size_t npages)
{
	struct mspan *s;

	for (size_t n = 0; n < npages && (s = emptypool_take_oldest(p)) != NULL;) {
		if (recarve(s, sc, npages))
			return s;
		n += s->npages;
		mheap_free_span(pc, s);
	}
	return NULL;
}

void emptypool_shrink(struct emptypool *p, struct pcache *pc, uint32_t npages)
{
	while (p->npages > npages)
		mheap_free_span(pc, emptypool_take_oldest(p));
}
