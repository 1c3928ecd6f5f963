/* SPDX-License-Identifier: MIT */
/*
 * face.h - the rules of libc's allocation functions: which arguments are refused, and how.
 *
 * They serve scan and noscan memory. They set errno to ENOMEM or EINVAL when they return NULL, and
 * leave it alone otherwise.
 */
#ifndef GOALLOC_FACE_H
#define GOALLOC_FACE_H

#include "heap.h"
#include "os/libc_types.h"
#include "os/os.h"

#include <errno.h>

/* Functions of interpose.c, by names that no other library can replace. Compare them only as
 * OPAQUE(). */
void *own_malloc(size_t size);
void own_free(void *p);
int own_mallopt(int param, int value);
struct mallinfo own_mallinfo(void);

static inline void *refuse(int error)
{
	errno = error;
	return NULL;
}

FAST_PATH void *face_malloc(size_t size, enum scan scan)
{
	return scan == NOSCAN ? heap_malloc_noscan(size) : heap_malloc(size);
}

FAST_PATH void *face_calloc(size_t n, size_t size, enum scan scan)
{
	size_t nbytes;

	if (UNLIKELY(mul_overflow(n, size, &nbytes)))
		return refuse(ENOMEM);
	return scan == NOSCAN ? heap_calloc_noscan(nbytes) : heap_calloc(nbytes);
}

/* Does what realloc(3) does. func names the user's call in a report. */
static inline void *face_resize(void *p, size_t size, enum scan scan, const char *func)
{
	if (UNLIKELY(size == 0 && p != NULL))
		return heap_realloc_zero(p, scan, func);
	return heap_realloc(p, size, scan, func);
}

static inline void *face_realloc(void *p, size_t size, enum scan scan)
{
	return face_resize(p, size, scan, "realloc");
}

static inline void *face_aligned_alloc(size_t align, size_t size, enum scan scan)
{
	return LIKELY(is_pow2(align)) ? heap_aligned(align, size, scan) : refuse(EINVAL);
}

/* Rounds an alignment that is no power of two up to one, as glibc does. */
static inline void *face_memalign(size_t align, size_t size, enum scan scan)
{
	size_t pow2 = 16;

	if (UNLIKELY(align > (size_t)PTRDIFF_MAX + 1))
		return refuse(EINVAL);
	while (pow2 < align)
		pow2 *= 2;
	return heap_aligned(pow2, size, scan);
}

static inline int face_posix_memalign(void **out, size_t align, size_t size, enum scan scan)
{
	void *p;

	if (UNLIKELY(!is_pow2(align) || align % sizeof(void *) != 0))
		return EINVAL;
	p = heap_aligned(align, size, scan);
	/* errno is ENOMEM, too, as with glibc. POSIX leaves that open, and some programs look
	 * there. */
	if (UNLIKELY(p == NULL))
		return ENOMEM;
	*out = p;
	return 0;
}

static inline void *face_valloc(size_t size, enum scan scan)
{
	return heap_aligned(os_page_size(), size, scan);
}

static inline void *face_pvalloc(size_t size, enum scan scan)
{
	size_t os_page = os_page_size();

	if (UNLIKELY(size > PTRDIFF_MAX))
		return refuse(ENOMEM);
	return heap_aligned(os_page, align_up(size == 0 ? 1 : size, os_page), scan);
}

#endif
