/* SPDX-License-Identifier: MIT */
/*
 * hardened.h - hardened=1: a tail behind each object shows overflows, and freed memory is cleared
 * and kept back. See hardened.c.
 */
#ifndef GOALLOC_HARDENED_H
#define GOALLOC_HARDENED_H

#include "heap/mcache.h"

/* Bytes at the end of a small object's slot that the program must not use. */
#define HARDENED_TAIL sizeof(uint64_t)

/* Makes the key. Called once, before the first object. */
void hardened_init(void);

/* Returns an object of size bytes in a slot of the class, which has room for the tail. The object
 * reads as zero. If it does not, freed memory was written to, and that is fatal. Returns NULL
 * without memory. */
void *hardened_alloc_small(struct mcache *c, spanclass_t sc, size_t size);

/* Returns the pages of a big object's span, with the guard. */
size_t hardened_big_npages(size_t size);

/* Returns the span of a big object, which reads as zero and ends with a guard. Returns NULL without
 * memory. */
struct mspan *hardened_alloc_big(struct mcache *c, size_t size, size_t align_pages, enum scan scan);

/* Return how many bytes were asked for a live object. It is fatal if something was written behind
 * them. */
size_t hardened_small_size(const struct mspan *s, uint32_t slot, const char *func);
size_t hardened_big_size(const struct mspan *s, const char *func);

/* Frees the live small object at addr, in a span of any thread. */
void hardened_free_small(uintptr_t addr, struct mspan *s, uint32_t slot, const char *func,
			 struct mcache *c);

/* Frees a big object whose state byte is free already. */
void hardened_free_big(struct mcache *c, struct mspan *s);

/* Empties the quarantine of a cache. */
void hardened_flush(struct mcache *c);

/* In a forked child: frees the small objects in the quarantine of a lost thread's cache, and moves
 * the big ones into the quarantine of c. */
void hardened_adopt(struct mcache *c, struct mcache *dead);

#endif
