/* SPDX-License-Identifier: MIT */
/*
 * fixalloc.h - memory for the allocator's own records. See fixalloc.c.
 */
#ifndef GOALLOC_FIXALLOC_H
#define GOALLOC_FIXALLOC_H

#include "os/lock.h"

/*
 * A pool of records of one size.
 * Access: [c] constant after fixalloc_init  [m] metadata lock
 */
struct fixalloc {
	size_t size;          /* [c] bytes of a record, a multiple of CACHE_LINE */
	size_t link_offset;   /* [c] of the pointer field where a free record keeps its link */
	void *free;           /* [m] freed records, of a pool of large ones */
	struct slab *avail;   /* [m] slabs with a free record, of a pool of small ones */
	uint32_t epoch;       /* [m] of the list: see fixalloc_after_fork() */
	size_t inuse;         /* [m] records handed out */
	size_t total;         /* [m] records ever made */
	size_t bytes;         /* [m] taken for records, never given to another pool */
};

/* A piece of memory that is handed out from its start. */
struct piece {
	uintptr_t next;    /* [m] first byte not handed out */
	uintptr_t end;     /* [m] end of the memory */
};

/* The memory of all pools. */
struct fixalloc_memory {
	struct lock lock;
	struct piece slabs;       /* [m] for slabs */
	struct piece records;     /* [m] for large records */
	struct piece reserve;     /* [m] for when the system gives no more */
	size_t sys_bytes;         /* [m] of all pieces and tables */
	_Atomic size_t used_bytes;    /* [m] of slabs and records made and not released;
				       *     loaded by any thread */
	uint32_t epoch;           /* [m] counts forks that found a list torn */
};
extern struct fixalloc_memory fixalloc_memory;

void fixalloc_init(struct fixalloc *f, size_t size, size_t link_offset);

/* Returns a record, or NULL when the system has no memory. A record reads as zero the first time
 * that it is handed out; *fresh tells this, unless fresh is NULL. Later it holds what it held when
 * it was freed. Takes the metadata lock. */
void *fixalloc_alloc(struct fixalloc *f, bool *fresh);

/* Frees a record. Its memory stays a record of this type for ever. Takes the metadata lock. */
void fixalloc_free(struct fixalloc *f, void *record);

/* Gives the memory of slabs without a record in use back to the system. Their records read as zero
 * afterwards, and are still records of this type. Takes the metadata lock. */
void fixalloc_release(struct fixalloc *f);

/* Puts nbytes aside for records, once, for when the system gives no more address space: large
 * objects may have taken all of it, and small ones in their place need more records. Takes the
 * metadata lock. */
void fixalloc_keep_reserve(size_t nbytes);

/* Returns zeroed memory among the records, which is never freed, or NULL when there is none. */
void *fixalloc_table(size_t nbytes);

/* Returns memory as fixalloc_table() does, with room to grow behind it. */
void *fixalloc_long_table(size_t nbytes);

/* Adds nbytes at the end of a long table. Returns false, with nothing changed, when there is no
 * memory or when another mapping is there. */
bool fixalloc_extend_table(void *end, size_t nbytes);

/* Count address space, and memory, of records that lie elsewhere: see partalloc.c. They take the
 * metadata lock. */
void fixalloc_count_reserved(size_t nbytes);
void fixalloc_count_used(size_t more, size_t less);

/* Tells how many records are handed out, and how many bytes were taken for this pool. Takes the
 * metadata lock. */
void fixalloc_count(const struct fixalloc *f, size_t *inuse, size_t *bytes);

/* Returns the bytes of address space taken for records so far. Takes the metadata lock. */
size_t fixalloc_sys_bytes(void);

/* Returns the bytes that are or were records, and so may have memory behind them. Tables, the
 * reserve and what fixalloc_release() gave back do not count. Takes no lock. */
size_t fixalloc_used_bytes(void);

/* In a forked child: frees the metadata lock. If a thread that is gone held it, lists of free
 * records may be torn. They are given up: a new epoch begins, and a list of an older one counts as
 * empty. */
void fixalloc_after_fork(void);

#endif
