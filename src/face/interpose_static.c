/* SPDX-License-Identifier: MIT */
/*
 * interpose_static.c - the names that only a static program takes from this library.
 *
 * glibc's own objects refer to these functions, which glibc's malloc.o defines beside malloc
 * itself. A program that found them there would have two definitions of malloc, and would not link.
 *
 * Locks    none. fork has nothing to lock: os/forked.c mends the heap of a child.
 * Holds    this file is in goalloc.o and in the archive, and not in the shared library.
 */
#include "os/libc_linked.h"
#include "os/os.h"

#define FACE(type, name, params) \
	type name params; \
	EXPORT type name params

bool os_is_static(void)
{
	return true;
}

/* glibc has these since 2.35, 2.32 and 2.30, musl has the last of them. */
extern int _dl_find_object(void *addr, struct libc_object *found) WEAK;
extern char __libc_single_threaded WEAK;
extern int gettid(void) WEAK;

const struct libc_linked libc_linked = {
	_dl_find_object, &__libc_single_threaded, gettid, BUILT_FOR_GLIBC
};

FACE(void, __malloc_fork_lock_parent, (void)) {}
FACE(void, __malloc_fork_unlock_parent, (void)) {}
FACE(void, __malloc_fork_unlock_child, (void)) {}
FACE(void, __malloc_arena_thread_freeres, (void)) {}
