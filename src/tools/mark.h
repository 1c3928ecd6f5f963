/* SPDX-License-Identifier: MIT */
/*
 * mark.h - which objects can be reached, as Go's collector finds out: conservatively, from words that may be addresses. See mark.c.
 *
 * Only in a process of one thread whose heap is not used any more: marks are put into the state bytes.
 */
#ifndef GOALLOC_MARK_H
#define GOALLOC_MARK_H

#include "heap/mheap.h"

/* Bits of a state byte, beside those of the slot's state. The last byte of a tiny block in a cache has them all: it is no object. */
#define MARK_REACHED 0x80
#define MARK_FOLLOWED 0x40     /* not reached; a leader, or led to by one: see mark_lost() */
#define MARK_INDIRECT 0x20     /* not reached, but from an object that is not reached */
_Static_assert((TINY_PIN & MARK_REACHED) != 0, "what is pinned is passed over");
_Static_assert(((SLOT_LIVE | SLOT_RESIZED | SLOT_SAMPLED | SLOT_ONCE | SLOT_DEAD | TINY_SIZE) & (MARK_REACHED | MARK_FOLLOWED | MARK_INDIRECT)) == 0,
	       "states and sizes of tiny objects have other bits");

/* Where an object is, and its state byte. */
struct mark_object {
	uintptr_t base;
	size_t nbytes;                 /* its slot */
	_Atomic uint8_t *state;
	spanclass_t spanclass;
};

/* An object that may be marked, when its state has come into the processor's cache. */
struct mark_candidate {
	_Atomic uint8_t *state;
	uintptr_t base;
	const struct mspan *span;      /* of a big object; else NULL */
	spanclass_t spanclass;
};

/* Memory that is to be searched for addresses. */
struct mark_range {
	uintptr_t base;
	size_t nbytes;
};

#define MARK_AHEAD 16              /* fetches under way, of states and of objects; a power of two */
#define MARK_PART 4095             /* ranges in a part of the stack */

struct mark_part {
	struct mark_part *below;
	struct mark_range at[MARK_PART];
};

struct mark_stack {
	struct mark_part *part;        /* the highest */
	struct mark_part *spare;       /* NULL; one that was emptied */
	size_t len;                    /* ranges in part */
};

struct mark {
	uintptr_t low, span;           /* all arenas lie in [low, low + span) */
	int pagemap;                   /* descriptor; -1 */
	bool failed;                   /* there was no memory for a stack: marks are missing */
	uint8_t flag;                  /* MARK_... that objects get when they are found */
	_Atomic uint8_t *leader;       /* of the lost object from which others are found: it does not get the flag; NULL */
	struct mark_stack stack;       /* what is to be searched */
	struct mark_stack leaders;
	struct mark_candidate candidates[MARK_AHEAD];
	struct mark_range ranges[MARK_AHEAD];
	unsigned candidate_in, candidate_out, range_in, range_out;
};

/* What there is to report. */
struct mark_counts {
	size_t nlive, live_bytes;      /* all objects */
	size_t nlost, lost_bytes;      /* of these, not reached */
};

/* Makes the heap ready. False when there is no memory. */
bool mark_start(struct mark *m);

/* Marks what the words in [from, to) lead to, and what that leads to. from and to are word aligned. */
void mark_roots(struct mark *m, uintptr_t from, uintptr_t to);

/* The object is reached after all, and what it leads to. */
void mark_object(struct mark *m, const struct mark_object *o);

/* Afterwards: tells direct from indirect among the lost ones. */
void mark_lost(struct mark *m);

/* Calls visit for every object that was not reached. */
void mark_each_lost(void (*visit)(const struct mark_object *o, bool direct, void *arg), void *arg, struct mark_counts *counts);

/* A number that rises in the order in which mark_each_lost() comes to objects, in every snapshot of the process. */
uint64_t mark_order(uintptr_t base);

/* Which of n pages of the kernel from addr on have memory: calls visit for each run of them. Private mappings only. */
void mark_each_present(int pagemap, uintptr_t addr, uintptr_t end, void (*visit)(uintptr_t from, uintptr_t to, void *arg), void *arg);

#endif
