/* SPDX-License-Identifier: MIT */
/*
 * hardened.h - hardened=1: objects with a tail that tells of overflows, freed ones kept back, zero and guarded. See hardened.c.
 */
#ifndef GOALLOC_HARDENED_H
#define GOALLOC_HARDENED_H

#include "heap/mcache.h"

/* Bytes at the end of a small object's slot that are not its user's. */
#define HARDENED_TAIL sizeof(uint64_t)

/* Once, before the first object. */
void hardened_init(void);

/* An object of size bytes in a slot of the class, which has room for the tail, too. It reads as zero; if it does not, somebody
 * wrote to freed memory, and that is fatal. NULL when there is no memory. */
void *hardened_alloc_small(struct mcache *c, spanclass_t sc, size_t size);

/* Pages of a big object's span, the guarded ones included. */
size_t hardened_big_npages(size_t size);

/* A big object's span, its last page guarded. It reads as zero. NULL when there is no memory. */
struct mspan *hardened_alloc_big(struct mcache *c, size_t size, size_t align_pages, bool noscan);

/* Bytes that were asked for; fatal when something was written behind them. The object is live. */
size_t hardened_small_size(const struct mspan *s, uint32_t slot, const char *func);
size_t hardened_big_size(const struct mspan *s, const char *func);

/* Frees a live small object, whose span may be anyone's. */
void hardened_free_small(struct mcache *c, struct mspan *s, uint32_t slot, const char *func);

/* Frees a big object, whose state is free already. */
void hardened_free_big(struct mcache *c, struct mspan *s);

/* Lets go of all that the quarantine of a cache has. */
void hardened_flush(struct mcache *c);

/* In a forked child: frees the small objects in the quarantine of a lost thread's cache, and moves the
 * big ones into the quarantine of c. */
void hardened_adopt(struct mcache *c, struct mcache *dead);

#endif
