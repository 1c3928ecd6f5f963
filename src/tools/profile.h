/* SPDX-License-Identifier: MIT */
/*
 * profile.h - records which code allocated how much: a sample of the allocations, by call stack.
 * See profile.c.
 *
 * Slow paths of allocation report the objects that sample.c chose. When the profile is written,
 * their number is scaled to the number of all objects. All functions are thread safe. The
 * protection key of the records must be open, except for profile_write_or_errno().
 */
#ifndef GOALLOC_PROFILE_H
#define GOALLOC_PROFILE_H

#include "safe/guard.h"

/* Mean bytes from one sample to the next; 0 while no profile is taken. Relaxed wherever it is read:
 * it only tells whether to look, and the profile's lock decides. */
extern _Atomic size_t profile_rate;

static inline bool profile_is_on(void)
{
	return atomic_load_explicit(&profile_rate, memory_order_relaxed) != 0;
}

/* Begins a profile. Records of an earlier one are forgotten, also those of live objects. rate is
 * not 0; with 1, every object must be reported. Returns false, and takes no profile, if there is no
 * memory for the tables. */
bool profile_start(size_t rate);

/* Begins a profile as profile_start() does, but returns false, too, while another thread writes
 * one. */
bool profile_try_start(size_t rate);

/* Ends the profile. Later objects are not in it. Frees of its objects still count, and it can be
 * written. */
void profile_stop(void);

/* Returns the number of the current or the last profile, from 1; 0 if there was none. Relaxed: it
 * only tells two profiles apart. */
uint64_t profile_serial(void);

/* Returns how many bytes are live, as the samples tell. */
uint64_t profile_live_bytes(void);

/* Records that the calling thread has allocated a sampled object in a slot of nbytes. The thread
 * holds no lock, and no other thread knows the object yet. Without memory for a record the sample
 * is dropped, and counted as dropped. */
void profile_alloc(uintptr_t addr, size_t nbytes);

/* Records that a sampled object is freed, before its slot can be handed out again. Does nothing if
 * it has no record. */
void profile_free(uintptr_t addr);

/* Stores the stack of the allocation of a live sampled object: return addresses, innermost first,
 * at most max. Returns how many; 0 if it has no record. */
unsigned profile_stack_of(uintptr_t addr, uintptr_t *pcs, unsigned max);

/* Sets *allocated to the stack of the allocation of the sampled object at addr. Sets *freed to the
 * stack of its free if that was one of the last; freed->n is 0 otherwise. Returns false if nothing
 * is known. The process is about to end: any lock may be held. */
bool profile_history(uintptr_t addr, struct guard_stack *allocated, struct guard_stack *freed);

/* Writes the profile as gzipped profile.proto, or as heap_v2 text. Without a profile it is an empty
 * one. Returns 0, or the errno of the write that failed. Not for signal handlers. */
int profile_write_or_errno(int fd, bool text);

/* Returns whether a file of this name is text: it ends with .heap. */
bool profile_is_text(const char *file);

struct profile_totals {
	size_t rate;            /* of the current or the last profile; 0: there was none */
	size_t nstacks;         /* different stacks and slot sizes */
	size_t live;            /* records of live objects */
	uint64_t samples;
	uint64_t dropped;       /* samples without a record */
};

/* Reads the totals. */
void profile_count(struct profile_totals *totals);

/* Repairs the profile in a forked child, before any other call. */
void profile_after_fork(void);

#endif
