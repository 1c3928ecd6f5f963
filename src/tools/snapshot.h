/* SPDX-License-Identifier: MIT */
/*
 * snapshot.h - a copy of the process as it is at one moment, to be looked through while the process goes on. See snapshot.c.
 */
#ifndef GOALLOC_SNAPSHOT_H
#define GOALLOC_SNAPSHOT_H

#include "base/base.h"

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
	uintptr_t registers[512];         /* of one thread, while they are looked at */
	uintptr_t memory, nbytes;         /* where all of this is */
};

/* Threads that were not stopped, or whose registers could not be read. */
size_t snapshot_missed(const struct snapshot *sn);

/* Why a snapshot could not be taken, or did not come to its end. */
struct snapshot_failure {
	int error;            /* of errno.h; 0: it was taken, and the copy came to its end */
	int signal;           /* that killed a process of ours; 0: none */
	const char *why;      /* in words, before the signal's number if there is one */
};

/* Stops the program's other threads, copies the process, lets them go, calls look(sn, arg) in the
 * copy, and waits for it to end. stack is the caller's stack pointer, above which are its
 * registers, too. A program that forbids others to look at it (PR_SET_DUMPABLE) is not copied:
 * EPERM. */
struct snapshot_failure snapshot_take(void (*look)(struct snapshot *sn, void *arg), void *arg,
				      uintptr_t stack);

#endif
