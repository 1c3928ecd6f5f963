/* SPDX-License-Identifier: MIT */
/*
 * loaded.c - the objects that the dynamic linker has loaded, read without asking it.
 * See malloc.c for the overview.
 *
 * dlsym() is not asked for two reasons. It waits for the dynamic linker's lock, which another
 * thread may hold while it waits for this one; and a program may have a dlsym of its own.
 *
 * Owns     nothing.
 * Callers  libc.c, which finds libc's functions; the face, for dlopen and the C++ library. Calls
 *          _dl_find_object(), or dladdr1() where libc is older than 2.35.
 * Locks    none.
 * Holds    an object stays loaded while it is read here: it is libc, this library, or held by the
 *          caller's lock.
 */
#include "os/loaded.h"

#include <dlfcn.h>
#include <elf.h>

extern __typeof__(_dl_find_object) _dl_find_object WEAK;

static bool same(const char *a, const char *b)
{
	while (*a == *b && *a != '\0') {
		a++;
		b++;
	}
	return *a == *b;
}

/* The dynamic linker has put most addresses of a dynamic section in order; it leaves those of a
 * read-only one. */
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
	}
	return o->symbols != NULL && o->names != NULL && o->gnu_hash != NULL;
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
		if (d->d_tag == DT_NEEDED && same(o->names + d->d_un.d_val, soname))
			return true;
	return false;
}

static uint32_t hash_of(const char *name)
{
	uint32_t h = 5381;

	for (; *name != '\0'; name++)
		h = h * 33 + (unsigned char)*name;
	return h;
}

/* Resolvers of functions are functions, too: which one they choose is not known. */
static bool is_resolver(const ElfW(Sym) *s)
{
	return ELF64_ST_TYPE(s->st_info) == STT_GNU_IFUNC;
}

static bool is_function(const ElfW(Sym) *s)
{
	return ELF64_ST_TYPE(s->st_info) == STT_FUNC || is_resolver(s);
}

/* The table: numbers of buckets, of the first symbol, and of filter words; a shift; the filter's
 * words of 8 bytes; for each bucket its first symbol; for each symbol its hash, whose lowest bit
 * ends the bucket. */
ElfW(Sym) *loaded_next(const struct loaded *o, const char *name, const ElfW(Sym) *before)
{
	uint32_t hash = hash_of(name);
	uint32_t nbuckets = o->gnu_hash[0], first = o->gnu_hash[1];
	const uint32_t *buckets = o->gnu_hash + 4 + o->gnu_hash[2] * 2;
	const uint32_t *chains = buckets + nbuckets;
	uint32_t i = nbuckets == 0 ? 0 : buckets[hash % nbuckets];
	bool passed = before == NULL;

	if (i < first)
		return NULL;
	for (;; i++) {
		ElfW(Sym) *s = &o->symbols[i];

		if (!passed)
			passed = s == before;
		else if (((chains[i - first] ^ hash) | 1) == 1 && is_function(s) &&
			 s->st_shndx != SHN_UNDEF && same(o->names + s->st_name, name))
			return s;
		if ((chains[i - first] & 1) != 0)
			return NULL;
	}
}

void *loaded_function(const struct loaded *o, const char *name)
{
	const ElfW(Sym) *s = loaded_next(o, name, NULL);

	return s == NULL || is_resolver(s) ? NULL : (void *)(o->bias + s->st_value);
}

struct link_map *loaded_map_of(const void *addr)
{
	struct link_map *map = NULL;
	struct dl_find_object found;
	Dl_info info;

	if (&_dl_find_object != NULL)
		return _dl_find_object((void *)addr, &found) == 0 ? found.dlfo_link_map : NULL;
	return dladdr1(addr, &info, (void **)&map, RTLD_DL_LINKMAP) != 0 ? map : NULL;
}
