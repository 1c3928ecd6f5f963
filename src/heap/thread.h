/* SPDX-License-Identifier: MIT */
/*
 * thread.h - whose cache is whose. See thread.c.
 */
#ifndef GOALLOC_THREAD_H
#define GOALLOC_THREAD_H

#include "heap/mcache.h"
#include "heap/partalloc.h"

/* Stands for the cache of a thread that has none: always empty and the owner of no span, so that
 * the fast paths fail without a test of their own. Only its bins and its kept big objects are ever
 * looked at. */
struct mcache_nobody {
	/* The last of these entries is below the bottom of every stack. */
	struct free_entry nothing[CACHE_LINE / sizeof(struct free_entry)] ALIGNED(CACHE_LINE);
	struct bin bins[NUM_BINS];
	/* A cache from its bins to the end of its kept big objects. */
	char more[offsetof(struct mcache, big) + sizeof(struct bigcache) -
		  sizeof(struct bin[NUM_BINS])];
};
extern struct mcache_nobody mcache_nobody;
#define MCACHE_NONE ((struct mcache *)(void *)mcache_nobody.bins)

/* The calling thread's cache for fast paths. It is MCACHE_NONE where the thread has no cache, and
 * always where caches lie behind a protection key, which fast paths do not open. */
THREAD_LOCAL_EXTERN struct mcache *thread_mcache;

static inline struct mcache *thread_cache(void)
{
	return thread_mcache;
}

/* What slow paths know of the calling thread. */
struct thread_self {
	struct mcache *cache;     /* the thread's cache; NULL */
	struct mcache *hidden;    /* its cache, while it is hidden from a hook of the program */
	bool gone;                /* its cache was given back or is hidden */
	bool starts;              /* it does the rest of start-up: see start_late_init() */
};
THREAD_LOCAL_EXTERN struct thread_self thread_self;

/* Chains of caches by the thread that has them. A thread that begins looks through one chain. */
#define USER_CHAINS 256

/* Access: [t] lock  [c] constant once ready is set  [a] atomic */
struct thread_list {
	struct lock lock;                    /* covers the [t] fields of caches, too */
	struct partalloc records;            /* [t] all caches are shown there */
	struct mcache *free;                 /* [t] without a thread, linked by next_free */
	uint32_t npooled;                    /* [t] number of these */
	struct mcache *used[USER_CHAINS];    /* [t] those in use, linked by next_used */
	uint64_t released_ms;                /* [t] when thread_release_caches() last looked */
	struct alloc_counts released;        /* [t] what released caches had counted */
	_Atomic bool ready;                  /* [a] the heap is set up */
};
extern struct thread_list thread_list;

/* The cache of threads that end and of those for which there is no memory. */
struct shared_cache {
	bool made;              /* it was used; most programs never use it */
	struct mcache cache;
};
extern struct shared_cache thread_shared;

/* LOCK_SHARED: held while the shared cache is used. It is not in the record, which has no bytes in
 * the library's file because it begins with zeros. */
extern struct lock thread_shared_lock;

/* Says that the heap is set up. The caller holds the lock of start-up. */
void thread_set_ready(void);

static inline bool thread_is_ready(void)
{
	/* Acquire: the heap is set up. Pairs with the release in thread_set_ready(). */
	return atomic_load_explicit(&thread_list.ready, memory_order_acquire);
}

/* Makes c the calling thread's cache; NULL: the thread has none from now on. */
void thread_set_cache(struct mcache *c);

/* Gives the calling thread a cache: its own that it left in a forked child, one that an ended
 * thread left in its place, a free one, or a new one. Returns NULL if the thread is gone or there
 * is no memory. Takes thread_list.lock. */
struct mcache *thread_take_cache(void);

/* Empties the calling thread's cache and gives it back. What the thread still does goes through the
 * shared cache, and no fast path succeeds. */
void thread_give_cache(void);

/* Enters c into the chain of the calling thread. thread_list.lock is held, or there is one
 * thread. */
void thread_set_user_locked(struct mcache *c);

/* Makes the pool empty, in a forked child that fills it anew. */
void thread_clear_pool_locked(void);

/* Puts a cache that no thread has into the pool. */
void thread_pool_locked(struct mcache *c);

/* Returns the shared cache, locked until thread_leave(). */
struct mcache *thread_lock_shared(void);

/* Ends the use of a cache that start_enter() or thread_lock_shared() returned. */
void thread_leave(struct mcache *c);

/* Returns where the shared cache lies among the library's own data. */
struct address_range thread_shared_place(void);

/* Gives back what the shared cache has. */
void thread_flush_shared(void);

/* Calls visit for every cache that a thread uses and for the shared one. The list is locked; the
 * threads run on. */
void thread_each_cache(void (*visit)(struct mcache *c, void *arg), void *arg);

/* Goes through all caches but the shared one, while thread_list.lock is held or there is one
 * thread. The walk begins with zeros. Returns NULL at the end. */
struct mcache *thread_next_cache(struct part_walk *w);

/* Gives back the memory of the caches that no thread has had for age_ms. If that is not 0 and the
 * last look was less than age_ms ago, it does nothing. */
void thread_release_caches(uint32_t age_ms);

/* Adds up what all caches have counted, also those of threads that ended. */
void thread_read_counts(struct alloc_counts *sum);

/* Caches and their bytes of memory. */
struct cache_count {
	size_t inuse;           /* by a thread */
	size_t inuse_bytes;
	size_t bytes;           /* with those in the pool */
};

/* Counts all caches but the shared one. */
struct cache_count thread_count_caches(void);

#endif
