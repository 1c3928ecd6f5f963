/* SPDX-License-Identifier: MIT */
/*
 * fixalloc.h - memory for our own records. See fixalloc.c.
 */
#ifndef GOALLOC_FIXALLOC_H
#define GOALLOC_FIXALLOC_H

#include "base/base.h"

/*
 * A pool of records of one size.
 * Access: [c] constant after fixalloc_init  [m] metadata lock
 */
struct fixalloc {
	size_t size;          /* [c] bytes of a record, a multiple of CACHE_LINE */
	size_t link_offset;   /* [c] where a free record keeps its link: a pointer field of the type */
	void *free;           /* [m] freed records, of a pool of large ones */
	struct slab *avail;   /* [m] slabs with a free record, of a pool of small ones */
	uint32_t epoch;       /* [m] of the list */
	size_t inuse;         /* [m] records handed out */
	size_t total;         /* [m] records ever made */
	size_t bytes;         /* [m] of the regions, taken for records, never given to another pool */
};

void fixalloc_init(struct fixalloc *f, size_t size, size_t link_offset);

/* A record; zeroed only the first time it is handed out (say so through *fresh unless NULL): what a
 * freed one held is still there. NULL when the system has no memory. Takes the metadata lock. */
void *fixalloc_alloc(struct fixalloc *f, bool *fresh);

/* Gives a record back. Its memory stays a record of this type for ever. Takes the metadata lock. */
void fixalloc_free(struct fixalloc *f, void *record);

/* Gives the memory of slabs without a record in use back to the system. What was a record reads as zero
 * afterwards, and is still a record of this type. Takes the metadata lock. */
void fixalloc_release(struct fixalloc *f);

/* Sees to it that nbytes of records can still be had when the system gives no more address space: large objects may have taken
 * all, and small ones in their place need more records. Takes the metadata lock. */
void fixalloc_keep_reserve(size_t nbytes);

/* Zeroed memory among the records, never freed; NULL when there is none. */
void *fixalloc_table(size_t nbytes);

/* The same with room behind it, where fixalloc_extend_table() adds nbytes at its end. That returns false, with nothing changed, when
 * there is no memory or something else is there. */
void *fixalloc_long_table(size_t nbytes);
bool fixalloc_extend_table(void *end, size_t nbytes);

/* Records handed out, and bytes taken for this pool, used or not. Takes the metadata lock. */
void fixalloc_count(const struct fixalloc *f, size_t *inuse, size_t *bytes);

/* Bytes of address space taken for records so far. */
size_t fixalloc_sys_bytes(void);

/* Bytes of it that are or were records: memory may be behind them. What fixalloc_release() gave back, tables and the reserve do not
 * count. Takes no lock. */
size_t fixalloc_used_bytes(void);

/* In a forked child: frees the metadata lock. */
void fixalloc_after_fork(void);

#endif
