/* SPDX-License-Identifier: MIT */
/*
 * interpose_cxx.h - the replaceable forms of operator new, and whether the program has replaced
 * one.
 */
#ifndef GOALLOC_INTERPOSE_CXX_H
#define GOALLOC_INTERPOSE_CXX_H

#include "heap.h"

/* The names are mangled, and in no header. Each form throws or returns NULL by its own rules. */
void *_Znwm(size_t size);
void *_Znam(size_t size);
void *_ZnwmRKSt9nothrow_t(size_t size, const void *tag);
void *_ZnamRKSt9nothrow_t(size_t size, const void *tag);
void *_ZnwmSt11align_val_t(size_t size, size_t align);
void *_ZnamSt11align_val_t(size_t size, size_t align);
void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t align, const void *tag);
void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t align, const void *tag);

/* The same functions, by names that no other library can replace. */
void *own_Znwm(size_t size);
void *own_Znam(size_t size);
void *own_ZnwmRKSt9nothrow_t(size_t size, const void *tag);
void *own_ZnamRKSt9nothrow_t(size_t size, const void *tag);
void *own_ZnwmSt11align_val_t(size_t size, size_t align);
void *own_ZnamSt11align_val_t(size_t size, size_t align);
void *own_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t align, const void *tag);
void *own_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t align, const void *tag);

/* Is true if the program has a form of its own by this name: ld.so has bound the name to it. */
#define REPLACED(name) UNLIKELY(&name != OPAQUE(&own##name))

/* Allocates from this heap. Returns NULL also if align is no power of two. */
FAST_PATH void *aligned_or_null(size_t size, size_t align, enum scan scan)
{
	return is_pow2(align) ? heap_aligned(align, size, scan) : NULL;
}

#endif
