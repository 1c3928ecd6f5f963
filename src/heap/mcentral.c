/* SPDX-License-Identifier: MIT */
/*
 * mcentral.c - the spans of one span class that no thread holds.
 * See malloc.c for the overview.
 *
 * Owns     partial: spans with a free slot. Full spans are on no list; the free
 *          that makes one worth taking takes it (mspan.c).
 * Callers  mcache.c, to trade a used-up span for one with free slots, and to give
 *          surplus back; thread.c. Calls mspan.h and mheap.h, nothing above.
 * Locks    mcentral.lock (LOCK_MCENTRAL) covers the list and the [o] fields of the
 *          spans on it. It is dropped before mheap is entered.
 * Holds    whenever mcentral.lock is free; mcentral_check() tests it:
 *          a span on the list has this mcentral as owner and this span class, and is not empty.
 *          The forward links are whole at every moment, and a span's owner changes before it is
 *          unlinked, for a child forked in the middle.
 */
#include "heap/mcentral.h"

struct mcentral mcentrals[NUM_SPAN_CLASSES];

void mcentral_init(void)
{
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		lock_init(&mcentrals[sc].lock, LOCK_MCENTRAL);
}

static uintptr_t owner_word(const struct mcentral *mc)
{
	return (uintptr_t)mc | SPAN_CENTRAL;
}

static void insert_locked(struct mcentral *mc, struct mspan *s)
{
	mspan_list_push(&mc->partial, s);
	mc->npartial++;
}

static void remove_locked(struct mcentral *mc, struct mspan *s)
{
	mspan_list_remove(&mc->partial, s);
	mc->npartial--;
}

void mcentral_put(struct mspan *s)
{
	struct mcentral *mc = &mcentrals[s->spanclass];
	bool empty = false;

	DCHECK(s->nfree != 0 && !mspan_is_empty(s));
	lock_acquire(&mc->lock);
	insert_locked(mc, s);
	/* Frees that came before they could see the new owner may have made it worth taking already, and
	 * nobody else will look. */
	while (mspan_set_central(s, (uintptr_t)mc)) {
		mspan_absorb(s);
		empty = mspan_is_empty(s);
		if (empty) {
			mspan_set_owner(s, 0);
			remove_locked(mc, s);
			break;
		}
	}
	lock_release(&mc->lock);
	if (empty)
		mheap_free_span(NULL, s);
}

struct mspan *mcentral_take(spanclass_t sc, uintptr_t owner)
{
	struct mcentral *mc = &mcentrals[sc];
	struct mspan *s;

	lock_acquire(&mc->lock);
	s = mc->partial;
	if (s != NULL) {
		mspan_set_owner(s, owner);
		remove_locked(mc, s);
	}
	lock_release(&mc->lock);
	return s;
}

bool mcentral_claim(struct mspan *s, uintptr_t owner)
{
	uintptr_t seen = mspan_owner_relaxed(s);
	struct mcentral *mc = (struct mcentral *)(seen & ~SPAN_TAGS);
	bool ok;

	if ((seen & SPAN_CENTRAL) == 0)
		return false;
	lock_acquire(&mc->lock);
	/* Relaxed: this owner word is stored and taken away under this lock. */
	ok = mspan_owner_relaxed(s) == owner_word(mc);
	if (ok) {
		mspan_set_owner(s, owner);
		remove_locked(mc, s);
	}
	lock_release(&mc->lock);
	return ok;
}

void mcentral_after_fork(void)
{
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		struct mcentral *mc = &mcentrals[sc];
		struct mspan *s = mc->partial;

		if (!lock_reset_orphan(&mc->lock))
			continue;
		mc->partial = NULL;
		mc->npartial = 0;
		while (s != NULL) {
			struct mspan *next = s->next;

			/* The one that was about to leave or to come may have another owner: it is lost
			 * with the thread that held it. */
			if (mspan_owner_relaxed(s) == owner_word(mc)) {
				mspan_recount(s);
				insert_locked(mc, s);
			}
			s = next;
		}
	}
}

void mcentral_check(void)
{
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		struct mcentral *mc = &mcentrals[sc];
		const struct mspan *before = NULL;
		size_t n = 0;

		lock_acquire(&mc->lock);
		for (struct mspan *s = mc->partial; s != NULL; s = s->next) {
			CHECK(mspan_owner_relaxed(s) == owner_word(mc));
			CHECK(s->spanclass == sc && s->prev == before);
			CHECK(s->nfree != 0);
			mspan_check(s);
			before = s;
			n++;
		}
		CHECK(n == mc->npartial);
		lock_release(&mc->lock);
	}
}
