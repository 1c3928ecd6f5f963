/* SPDX-License-Identifier: MIT */
/*
 * lock.h - a mutex with a rank. See lock.c.
 *
 * The ranks below are listed from the outermost to the innermost. A thread takes a lock only if its
 * rank is higher than the ranks of all locks that it holds.
 */
#ifndef GOALLOC_LOCK_H
#define GOALLOC_LOCK_H

#include "base/base.h"

enum lock_rank {
	LOCK_SERVICE = 1, /* writing of statistics, profile and reports, one at a time */
	LOCK_INIT,        /* start-up of the heap, once */
	LOCK_SWITCH,      /* a profile begins or ends, or is about to */
	LOCK_SAMPLE,      /* switching of counts and samples */
	LOCK_SHARED,      /* the cache of threads that have none of their own */
	LOCK_THREADS,     /* records of thread caches */
	LOCK_MCENTRAL,    /* partial spans of one class */
	LOCK_MHEAP,       /* pages, arenas, scavenger */
	LOCK_GUARD,       /* pages of guarded objects */
	LOCK_PROFILE_USE, /* the profile is begun or written */
	LOCK_PROFILE,     /* the profile's tables */
	LOCK_METADATA,    /* fixalloc */
	LOCK_RANKS
};

/* Access: [a] atomic, any thread; [c] constant */
struct lock {
	_Atomic uint32_t word;      /* [a] 0 free, 1 held, 2 held and waited for */
	uint32_t rank;              /* [c] enum lock_rank */
	_Atomic uintptr_t holder;   /* [a] lock_self() of the holder, or 0 */
};

#define LOCK_INITIALIZER(r) { .word = 0, .rank = (r), .holder = 0 }

void lock_init(struct lock *l, enum lock_rank rank);
void lock_acquire(struct lock *l);
void lock_release(struct lock *l);

/* Takes l if it is free, and returns whether it did. It does not wait, so the caller may hold locks
 * of any rank. */
bool lock_try(struct lock *l);

/* Takes l if it becomes free within some milliseconds, and returns whether it did. The caller ends
 * the process: it may hold locks of any rank. */
bool lock_try_ms(struct lock *l, unsigned ms);

/*
 * A signal handler that wants a lock asks lock_defer() first, because it may have interrupted a
 * thread that holds one. lock_defer() returns false if the calling thread holds no lock. Otherwise
 * it returns true, and the thread calls lock_when_free() once, when it has released its last lock.
 * Between lock_stay() and lock_leave() a thread counts as holding a lock. The two nest.
 */
extern void (*lock_when_free)(void);
bool lock_defer(void);
void lock_stay(void);
void lock_leave(void);

/* Returns the identity of the calling thread, which stays the same in a forked child. */
uintptr_t lock_self(void);

/* Returns whether the calling thread holds any lock, or counts as holding one. */
bool lock_any_held(void);

/* Returns whether the calling thread holds l. */
bool lock_held(const struct lock *l);

/* Frees l in a forked child if a thread that the child does not have holds it, and wakes the
 * threads that wait for it. Returns whether it did. */
bool lock_reset_orphan(struct lock *l);

/* With all, lock_reset_orphan() frees every lock that is held. It is for a thread that a forked
 * child has made: the thread holds no lock, but it may have the identity of a thread of the
 * parent. */
void lock_count_as_orphans(bool all);

#endif
