/* SPDX-License-Identifier: MIT */
/*
 * mark.h - finds out which objects can be reached. See mark.c.
 *
 * It works conservatively, as Go's collector does with stacks: each word may be an address. It may
 * be used only in a process of one thread whose heap is not used any more, because the marks are
 * bits of the state bytes.
 */
#ifndef GOALLOC_MARK_H
#define GOALLOC_MARK_H

#include "heap/mheap.h"

/* The two bits of a state byte that have an object's mark, beside those of the slot's state. */
#define MARK_BITS 0xc0
#define MARK_NONE 0
#define MARK_FOLLOWED 0x40     /* lost; a leader, or a leader leads to it: see mark_lost() */
#define MARK_INDIRECT 0x80     /* lost, followed, and another lost object leads to it */
#define MARK_REACHED 0xc0
_Static_assert((TINY_PIN & MARK_BITS) == MARK_REACHED, "pinned blocks are passed over");
_Static_assert(((SLOT_LIVE | SLOT_RESIZED | SLOT_SAMPLED | SLOT_IGNORED | SLOT_DEAD | TINY_SIZE) &
		MARK_BITS) == 0,
	       "states and sizes of tiny objects have other bits");

static inline uint8_t mark_of(const _Atomic uint8_t *state)
{
	return slot_state(state) & MARK_BITS;
}

/* An object. */
struct mark_object {
	uintptr_t base;
	size_t nbytes;                 /* of its slot */
	_Atomic uint8_t *state;
	spanclass_t spanclass;
};

/* An object that may be marked, once its state byte is in the processor's cache. */
struct mark_candidate {
	_Atomic uint8_t *state;
	uintptr_t base;
	const struct mspan *span;      /* of a big object; else NULL */
	spanclass_t spanclass;
};

/* Memory that will be searched for addresses. */
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
	struct mark_part *part;        /* the top */
	struct mark_part *spare;       /* a part that was emptied, or NULL */
	size_t len;                    /* ranges in part */
};

struct mark {
	uintptr_t low, span;           /* all arenas lie in [low, low + span) */
	int pagemap;                   /* descriptor, or -1 */
	bool failed;                   /* there was no memory for a stack, so marks are missing */
	uint8_t before, after;         /* found objects with the one mark get the other */
	_Atomic uint8_t *leader;       /* state of the object that is searched, which keeps its
					* mark */
	struct mark_stack stack;       /* memory to be searched */
	struct mark_stack leaders;
	struct mark_candidate candidates[MARK_AHEAD];
	struct mark_range ranges[MARK_AHEAD];
	unsigned candidate_in, candidate_out, range_in, range_out;
};

/* Figures of a report. */
struct mark_counts {
	size_t nlive, live_bytes;      /* all objects */
	size_t nlost, lost_bytes;      /* objects that are not reached */
};

/* Prepares the heap. Returns false if there is no memory. */
bool mark_start(struct mark *m);

/* Marks all objects that the words in [from, to) lead to, directly or through others. Both ends are
 * word-aligned. */
void mark_roots(struct mark *m, uintptr_t from, uintptr_t to);

/* Marks an object, and all objects that it leads to. */
void mark_object(struct mark *m, const struct mark_object *o);

/* Marks the objects that goalloc_ignore() was called for, and all objects that these lead to. */
void mark_ignored(struct mark *m);

/* Tells direct from indirect leaks, after all marking. */
void mark_lost(struct mark *m);

/* Calls visit for every lost object, and counts all. */
void mark_each_lost(void (*visit)(const struct mark_object *o, bool direct, void *arg), void *arg,
		    struct mark_counts *counts);

/* Returns a number that rises in the order of mark_each_lost(), in every snapshot of the
 * process. */
uint64_t mark_order(uintptr_t base);

/* Calls visit for each run of kernel pages in [addr, end) that have private memory. If addr lies
 * within a page, the rest of that page is visited in any case. */
void mark_each_present(int pagemap, uintptr_t addr, uintptr_t end,
		       void (*visit)(uintptr_t from, uintptr_t to, void *arg), void *arg);

#endif
