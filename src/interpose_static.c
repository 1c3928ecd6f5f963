/* SPDX-License-Identifier: MIT */
/*
 * interpose_static.c - what keeps glibc's malloc.o out of a static program. Only in the archive.
 * See malloc.c for the overview.
 *
 * Owns     nothing.
 * Callers  glibc's own objects in a static link: they refer to these names, which malloc.o defines beside
 *          malloc itself, and two definitions of malloc do not link. Calls malloc.h.
 * Locks    none; the fork hooks have nothing to do (thread.c registers its own).
 * Holds    in the shared library these names must stay glibc's: they are the way to its heap.
 */
#include "malloc.h"
#include "os.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#define FACE(type, name, params) \
	type name params; \
	EXPORT type name params

FACE(void *, __libc_malloc, (size_t size)) { return heap_malloc(size); }
FACE(void, __libc_free, (void *p)) { heap_free(p, "free"); }
FACE(void *, __libc_calloc, (size_t n, size_t size)) { return calloc(n, size); }
FACE(void *, __libc_realloc, (void *p, size_t size)) { return realloc(p, size); }
FACE(void *, __libc_memalign, (size_t align, size_t size)) { return memalign(align, size); }
FACE(void *, __libc_valloc, (size_t size)) { return valloc(size); }
FACE(void *, __libc_pvalloc, (size_t size)) { return pvalloc(size); }
FACE(int, __libc_mallopt, (int param, int value)) { return mallopt(param, value); }
FACE(int, __posix_memalign, (void **out, size_t align, size_t size))
{
	return posix_memalign(out, align, size);
}

FACE(void, __malloc_fork_lock_parent, (void)) {}
FACE(void, __malloc_fork_unlock_parent, (void)) {}
FACE(void, __malloc_fork_unlock_child, (void)) {}
FACE(void, __malloc_arena_thread_freeres, (void)) {}
