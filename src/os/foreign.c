/* SPDX-License-Identifier: MIT */
/*
 * foreign.c - hands pointers that are not from this heap to libc's own malloc, or reports them.
 *
 * Owns     the note that libc's heap was used.
 * Holds    a pointer goes to libc only if libc's heap was used. It is used where this library was
 *          loaded after the first malloc, or where a program calls libc's functions by their
 *          addresses. In other programs a foreign pointer is a mistake and ends the process. The
 *          functions are those that libc.c found at the start, because programs replace the names
 *          and interpose_dlfcn.c redirects them to this library.
 */
#include "os/foreign.h"
#include "os/os.h"
#include "base/config.h"
#include "os/fatal.h"
#include "os/libc.h"
#include "os/libc_types.h"
#include "base/options.h"

#define CALL(name, type, ...) ((type)libc_function(name))(__VA_ARGS__)

typedef void *alloc_fn(size_t);
typedef void *alloc2_fn(size_t, size_t);
typedef void free_fn(void *);
typedef void *realloc_fn(void *, size_t);
typedef size_t usable_size_fn(void *);
typedef struct mallinfo mallinfo_fn(void);
typedef struct mallinfo2 mallinfo2_fn(void);

/* In a static program libc's names lead to this library (interpose_libc.c): there is no other
 * heap. */
bool foreign_can_alloc(void)
{
	return !os_is_static() && libc_function(LIBC_FREE) != NULL &&
	       libc_function(LIBC_MALLOC) != NULL && libc_function(LIBC_CALLOC) != NULL &&
	       libc_function(LIBC_REALLOC) != NULL && libc_function(LIBC_ALIGNED_ALLOC) != NULL;
}

/* Returns whether libc's heap has, or had, memory from the system. glibc before 2.33 has figures of
 * 32 bits only. musl has none; its heap was used if programs take its malloc. */
static bool libc_heap_has_memory(void)
{
	mallinfo2_fn *info2 = (mallinfo2_fn *)libc_function(LIBC_MALLINFO2);
	mallinfo_fn *info = (mallinfo_fn *)libc_function(LIBC_MALLINFO);

	if (info2 != NULL) {
		struct mallinfo2 mi = info2();

		return mi.arena != 0 || mi.hblkhd != 0;
	}
	if (info != NULL) {
		struct mallinfo mi = info();

		return mi.arena != 0 || mi.hblkhd != 0;
	}
	return !libc_is_behind();
}

/* Returns whether libc's heap was used. */
static bool libc_heap_used(void)
{
	/* Relaxed: every thread that asks finds the same answer. */
	static _Atomic bool used;

	if (atomic_load_explicit(&used, memory_order_relaxed) || options.off)
		return true;
	if (!libc_heap_has_memory())
		return false;
	atomic_store_explicit(&used, true, memory_order_relaxed);
	return true;
}

/* Returns whether p may be an object of libc's heap, which aligns objects to 16 bytes. */
static bool may_be_libcs(const void *p)
{
	return (uintptr_t)p % 16 == 0 && !options.invalidptr_abort && foreign_can_alloc() &&
	       libc_heap_used();
}

/* Ends the process unless p may be an object of libc's heap. */
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
	/* With size 0 libc would free the object. */
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

/* musl's memalign() calls aligned_alloc() by its name, which is this library's. */
void *foreign_memalign(size_t align, size_t size)
{
	return CALL(LIBC_ALIGNED_ALLOC, alloc2_fn *, align, size);
}
