/* SPDX-License-Identifier: MIT */
/*
 * tiny.h - noscan objects of at most 16 bytes, several in a block. See tiny.c.
 */
#ifndef GOALLOC_TINY_H
#define GOALLOC_TINY_H

#include "heap/mcache.h"

/* Allocates an object of size bytes, 0 to TINY_SIZE, aligned to the largest power of two that is no
 * larger than it and to floor, a power of two up to TINY_SIZE. Returns NULL if there is no
 * memory. */
void *tiny_alloc(struct mcache *c, size_t size, size_t floor);

/* Returns the bytes that an object of a size owns. */
static inline size_t tiny_nbytes(size_t size, size_t floor)
{
	return align_up(size == 0 ? 1 : size, floor);
}

/* Returns the bytes of the live object that starts at addr in a tiny span; 0 if none does. */
size_t tiny_object_size(const struct mspan *s, uintptr_t addr);

/* Returns true if addr, at which no live object starts, is inside of one. */
bool tiny_is_interior(const struct mspan *s, uintptr_t addr);

/* Frees the live object at addr. */
void tiny_free(struct mcache *c, struct mspan *s, uintptr_t addr);

/* Lets go of the cache's block. */
void tiny_detach(struct mcache *c);

/* In a forked child: makes the block of a lost thread's cache a block like any other. */
void tiny_forget(struct mcache *dead);

#endif
