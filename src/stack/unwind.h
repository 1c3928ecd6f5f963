/* SPDX-License-Identifier: MIT */
/*
 * unwind.h - who called: the return addresses on a stack. See unwind.c.
 *
 * Async-signal-safe: no lock, no allocation, errno kept; 1.4 KiB of stack, 1.6 on arm64. What is on the stack may be anything: an address
 * is looked at before it is read. Addresses are without authentication codes (arm64). They are those of the instruction after
 * the call: to find the line, look up one byte less.
 */
#ifndef GOALLOC_UNWIND_H
#define GOALLOC_UNWIND_H

#include "base/base.h"

/* Return addresses of the calling thread, innermost first, at most max; skip frames left out. With skip 0 the first is in the
 * function that calls it. How many there are in pcs. */
unsigned unwind_stack(uintptr_t *pcs, unsigned max, unsigned skip);

/* The same from a signal's context (ucontext_t *). The first address is that of the instruction at which the signal came; a frame
 * interrupted by a signal further out has the like. */
unsigned unwind_context(const void *ucontext, uintptr_t *pcs, unsigned max);

#endif
