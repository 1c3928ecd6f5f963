/* SPDX-License-Identifier: MIT */
/*
 * libc.c - finds libc's own functions, which this library replaces and needs.
 *
 * Owns     the addresses of those functions.
 * Holds    each function is looked up in libc's own symbol table, once. A constructor looks all of
 *          them up before the program can change anything; a call that comes earlier looks up its
 *          function itself. An entry that leads out of libc counts as missing, because another copy
 *          of this library has redirected it (interpose_dlopen.c).
 */
#include "os/libc.h"
#include "os/os.h"
#include "base/text.h"

#include <elf.h>

static const char *const names[LIBC_NAMES] = {
	[LIBC_MALLOC] = "malloc",       [LIBC_FREE] = "free",
	[LIBC_CALLOC] = "calloc",       [LIBC_REALLOC] = "realloc",
	[LIBC_MEMALIGN] = "memalign",   [LIBC_USABLE_SIZE] = "malloc_usable_size",
	[LIBC_MALLINFO2] = "mallinfo2", [LIBC_DLOPEN] = "dlopen",
	[LIBC_DLMOPEN] = "dlmopen",     [LIBC_DL_ITERATE_PHDR] = "dl_iterate_phdr",
};

/* Relaxed everywhere: each thread that looks finds the same address. */
static _Atomic(void *) functions[LIBC_NAMES], next_functions[LIBC_NAMES];

static struct link_map *own_map(void)
{
	return loaded_map_of(names);
}

bool libc_own_tables(struct loaded *own)
{
	struct link_map *map = own_map();

	return map != NULL && loaded_read(own, map->l_addr, map->l_ld);
}

static bool is_libc(struct loaded *o, const struct link_map *map)
{
	return loaded_read(o, map->l_addr, map->l_ld) && text_is(loaded_soname(o), "libc.so.6");
}

/* In the loader's list libc comes after this library if this library was loaded at the start, and
 * before it if this library was opened later. */
bool libc_tables(struct loaded *libc)
{
	struct link_map *own = own_map();

	for (const struct link_map *m = own; m != NULL; m = m->l_next)
		if (is_libc(libc, m))
			return true;
	for (const struct link_map *m = own; m != NULL; m = m->l_prev)
		if (is_libc(libc, m))
			return true;
	return false;
}

bool libc_contains(const struct loaded *libc, uintptr_t addr, bool *executable)
{
	const ElfW(Ehdr) *header = (const void *)libc->bias;
	const ElfW(Phdr) *segments;

	if (header == NULL || !is_elf64(header))
		return false;
	segments = (const void *)(libc->bias + header->e_phoff);
	for (unsigned i = 0; i < header->e_phnum; i++) {
		if (segments[i].p_type != PT_LOAD ||
		    addr - libc->bias - segments[i].p_vaddr >= segments[i].p_memsz)
			continue;
		*executable = (segments[i].p_flags & PF_X) != 0;
		return true;
	}
	return false;
}

/* Returns the function, or NULL if libc has none, and keeps it for the next call. */
static void *look_up(const struct loaded *libc, enum libc_name name)
{
	void *f = loaded_function(libc, names[name]);
	bool executable;

	if (f == NULL || !libc_contains(libc, (uintptr_t)f, &executable))
		return NULL;
	atomic_store_explicit(&functions[name], f, memory_order_relaxed);
	return f;
}

void *libc_function(enum libc_name name)
{
	void *f = atomic_load_explicit(&functions[name], memory_order_relaxed);
	struct loaded libc;

	if (LIKELY(f != NULL))
		return f;
	return libc_tables(&libc) ? look_up(&libc, name) : NULL;
}

void *libc_next_function(enum libc_name name)
{
	void *f = atomic_load_explicit(&next_functions[name], memory_order_relaxed);
	const struct link_map *map;
	struct loaded o;

	if (LIKELY(f != NULL))
		return f;
	map = own_map();
	while (f == NULL && map != NULL && (map = map->l_next) != NULL) {
		if (is_libc(&o, map))
			break;
		f = loaded_read(&o, map->l_addr, map->l_ld) ? loaded_function(&o, names[name])
							    : NULL;
	}
	if (f == NULL)
		f = libc_function(name);
	atomic_store_explicit(&next_functions[name], f, memory_order_relaxed);
	return f;
}

CONSTRUCTOR static void look_all_up(void)
{
	struct loaded libc;

	if (os_is_static() || !libc_tables(&libc))
		return;
	for (unsigned i = 0; i < LIBC_NAMES; i++)
		(void)look_up(&libc, (enum libc_name)i);
}
