/* SPDX-License-Identifier: MIT */
/*
 * guard.h - objects between pages that cannot be touched: efence=1 and guardrate=N. See guard.c.
 *
 * These objects lie outside of all arenas, so no fast path knows them. Slow paths ask guard_owns()
 * before they take an address for foreign.
 * All functions are thread safe. guard_alloc() and guard_free() take the guard lock. The others may
 * be called in signal handlers, and in a process whose other threads have stopped.
 */
#ifndef GOALLOC_GUARD_H
#define GOALLOC_GUARD_H

#include "base/config.h"
#include "base/options.h"
#include "heap/sizeclass.h"

enum guarded_state {
	GUARDED_UNUSED,      /* no object yet */
	GUARDED_LIVE,
	GUARDED_FREEING,     /* free, but its pages can still be touched */
	GUARDED_FREED,
	GUARDED_FORGOTTEN,   /* freed, and its record has another object now */
};

/* A call stack. */
struct guard_stack {
	uint32_t thread;                   /* the kernel's number of the thread */
	uint32_t n;
	uintptr_t pcs[GUARD_FRAMES];       /* innermost first, without this library's own frames */
};

/*
 * struct guarded - an object, live or freed, and the pages that are its slot.
 * Type-stable: a reader without the lock finds a record, which may be changing.
 * Access: [c] constant while the slot has an object  [a] atomic  [g] guard lock
 */
struct guarded {
	_Atomic uint32_t state;            /* [a] enum guarded_state; GUARDED_FREEING is a claim */
	uint8_t slot_size; /* [c] if the slot is used again: log2 of its kernel pages */
	enum scan scan;                    /* [c] */
	bool fenced;                       /* [c] fences open and close its pages */
	bool mapped;                       /* [c] it counts as a mapping of its own */
	_Atomic bool ignored;              /* [a] goalloc_ignore(): what realloc() makes of it is no
					    * leak */
	uintptr_t start;                   /* [c] of the slot, which lies between two guards */
	size_t nbytes;                     /* [c] of the slot */
	uintptr_t addr;                    /* [c] of the object */
	size_t size;                       /* [c] as it was asked for */
	struct guarded *next;              /* [g] in the queue of freed slots */
	struct guard_stack allocated;      /* [c] */
	struct guard_stack freed;          /* [c] once it is GUARDED_FREED */
};

/* What is wrong with a pointer, or with the object there. */
struct guard_finding {
	const char *fault;                 /* in words */
	const struct guarded *object; /* the object that was meant most likely; NULL: unknown */
	uintptr_t at;                 /* a byte outside of the object that was written to, or 0 */
};

/* Returns whether any object is guarded. Constant once the options are read. */
static inline bool guards_on(void)
{
	return options.efence || options.guardrate != 0;
}

/* Prepares the module. Called once, when the options are read. */
void guard_init(void);

/* Returns an object that reads as zero, aligned to align, or by malloc's rule if that is 0. Returns
 * NULL if the object cannot be guarded: the heap serves the request then. Takes the guard lock. */
void *guard_alloc(size_t size, size_t align, enum scan scan);

/* Returns whether the address is one where guarded objects are. */
bool guard_owns(uintptr_t addr);

/* Sets *nbytes to the size of the live object that starts at p. Returns false if there is none. */
bool guard_size(const void *p, size_t *nbytes);

/* Notes that the leak finder is to ignore the live object that starts at p, wherever realloc()
 * moves it. Returns false if there is none. */
bool guard_ignore(const void *p);
bool guard_is_ignored(const void *p);

/* Frees the object at p. Returns false, with a finding, if no live object starts at p, or if
 * something was written beside it. Takes the guard lock. */
bool guard_free(void *p, struct guard_finding *finding);

/* Returns why p, at which no live object starts, is no valid pointer. */
struct guard_finding guard_judge(const void *p);

/* Returns the object that an access to addr was most likely meant for: the object that contains it,
 * else the nearer neighbour. Returns NULL if no object is known there. */
const struct guarded *guard_nearest(uintptr_t addr);

/* Returns the live object that contains this byte, or NULL. */
const struct guarded *guard_object_of(uintptr_t addr);

/* Calls visit for every live object, without the lock. */
void guard_each(void (*visit)(const struct guarded *g, void *arg), void *arg);

/* Stores the calling thread's return addresses outside of this library. */
void guard_stack_here(struct guard_stack *stack);

/* Resets the guard lock in a forked child. */
void guard_after_fork(void);

#endif
