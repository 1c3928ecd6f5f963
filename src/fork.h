/* SPDX-License-Identifier: MIT */
/*
 * fork.h - puts the heap of a forked child in order. See fork.c.
 */
#ifndef GOALLOC_FORK_H
#define GOALLOC_FORK_H

#include "heap/thread.h"

/* Is held while the heap is set up, and while a thread adopts what other threads left to a forked
 * child. Rank LOCK_INIT. */
extern struct lock start_lock;

/* Begins to watch for forks. Call it once, while one thread uses the heap. */
void fork_watch(void);

/* Returns true in a forked child whose parent had other threads, until a thread has adopted what
 * they left. No thread of the child has a cache before. */
bool fork_has_orphans(void);

/* Adopts what the threads of the parent left, or waits until another thread has adopted it. Takes
 * start_lock, and then the locks of the heap. */
void fork_adopt(void);

#endif
