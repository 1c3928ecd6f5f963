/* SPDX-License-Identifier: MIT */
/*
 * foreign.h - pointers that are not ours, and the way to libc's own malloc. See foreign.c.
 */
#ifndef GOALLOC_FOREIGN_H
#define GOALLOC_FOREIGN_H

#include "base/base.h"

/* A pointer that the arena table does not know: libc's functions take it, if libc's heap can have made
 * it; otherwise the call is fatal. func names the call for the report. */
void foreign_free(void *p, const char *func);
void *foreign_realloc(void *p, size_t size, const char *func);
size_t foreign_usable_size(void *p, const char *func);
size_t foreign_usable_size_or_0(void *p);       /* 0 instead of fatal */

/* For GOALLOC=off=1: libc's allocator. foreign_can_alloc() says whether there is one. */
bool foreign_can_alloc(void);
void *foreign_malloc(size_t size);
void *foreign_calloc(size_t n, size_t size);
void *foreign_memalign(size_t align, size_t size);

#endif
