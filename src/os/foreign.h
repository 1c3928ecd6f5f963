/* SPDX-License-Identifier: MIT */
/*
 * foreign.h - hands pointers that are not from this heap to libc's own malloc. See foreign.c.
 */
#ifndef GOALLOC_FOREIGN_H
#define GOALLOC_FOREIGN_H

#include "base/base.h"

/* Pass a pointer that the arena table does not know to libc's function if it may be an object of
 * libc's heap. Otherwise they report the call, by the name func, and end the process. */
void foreign_free(void *p, const char *func);
void *foreign_realloc(void *p, size_t size, const char *func);
size_t foreign_usable_size(void *p, const char *func);

/* Returns the usable size of an object of libc's heap, or 0 if p cannot be one. */
size_t foreign_usable_size_or_0(void *p);

/* Call libc's allocator, for the option off. foreign_can_alloc() returns whether there is one. */
bool foreign_can_alloc(void);
void *foreign_malloc(size_t size);
void *foreign_calloc(size_t n, size_t size);
void *foreign_memalign(size_t align, size_t size);

#endif
