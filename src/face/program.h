/* SPDX-License-Identifier: MIT */
/*
 * program.h - the allocation functions of the names that libc does not have, for either kind of
 * memory. See replaced.h.
 *
 * Where malloc is the program's own, so are its fellows: these functions call them, and noscan
 * means nothing.
 */
#ifndef GOALLOC_PROGRAM_H
#define GOALLOC_PROGRAM_H

#include "face/interpose.h"
#include "face/replaced.h"

FAST_PATH void *program_malloc(size_t size, bool noscan)
{
	return noscan && malloc_is_ours() ? heap_malloc_noscan(size) : replaced_malloc(size);
}

static inline void *program_calloc(size_t n, size_t size, bool noscan)
{
	return malloc_is_ours() ? face_calloc(n, size, noscan) : calloc(n, size);
}

static inline void *program_realloc(void *p, size_t size, bool noscan)
{
	return malloc_is_ours() ? face_realloc(p, size, noscan) : realloc(p, size);
}

static inline void *program_reallocarray(void *p, size_t n, size_t size, bool noscan)
{
	size_t nbytes;

	if (UNLIKELY(mul_overflow(n, size, &nbytes)))
		return refuse(ENOMEM);
	return malloc_is_ours() ? face_resize(p, nbytes, noscan, "reallocarray")
				: realloc(p, nbytes);
}

static inline void *program_aligned_alloc(size_t align, size_t size, bool noscan)
{
	return malloc_is_ours() ? face_aligned_alloc(align, size, noscan)
				: aligned_alloc(align, size);
}

static inline void *program_memalign(size_t align, size_t size, bool noscan)
{
	return malloc_is_ours() ? face_memalign(align, size, noscan) : memalign(align, size);
}

static inline int program_posix_memalign(void **out, size_t align, size_t size, bool noscan)
{
	return malloc_is_ours() ? face_posix_memalign(out, align, size, noscan)
				: posix_memalign(out, align, size);
}

static inline void *program_valloc(size_t size, bool noscan)
{
	return malloc_is_ours() ? face_valloc(size, noscan) : valloc(size);
}

static inline void *program_pvalloc(size_t size, bool noscan)
{
	return malloc_is_ours() ? face_pvalloc(size, noscan) : pvalloc(size);
}

#endif
