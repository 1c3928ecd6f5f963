/* SPDX-License-Identifier: MIT */
/*
 * snapshot.h - a copy of the process as it is at one moment, to be looked through while the process goes on. See snapshot.c.
 */
#ifndef GOALLOC_SNAPSHOT_H
#define GOALLOC_SNAPSHOT_H

#include "base.h"

/* A thread as it was stopped. */
struct snapshot_thread {
	int tid;
	int signal;           /* that it was about to get */
	bool begun;           /* traced */
	bool stopped;
	uintptr_t stack;      /* stack pointer; 0: not known */
	uintptr_t tls;        /* what thread-local storage is found by; 0 */
};

/*
 * struct snapshot - what was found out about the threads. In memory that the caller, the helper that stops threads, and the copy have.
 */
struct snapshot {
	/* what is wanted */
	void (*look)(struct snapshot *sn, void *arg);   /* called in the copy */
	void *arg;
	int pid, tid;                     /* the program, and its thread that asked */
	uintptr_t stack;                  /* of that thread: below is nothing of the program's */
	/* who does it */
	_Atomic uint32_t go;
	bool last_try;
	int copy;                         /* process id of the copy; 0, or -errno */
	/* what was found */
	bool refused;                     /* a thread may not be traced */
	bool unsettled;                   /* threads are not known, or did not stop, or were too many for this memory */
	uint64_t stopped_us;              /* microseconds from the first stop to the last go; not known to the copy */
	size_t nthreads, max_threads;
	struct snapshot_thread *threads;
	size_t nwords, max_words;
	uintptr_t *words;                 /* from registers, such as may be addresses of objects */
	uintptr_t memory, nbytes;         /* where all of this is */
};

/* Threads that were not stopped, or whose registers could not be read. */
size_t snapshot_missed(const struct snapshot *sn);

/* Stops the program's other threads, copies the process, lets them go, calls look(sn, arg) in the copy, and waits for it to end. stack
 * is the caller's stack pointer, above which are its registers, too. Returns 0; or an error of errno.h when no copy could be made. A copy
 * that did not come to its end gives EIO. */
int snapshot_take(void (*look)(struct snapshot *sn, void *arg), void *arg, uintptr_t stack);

#endif
