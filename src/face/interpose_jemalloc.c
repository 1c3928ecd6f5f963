/* SPDX-License-Identifier: MIT */
/*
 * interpose_jemalloc.c - jemalloc's own names, for programs that were built for it.
 *
 * Programs linked with libjemalloc use these names, and so do programs that ask for them when they
 * begin. The rules are those of jemalloc(3). The flags hold the logarithm of an alignment,
 * MALLOCX_ZERO, and the numbers of a thread cache and of an arena, which mean nothing here. Sizes
 * are not 0. NULL and 0 are the only errors, but errno is set, too.
 *
 * Holds    the names serve this heap whatever malloc the program has, because jemalloc's do not
 *          call malloc. Pointers that are not of this heap go to free and realloc by name.
 */
#include "face/face.h"
#include "base/options.h"

#include <stdlib.h>

#define MALLOCX_LG_ALIGN_MASK 63
#define MALLOCX_ZERO          0x40

#define FACE(type, name, params) \
	type name params;        \
	EXPORT type name params

/* Returns the alignment that the flags ask for, 0 where it is no more than malloc's own. */
static size_t flags_align(int flags)
{
	size_t align = (size_t)1 << ((unsigned)flags & MALLOCX_LG_ALIGN_MASK);

	return align <= sizeof(void *) ? 0 : align;
}

/* Returns the usable size of p, whichever malloc made it. */
static size_t size_of(void *p)
{
	return heap_owns(p) ? heap_usable_size(p, "sallocx") : malloc_usable_size(p);
}

/* Clears an object beyond its first nbytes, and returns it. p may be NULL. */
static void *zero_behind(void *p, size_t nbytes)
{
	size_t has = p == NULL ? 0 : size_of(p);

	if (has > nbytes)
		zero_bytes((char *)p + nbytes, has - nbytes);
	return p;
}

FACE(size_t, nallocx, (size_t size, int flags))
{
	return heap_good_size(size, flags_align(flags));
}

FACE(void *, mallocx, (size_t size, int flags))
{
	size_t align = flags_align(flags);
	void *p;

	if (align == 0 && (flags & MALLOCX_ZERO) == 0)
		return heap_malloc(size);
	/* The object is zero up to the size that sallocx tells. */
	if (align == 0)
		return heap_calloc(max_size(size, heap_good_size(size, 0)));
	p = heap_aligned(align, size, SCAN);
	return (flags & MALLOCX_ZERO) != 0 ? zero_behind(p, 0) : p;
}

/* Resizes the object at p, of nbytes, and aligns it. Returns its new address, or NULL. */
static void *realloc_aligned(void *p, size_t nbytes, size_t size, size_t align)
{
	bool ours = heap_owns(p);
	void *to;

	if (ours && (uintptr_t)p % align == 0 && heap_good_size(size, align) == nbytes)
		return p;
	to = ours ? heap_aligned(align, size, SCAN) : aligned_alloc(align, size);
	if (to == NULL)
		return NULL;
	copy_bytes(to, p, min_size(nbytes, size));
	if (ours)
		heap_free(p, "rallocx");
	else
		free(p);
	return to;
}

FACE(void *, rallocx, (void *p, size_t size, int flags))
{
	size_t align = flags_align(flags),
	       had = (flags & MALLOCX_ZERO) != 0 || align != 0 ? size_of(p) : 0;

	if (align != 0)
		p = realloc_aligned(p, had, size, align);
	else
		p = heap_owns(p) ? heap_realloc(p, size, SCAN, "rallocx") : realloc(p, size);
	return (flags & MALLOCX_ZERO) != 0 ? zero_behind(p, had) : p;
}

FACE(size_t, xallocx, (void *p, size_t size, size_t extra, int flags))
{
	size_t had = size_of(p), most;

	/* An object grows in its place by whole pages only. An object of another malloc stays as
	 * it is. */
	if (heap_owns(p) && had != heap_good_size(size, flags_align(flags)) &&
	    (add_overflow(size, extra, &most) || !heap_resize_in_place(p, most, "xallocx")))
		(void)heap_resize_in_place(p, size, "xallocx");
	if ((flags & MALLOCX_ZERO) != 0)
		(void)zero_behind(p, had);
	return size_of(p);
}

FACE(size_t, sallocx, (const void *p, int flags))
{
	(void)flags;
	return size_of((void *)p);
}

static SLOW_PATH void dallocx_slow(void *p, struct mspan *s)
{
	if (p != NULL && !heap_owns(p))
		free(p);
	else
		heap_free_slow(p, s, "dallocx");
}

FACE(void, dallocx, (void *p, int flags))
{
	struct mspan *s;

	(void)flags;
	if (!heap_free_fast(NULL, p, &s, "dallocx"))
		dallocx_slow(p, s);
}

static SLOW_PATH void sdallocx_slow(void *p, size_t size, size_t align)
{
	if (p != NULL && !heap_owns(p))
		free(p);
	else
		heap_free_sized_slow(p, size, align, "sdallocx");
}

FACE(void, sdallocx, (void *p, size_t size, int flags))
{
	size_t align = flags_align(flags);

	if (!heap_free_sized_fast(sizeclass_malloc, p, size, align))
		sdallocx_slow(p, size, align);
}
