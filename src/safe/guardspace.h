/* SPDX-License-Identifier: MIT */
/*
 * guardspace.h - the address space of guarded objects, and the map from pages to their records.
 * See guardspace.c.
 *
 * Functions whose names end with _locked need the guard lock. The others take no lock and may be
 * called in signal handlers.
 */
#ifndef GOALLOC_GUARDSPACE_H
#define GOALLOC_GUARDSPACE_H

#include "base/config.h"

struct guarded;

/* Prepares the records. Called once, before the first object. */
void guardspace_init(void);

/* Returns whether addr lies in the address space of guarded objects. */
bool guardspace_owns(uintptr_t addr);

/* Returns the record of the slot that contains addr, or NULL if no slot does. */
struct guarded *guardspace_slot_of(uintptr_t addr);

/* Makes all pages of a slot lead to g. */
void guardspace_map(uintptr_t start, size_t nbytes, struct guarded *g);

/* Returns addresses for a slot of nbytes that no slot had before, with an inaccessible page before
 * and behind them, or 0 if there are none. *fenced tells whether fences open and close its
 * pages. */
uintptr_t guardspace_take_locked(size_t nbytes, size_t align, bool *fenced);

/* Counts the regions of a new slot as used. With `once`, no slot is ever used again, so the region
 * before them may be released. */
void guardspace_use_locked(uintptr_t start, size_t nbytes, bool once);

/* Tells that a slot will never be used again. Releases its regions if they are not needed any
 * more. */
void guardspace_leave_locked(uintptr_t start, size_t nbytes);

/* Opens pages that have no fences, as a mapping of their own. Returns false if there are too many
 * mappings or there is no memory. guardspace_uncount() tells that the mapping is gone. */
bool guardspace_open(uintptr_t start, size_t nbytes);
void guardspace_uncount(void);

/* Makes a range inaccessible, without memory, and one mapping with its neighbours. Returns false
 * if the system refuses. */
bool guardspace_close(uintptr_t start, size_t nbytes);

/* Calls visit for each piece of the address space, in the order of addresses. */
void guardspace_each(void (*visit)(uintptr_t addr, size_t nbytes, void *arg), void *arg);

/* Calls visit for each page of a slot, with the slot's record. Pages of a large slot may be left
 * out, but not its first. */
void guardspace_each_page(void (*visit)(struct guarded *g, uintptr_t page, void *arg), void *arg);

#endif
