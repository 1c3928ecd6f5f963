/* SPDX-License-Identifier: MIT */
/*
 * suppressed.h - leaks that the file of the option suppressions names. See suppressed.c.
 */
#ifndef GOALLOC_SUPPRESSED_H
#define GOALLOC_SUPPRESSED_H

#include "stack/symbol.h"
#include "tools/mark.h"

/* Reads the file, and reports in one line what is wrong with it. Called once, while the process has
 * one thread. */
void suppressed_load(const char *file);

/* Stores at most max frames of the stack of an object's allocation, the innermost first. Returns
 * how many; 0: the stack is not known. */
typedef unsigned suppressed_stack(const struct mark_object *o, uintptr_t *pcs, unsigned max);

/* Marks the lost objects that a suppression matches, and all that they lead to, as reached. It
 * counts them for suppressed_print(). Both are called in the snapshot, before mark_lost(). */
void suppressed_mark(struct mark *m, struct symbols *symbols, suppressed_stack *stack_of);

/* Prints what each suppression has suppressed. */
void suppressed_print(struct out *o);

#endif
