/* SPDX-License-Identifier: MIT */
/*
 * places.h - the list of all memory that the allocator's records have. See os_metadata.c.
 */
#ifndef GOALLOC_PLACES_H
#define GOALLOC_PLACES_H

#include "base/base.h"

#define PLACES 255

/* Access: [a] atomic, any thread; [w] written once by the thread that took the entry */
struct places {
	_Atomic uint32_t len;              /* [a] entries taken */
	_Atomic(struct places *) next;     /* [a] NULL, or the rest of the list; set once */
	struct place {
		uintptr_t addr;            /* [w] written before nbytes */
		_Atomic size_t nbytes;     /* [a] 0 until the entry is written */
	} at[PLACES];
};
_Static_assert(sizeof(struct places) == 4096, "the struct fills a kernel page");

extern struct places os_first_places;

#endif
