/* SPDX-License-Identifier: MIT */
/*
 * thread.h - which cache the calling thread uses, from the first malloc of the process to the last free
 * of an exiting thread. See thread.c.
 */
#ifndef GOALLOC_THREAD_H
#define GOALLOC_THREAD_H

#include "heap/mcache.h"

/* The cache of threads that have none yet or none any more: always empty, owner of no span, so that
 * the fast paths fail without asking. Only its slots are ever looked at. */
struct mcache_nobody {
	/* The last of them is below the bottom of every stack. */
	struct free_entry nothing[CACHE_LINE / sizeof(struct free_entry)] ALIGNED(CACHE_LINE);
	struct mcache_slot slots[NUM_SLOTS];
};
extern struct mcache_nobody mcache_nobody;
#define MCACHE_NONE ((struct mcache *)(void *)mcache_nobody.slots)

THREAD_LOCAL_EXTERN struct mcache *thread_mcache;

/* The calling thread's cache, or MCACHE_NONE. For fast paths. */
static inline struct mcache *thread_cache(void)
{
	return thread_mcache;
}

/* A cache the caller may use until thread_leave(): its own, made now if need be, or the shared one, locked,
 * when the thread is ending or there is no memory for one. Starts the heap in the first call. */
struct mcache *thread_enter(void);
void thread_leave(struct mcache *c);

/* Where the shared cache is, among the library's own data. */
struct address_range thread_shared_place(void);

/* Gives back what the shared cache has. */
void thread_flush_shared(void);

/* The end of start-up is still to be seen to, by malloc's slow path. */
extern _Atomic bool thread_attention;
void thread_attend(void);

/* After libc is up: reads the environment, registers for fork and thread exit. Does nothing before
 * libc is up, nor a second time. */
void thread_late_init(void);

/* With scavthread=1: starts the thread that gives memory back, when the heap is large enough for
 * that. Called by malloc's and realloc's slow paths, without a lock. Not by free(), because libc
 * frees while it holds its lock of stacks. */
void thread_start_scavenger(void);

/* Calls visit for every cache that a thread uses, and the shared one; the list is locked, the threads
 * run on. */
void thread_each_cache(void (*visit)(struct mcache *c, void *arg), void *arg);

/* From now on malloc takes from the counted slots of every cache, or no longer; see sample.c, which alone calls it. */
void thread_count_allocs(bool on);

/* Adds up what all caches, also of threads that ended, have counted. */
void thread_read_counts(struct alloc_counts *sum);

/* Caches in use, and made so far. */
void thread_count_caches(size_t *inuse, size_t *made);

#endif
