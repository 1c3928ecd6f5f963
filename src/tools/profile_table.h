/* SPDX-License-Identifier: MIT */
/*
 * profile_table.h - the records of the profile and the tables that find them. See profile.c.
 */
#ifndef GOALLOC_PROFILE_TABLE_H
#define GOALLOC_PROFILE_TABLE_H

#include "heap/hashtable.h"
#include "os/lock.h"
#include "tools/pprof.h"

struct profile_freed;

/*
 * Access: [p] profile lock  [u] use lock  [c] constant while the profile lasts  [a] atomic
 */
struct profile_bucket {
	struct hashtable_node node;    /* [p] of stack and size; first */
	struct profile_bucket *older;  /* [c] */
	size_t nbytes;                 /* [c] of a slot */
	uint64_t allocs, frees;        /* [p] samples */
	unsigned npcs;                 /* [c] */
	uintptr_t pcs[];               /* [c] return addresses, innermost first */
};

struct profile_object {
	struct hashtable_node node;    /* [p] of the address; first. Links free records */
	struct profile_bucket *bucket; /* [p] */
};

struct profile_place {
	struct hashtable_node node;    /* [p] of pc; first */
	struct profile_place *older;           /* [c] */
	struct pprof_place written;    /* pc [c]; the rest [u] */
};

struct profile_chunk {
	struct profile_chunk *next;
};

/* All of the profile. */
struct profile_tables {
	struct lock use_lock;
	struct lock lock;
	size_t rate;                   /* [p] of the current or last profile */
	_Atomic uint64_t serial;       /* [p] number of the profile; read by any thread */
	_Atomic uint64_t dropped;      /* [a] samples without a record */
	uint64_t samples;              /* [p] */
	_Atomic uint64_t live_bytes;   /* [p] that live samples stand for; read by any thread */
	uint32_t writes;               /* [u] how many times it was written */
	struct hashtable buckets, objects, places;    /* [p] */
	bool forgetting;               /* [p] the tables are being emptied */
	struct profile_bucket *newest_bucket;  /* [p] */
	struct profile_place *newest_place;    /* [p] */
	struct profile_object *free;           /* [p] records without an object */
	struct profile_freed *freed;           /* [p] FREED_KEPT of them, or NULL */
	uint32_t nfreed;               /* [p] how many there were so far */
	struct profile_chunk *first, *current; /* [p] */
	uintptr_t next, end;           /* [p] the rest of the current chunk */
};
extern struct profile_tables profiled;

#endif
