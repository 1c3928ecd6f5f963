/* SPDX-License-Identifier: MIT */
/*
 * snapshot.h - the heap of a target at one look, which take.h takes. See snapshot.c.
 *
 *	if (take_snapshot(&sn, &target) == TAKEN) {
 *		for (size_t i = 0; i < sn.nruns; i++)
 *			... sn.runs[i] ...
 *		snapshot_drop(&sn);
 *	}
 *
 * All of it is checked: a run lies in its arena, a span class exists, objects are no more than
 * there is room for. While the threads of a process run, one figure may be older than another.
 */
#ifndef GOALLOC_SNAPSHOT_H
#define GOALLOC_SNAPSHOT_H

#include "tools/figures.h"
#include "view/copy.h"
#include "view/find.h"

/* Consecutive pages of one use: see heaprun.h. A span in two arenas is a run in each. */
struct snapshot_run {
	struct heap_run run;
	uintptr_t base;           /* address of the run's first page */
	/* The rest is only for spans. */
	uintptr_t record;         /* address of struct mspan in the target */
	uintptr_t owner;          /* its owner word */
	size_t states_at;         /* in snapshot.states: a byte for each slot; 16 if tiny */
	uint8_t kind;             /* enum span_kind */
};

struct snapshot_arena {
	uintptr_t base;
	uint32_t huge_regions;
	size_t first_run, nruns;  /* in snapshot.runs */
	uint64_t committed_words[ARENA_PAGES / 64 / 64];
};

/* A thread cache. */
struct snapshot_cache {
	uintptr_t record;         /* its address in the target */
	uintptr_t user;           /* a thread-local variable of its thread */
	int tid;                  /* in the process's own namespace; 0: unknown, or shared */
	bool shared;              /* the cache of threads that have none of their own */
	size_t cached_bytes;      /* free objects, and big ones kept */
	size_t page_bytes;        /* of its page word */
	size_t live_bytes;        /* of live objects in spans that it owns */
	size_t live_objects;
	uint64_t allocated;       /* objects, while allocations are counted */
};

struct snapshot {
	struct target *target;
	struct viewed_root root;
	struct copy copy;                 /* the records that were read */
	struct stat_snapshot stat;
	struct alloc_counts counts;
	struct snapshot_arena *arenas;    /* by address */
	size_t narenas;
	struct snapshot_run *runs;        /* arena by arena */
	size_t nruns;
	struct snapshot_cache *caches;
	size_t ncaches;
	uint8_t *states;
	size_t nstates;
	size_t resident;                  /* bytes of the whole process; 0: unknown */
	double time;                      /* seconds since 1970 */
	size_t ndamaged;                  /* records that made no sense, left out */
	size_t nmissing;                  /* records that could not be read, left out */
};

void snapshot_drop(struct snapshot *sn);

/* Returns the arena that contains addr, or NULL. */
const struct snapshot_arena *snapshot_arena_of(const struct snapshot *sn, uintptr_t addr);

/* Returns the first run of the span that contains addr, or the run of free pages there, or NULL
 * outside of the heap. */
const struct snapshot_run *snapshot_run_of(const struct snapshot *sn, uintptr_t addr);

/* An object, or a free slot. */
struct snapshot_object {
	uintptr_t addr;
	size_t nbytes;            /* of the slot; in a tiny block, of the object */
	unsigned slot;
	uint8_t state;            /* SLOT_..., or the size in a tiny block */
	bool live;
	bool scan;                /* it may hold pointers */
};

/* Sets *o to the object or free slot that contains addr. Returns false if no slot of a span does.
 * In tiny blocks a byte in no object is a free slot of one byte. */
bool snapshot_object_at(const struct snapshot *sn, uintptr_t addr, struct snapshot_object *o);

/* Calls visit for every live object of a span's first run, by address. */
void snapshot_each_object(const struct snapshot *sn, const struct snapshot_run *r,
			  void (*visit)(const struct snapshot_object *o, void *arg), void *arg);

#endif
