/* SPDX-License-Identifier: MIT */
/*
 * emptypool.h - the empty spans that a thread keeps for its next spans. See emptypool.c.
 */
#ifndef GOALLOC_EMPTYPOOL_H
#define GOALLOC_EMPTYPOOL_H

#include "heap/mheap.h"

#define EMPTYPOOL_WORDS ((NUM_SPAN_CLASSES + 63) / 64)

/*
 * Access: the thread that owns it
 */
struct emptypool {
	struct mspan *list[NUM_SPAN_CLASSES];    /* last come first, linked by next */
	uint64_t has[EMPTYPOOL_WORDS];           /* a bit for each class with a list */
	uint64_t used[EMPTYPOOL_WORDS];          /* took a span since the hand passed it */
	unsigned hand;                           /* the class that was passed last */
	uint32_t npages;                         /* pages of all spans */
};

/* Keeps an empty span of the caller that is on no list. */
static inline void emptypool_put(struct emptypool *p, struct mspan *s)
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
static inline struct mspan *emptypool_take(struct emptypool *p, spanclass_t sc)
{
	struct mspan *s = p->list[sc];

	if (s == NULL)
		return NULL;
	p->list[sc] = s->next;
	if (s->next == NULL)
		p->has[sc / 64] &= ~((uint64_t)1 << sc % 64);
	p->used[sc / 64] |= (uint64_t)1 << sc % 64;
	p->npages -= s->npages;
	return s;
}

/* Returns a span of a class that has not taken one for long, or NULL if the pool is empty. */
struct mspan *emptypool_take_oldest(struct emptypool *p);

/* Returns a span of npages for another class, whose owner is still the caller, or NULL. Until there
 * is one, the oldest spans go to the page word or the heap, as many pages as are wanted. */
struct mspan *emptypool_recarve(struct emptypool *p, struct pcache *pc, spanclass_t sc,
				size_t npages);

/* Frees spans to the page word or the heap, the oldest first, until there are at most so many
 * pages. */
void emptypool_shrink(struct emptypool *p, struct pcache *pc, uint32_t npages);

#endif
