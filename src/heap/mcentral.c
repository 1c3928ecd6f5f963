/* SPDX-License-Identifier: MIT */
/*
 * mcentral.c - the spans of one span class that no thread holds.
 * See malloc.c for the overview.
 *
 * Owns     the list of spans that have a free slot. Full spans are on no list: the thread whose
 *          free makes one worth owning claims it (mspan.c).
 * Locks    mcentral.lock (LOCK_MCENTRAL) covers the list and the [o] fields of the spans on it. It
 *          is dropped before the heap is called.
 * Holds    mcentral_check() tests while the lock is free: a span on the list has this mcentral as
 *          owner and this span class, and is not empty. For a child that is forked in the middle,
 *          the forward links are whole at every moment, and the owner of a span changes before it
 *          is unlinked.
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
	/* Frees that came too early to see the new owner may have made the span worth owning
	 * already. No other thread will look. */
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
	/* Relaxed: a central owner word is stored and replaced under this lock. */
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

			/* A span that was about to leave or to come may have another owner. It is
			 * lost with the thread that held it. */
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
