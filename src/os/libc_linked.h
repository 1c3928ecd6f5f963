/* SPDX-License-Identifier: MIT */
/*
 * libc_linked.h - what a static program takes from libc by name, and other programs look up
 * (libc.h).
 *
 * Holds    no header of libc is included, because libc's may declare the same names in another way.
 */
#ifndef GOALLOC_LIBC_LINKED_H
#define GOALLOC_LIBC_LINKED_H

#include "base/base.h"

/* The archive serves the libc whose headers it was built with. */
#if defined(__GLIBC__)
#define BUILT_FOR_GLIBC true
#else
#define BUILT_FOR_GLIBC false
#endif

struct link_map;

/* What libc's _dl_find_object() tells of an object (glibc 2.35 and later). */
struct libc_object {
	uint64_t flags;
	void *start;
	void *end;
	struct link_map *map;
	void *eh_frame;          /* the object's table of call frame information, or NULL */
	uint64_t others[8];      /* what this library does not read, and later versions add */
};

/* What a static program takes from libc by name. Elsewhere the fields are NULL, and what they stand
 * for is looked up. */
struct libc_linked {
	int (*find_object)(void *addr, struct libc_object *found);
	const char *single_threaded;
	int (*thread_id)(void); /* gettid(2) */
	bool is_glibc;
};
extern const struct libc_linked libc_linked;

#endif
