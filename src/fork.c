/* SPDX-License-Identifier: MIT */
/*
 * fork.c - mends the heap of a forked child and adopts what the threads left that it does not have.
 *
 * forked.c finds out that a process is a forked child and calls mend() there, once. mend() resets
 * the locks that threads of the parent held and calls their caches orphans. If there are orphans it
 * takes the forking thread's own cache away: then no thread has a cache, and the next slow path
 * adopts (fork_adopt()). A child that only calls exec never pays for that. The cache still names
 * the forking thread as its user, and thread_take_cache() finds it by that.
 *
 * Owns     whether there are orphans.
 * Locks    start_lock is held by the thread that adopts. mend() takes no lock, because no other
 *          thread is in the heap.
 * Holds    While there are orphans no thread has a cache, so that what a thread frees meanwhile is
 *          not mistaken for what a lost thread left. The forking thread's cache is then the only
 *          one with a user.
 */
#include "fork.h"
#include "base/options.h"
#include "heap/adopt.h"
#include "heap/mcentral.h"
#include "heap/tiny.h"
#include "os/metakey.h"
#include "safe/guard.h"
#include "safe/hardened.h"
#include "tools/profile.h"
#include "tools/sample.h"
#include "tools/tracer.h"

struct lock start_lock = LOCK_INITIALIZER(LOCK_INIT);

/* Is stored under start_lock or by the only thread with a cache. */
static _Atomic bool has_orphans;

/* --- adoption --- */

/* Empties what c keeps, because it could not be told from what others left. */
static void flush_for_adoption(struct mcache *c)
{
	/* The shared cache may be an orphan itself. Then it is adopted like the others. */
	if (c->orphan)
		return;
	mcache_flush_stacks(c);
	if (options.hardened)
		hardened_flush(c);
	tiny_detach(c);
}

/* Does the same for the shared cache, which keeps free slots also while no thread uses it. */
static void flush_shared_for_adoption(void)
{
	lock_acquire(&thread_shared_lock);
	if (thread_shared.made)
		flush_for_adoption(&thread_shared.cache);
	lock_release(&thread_shared_lock);
}

/* Frees the slots that the cache of a lost thread kept. */
static void adopt_kept_slots(struct mcache *c, struct mcache *dead)
{
	tiny_forget(dead);
	adopt_stacks(c, dead);
	if (options.hardened)
		hardened_adopt(c, dead);
}

/* Makes what the lost threads had free, or this process's. The caller holds start_lock, and no
 * other thread has a cache. */
static void adopt_orphans_locked(struct mcache *c)
{
	struct mcache *lost = &thread_shared.cache;
	struct part_walk w = { NULL, 0 };
	struct mcache *dead;

	flush_for_adoption(c);
	while ((dead = thread_next_cache(&w)) != NULL)
		if (dead->orphan)
			adopt_kept_slots(c, dead);
	if (lost->orphan)
		adopt_kept_slots(c, lost);
	w = (struct part_walk){ NULL, 0 };
	while ((dead = thread_next_cache(&w)) != NULL) {
		if (!dead->orphan)
			continue;
		/* The record is not used again. A span that its thread had in hand, on no list,
		 * keeps it as owner and is lost. */
		adopt_spans(c, dead);
		dead->orphan = false;
	}
	/* The record of the shared cache is used again. */
	if (lost->orphan)
		adopt_all_spans(c, lost);
	lost->orphan = false;
}

bool fork_has_orphans(void)
{
	/* Acquire: the heap in order. Pairs with the release in fork_adopt(). */
	return atomic_load_explicit(&has_orphans, memory_order_acquire);
}

/* Returns the cache of the thread that forked, or NULL. There are orphans. */
static struct mcache *find_forkers_cache(void)
{
	struct part_walk w = { NULL, 0 };
	struct mcache *c;

	do
		c = thread_next_cache(&w);
	while (c != NULL && (!c->in_use || c->user == 0));
	return c;
}

void fork_adopt(void)
{
	lock_acquire(&start_lock);
	/* Relaxed: under the lock. */
	if (atomic_load_explicit(&has_orphans, memory_order_relaxed)) {
		struct mcache *c = find_forkers_cache();

		if (c != NULL) {
			flush_shared_for_adoption();
			adopt_orphans_locked(c);
		} else {
			adopt_orphans_locked(thread_lock_shared());
			lock_release(&thread_shared_lock);
		}
		/* Release: the heap in order. Pairs with the acquire in fork_has_orphans(). */
		atomic_store_explicit(&has_orphans, false, memory_order_release);
	}
	lock_release(&start_lock);
}

/* --- mending --- */

