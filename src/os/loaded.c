/* SPDX-License-Identifier: MIT */
/*
 * loaded.c - reads the symbols of loaded ELF objects without asking the dynamic linker.
 *
 * dlsym() is not asked for two reasons. It waits for the dynamic linker's lock, which another
 * thread may hold while it waits for this one; and a program may have a dlsym of its own.
 *
 * Holds    an object stays loaded while it is read here. It is libc, this library or the kernel's
 *          vDSO, or a lock of the caller's holds it.
 */
#include "os/loaded.h"
#include "base/text.h"

#include <elf.h>

/* Returns the address in memory. The dynamic linker has relocated the addresses of most dynamic
 * sections already, but not those of read-only sections. */
static const void *address_in(uintptr_t bias, ElfW(Addr) addr)
{
	return (const void *)(addr < bias ? addr + bias : addr);
}

bool loaded_read(struct loaded *o, uintptr_t bias, const ElfW(Dyn) *dynamic)
{
	*o = (struct loaded){ .bias = bias, .dynamic = dynamic };
	if (dynamic == NULL)
		return false;
	for (const ElfW(Dyn) *d = dynamic; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_SYMTAB)
			o->symbols = (ElfW(Sym) *)address_in(bias, d->d_un.d_ptr);
		else if (d->d_tag == DT_STRTAB)
			o->names = address_in(bias, d->d_un.d_ptr);
		else if (d->d_tag == DT_GNU_HASH)
			o->gnu_hash = address_in(bias, d->d_un.d_ptr);
		else if (d->d_tag == DT_HASH)
			o->hash = address_in(bias, d->d_un.d_ptr);
	}
	return o->symbols != NULL && o->names != NULL && (o->gnu_hash != NULL || o->hash != NULL);
}

const char *loaded_soname(const struct loaded *o)
{
	for (const ElfW(Dyn) *d = o->dynamic; d->d_tag != DT_NULL; d++)
		if (d->d_tag == DT_SONAME)
			return o->names + d->d_un.d_val;
	return "";
}

bool loaded_needs(const struct loaded *o, const char *soname)
{
	for (const ElfW(Dyn) *d = o->dynamic; d->d_tag != DT_NULL; d++)
		if (d->d_tag == DT_NEEDED && text_is(o->names + d->d_un.d_val, soname))
			return true;
	return false;
}

/* A resolver chooses the function when it is bound. Which one it chooses is not known here. */
static bool is_resolver(const ElfW(Sym) *s)
{
	return ELF64_ST_TYPE(s->st_info) == STT_GNU_IFUNC;
}

static bool is_function(const ElfW(Sym) *s)
{
	return ELF64_ST_TYPE(s->st_info) == STT_FUNC || is_resolver(s);
}

static bool is_variable(const ElfW(Sym) *s)
{
	return ELF64_ST_TYPE(s->st_info) == STT_OBJECT;
}

static bool is_wanted(const struct loaded *o, const ElfW(Sym) *s, const char *name)
{
	return (is_function(s) || is_variable(s)) && s->st_shndx != SHN_UNDEF &&
	       text_is(o->names + s->st_name, name);
}

/* The table has the numbers of buckets, of the first symbol, and of filter words; a shift; the
 * filter's words of 8 bytes; the first symbol of each bucket; and the hash of each symbol, whose
 * lowest bit ends the bucket. */
static ElfW(Sym) *next_by_gnu_hash(const struct loaded *o, const char *name,
				   const ElfW(Sym) *before)
{
	uint32_t hash = 5381;
	uint32_t nbuckets = o->gnu_hash[0], first = o->gnu_hash[1];
	const uint32_t *buckets = o->gnu_hash + 4 + o->gnu_hash[2] * 2;
	const uint32_t *chains = buckets + nbuckets;
	bool passed = before == NULL;
	uint32_t i;

	for (const char *c = name; *c != '\0'; c++)
		hash = hash * 33 + (unsigned char)*c;
	i = nbuckets == 0 ? 0 : buckets[hash % nbuckets];
	if (i < first)
		return NULL;
	for (;; i++) {
		ElfW(Sym) *s = &o->symbols[i];

		if (!passed)
			passed = s == before;
		else if (((chains[i - first] ^ hash) | 1) == 1 && is_wanted(o, s, name))
			return s;
		if ((chains[i - first] & 1) != 0)
			return NULL;
	}
}

/* The table has the numbers of buckets and of symbols, the first symbol of each bucket, and the
 * symbol that follows each symbol in its bucket. 0 ends the bucket. */
static ElfW(Sym) *next_by_hash(const struct loaded *o, const char *name, const ElfW(Sym) *before)
{
	uint32_t hash = 0, nbuckets = o->hash[0];
	const uint32_t *buckets = o->hash + 2, *chains = buckets + nbuckets;
	bool passed = before == NULL;

	for (const char *c = name; *c != '\0'; c++) {
		hash = (hash << 4) + (unsigned char)*c;
		hash = (hash ^ (hash >> 28) << 4) & UINT32_C(0x0fffffff);
	}
	for (uint32_t i = nbuckets == 0 ? 0 : buckets[hash % nbuckets]; i != 0; i = chains[i]) {
		ElfW(Sym) *s = &o->symbols[i];

		if (passed && is_wanted(o, s, name))
			return s;
		passed = passed || s == before;
	}
	return NULL;
}

ElfW(Sym) *loaded_next(const struct loaded *o, const char *name, const ElfW(Sym) *before)
{
	return o->gnu_hash != NULL ? next_by_gnu_hash(o, name, before) :
				     next_by_hash(o, name, before);
}

void *loaded_function(const struct loaded *o, const char *name)
{
	const ElfW(Sym) *s = loaded_next(o, name, NULL);

	return s == NULL || !is_function(s) || is_resolver(s) ? NULL
							      : (void *)(o->bias + s->st_value);
}

void *loaded_variable(const struct loaded *o, const char *name)
{
	const ElfW(Sym) *s = loaded_next(o, name, NULL);

	return s == NULL || !is_variable(s) ? NULL : (void *)(o->bias + s->st_value);
}
