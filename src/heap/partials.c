/* SPDX-License-Identifier: MIT */
/*
 * partials.c - the partial spans of a cache, and when a span leaves them.
 * See malloc.c for the overview.
 *
 * A partial span has free slots, and memory behind them. A review goes through all partial spans of
 * a cache and gives up those that are not used. There are two kinds:
 *   1. A tick begins one. A span from which no slot was taken since the last look, and to which
 *      none came back, goes to mcentral, where it is drained after the decay time.
 *   2. The growth of the heap begins one, because the free slots of one class are of no use to the
 *      next. For example, a program frees most of its objects of 500 bytes, and goes on with
 *      objects of 300. A span that is not used, or is half free, is drained at once. The growth
 *      pays for it: with every span that a cache takes it looks at some. The next such review comes
 *      when the heap has grown by a further part.
 *
 * Owns     the lists of partial spans, and the place of the review.
 * Locks    none: a cache belongs to one thread. Takes mcentral.lock and mheap.lock, never both. No
 *          lock is held while the kernel works.
 * Holds    review_at is NULL or on the list of review_sc. Lists change by one store at a time, so
 *          that a forked child can walk them.
 */
#include "heap/mcache.h"
#include "heap/limit.h"
#include "heap/mcentral.h"

/* A user who sets a longer decay time than this wants memory to be kept. */
#define GROWTH_DECAY_MOST_MS 60000

/* How many spans are looked at for a span of so many pages that is taken. The heap has at most one
 * partial span a page, and grows by a sixteenth (growth_next_part()), so that a review is over
 * before the next one comes. */
#define GROWTH_SPANS(npages) (16 + 16 * (npages))

void mcache_push_partial(struct mcache *c, struct bin *b, struct mspan *s)
{
	mspan_list_push(&b->partial, s);
	b->npartial++;
	c->partial_npages += s->npages;
}

void mcache_remove_partial(struct mcache *c, struct bin *b, struct mspan *s)
{
	if (UNLIKELY(c->review_at == s))
		c->review_at = s->next;
	mspan_list_remove(&b->partial, s);
	b->npartial--;
	c->partial_npages -= s->npages;
}

/* Looks at a partial span. It is given up when it is empty, when no slot of it came free since the
 * last look, or when there are more threads now, so that this one may keep fewer pages. A review
 * for growth also gives up a span that is half free. */
static void review_span(struct mcache *c, struct mspan *s)
{
	bool idle, empty;

	mspan_absorb(s);
	empty = mspan_is_empty(s);
	idle = !empty &&
	       (s->seen_nfree == s->nfree || (c->review_grown && s->nfree >= s->nelems / 2));
	s->seen_nfree = s->nfree;
	if (!idle && !empty && c->partial_npages <= mcache_max_partial())
		return;
	mcache_remove_partial(c, &c->bins[s->spanclass], s);
	if (idle && c->review_grown)
		mcentral_put_drained(s);
	else if (idle)
		mcentral_put_idle(s);
	else
		mcache_give_span(c, s);
}

void mcache_begin_review(struct mcache *c)
{
	if (c->review_sc < NUM_SPAN_CLASSES)
		return;
	c->review_sc = 0;
	c->review_at = c->bins[0].partial;
}

void mcache_review(struct mcache *c, size_t nspans)
{
	while (nspans > 0 && c->review_sc < NUM_SPAN_CLASSES) {
		struct mspan *s = c->review_at;

		if (s == NULL) {
			if (++c->review_sc < NUM_SPAN_CLASSES)
				c->review_at = c->bins[c->review_sc].partial;
			continue;
		}
		c->review_at = s->next;
		review_span(c, s);
		nspans--;
	}
	if (c->review_sc >= NUM_SPAN_CLASSES)
		c->review_grown = false;
}

void mcache_review_growth(struct mcache *c, size_t npages)
{
	size_t nbytes = growth_bytes(&mheap.growth);

	if (limit_decay_ms() > GROWTH_DECAY_MOST_MS)
		return;
	if (nbytes >= c->review_nbytes) {
		bool grew = c->review_nbytes != 0;

		c->review_nbytes = growth_next_part(nbytes);
		if (grew) {
			mcache_begin_review(c);
			c->review_grown = true;
		}
	}
	if (c->review_grown)
		mcache_review(c, min_size(GROWTH_SPANS(npages), REVIEW_SPANS));
	mcentral_drain_growth(nbytes);
}
