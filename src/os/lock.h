/* SPDX-License-Identifier: MIT */
/*
 * lock.h - a mutex with a rank. See lock.c.
 *
 * Lock order, outermost first: a thread takes a lock only of a higher rank than all it holds.
 */
#ifndef GOALLOC_LOCK_H
#define GOALLOC_LOCK_H

#include "base/base.h"

enum lock_rank {
	LOCK_SERVICE = 1, /* one writing at a time of what is asked for at exit */
	LOCK_INIT,        /* start-up of the heap, once */
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
	_Atomic uintptr_t holder;   /* [a] lock_self() of the holder; for fork and asserts */
};

#define LOCK_INITIALIZER(r) { .word = 0, .rank = (r), .holder = 0 }

void lock_init(struct lock *l, enum lock_rank rank);
void lock_acquire(struct lock *l);
void lock_release(struct lock *l);

/*
 * A handler of a signal that takes locks itself may interrupt a thread that holds one.
 * lock_defer() tells it: false says that the calling thread holds none. True says that it does,
 * and that lock_when_free() is called, once, by this thread as soon as it holds none.
 * lock_stay() and lock_leave() make the thread count as if it held a lock; they nest.
 */
extern void (*lock_when_free)(void);
bool lock_defer(void);
void lock_stay(void);
void lock_leave(void);

/* This thread's identity: stays the same in a forked child. */
uintptr_t lock_self(void);

/* The calling thread holds l. */
bool lock_held(const struct lock *l);

/* In a forked child: frees l, and wakes who waits for it, when a thread that is gone held it, and
 * says so. */
bool lock_reset_orphan(struct lock *l);

/* With all, lock_reset_orphan() takes every lock that is held for an orphan. A thread that a
 * forked child made calls it, which holds no lock: it may be in the place of a thread that is
 * gone, and have that one's identity. */
void lock_count_as_orphans(bool all);

#endif
