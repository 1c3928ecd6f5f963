/* SPDX-License-Identifier: MIT */
/*
 * lock.c - a futex mutex that spins briefly, knows its holder, and checks its rank in debug builds.
 *
 * Owns     how many locks this thread holds, and the set of their ranks (debug builds).
 * Locks    this file makes them. Their order is in lock.h.
 * Holds    holder is lock_self() of the thread inside, or 0.
 */
#include "os/lock.h"
#include "os/fatal.h"
#include "os/forked.h"
#include "os/os.h"

/* A thread spins so many turns before it sleeps. A critical section takes tens to hundreds of ns, a
 * turn 10 to 40. That is long enough for a holder that runs, and short if it was preempted. */
#define SPIN_TURNS 64

/* A thread that sleeps looks as often as this whether it is in a forked child, where nobody would
 * wake it. */
#define LOOK_MS 100

/* Bit per rank held by this thread; its address is the thread's identity. */
THREAD_LOCAL uint32_t ranks_held;

/* Locks that this thread holds, is about to take or has just released. Read by its handlers of
 * signals. */
THREAD_LOCAL volatile uint32_t stays;

/* A handler came while the thread held a lock. */
THREAD_LOCAL volatile bool deferred;

void (*lock_when_free)(void);

void lock_stay(void)
{
	stays++;
	order_stores();
}

void lock_leave(void)
{
	order_stores();
	stays--;
	if (LIKELY(!deferred) || stays != 0)
		return;
	deferred = false;
	lock_when_free();
}

bool lock_defer(void)
{
	if (stays == 0)
		return false;
	deferred = true;
	return true;
}

uintptr_t lock_self(void)
{
	return (uintptr_t)&ranks_held;
}

void lock_init(struct lock *l, enum lock_rank rank)
{
	l->rank = (uint32_t)rank;
	/* Relaxed: nobody else knows the lock yet. */
	atomic_store_explicit(&l->word, 0, memory_order_relaxed);
	atomic_store_explicit(&l->holder, 0, memory_order_relaxed);
}

static inline bool take_if_free(struct lock *l)
{
	uint32_t free_word = 0;

	/* Acquire: pairs with the release in lock_release(). */
	return atomic_compare_exchange_strong_explicit(&l->word, &free_word, 1,
						       memory_order_acquire, memory_order_relaxed);
}

static SLOW_PATH void lock_wait(struct lock *l)
{
	/* The holder may be a thread that a fork left behind. Mending frees the lock then. */
	forked_look_in_wait();
	/* The thread would wait for ever. A crash report that is cut short is better than one that
	 * hangs. */
	if (UNLIKELY(lock_held(l)))
		fatal_reentered();
	for (int i = 0; i < SPIN_TURNS; i++) {
		cpu_relax();
		/* Relaxed: it only tells whether to try. */
		if (atomic_load_explicit(&l->word, memory_order_relaxed) == 0 && take_if_free(l))
			return;
	}
	/* Acquire: pairs with the release in lock_release(). 2 asks for a wake, which may be asked
	 * for once too often. */
	while (atomic_exchange_explicit(&l->word, 2, memory_order_acquire) != 0) {
		os_futex_wait_ms(&l->word, 2, LOOK_MS);
		/* A signal's handler may have forked, and this is the child's wait. */
		forked_look_in_wait();
	}
}

void lock_acquire(struct lock *l)
{
	lock_stay();
	/* A rank at or above this one is held: the order in lock.h is broken. */
	DCHECK(ranks_held >> l->rank == 0);
	if (UNLIKELY(!take_if_free(l)))
		lock_wait(l);
	/* Relaxed: read by this thread, or by a child when no other thread is left. */
	atomic_store_explicit(&l->holder, lock_self(), memory_order_relaxed);
	if (GOALLOC_DEBUG)
		ranks_held |= (uint32_t)1 << l->rank;
}

bool lock_try(struct lock *l)
{
	lock_stay();
	if (!take_if_free(l)) {
		lock_leave();
		return false;
	}
	/* Relaxed: as in lock_acquire(). */
	atomic_store_explicit(&l->holder, lock_self(), memory_order_relaxed);
	if (GOALLOC_DEBUG)
		ranks_held |= (uint32_t)1 << l->rank;
	return true;
}

bool lock_try_ms(struct lock *l, unsigned ms)
{
	while (!take_if_free(l)) {
		if (ms-- == 0)
			return false;
		os_sleep_ms(1);
	}
	lock_stay();
	/* Relaxed: as in lock_acquire(). */
	atomic_store_explicit(&l->holder, lock_self(), memory_order_relaxed);
	return true;
}

void lock_release(struct lock *l)
{
	DCHECK(lock_held(l));
	if (GOALLOC_DEBUG)
		ranks_held &= ~((uint32_t)1 << l->rank);
	atomic_store_explicit(&l->holder, 0, memory_order_relaxed);
	/* Release: what was done inside happens before the next holder. Pairs with the acquires in
	 * take_if_free() and lock_wait(). */
	if (UNLIKELY(atomic_exchange_explicit(&l->word, 0, memory_order_release) == 2))
		os_futex_wake(&l->word);
	lock_leave();
}

bool lock_any_held(void)
{
	return stays != 0;
}

bool lock_held(const struct lock *l)
{
	return atomic_load_explicit(&l->holder, memory_order_relaxed) == lock_self();
}

static bool all_are_orphans;

void lock_count_as_orphans(bool all)
{
	all_are_orphans = all;
}

bool lock_reset_orphan(struct lock *l)
{
	/* Relaxed: the child has one thread. A word that is set while the holder is not yet or no
	 * longer is the edge of a critical section of a thread that is gone. */
	if (atomic_load_explicit(&l->word, memory_order_relaxed) == 0)
		return false;
	if (lock_held(l) && !all_are_orphans)
		return false;
	atomic_store_explicit(&l->holder, 0, memory_order_relaxed);
	atomic_store_explicit(&l->word, 0, memory_order_relaxed);
	os_futex_wake_all(&l->word);
	return true;
}
