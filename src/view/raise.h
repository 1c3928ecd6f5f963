/* SPDX-License-Identifier: MIT */
/*
 * raise.h - makes a process sample its allocations for a while. See raise.c.
 */
#ifndef GOALLOC_VIEW_RAISE_H
#define GOALLOC_VIEW_RAISE_H

#include "view/find.h"

struct raised {
	struct target *target;
	uintptr_t tracer;       /* address of its struct tracer; 0: nothing was raised */
	uint32_t rate, lease_ms;/* what is written there */
};

/* Asks the process for a sample every rate bytes. It ends by itself if raise_end() does not come
 * within the seconds and some more. Returns false, with target.error set, if it cannot be asked. */
bool raise_begin(struct raised *r, struct target *t, const struct viewed_root *root, size_t rate,
		 unsigned seconds);

/* Waits so many seconds, or until a signal comes that asks this program to end, or the process has
 * ended. Returns false in the last case. */
bool raise_wait(const struct raised *r, unsigned seconds);

/* Withdraws the wish. */
void raise_end(struct raised *r);

#endif
