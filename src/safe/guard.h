/* SPDX-License-Identifier: MIT */
/*
 * guard.h - objects between pages that cannot be touched: efence=1 and guardrate=N. See guard.c.
 *
 * They lie outside of all arenas, so no fast path knows them; slow paths ask guard_owns() before they take an address for foreign.
 * Thread safe. What takes the lock is guard_alloc() and guard_free(); the others may be called in handlers of signals and in a process
 * whose other threads have stopped.
 */
#ifndef GOALLOC_GUARD_H
#define GOALLOC_GUARD_H

#include "base/config.h"
#include "base/options.h"

enum guarded_state {
	GUARDED_UNUSED,      /* no object yet */
	GUARDED_LIVE,
	GUARDED_FREEING,     /* free, but its pages can still be touched */
	GUARDED_FREED,
	GUARDED_FORGOTTEN,   /* freed, and nothing is known but that */
};

/* Who called. */
struct guard_stack {
	uint32_t thread;                   /* its number as the kernel has it */
	uint32_t n;
	uintptr_t pcs[GUARD_FRAMES];       /* innermost first, this library's own left out */
};

/*
 * struct guarded - an object, live or freed, and the pages that are its slot.
 * Type-stable: who reads without the lock finds a record, if perhaps one that is being changed.
 * Access: [c] constant while the slot has an object  [a] atomic  [g] guard lock
 */
struct guarded {
	_Atomic uint32_t state;            /* [a] enum guarded_state; who makes it GUARDED_FREEING frees */
	uint8_t slot_size;                 /* [c] its pages are 2^this, if it is used again */
	bool noscan;                       /* [c] */
	bool fenced;                       /* [c] its pages are opened and closed by fences */
	bool mapped;                       /* [c] it counts in mapped objects */
	uintptr_t start;                   /* [c] of the slot; a page that cannot be touched before it and behind it */
	size_t nbytes;                     /* [c] of the slot */
	uintptr_t addr;                    /* [c] of the object */
	size_t size;                       /* [c] as it was asked for */
	struct guarded *next;              /* [g] in the queue of freed ones */
	struct guard_stack allocated;      /* [c] */
	struct guard_stack freed;          /* [c] once it is GUARDED_FREED */
};

/* Figures; exact when nobody allocates or frees. */
struct guard_stats {
	size_t live;              /* objects */
	size_t live_bytes;        /* as they were asked for */
	size_t page_bytes;        /* kernel pages of theirs */
	size_t allocated;         /* objects so far */
	size_t freed;
	size_t refused;           /* objects that went to the heap for want of addresses, mappings or memory */
	size_t reserved;          /* bytes of address space */
};

/* Whether any object is guarded. Constant once the options are read. */
static inline bool guards_on(void)
{
	return options.efence || options.guardrate != 0;
}

/* Once, when the options are read. */
void guard_init(void);

/* An object that reads as zero, aligned to align, or for 0 by malloc's rule. NULL when it cannot be guarded: then it goes to the heap
 * like others. Takes the guard lock. */
void *guard_alloc(size_t size, size_t align, bool noscan);

/* The address is where guarded objects are: all questions below may be asked. */
bool guard_owns(uintptr_t addr);

/* False: no live object starts at p. */
bool guard_size(const void *p, size_t *nbytes);

/* Frees the object at p. Fatal, with a report, when there is none, or when it ran over or under. Takes the guard lock. */
void guard_free(void *p, const char *func);

/* No live object starts at p: a report of why, and the end. fault NULL: what it is found to be. */
_Noreturn void guard_bad_pointer(const void *p, const char *func, const char *fault);

/* The object that an access to an address was meant for, most likely: the one that has it, else the nearer of those beside it. NULL:
 * none is known. */
const struct guarded *guard_nearest(uintptr_t addr);

/* The live object that has this byte; NULL. */
const struct guarded *guard_object_of(uintptr_t addr);

/* Calls visit for all addresses where guarded objects may be, a piece at a time. */
void guard_each_place(void (*visit)(uintptr_t addr, size_t nbytes, void *arg), void *arg);

/* Calls visit for every live object. Without the lock. */
void guard_each(void (*visit)(const struct guarded *g, void *arg), void *arg);

void guard_stats_read(struct guard_stats *stats);

/* The calling thread's return addresses outside of this library. */
void guard_stack_here(struct guard_stack *stack);

/* In a forked child: frees the guard lock. */
void guard_after_fork(void);

#endif
