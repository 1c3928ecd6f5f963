/* SPDX-License-Identifier: MIT */
/*
 * freeze.h - stops the threads of a target for a moment, and reads their registers. See freeze.c.
 */
#ifndef GOALLOC_VIEW_FREEZE_H
#define GOALLOC_VIEW_FREEZE_H

#include "view/target.h"

/* A thread as it was stopped. */
struct frozen_thread {
	int tid;
	int signal;           /* the signal that it was about to get */
	bool begun, stopped;
	uintptr_t stack;      /* stack pointer; 0: not known */
	uintptr_t tls;        /* start of its thread-local storage; 0: not known */
	size_t first_word;    /* its registers in freeze.words, and their number */
	size_t nwords;
};

struct freeze {
	struct frozen_thread *threads;
	size_t nthreads;
	uintptr_t *words;     /* from registers: possible addresses of objects */
	size_t nwords;
	size_t missed;        /* threads whose registers are not known */
	bool refused;         /* the kernel does not let them be traced */
};

/* Stops all threads of a process. Of a core, whose threads stand still, it only reads the
 * registers. Threads that do not stop, or may not be traced, count as missed. */
void freeze_begin(struct freeze *f, const struct target *t);

/* Lets the threads go on. What was read stays. A process that was stopped by a signal before stays
 * stopped. The kernel does this, too, when the caller ends in any way. */
void freeze_end(struct freeze *f);

/* Gives the memory back. */
void freeze_drop(struct freeze *f);

#endif
