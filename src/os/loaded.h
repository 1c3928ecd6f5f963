/* SPDX-License-Identifier: MIT */
/*
 * loaded.h - reads the names and functions of loaded ELF objects. See loaded.c.
 */
#ifndef GOALLOC_LOADED_H
#define GOALLOC_LOADED_H

#include "base/base.h"

#include <link.h>

/* Returns true if the header is that of a 64-bit ELF file with program headers. */
static inline bool is_elf64(const Elf64_Ehdr *header)
{
	return __builtin_memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
	       header->e_ident[EI_CLASS] == ELFCLASS64 &&
	       header->e_phentsize == sizeof(Elf64_Phdr);
}

/* An object, as its dynamic section describes it. The tables are the object's own memory. */
struct loaded {
	uintptr_t bias;              /* address in memory minus address in the file */
	const ElfW(Dyn) *dynamic;
	ElfW(Sym) *symbols;
	const char *names;
	const uint32_t *gnu_hash;    /* DT_GNU_HASH, or NULL */
	const uint32_t *hash;        /* DT_HASH, or NULL; one of the two is there */
};

/* Reads where the object's tables are. Returns false if it has no dynamic section or no hash
 * table. */
bool loaded_read(struct loaded *o, uintptr_t bias, const ElfW(Dyn) *dynamic);

/* Returns the object's own name, its DT_SONAME, or "" if it has none. */
const char *loaded_soname(const struct loaded *o);

/* Returns true if the object's DT_NEEDED entries include the name. */
bool loaded_needs(const struct loaded *o, const char *soname);

/* Returns the next function or variable after `before` that the object defines by the name, in any
 * version. The first one follows NULL. NULL means that there are no more. */
ElfW(Sym) *loaded_next(const struct loaded *o, const char *name, const ElfW(Sym) *before);

/* Returns the address of the function that the object defines by the name, or NULL. */
void *loaded_function(const struct loaded *o, const char *name);

/* Returns the address of the variable that the object defines by the name, or NULL. */
void *loaded_variable(const struct loaded *o, const char *name);

#endif
