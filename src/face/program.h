/* SPDX-License-Identifier: MIT */
/*
 * program.h - the allocation functions that libc does not have, for memory of both kinds.
 *
 * Where the program has its own malloc, it has its fellows, too. These functions call them then,
 * and noscan means nothing. See replaced.h.
 */
#ifndef GOALLOC_PROGRAM_H
#define GOALLOC_PROGRAM_H

#include "face/face.h"
#include "face/replaced.h"

FAST_PATH void *program_malloc(size_t size, enum scan scan)
{
	return scan == NOSCAN && malloc_is_ours() ? heap_malloc_noscan(size)
						  : replaced_malloc(size);
}

static inline void *program_calloc(size_t n, size_t size, enum scan scan)
{
	return malloc_is_ours() ? face_calloc(n, size, scan) : calloc(n, size);
}

static inline void *program_realloc(void *p, size_t size, enum scan scan)
{
	return malloc_is_ours() ? face_realloc(p, size, scan) : realloc(p, size);
}

static inline void *program_reallocarray(void *p, size_t n, size_t size, enum scan scan)
{
	size_t nbytes;

	if (UNLIKELY(mul_overflow(n, size, &nbytes)))
		return refuse(ENOMEM);
	return malloc_is_ours() ? face_resize(p, nbytes, scan, "reallocarray")
				: realloc(p, nbytes);
}

static inline void *program_aligned_alloc(size_t align, size_t size, enum scan scan)
{
	return malloc_is_ours() ? face_aligned_alloc(align, size, scan)
				: aligned_alloc(align, size);
}

static inline void *program_memalign(size_t align, size_t size, enum scan scan)
{
	return malloc_is_ours() ? face_memalign(align, size, scan) : memalign(align, size);
}

static inline int program_posix_memalign(void **out, size_t align, size_t size, enum scan scan)
{
	return malloc_is_ours() ? face_posix_memalign(out, align, size, scan)
				: posix_memalign(out, align, size);
}

static inline void *program_valloc(size_t size, enum scan scan)
{
	return malloc_is_ours() ? face_valloc(size, scan) : valloc(size);
}

static inline void *program_pvalloc(size_t size, enum scan scan)
{
	return malloc_is_ours() ? face_pvalloc(size, scan) : pvalloc(size);
}

#endif
