/* SPDX-License-Identifier: MIT */
/*
 * stacks.h - call stacks on standard error, behind the line that says what happened. See stacks.c.
 *
 * Async-signal-safe: no lock of the heap, no allocation, errno kept, 2 KiB of stack.
 */
#ifndef GOALLOC_STACKS_H
#define GOALLOC_STACKS_H

#include "os/out.h"
#include "safe/guard.h"

/* Begins a report and returns where its text goes. Returns NULL if the calling thread writes a
 * report already, or if another thread takes too long. */
struct out *stacks_begin(void);

/* Prints "  WHAT by thread N:" and a line for each frame. Without a number of the thread the first
 * line is "  WHAT:". With exact, the first address is that of an instruction, and is not behind a
 * call. Prints no names any more if the report takes too long. */
void stacks_print(const char *what, const struct guard_stack *stack, bool exact);

/* Prints the calling thread's stack without this library's own frames. */
void stacks_print_here(const char *what);

/* Prints the stack that a signal's context (ucontext_t *) has interrupted. */
void stacks_print_context(const char *what, const void *context);

/* Writes what is left, and ends the report. */
void stacks_end(void);

#endif
