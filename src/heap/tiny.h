/* SPDX-License-Identifier: MIT */
/*
 * tiny.h - noscan objects of at most 16 bytes, several in a block. See tiny.c.
 */
#ifndef GOALLOC_TINY_H
#define GOALLOC_TINY_H

#include "heap/mcache.h"

/* An object of size bytes, 0..TINY_SIZE, aligned to the largest power of two that is no larger than it and
 * to floor, a power of two up to TINY_SIZE. NULL when there is no memory. */
void *tiny_alloc(struct mcache *c, size_t size, size_t floor);

/* What tiny_alloc() makes of a size: the bytes the object owns. */
static inline size_t tiny_nbytes(size_t size, size_t floor)
{
	return align_up(size == 0 ? 1 : size, floor);
}

/* Bytes of the live object that starts at addr in a tiny span; 0 when there is none. */
size_t tiny_object_size(const struct mspan *s, uintptr_t addr);

/* addr, which starts no live object, is inside one. */
bool tiny_is_interior(const struct mspan *s, uintptr_t addr);

/* Frees the live object at addr. */
void tiny_free(struct mcache *c, struct mspan *s, uintptr_t addr);

/* The cache lets go of its block. */
void tiny_detach(struct mcache *c);

/* In a forked child: the block of a cache whose thread is gone is a block like any other. */
void tiny_forget(struct mcache *dead);

#endif
