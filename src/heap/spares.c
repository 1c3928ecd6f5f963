/* SPDX-License-Identifier: MIT */
/*
 * spares.c - spare spans: the empty spans that a thread keeps for its next spans.
 * See malloc.c for the overview.
 *
 * A class that needs a span takes the one that it has freed last: its record, its place in the page
 * map and its free slots are as they were. If it has none here, spans of the other classes give
 * their pages for a new one, and so they do where there is no room: one of each class in turn.
 *
 * How many pages are worth keeping is learnt. A thread that evicts spans and then misses as many
 * would have had them, and keeps so many more. One that only frees keeps little.
 *
 * Owns     struct spares. How much a cache may keep is decided in cachecap.c, but for what it
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

/* Returns a span of the next class in turn, or NULL if there is none. */
static struct mspan *take_in_turn(struct spares *p)
{
	unsigned sc;

	if (p->npages == 0)
		return NULL;
	while ((sc = next_class(p, p->hand)) != NUM_SPAN_CLASSES) {
		struct mspan *s = spares_take(p, (spanclass_t)sc);

		p->hand = sc;
		if (s != NULL)
			return s;
		/* In a forked child the lost thread may have been in spares_take(). */
		p->has[sc / 64] &= ~((uint64_t)1 << sc % 64);
	}
	p->npages = 0;
	return NULL;
}

struct mspan *spares_evict(struct spares *p)
{
	struct mspan *s = take_in_turn(p);

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

void spares_shrink(struct spares *p, struct pcache *pc, uint32_t npages)
{
	struct mspan *s;

	while (p->npages > npages && (s = take_in_turn(p)) != NULL)
		mheap_free_span(pc, s);
}
