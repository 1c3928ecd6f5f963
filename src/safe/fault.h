/* SPDX-License-Identifier: MIT */
/*
 * fault.h - what is said of an access to memory that is no object's, or no object's any more. See fault.c.
 */
#ifndef GOALLOC_FAULT_H
#define GOALLOC_FAULT_H

#include "safe/guard.h"

/* Sees to it that our handler of SIGSEGV and SIGBUS comes before the program's, if it has set one since the last call. Keeps errno. */
void fault_watch(void);

/* "goalloc: FUNC(0xADDR): FAULT", what is known of the object (NULL: nothing) with its stacks and the caller's, then SIGABRT. at is the
 * byte that was written to; 0 for none. No lock is held. */
_Noreturn void fault_misuse(const char *func, const void *p, const char *fault, const struct guarded *g, uintptr_t at);

/* In a forked child: no thread is writing a report. */
void fault_after_fork(void);

#endif
