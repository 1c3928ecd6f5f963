/* SPDX-License-Identifier: MIT */
/*
 * profile.h - which code allocated how much: a sample of the allocations, by call stack. See profile.c.
 *
 * Slow paths of allocation report the objects that sample.c chose. What is reported is scaled, when it is written, to what there
 * was. All is thread safe. The key of the records (rights.h) must be open.
 */
#ifndef GOALLOC_PROFILE_H
#define GOALLOC_PROFILE_H

#include "base/base.h"

/* Mean bytes from one sample to the next; 0 while no profile is taken.
 * Relaxed wherever it is read: it is a question whether to look, and the profile's lock answers it. */
extern _Atomic size_t profile_rate;

static inline bool profile_is_on(void)
{
	return atomic_load_explicit(&profile_rate, memory_order_relaxed) != 0;
}

/* Begins a profile; what an earlier one gathered is forgotten, live objects too. rate is not 0; with 1 every object is to be
 * reported. False: there is no memory for its tables, and no profile is taken. */
bool profile_start(size_t rate);

/* Ends it: objects allocated from now on are not in it. Frees of those that are still count, and it can be written. */
void profile_stop(void);

/* An object in a slot of nbytes was allocated here and is sampled. Called by the thread that allocates it, without locks, before
 * anyone else knows the object. Where there is no memory for a record the sample is dropped, and counted as such. */
void profile_alloc(uintptr_t addr, size_t nbytes);

/* A sampled object is freed; called before its slot can be handed out again. Does nothing for one that has no record. */
void profile_free(uintptr_t addr);

/* Where a live sampled object was allocated: return addresses, innermost first, at most max. 0: it has no record. */
unsigned profile_stack_of(uintptr_t addr, uintptr_t *pcs, unsigned max);

/* Writes the profile: gzipped profile.proto, or heap_v2 text. 0, or an errno: that of the write that failed. Without a profile it is an
 * empty one. Not in signal handlers. */
int profile_write_or_errno(int fd, bool text);

/* A file of this name is text: it ends with .heap. */
bool profile_is_text(const char *file);

struct profile_totals {
	size_t rate;            /* of the profile that is taken or was taken last; 0 none yet */
	size_t nstacks;         /* different stacks and slot sizes */
	size_t live;            /* records of live objects */
	uint64_t samples;
	uint64_t dropped;       /* samples without a record */
};
void profile_count(struct profile_totals *totals);

/* In a forked child, before anything else here. */
void profile_after_fork(void);

#endif
