/* SPDX-License-Identifier: MIT */
/*
 * spares.c - spare spans: the empty spans that a thread keeps for its next spans.
 * See malloc.c for the overview.
 *
 * A class that needs a span takes the one that it has freed last: its record, its place in the page
 * map and its free slots are as they were. Which classes a program uses changes with time. So the
 * spans of a class that takes none are the first to go, to another class that needs pages or to the
 * heap. A hand goes round the classes that have spans here. It passes a class over that took a span
 * since the hand came by last.
 *
 * How many pages are worth keeping is learnt. A thread that evicts spans and then misses as many
 * would have had them, and keeps so many more. One that only frees keeps little.
 *
 * Owns     struct spares. How much a cache may keep is decided in mcache.c, but for what it
 *          learns.
 * Locks    none: they belong to one thread. Takes mheap.lock through mheap.c.
 * Holds    mcache_check() tests: a span here has the cache as owner, is on the list of its class
 *          and is empty. Lists change by one store at a time, so that a forked child can walk them.
 *          The child does not look at the bits.
 */
#include "heap/spares.h"

/* Returns the first class behind sc that has spans, going round; NUM_SPAN_CLASSES if none has. */
static unsigned next_class(const struct spares *p, unsigned sc)
{
	unsigned w = (sc + 1) / 64 % SPARES_WORDS;
	uint64_t bits = p->has[w] & ~low_mask64((sc + 1) % 64);

	for (unsigned i = 0; bits == 0; i++) {
		if (i == SPARES_WORDS)
			return NUM_SPAN_CLASSES;
		w = (w + 1) % SPARES_WORDS;
		bits = p->has[w];
	}
	return w * 64 + ctz64(bits);
}

/* Returns a span of a class that has not taken one for long, or NULL if there is none. */
static struct mspan *take_oldest(struct spares *p)
{
	unsigned sc;

	if (p->npages == 0)
		return NULL;
	while ((sc = next_class(p, p->hand)) != NUM_SPAN_CLASSES) {
		uint64_t bit = (uint64_t)1 << sc % 64;
		uint64_t used = p->used[sc / 64] & bit;
		struct mspan *s = used == 0 ? spares_take(p, (spanclass_t)sc) : NULL;

		p->hand = sc;
		p->used[sc / 64] &= ~bit;
		if (s != NULL)
			return s;
		/* In a forked child the lost thread may have been in spares_take(). */
		if (p->list[sc] == NULL)
			p->has[sc / 64] &= ~bit;
	}
	p->npages = 0;
	return NULL;
}

struct mspan *spares_evict(struct spares *p)
{
	struct mspan *s = take_oldest(p);

	if (s != NULL)
		p->evicted += (uint32_t)min_size(s->npages, UINT32_MAX - p->evicted);
	return s;
}

void spares_missed(struct spares *p, size_t npages)
{
	uint32_t n = (uint32_t)min_size(npages, p->evicted);

	if (n == 0)
		return;
	p->evicted -= n;
	p->learnt = (uint32_t)min_size((size_t)p->learnt + n, SPARE_PAGES_ALONE);
}

void spares_forget(struct spares *p)
{
	if (p->learnt != 0)
		p->learnt /= 2;
	if (p->evicted != 0)
		p->evicted = 0;
}

/* Makes a spare span one of another class, if it has the length and its record the shape for it.
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

struct mspan *spares_recarve(struct spares *p, struct pcache *pc, spanclass_t sc,
				size_t npages)
{
	struct mspan *s;

	for (size_t n = 0; n < npages && (s = take_oldest(p)) != NULL;) {
		if (recarve(s, sc, npages))
			return s;
		n += s->npages;
		mheap_free_span(pc, s);
	}
	return NULL;
}

void spares_shrink(struct spares *p, struct pcache *pc, uint32_t npages)
{
	struct mspan *s;

	while (p->npages > npages && (s = take_oldest(p)) != NULL)
		mheap_free_span(pc, s);
}