/* Returns true if the caller has the cache c, or had it before it left it. mend_by_other() wipes
 * users: then only the thread knows its cache. */
static bool is_callers_cache(const struct mcache *c)
{
	return c == thread_self.cache || c == thread_self.hidden || c->user == lock_self();
}

/* Makes every cache an orphan, except the caller's own if keeps_own is true. Returns true if there
 * are orphans. */
static bool find_orphans(bool keeps_own)
{
	struct part_walk w = { NULL, 0 };
	struct mcache *c;
	bool others = false;

	/* Relaxed: the only thread with a cache. */
	atomic_store_explicit(&mcaches_made, 1, memory_order_relaxed);
	thread_clear_pool_locked();
	while ((c = thread_next_cache(&w)) != NULL) {
		c->orphan = c->in_use && !(keeps_own && is_callers_cache(c));
		others |= c->orphan;
		if (c->orphan) {
			c->user = 0;
		} else if (c->in_use) {
			thread_set_user_locked(c);
		} else {
			thread_pool_locked(c);
		}
	}
	return others;
}

/* Takes the caller's cache away until the first slow path has adopted. Until then no fast path
 * succeeds. The caller may be in the middle of a slow path, and goes on with its cache. */
static void leave_cache(void)
{
	thread_self.hidden = NULL;
	thread_set_cache(NULL);
	/* Relaxed: the only thread with a cache. */
	atomic_store_explicit(&has_orphans, true, memory_order_relaxed);
}

/* Empties the page words of all caches, because a rebuilt heap counts every page without a span as
 * free. */
static void forget_pages(void)
{
	struct part_walk w = { NULL, 0 };
	struct mcache *c;

	while ((c = thread_next_cache(&w)) != NULL)
		pcache_clear(&c->pages);
	pcache_clear(&thread_shared.cache.pages);
}

/* Makes all caches orphans, except the caller's own if keeps_own is true. */
static void mend_for(bool keeps_own, bool rebuilt, bool in_shared)
{
	if (rebuilt)
		forget_pages();
	thread_shared.cache.orphan |= in_shared;
	if (find_orphans(keeps_own) || thread_shared.cache.orphan)
		leave_cache();
}

/* Mends for a thread that the child made and that is in the heap before the thread that forked.
 * That thread runs on in its fast paths, and which cache it has cannot be told. So all caches stay
 * as they are. What lost threads had is lost to this child, but for the pages under it. */
static void mend_by_other(bool rebuilt, bool in_shared)
{
	struct part_walk w = { NULL, 0 };
	struct mcache *c;

	if (in_shared) {
		adopt_lose_spans(&thread_shared.cache);
		zero_bytes(&thread_shared.cache, sizeof(thread_shared.cache));
		thread_shared.made = false;
	}
	thread_clear_pool_locked();
	while ((c = thread_next_cache(&w)) != NULL) {
		/* A new thread may have the place of a lost one. It is not to take that thread's
		 * cache. */
		c->user = 0;
		if (c->in_use) {
			if (rebuilt)
				mheap_keep_pcache(&c->pages);
		} else {
			thread_pool_locked(c);
		}
	}
}

/* Mends the heap of a forked child, once: before its first slow path, or in the middle of a slow
 * path that waits for a lock if a signal's handler forked. The other threads of the parent are
 * lost, perhaps in the middle of a change. Every change is ordered so that what they left can be
 * mended. */
static void mend(bool by_forker)
{
	uint32_t rights = metakey_open();
	/* Relaxed: as in leave_cache(). */
	bool none_has_cache = atomic_load_explicit(&has_orphans, memory_order_relaxed);
	bool adopting, rebuilt, in_shared;

	lock_count_as_orphans(!by_forker);
	/* True if another thread was adopting. The cache with which it adopted then is in the
	 * middle of a change. */
	adopting = lock_reset_orphan(&start_lock) && none_has_cache;
	(void)lock_reset_orphan(&thread_list.lock);
	if (thread_is_ready()) {
		sample_after_fork();
		profile_after_fork();
		tracer_after_fork();
		mcentral_after_fork();
		rebuilt = mheap_after_fork();
		in_shared = lock_reset_orphan(&thread_shared_lock);
		for (unsigned i = 0; i < USER_CHAINS; i++)
			thread_list.used[i] = NULL;
		if (by_forker || none_has_cache)
			mend_for(by_forker && !adopting, rebuilt, in_shared);
		else
			mend_by_other(rebuilt, in_shared);
	}
	guard_after_fork();
	lock_count_as_orphans(false);
	metakey_close(rights);
}

void fork_watch(void)
{
	forked_watch(mend);
}
