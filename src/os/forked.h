/* SPDX-License-Identifier: MIT */
/*
 * forked.h - finds out that this process is a forked child whose heap has not been put in order
 * yet. See forked.c.
 */
#ifndef GOALLOC_FORKED_H
#define GOALLOC_FORKED_H

#include "os/os.h"

/* Returns true in a child that was forked, by whatever call, until its heap is in order. Constant
 * time: one word is read. Acquire: the heap in order. Pairs with the release in forked_mend(). */
static inline bool forked(void)
{
	return UNLIKELY((int32_t)atomic_load_explicit(os_fork_mark(), memory_order_acquire) <= 0);
}

/* Puts the heap of the child in order, or waits until another thread has done so. Returns at once
 * in the thread that is doing it. */
void forked_mend(void);

/* Every slow path begins with this call, before it looks at anything that threads share. */
static inline void forked_look(void)
{
	if (forked())
		forked_mend();
}

/* Calls forked_mend() in a forked child, for a thread that waits for a lock. It also finds the fork
 * on kernels that do not wipe the mark; that takes a system call. */
void forked_look_in_wait(void);

/* Notes the fork in a handler that libc calls in forked children, unless the heap is in order
 * already. The handler knows that it is in a child. With mends, it calls forked_mend(), too. */
void forked_look_in_handler(bool mends);

/* Begins to watch for forks. mend() is called once in each forked child, by its first thread that
 * enters the heap by a slow path. by_forker tells whether this is the thread that forked. Call it
 * once, while the process uses one thread of the heap. Without memory for the mark only handlers
 * find a fork. */
void forked_watch(void (*mend)(bool by_forker));

/* Says that this process needs no mending: a copy made for reading. */
void forked_settle(void);

#endif
