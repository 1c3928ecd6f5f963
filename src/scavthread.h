/* SPDX-License-Identifier: MIT */
/*
 * scavthread.h - the thread that gives memory back while the program does not. See scavthread.c.
 */
#ifndef GOALLOC_SCAVTHREAD_H
#define GOALLOC_SCAVTHREAD_H

#include "base/options.h"
#include "heap/limit.h"

/* Allows the thread to be made. libc is up, and forks are watched. */
void scavthread_allow(void);

/* Remembers what standard error is now. Called when a limit is set. */
void scavthread_note_stderr(void);

/* Makes the thread, unless it was made, or it is not wanted, and says once that the live objects do
 * not fit into the memory limit. Keeps errno. The caller has no cache in use and no lock. */
void scavthread_attend_slow(void);

/* Calls scavthread_attend_slow() where the thread is wanted. The slow paths of malloc and realloc
 * call it. Those of free do not, because libc frees while it holds the lock of its stacks. */
static inline void scavthread_attend(void)
{
	if (UNLIKELY(options.scavthread == SCAVTHREAD_ON) ||
	    UNLIKELY(limit_get_state() != LIMIT_FAR))
		scavthread_attend_slow();
}

/* In a forked child, which has no such thread: one is made when it is wanted. */
void scavthread_after_fork(void);

/* Returns true in the thread. It has no cache. */
bool scavthread_is_self(void);

#endif
