/* SPDX-License-Identifier: MIT */
/*
 * allfree.c - notices that a thread has freed all its objects of a class, or of all classes.
 * See malloc.c for the overview.
 *
 * Among many threads most may wait for long, and what they keep is lost to the others. When the
 * last objects of a class are on its free stack, the stack alone keeps their spans. So a free that
 * finds the stack full looks whether the spans of the class have any other object, and if not, the
 * stack is emptied into them. When no class has an object any more, the thread has perhaps done its
 * work: it gives back all that it keeps. A thread that works in short turns would do so at each of
 * them, so it does that once in ALL_FREE_MS.
 *
 * Owns     nothing. all_free_ms and live_sc are the cache's.
 * Locks    none: a cache belongs to one thread. Takes mheap.lock through mcache.c.
 */
#include "heap/mcache.h"
#include "os/os.h"

/* The least number of milliseconds from one time to the next that a thread gives back all. */
#define ALL_FREE_MS 4

/* Returns true if no slot of the bin's spans has an object, as far as this thread knows: all slots
 * that are not free are on the stack. What other threads freed lately counts as live. Full spans
 * are on no list, and are not looked at. */
static bool is_all_free(const struct bin *b)
{
	size_t nout = 0, nstack = stack_depth(b);

	if (b->span != NULL)
		nout = b->span->nelems - b->span->nfree - popcount64(b->alloc_cache);
	for (const struct mspan *s = b->partial; s != NULL && nout <= nstack; s = s->next)
		nout += s->nelems - s->nfree;
	return nout <= nstack;
}

/* Returns true if no class has an object. The class that had one at the last look is the first to
 * be looked at. */
static bool all_classes_are_free(struct mcache *c)
{
	for (unsigned n = 0; n < NUM_SPAN_CLASSES; n++) {
		if (!is_all_free(&c->bins[c->live_sc]))
			return false;
		c->live_sc = (c->live_sc + 1) % NUM_SPAN_CLASSES;
	}
	return true;
}

void mcache_look_all_free(struct mcache *c, spanclass_t sc)
{
	uint64_t now_ms;

	if (!is_all_free(&c->bins[sc]))
		return;
	mcache_flush_stack(c, sc);
	mcache_rest_stack(&c->bins[sc]);
	/* The clock first: if no class has an object, the look at all of them takes longer. */
	now_ms = os_now_ms();
	if ((int64_t)(now_ms - c->all_free_ms) < ALL_FREE_MS || !all_classes_are_free(c))
		return;
	c->all_free_ms = now_ms;
	mcache_give_all_unused(c);
}
