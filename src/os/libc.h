/* SPDX-License-Identifier: MIT */
/*
 * libc.h - finds libc's own functions, which this library replaces and needs. See libc.c.
 */
#ifndef GOALLOC_LIBC_H
#define GOALLOC_LIBC_H

#include "os/loaded.h"

enum libc_name {
	LIBC_MALLOC,
	LIBC_FREE,
	LIBC_CALLOC,
	LIBC_REALLOC,
	LIBC_MEMALIGN,
	LIBC_USABLE_SIZE,
	LIBC_MALLINFO2,
	LIBC_DLOPEN,
	LIBC_DLMOPEN,
	LIBC_DL_ITERATE_PHDR,
	LIBC_NAMES
};

/* Returns libc's function of the name, or NULL if libc has none. The result is never a function of
 * this library, nor of another library that replaces libc's. */
void *libc_function(enum libc_name name);

/* Reads libc's tables. Returns false if libc is not among the loaded objects. */
bool libc_tables(struct loaded *libc);

/* Reads this library's own tables. Returns false if the loader does not know the library. */
bool libc_own_tables(struct loaded *own);

/* Returns whether the address is in libc's mappings. Sets *executable to whether its segment has
 * code. */
bool libc_contains(const struct loaded *libc, uintptr_t addr, bool *executable);

/* Returns the function of the name that dlsym(RTLD_NEXT) would find: that of the first object
 * after this library in the order of symbol search, at last libc's. */
void *libc_next_function(enum libc_name name);

#endif
