/* SPDX-License-Identifier: MIT */
/*
 * drain.h - gives back the kernel pages of a span in which all slots are free. See drain.c.
 */
#ifndef GOALLOC_DRAIN_H
#define GOALLOC_DRAIN_H

#include "heap/mheap.h"

/* Releases the kernel pages of a span that have free slots only. Returns the number of calls to the
 * kernel. The caller owns the span, which is on no list of a cache, and has absorbed it. Holds no
 * lock, and calls libc's madvise(3). */
unsigned drain_span(struct mspan *s);

/* Returns true if the span has not changed since it was drained. The caller owns the span. */
static inline bool drain_is_done(struct mspan *s)
{
	return s->seen_nfree == s->nfree && !mspan_has_remote(s);
}

#endif
