/* SPDX-License-Identifier: MIT */
/*
 * loaded.h - the objects that the dynamic linker has loaded, read without asking it: their names,
 * and the functions that they define. See loaded.c.
 */
#ifndef GOALLOC_LOADED_H
#define GOALLOC_LOADED_H

#include "base/base.h"

#include <link.h>

/* One object, as its dynamic section describes it. The tables are the object's own memory. */
struct loaded {
	uintptr_t bias; /* the difference of its addresses in memory from those in its file */
	const ElfW(Dyn) *dynamic;
	ElfW(Sym) *symbols;
	const char *names;
	const uint32_t *gnu_hash;
};

/* Reads where the object's tables are. False: it has no dynamic section, or no GNU hash table. */
bool loaded_read(struct loaded *o, uintptr_t bias, const ElfW(Dyn) *dynamic);

/* Returns the object's own name, its DT_SONAME; "" when it has none. */
const char *loaded_soname(const struct loaded *o);

/* The object's DT_NEEDED entries include the name. */
bool loaded_needs(const struct loaded *o, const char *soname);

/* Returns the next function after `before` that the object defines by the name, in any version;
 * the first one for NULL. NULL: there are no more. */
ElfW(Sym) *loaded_next(const struct loaded *o, const char *name, const ElfW(Sym) *before);

/* Returns the address of the function that the object defines by the name, or NULL. */
void *loaded_function(const struct loaded *o, const char *name);

/* Returns the dynamic linker's record of the object that has this code or data, or NULL. Takes no
 * lock with glibc 2.35 and later. */
struct link_map *loaded_map_of(const void *addr);

#endif
