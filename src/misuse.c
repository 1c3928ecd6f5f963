/* SPDX-License-Identifier: MIT */
/*
 * misuse.c - the stacks below a fatal line: where the misuse is, and what is known of the object.
 *
 * Owns     two stacks of the report that is being written.
 * Locks    the profile's, for which it does not wait long, because the caller may hold any lock.
 */
#include "os/fatal.h"
#include "os/metakey.h"
#include "safe/stacks.h"
#include "tools/profile.h"

/* They are not on the stack, which may be small. They belong to the writer of the report. */
static struct guard_stack allocated, freed;

void fatal_stacks(const void *p)
{
	uint32_t rights = metakey_open();

	if (stacks_begin() != NULL) {
		stacks_print_here("used");
		if (p != NULL && profile_history((uintptr_t)p, &allocated, &freed)) {
			stacks_print("allocated", &allocated, false);
			if (freed.n != 0)
				stacks_print("freed", &freed, false);
		}
		stacks_end();
	}
	metakey_close(rights);
}
