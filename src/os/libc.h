/* SPDX-License-Identifier: MIT */
/*
 * libc.h - libc's own functions that this library replaces, and needs. See libc.c.
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

/* Returns libc's function by the name, or NULL where libc has none. It is never one of this
 * library, nor one that another library put in libc's place. */
void *libc_function(enum libc_name name);

/* Reads libc's tables. False: libc is not among the loaded objects. */
bool libc_tables(struct loaded *libc);

/* Reads this library's own tables. */
bool libc_own_tables(struct loaded *own);

/* The address is in libc's mappings. *executable: its segment has code, too. */
bool libc_contains(const struct loaded *libc, uintptr_t addr, bool *executable);

/* Returns the function by the name of the first object behind this library, in the order that
 * symbols are searched in. It is what dlsym(RTLD_NEXT) finds. libc's is the last. */
void *libc_next_function(enum libc_name name);

#endif
