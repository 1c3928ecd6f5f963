/* SPDX-License-Identifier: MIT */
/*
 * snapshot.h - copies the process as it is at one moment, so that the copy can be searched while
 * the process goes on. See snapshot.c.
 */
#ifndef GOALLOC_SNAPSHOT_H
#define GOALLOC_SNAPSHOT_H

#include "base/base.h"

/* A thread as it was stopped. */
struct snapshot_thread {
	int tid;
	int signal;           /* the signal that it was about to get */
	bool begun;           /* traced */
	bool stopped;
	bool ended;           /* it has no registers */
	uintptr_t stack;      /* stack pointer; 0: not known */
	uintptr_t tls;        /* start of its thread-local storage; 0: not known */
};

/*
 * struct snapshot - the threads and their registers. The caller, the helper that stops threads, and
 * the copy all have this memory.
 */
struct snapshot {
	/* the request */
	void (*look)(struct snapshot *sn, void *arg);   /* called in the copy */
	void *arg;
	int pid, tid;                     /* the program, and its thread that asks */
	uintptr_t stack;                  /* of that thread: nothing of the program is below */
	/* the helper and the copy */
	_Atomic uint32_t go;
	bool last_try;
	int copy;                         /* process id of the copy; 0, or -errno */
	/* the result */
	bool refused;                     /* a thread may not be traced */
	bool unsettled;                   /* threads are unknown, did not stop, or are too many */
	uint64_t stopped_us; /* from the first stop to the last go; unknown in the copy */
	size_t nthreads, max_threads;
	struct snapshot_thread *threads;
	size_t nwords, max_words;
	uintptr_t *words;                 /* from registers: possible addresses of objects */
	uintptr_t registers[512];         /* of one thread */
	uintptr_t memory, nbytes;         /* of all of this */
};

/* Returns how many threads were not stopped. Their registers are not known. */
size_t snapshot_missed(const struct snapshot *sn);

/* Why a snapshot could not be taken, or ended early. */
struct snapshot_failure {
	int error;            /* of errno.h; 0: the copy came to its end */
	int signal;           /* the signal that killed our process; 0: none */
	const char *why;      /* in words, before the signal's number if there is one */
};

/* Stops the program's other threads, copies the process, lets them go, calls look(sn, arg) in the
 * copy, and waits for it to end. stack is the caller's stack pointer, above which are its
 * registers, too. A program that forbids others to look at it (PR_SET_DUMPABLE) is not copied:
 * EPERM. */
struct snapshot_failure snapshot_take(void (*look)(struct snapshot *sn, void *arg), void *arg,
				      uintptr_t stack);

#endif
