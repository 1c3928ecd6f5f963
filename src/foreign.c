/* SPDX-License-Identifier: MIT */
/*
 * foreign.c - pointers that are not ours, and the way to libc's own malloc.
 * See malloc.c for the overview.
 *
 * Owns     the knowledge of libc's heap: whether it is there, and whether it was ever used.
 * Callers  malloc.c, with pointers that are in no arena. Calls libc, with no lock held; fatal.h, options.h.
 * Locks    none.
 * Holds    a pointer goes to libc only if libc's heap has something in it. It has when a library was loaded with
 *          RTLD_DEEPBIND, or when we were loaded after the first malloc; in other programs a
 *          foreign pointer is a mistake, and is reported here.
 */
#include "foreign.h"
#include "config.h"
#include "fatal.h"
#include "options.h"

#include <dlfcn.h>
#include <malloc.h>

/* In a static program these names are ours (interpose_static.c), and there is no other heap. */

extern void __libc_free(void *p) WEAK;
extern void *__libc_malloc(size_t size) WEAK;
extern void *__libc_calloc(size_t n, size_t size) WEAK;
extern void *__libc_realloc(void *p, size_t size) WEAK;
extern void *__libc_memalign(size_t align, size_t size) WEAK;

bool foreign_can_alloc(void)
{
	return !GOALLOC_STATIC && __libc_free != NULL && __libc_malloc != NULL &&
	       __libc_calloc != NULL && __libc_realloc != NULL && __libc_memalign != NULL;
}

/* libc's heap has memory from the system: it was used. Once used, always used. */
static bool libc_heap_used(void)
{
	/* Relaxed: every thread finds the same. */
	static _Atomic bool used;
	struct mallinfo2 (*info2)(void);

	if (atomic_load_explicit(&used, memory_order_relaxed) || options.off)
		return true;
	*(void **)&info2 = dlsym(RTLD_NEXT, "mallinfo2");
	/* An older libc does not tell: it may have been. */
	if (info2 != NULL) {
		struct mallinfo2 mi = info2();

		if (mi.arena == 0 && mi.hblkhd == 0)
			return false;
	}
	atomic_store_explicit(&used, true, memory_order_relaxed);
	return true;
}

/* Returns only for a pointer that may be libc's. Its objects are 16-byte aligned. */
static void check_foreign(const void *p, const char *func)
{
	if ((uintptr_t)p % 16 == 0 && !options.invalidptr_abort && foreign_can_alloc() &&
	    libc_heap_used())
		return;
	fatal_pointer(func, p, "invalid pointer");
}

void foreign_free(void *p, const char *func)
{
	check_foreign(p, func);
	__libc_free(p);
}

void *foreign_realloc(void *p, size_t size, const char *func)
{
	check_foreign(p, func);
	/* Of size 0 libc would free it. */
	return __libc_realloc(p, size == 0 ? 1 : size);
}

size_t foreign_usable_size(void *p, const char *func)
{
	size_t (*usable)(void *);

	check_foreign(p, func);
	*(void **)&usable = dlsym(RTLD_NEXT, "malloc_usable_size");
	return usable != NULL ? usable(p) : 0;
}

void *foreign_malloc(size_t size)
{
	return __libc_malloc(size);
}

void *foreign_calloc(size_t n, size_t size)
{
	return __libc_calloc(n, size);
}

void *foreign_memalign(size_t align, size_t size)
{
	return __libc_memalign(align, size);
}
