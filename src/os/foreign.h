/* SPDX-License-Identifier: MIT */
/*
 * foreign.h - pointers that are not ours, and the way to libc's own malloc. See foreign.c.
 */
#ifndef GOALLOC_FOREIGN_H
#define GOALLOC_FOREIGN_H

#include "base/base.h"

/* Pass a pointer that the arena table does not know to libc's function, if libc's heap can have
 * made it. Otherwise the call is fatal. func names the call for the report. */
void foreign_free(void *p, const char *func);
void *foreign_realloc(void *p, size_t size, const char *func);
size_t foreign_usable_size(void *p, const char *func);

/* Returns 0 where foreign_usable_size() is fatal. */
size_t foreign_usable_size_or_0(void *p);

/* Call libc's allocator, for GOALLOC=off=1. foreign_can_alloc() tells whether there is one. */
bool foreign_can_alloc(void);
void *foreign_malloc(size_t size);
void *foreign_calloc(size_t n, size_t size);
void *foreign_memalign(size_t align, size_t size);

#endif
