/* SPDX-License-Identifier: MIT */
/*
 * scavenge.h - gives free pages back to the system. See scavenge.c.
 */
#ifndef GOALLOC_SCAVENGE_H
#define GOALLOC_SCAVENGE_H

#include "base/base.h"

/* Pages of this chunk were freed. mheap.lock held. */
void scavenge_note_free_locked(uint64_t chunk);

/* Releases what has been free for the decay time, some of it at a time: true when there may be more. Takes
 * mheap.lock, and drops it while the kernel works. */
bool scavenge_poll(uint64_t now_ms);

/* Releases every free page. Bytes released. */
size_t scavenge_all(void);

/* Releases free pages, those that were freed first, until it is nbytes. Bytes released. mheap.lock held; it is dropped while the kernel
 * works. */
size_t scavenge_locked(size_t nbytes);

#endif
