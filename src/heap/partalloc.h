/* SPDX-License-Identifier: MIT */
/*
 * partalloc.h - large records that are reserved whole and committed in parts. See partalloc.c.
 */
#ifndef GOALLOC_PARTALLOC_H
#define GOALLOC_PARTALLOC_H

#include "base/base.h"

/*
 * A pool of such records. A record has a first part, which is always committed while the record is
 * used, and a rest behind it, of which its user commits what it needs.
 * Access: [c] constant after partalloc_init  [l] a lock of the caller
 */
struct partalloc {
	size_t first_nbytes;         /* [c] of a first part, whole kernel pages */
	size_t rest_nbytes;          /* [c] of a rest, whole kernel pages */
	struct part_block *blocks;   /* [l] last come first */
};

/* The beginning of a block, in a kernel page of its own. Access: [l] the pool's lock  [c] constant
 * once the block is on the list */
struct part_block {
	struct part_block *next;   /* [c] */
	char *firsts;              /* [c] first parts */
	char *rests;               /* [c] */
	unsigned nrecords;         /* [c] */
	uint64_t taken;            /* [l] a bit for each record that is not free */
	uint64_t shown;            /* [l] of these, those that walks find */
};

void partalloc_init(struct partalloc *f, size_t first_nbytes, size_t rest_nbytes);

/* Returns a record that no other caller has, and its rest, or NULL when there is no address space.
 * Neither can be accessed. */
void *partalloc_take_locked(struct partalloc *f, void **rest);

/* Makes a record visible to partalloc_next_locked(), or hides it. A forked child finds one or the
 * other. */
void partalloc_show_locked(struct partalloc *f, void *record, bool shown);

/* Gives a hidden record back, whose memory is uncommitted. */
void partalloc_give_locked(struct partalloc *f, void *record);

/* Where a walk has come to. It begins with zeros. */
struct part_walk {
	struct part_block *block;
	unsigned i;
};

/* Returns the next record that is shown, or NULL after the last one. */
void *partalloc_next_locked(const struct partalloc *f, struct part_walk *w);

/* Makes a part of a record ready. It reads as zero unless it was committed before. Returns false
 * when there is no memory. Takes the metadata lock. */
bool partalloc_commit(void *p, size_t nbytes);

/* Gives the memory of a first part or of a rest back, of which so many bytes were committed. It
 * cannot be accessed then, unless the system refuses. Takes the metadata lock. */
void partalloc_uncommit(void *p, size_t nbytes, size_t committed);

#endif
