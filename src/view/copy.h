/* SPDX-License-Identifier: MIT */
/*
 * copy.h - a copy of those parts of a target's memory that were asked for. See copy.c.
 */
#ifndef GOALLOC_COPY_H
#define GOALLOC_COPY_H

#include "view/target.h"

struct copy_block;

/* The copy. It belongs to its user. */
struct copy {
	struct target *target;
	struct copy_block **blocks;    /* by a hash of the address */
	size_t nblocks, room;
};

void copy_begin(struct copy *c, struct target *t);

/* Copies bytes, from the target when they are first asked for, and later as they were then. Returns
 * false if not all of them could be read. */
bool copy_read(struct copy *c, uintptr_t addr, void *to, size_t nbytes);

void copy_end(struct copy *c);

#endif
