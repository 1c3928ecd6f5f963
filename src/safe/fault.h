/* SPDX-License-Identifier: MIT */
/*
 * fault.h - reports of accesses to memory that belongs to no live object. See fault.c.
 */
#ifndef GOALLOC_FAULT_H
#define GOALLOC_FAULT_H

#include "safe/guard.h"

/* Puts our handler of SIGSEGV and SIGBUS before the program's, if the program has set its own since
 * the last call. Keeps errno. */
void fault_watch(void);

/* Returns a guarded object as guard_alloc() does, with the handler in place. */
void *fault_guarded_alloc(size_t size, size_t align, enum scan scan);

/* Frees the guarded object at p. Reports why it cannot be freed and ends the process if it
 * cannot. */
void fault_guarded_free(void *p, const char *func);

/* Reports that no live guarded object starts at p, and ends the process. fault says what is wrong;
 * NULL: it is found out. */
_Noreturn void fault_bad_pointer(const void *p, const char *func, const char *fault);

/* Writes "goalloc: FUNC(0xADDR): FAULT", what is known of the object with its stacks, and the
 * caller's stack. Then it raises SIGABRT. The caller holds no lock. */
_Noreturn void fault_misuse(const char *func, const void *p, const struct guard_finding *finding);

#endif
