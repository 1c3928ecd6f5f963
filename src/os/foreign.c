/* SPDX-License-Identifier: MIT */
/*
 * foreign.c - pointers that are not ours, and the way to libc's own malloc.
 *
 * Owns     the knowledge whether libc's heap was ever used.
 * Holds    a pointer goes to libc only if libc's heap has something in it. It has when we were
 *          loaded after the first malloc, or when a program calls libc's functions by their
 *          addresses; in other programs a foreign pointer is a mistake, and is reported here. The
 *          functions are those that libc.c found before anybody changed anything: a program may
 *          replace the names, and interpose_dlopen.c points them at this library.
 */
#include "os/foreign.h"
#include "os/os.h"
#include "base/config.h"
#include "os/fatal.h"
#include "os/libc.h"
#include "base/options.h"

#include <malloc.h>

#define CALL(name, type, ...) ((type)libc_function(name))(__VA_ARGS__)

typedef void *alloc_fn(size_t);
typedef void *alloc2_fn(size_t, size_t);
typedef void free_fn(void *);
typedef void *realloc_fn(void *, size_t);
typedef size_t usable_size_fn(void *);
typedef struct mallinfo2 mallinfo2_fn(void);

/* In a static program libc's names are ours (interpose_libc.c), and there is no other heap. */
bool foreign_can_alloc(void)
{
	return !os_is_static() && libc_function(LIBC_FREE) != NULL &&
	       libc_function(LIBC_MALLOC) != NULL && libc_function(LIBC_CALLOC) != NULL &&
	       libc_function(LIBC_REALLOC) != NULL && libc_function(LIBC_MEMALIGN) != NULL;
}

/* libc's heap has memory from the system: it was used. Once used, always used. */
static bool libc_heap_used(void)
{
	/* Relaxed: every thread finds the same. */
	static _Atomic bool used;
	mallinfo2_fn *info2;

	if (atomic_load_explicit(&used, memory_order_relaxed) || options.off)
		return true;
	info2 = (mallinfo2_fn *)libc_function(LIBC_MALLINFO2);
	/* An older libc does not tell: it may have been. */
	if (info2 != NULL) {
		struct mallinfo2 mi = info2();

		if (mi.arena == 0 && mi.hblkhd == 0)
			return false;
	}
	atomic_store_explicit(&used, true, memory_order_relaxed);
	return true;
}

/* p may be libc's. Its objects are 16-byte aligned. */
static bool may_be_libcs(const void *p)
{
	return (uintptr_t)p % 16 == 0 && !options.invalidptr_abort && foreign_can_alloc() &&
	       libc_heap_used();
}

/* Returns only for a pointer that may be libc's. */
static void check_foreign(const void *p, const char *func)
{
	if (!may_be_libcs(p))
		fatal_pointer(func, p, "invalid pointer");
}

void foreign_free(void *p, const char *func)
{
	check_foreign(p, func);
	CALL(LIBC_FREE, free_fn *, p);
}

void *foreign_realloc(void *p, size_t size, const char *func)
{
	check_foreign(p, func);
	/* Of size 0 libc would free it. */
	return CALL(LIBC_REALLOC, realloc_fn *, p, size == 0 ? 1 : size);
}

size_t foreign_usable_size(void *p, const char *func)
{
	check_foreign(p, func);
	return foreign_usable_size_or_0(p);
}

size_t foreign_usable_size_or_0(void *p)
{
	usable_size_fn *usable;

	if (!may_be_libcs(p))
		return 0;
	usable = (usable_size_fn *)libc_function(LIBC_USABLE_SIZE);
	return usable != NULL ? usable(p) : 0;
}

void *foreign_malloc(size_t size)
{
	return CALL(LIBC_MALLOC, alloc_fn *, size);
}

void *foreign_calloc(size_t n, size_t size)
{
	return CALL(LIBC_CALLOC, alloc2_fn *, n, size);
}

void *foreign_memalign(size_t align, size_t size)
{
	return CALL(LIBC_MEMALIGN, alloc2_fn *, align, size);
}
