/* SPDX-License-Identifier: MIT */
/*
 * interpose_jemalloc.c - jemalloc's own names, for programs that were built for it.
 * See malloc.c for the overview.
 *
 * Owns     nothing.
 * Callers  programs linked with libjemalloc, and those that ask for these names when they begin. Calls malloc, free and realloc by
 *          name, because the program may have replaced these; malloc.h for sizes.
 * Locks    none.
 * Holds    jemalloc(3). The flags are the logarithm of an alignment, MALLOCX_ZERO, and the numbers of a thread cache and of an
 *          arena, which mean nothing here. Sizes are not 0. NULL and 0 are the only errors, but errno is set, too.
 */
#include "interpose.h"
#include "replaced.h"

#define MALLOCX_LG_ALIGN_MASK 63
#define MALLOCX_ZERO 0x40

#define FACE(type, name, params) \
	type name params; \
	EXPORT type name params

/* Returns the alignment that the flags ask for, 0 where malloc's own is enough for every size. */
static size_t flags_align(int flags)
{
	size_t align = (size_t)1 << ((unsigned)flags & MALLOCX_LG_ALIGN_MASK);

	return align <= 8 ? 0 : align;
}

/* Clears what an object has got beyond its first nbytes. */
static void *zero_behind(void *p, size_t nbytes)
{
	size_t has = p == NULL ? 0 : malloc_usable_size(p);

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

	if (align != 0) {
		void *p = aligned_alloc(align, size);

		return (flags & MALLOCX_ZERO) != 0 ? zero_behind(p, 0) : p;
	}
	/* All of the object is zero, up to the size that sallocx tells. */
	return (flags & MALLOCX_ZERO) != 0 ? calloc(1, max_size(size, heap_good_size(size, 0))) : malloc(size);
}

/* Moves an object to a place of this alignment. */
static void *move_aligned(void *p, size_t had, size_t size, size_t align)
{
	void *to = aligned_alloc(align, size);

	if (to == NULL)
		return NULL;
	copy_bytes(to, p, min_size(had, size));
	free(p);
	return to;
}

FACE(void *, rallocx, (void *p, size_t size, int flags))
{
	size_t align = flags_align(flags), had;

	if (align == 0 && (flags & MALLOCX_ZERO) == 0)
		return realloc(p, size);
	had = malloc_usable_size(p);
	if (align == 0 || (align <= 16 && size >= 16))
		p = realloc(p, size);
	else if ((uintptr_t)p % align != 0 || heap_good_size(size, align) != had)
		p = move_aligned(p, had, size, align);
	return (flags & MALLOCX_ZERO) != 0 ? zero_behind(p, had) : p;
}

FACE(size_t, xallocx, (void *p, size_t size, size_t extra, int flags))
{
	size_t had = malloc_usable_size(p), most;

	/* Pages are all that an object can get in its place. What the program's own malloc made stays as it is. */
	if (malloc_is_ours() && heap_owns(p) && had != heap_good_size(size, flags_align(flags))) {
		if (__builtin_add_overflow(size, extra, &most) || !heap_resize_in_place(p, most, "xallocx"))
			(void)heap_resize_in_place(p, size, "xallocx");
	}
	return (flags & MALLOCX_ZERO) != 0 ? (zero_behind(p, had), malloc_usable_size(p)) : malloc_usable_size(p);
}

FACE(size_t, sallocx, (const void *p, int flags))
{
	(void)flags;
	return malloc_usable_size((void *)p);
}

FACE(void, dallocx, (void *p, int flags))
{
	(void)flags;
	replaced_free(p, "dallocx");
}

FACE(void, sdallocx, (void *p, size_t size, int flags))
{
	replaced_free_sized(p, size, flags_align(flags), "sdallocx");
}
