/* SPDX-License-Identifier: MIT */
/*
 * spares.h - spare spans: the empty spans that a thread keeps for its next spans. See spares.c.
 */
#ifndef GOALLOC_SPARES_H
#define GOALLOC_SPARES_H

#include "heap/mheap.h"

#define SPARES_WORDS ((NUM_SPAN_CLASSES + 63) / 64)

/*
 * All 0 is without spares. Nothing is stored before the first is kept, so that a thread without any
 * has no memory for them.
 * Access: the thread that owns it
 */
struct spares {
	struct mspan *list[NUM_SPAN_CLASSES];    /* last come first, linked by next */
	uint64_t has[SPARES_WORDS];              /* a bit for each class with a list */
	unsigned hand;                           /* the class that gave a span last, in turn */
	uint32_t npages;                         /* pages of all spans */
	uint32_t learnt;                         /* pages that are worth keeping, besides the
						  * first SPARE_PAGES_MIN */
	uint32_t evicted;                        /* pages for which there was no room, less those
						  * that were missed since */
};

/* Keeps an empty span of the caller that is on no list. */
static inline void spares_put(struct spares *p, struct mspan *s)
{
	spanclass_t sc = s->spanclass;

	/* A child forked here does not come from the list that the span was on to this one. */
	order_stores();
	s->next = p->list[sc];
	/* A child forked here finds the list whole. */
	order_stores();
	p->list[sc] = s;
	p->has[sc / 64] |= (uint64_t)1 << sc % 64;
	p->npages += s->npages;
}

/* Returns the span of this class that was kept last, or NULL. */
static inline struct mspan *spares_take(struct spares *p, spanclass_t sc)
{
	struct mspan *s = p->list[sc];

	if (s == NULL)
		return NULL;
	p->list[sc] = s->next;
	/* A child forked here finds the list whole, whatever becomes of the span. */
	order_stores();
	if (p->list[sc] == NULL)
		p->has[sc / 64] &= ~((uint64_t)1 << sc % 64);
	p->npages -= s->npages;
	return s;
}

/* Returns a span for which there is no room, or NULL if there is none. */
struct mspan *spares_evict(struct spares *p);

/* Notes that a span of npages was wanted and there was none. If pages were evicted before, so
 * many more are worth keeping. */
void spares_missed(struct spares *p, size_t npages);

/* Forgets half of what was learnt. */
void spares_forget(struct spares *p);

/* Frees spans to the page word or the heap, one of each class in turn, until there are at most so
 * many pages. */
void spares_shrink(struct spares *p, struct pcache *pc, uint32_t npages);

#endif
