/* SPDX-License-Identifier: MIT */
/*
 * laststack.h - the stack of an allocation, found with what the last one has left. See laststack.c.
 */
#ifndef GOALLOC_LASTSTACK_H
#define GOALLOC_LASTSTACK_H

#include "base/base.h"

/* Makes the table, if there is memory for it. Called by one thread at a time. */
void laststack_prepare(void);

/* Stores the calling thread's return addresses outside of this library, innermost first, at most
 * max, and returns how many. Async-signal-safe. */
unsigned laststack_find(uintptr_t *pcs, unsigned max);

#endif
