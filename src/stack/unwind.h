/* SPDX-License-Identifier: MIT */
/*
 * unwind.h - finds the return addresses on a stack. See unwind.c.
 *
 * Async-signal-safe: no lock, no allocation, errno kept; 1.4 KiB of stack, 1.6 on arm64. A stack
 * may contain anything, so an address is checked before it is read. The results have no
 * authentication codes (arm64). Each is the address of the instruction after a call: to find the
 * call's line, look up one byte less.
 */
#ifndef GOALLOC_UNWIND_H
#define GOALLOC_UNWIND_H

#include "base/base.h"

/* Stores the return addresses of the calling thread, innermost first, at most max, without the
 * first skip of them. With skip 0 the first address is in the function that calls this one. Returns
 * how many addresses it stored. */
unsigned unwind_stack(uintptr_t *pcs, unsigned max, unsigned skip);

/* Stores return addresses as unwind_stack() does, without the leading ones in this library. */
unsigned unwind_callers(uintptr_t *pcs, unsigned max);

/*
 * struct unwind_memo - the frames that a thread's last walk has found, for the next one.
 * Most of a stack is the same when a function is called again. A zeroed record is empty. It belongs
 * to one walk at a time.
 */
#define UNWIND_REMEMBERED 72

struct unwind_frame {
	uintptr_t sp, pc;          /* the registers in the frame */
	uintptr_t fp;              /* if it was left by fp, else 0 */
	uintptr_t cfa;             /* sp in its caller; 0: it has none */
	uintptr_t ra_at;           /* where its return address lies */
	uintptr_t fp_at;           /* where its caller's fp lies; 0: it is still in fp */
};

struct unwind_memo {
	uint32_t current;          /* the list of the last walk */
	uint32_t n[2];
	struct unwind_frame frames[2][UNWIND_REMEMBERED];
};

/* Stores return addresses as unwind_callers() does. A frame with the sp and pc of one that the last
 * walk has left by call frame information is left in the same way, without looking the pc up. That
 * is right unless other code was loaded at the same address meanwhile. */
unsigned unwind_callers_again(struct unwind_memo *memo, uintptr_t *pcs, unsigned max);

/* Stores the addresses on the stack of a signal's context (ucontext_t *). The first is the address
 * of the interrupted instruction, which does not follow a call. The same holds for a frame that
 * another signal interrupted further out. */
unsigned unwind_context(const void *ucontext, uintptr_t *pcs, unsigned max);

#endif
