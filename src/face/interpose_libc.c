/* SPDX-License-Identifier: MIT */
/*
 * interpose_libc.c - libc's second names for its allocation functions: __libc_malloc and its
 * family.
 *
 * Programs and libraries use these names when they mean libc's own malloc: a program's own malloc,
 * libc_malloc_debug.so and profilers do, and they mix the result with malloc's. In a static link
 * glibc's own objects use them.
 *
 * Locks    none. The fork hooks have nothing to do, because heap/thread.c registers its own.
 * Holds    no name here calls a function that a program can replace, because the caller may be the
 *          program's malloc.
 */
#include "face/face.h"

#define FACE(type, name, params) \
	type name params; \
	EXPORT type name params

FACE(void *, __libc_malloc, (size_t size)) { return face_malloc(size, SCAN); }
FACE(void, __libc_free, (void *p)) { heap_free(p, "free"); }
FACE(void *, __libc_calloc, (size_t n, size_t size)) { return face_calloc(n, size, SCAN); }
FACE(void *, __libc_realloc, (void *p, size_t size)) { return face_realloc(p, size, SCAN); }
FACE(void *, __libc_memalign, (size_t align, size_t size))
{
	return face_memalign(align, size, SCAN);
}
FACE(void *, __libc_valloc, (size_t size)) { return face_valloc(size, SCAN); }
FACE(void *, __libc_pvalloc, (size_t size)) { return face_pvalloc(size, SCAN); }
FACE(int, __libc_mallopt, (int param, int value)) { return own_mallopt(param, value); }
FACE(struct mallinfo, __libc_mallinfo, (void)) { return own_mallinfo(); }
FACE(int, __posix_memalign, (void **out, size_t align, size_t size))
{
	return face_posix_memalign(out, align, size, SCAN);
}
