/* SPDX-License-Identifier: MIT */
/*
 * libc.c - finds libc's own functions, which this library replaces or needs, and what the loader
 * knows of the loaded objects.
 *
 * The library is built once and runs with glibc from 2.31 on, and with musl. What one of them
 * lacks, or has elsewhere, is looked up here in the loaded objects, so that no symbol of a later
 * glibc is needed to load the library. libc_types.h has what headers lack; libc_shared.c has the
 * functions that the shared library calls by the result of a look-up.
 *
 * Owns     the addresses of those functions, of the loader's record of this library, and of objects
 *          that musl loaded.
 * Holds    each function is looked up in libc's own symbol table, once. A constructor looks all of
 *          them up before the program can change anything; a call that comes earlier looks up its
 *          function itself. An entry that leads out of libc counts as missing, because another copy
 *          of this library has redirected it (interpose_dlfcn.c).
 */
#include "os/libc.h"
#include "os/os.h"
#include "base/text.h"

#include <elf.h>

static const char *const names[LIBC_NAMES] = {
	[LIBC_MALLOC] = "malloc",
	[LIBC_FREE] = "free",
	[LIBC_CALLOC] = "calloc",
	[LIBC_REALLOC] = "realloc",
	[LIBC_ALIGNED_ALLOC] = "aligned_alloc",
	[LIBC_USABLE_SIZE] = "malloc_usable_size",
	[LIBC_MALLINFO] = "mallinfo",
	[LIBC_MALLINFO2] = "mallinfo2",
	[LIBC_DLOPEN] = "dlopen",
	[LIBC_DLMOPEN] = "dlmopen",
	[LIBC_DLSYM] = "dlsym",
	[LIBC_DLVSYM] = "dlvsym",
	[LIBC_DL_ITERATE_PHDR] = "dl_iterate_phdr",
	[LIBC_FIND_OBJECT] = "_dl_find_object",
	[LIBC_GETTID] = "gettid",
	[LIBC_GNU_VERSION] = "gnu_get_libc_version",
	[LIBC_REGISTER_ATFORK] = "__register_atfork",
	[LIBC_PTHREAD_ATFORK] = "pthread_atfork",
	[LIBC_PTHREAD_ATTR_SETSTACKSIZE] = "pthread_attr_setstacksize",
	[LIBC_PTHREAD_CREATE] = "pthread_create",
	[LIBC_PTHREAD_KEY_CREATE] = "pthread_key_create",
	[LIBC_PTHREAD_ONCE] = "pthread_once",
	[LIBC_PTHREAD_SETSPECIFIC] = "pthread_setspecific",
	[LIBC_PTHREAD_SIGMASK] = "pthread_sigmask",
};

/* Relaxed everywhere: each thread that looks finds the same address. */
static _Atomic(void *) functions[LIBC_NAMES], next_functions[LIBC_NAMES];
static _Atomic(struct link_map *) own;

static const char several_threads;
const char *libc_single_threaded = &several_threads;

WEAK const struct libc_linked libc_linked;

/* --- the loader's list of objects --- */

/* The linker's name for the dynamic section of the object that this code is part of. */
extern ElfW(Dyn) _DYNAMIC[] WEAK HIDDEN;

/* Finds the dynamic section of the program. Returns false if it has none. */
static bool find_program(uintptr_t *bias, const ElfW(Dyn) **dynamic)
{
	uintptr_t header = os_program_header(), at = 0;
	const ElfW(Phdr) *segments;

	if (header == 0)
		return false;
	*bias = 0;
	segments = (const void *)(header + ((const ElfW(Ehdr) *)header)->e_phoff);
	for (unsigned i = 0; i < ((const ElfW(Ehdr) *)header)->e_phnum; i++) {
		if (segments[i].p_type == PT_LOAD && segments[i].p_offset == 0 &&
		    segments[i].p_filesz != 0)
			*bias = header - segments[i].p_vaddr;
		else if (segments[i].p_type == PT_DYNAMIC)
			at = segments[i].p_vaddr;
	}
	*dynamic = (const ElfW(Dyn) *)(*bias + at);
	return at != 0;
}

/* Returns the first object of the loader's list, which is the program, or NULL if there is no
 * loader. The loader tells debuggers of its list by an entry in the program's dynamic section. If
 * the program was started as an argument of the loader, musl leaves the kernel's word for it that
 * the loader is the program; that has a variable. */
static struct link_map *first_map(void)
{
	const ElfW(Dyn) *dynamic;
	struct r_debug *const *debug;
	struct loaded program;
	uintptr_t bias;

	if (!find_program(&bias, &dynamic))
		return NULL;
	for (const ElfW(Dyn) *d = dynamic; d->d_tag != DT_NULL; d++)
		if (d->d_tag == DT_DEBUG && d->d_un.d_ptr != 0)
			return ((const struct r_debug *)d->d_un.d_ptr)->r_map;
	if (!loaded_read(&program, bias, dynamic))
		return NULL;
	debug = loaded_variable(&program, "_dl_debug_addr");
	return debug == NULL ? NULL : (*debug)->r_map;
}

/* A list with more objects than this has changed while it was read. */
#define MOST_OBJECTS 65536

/* How many program headers are read at a time. More take too much of the stack. */
#define SEGMENTS 8

/* Returns the end of the object whose ELF header is at this address, or 0 if it cannot be read. */
static uintptr_t end_of_object(uintptr_t header)
{
	uintptr_t base = header, end = 0;
	ElfW(Phdr) segments[SEGMENTS];
	ElfW(Ehdr) elf;

	if (!os_read_memory(header, &elf, sizeof(elf)) || !is_elf64(&elf))
		return 0;
	for (unsigned i = 0; i < elf.e_phnum; i++) {
		const ElfW(Phdr) *s = &segments[i % SEGMENTS];
		size_t n = min_size(elf.e_phnum - i, SEGMENTS);

		if (i % SEGMENTS == 0 && !os_read_memory(header + elf.e_phoff + i * sizeof(*s),
							 segments, n * sizeof(*s)))
			return 0;
		if (s->p_type != PT_LOAD)
			continue;
		if (s->p_offset == 0 && s->p_filesz != 0)
			base = header - s->p_vaddr;
		end = max_size(end, base + s->p_vaddr + s->p_memsz);
	}
	return end;
}

/* The first objects that were found, where libc never unmaps one: musl's dlclose(3) does nothing.
 * A thread that misses an entry searches for the object. */
#define KEPT_OBJECTS 16
static struct {
	_Atomic uintptr_t header;   /* [a] is stored last; 0 for none */
	_Atomic uintptr_t end;      /* [a] */
} kept[KEPT_OBJECTS];
static _Atomic unsigned nkept;

static uintptr_t find_kept(uintptr_t addr)
{
	for (unsigned i = 0; i < KEPT_OBJECTS; i++) {
		/* Acquire: the end. Pairs with the release in keep(). */
		uintptr_t header = atomic_load_explicit(&kept[i].header, memory_order_acquire);

		if (header != 0 && addr >= header &&
		    addr < atomic_load_explicit(&kept[i].end, memory_order_relaxed))
			return header;
	}
	return 0;
}

static void keep(uintptr_t header, uintptr_t end)
{
	unsigned i;

	if (libc_is_glibc() ||
	    atomic_load_explicit(&nkept, memory_order_relaxed) >= KEPT_OBJECTS)
		return;
	/* Relaxed: each thread gets an entry of its own. */
	i = atomic_fetch_add_explicit(&nkept, 1, memory_order_relaxed);
	if (i >= KEPT_OBJECTS)
		return;
	atomic_store_explicit(&kept[i].end, end, memory_order_relaxed);
	/* Release: the end. Pairs with the acquire in find_kept(). */
	atomic_store_explicit(&kept[i].header, header, memory_order_release);
}

/* Returns true if the object at the header has the address. */
static bool object_contains(uintptr_t header, uintptr_t addr)
{
	uintptr_t end = addr < header ? 0 : end_of_object(header);

	if (addr >= end)
		return false;
	keep(header, end);
	return true;
}

uintptr_t libc_header_of(uintptr_t addr)
{
	uintptr_t program = os_program_header(), header = find_kept(addr);
	const struct link_map *m;
	struct link_map copy;

	if (header != 0)
		return header;
	if (program != 0 && object_contains(program, addr))
		return program;
	m = first_map();
	for (unsigned n = 0; m != NULL && n < MOST_OBJECTS; n++) {
		if (!os_read_memory((uintptr_t)m, &copy, sizeof(copy)))
			return 0;
		if (copy.l_addr != 0 && object_contains(copy.l_addr, addr))
			return copy.l_addr;
		m = copy.l_next;
	}
	return 0;
}

/* --- libc among the objects --- */

/* glibc before 2.34 has libraries beside libc. musl has one library, whose name depends on the
 * distribution and may be missing; it has a function for its second stage of loading. */
static bool is_libc(struct loaded *o, const struct link_map *map)
{
	return loaded_read(o, map->l_addr, map->l_ld) &&
	       (text_is(loaded_soname(o), "libc.so.6") ||
		loaded_next(o, "__dls2b", NULL) != NULL);
}

static bool is_beside_libc(struct loaded *o, const struct link_map *map)
{
	return loaded_read(o, map->l_addr, map->l_ld) &&
	       (text_is(loaded_soname(o), "libpthread.so.0") ||
		text_is(loaded_soname(o), "libdl.so.2"));
}

static bool find_libc(struct loaded *libc, const struct link_map *first)
{
	for (const struct link_map *m = first; m != NULL; m = m->l_next)
		if (is_libc(libc, m))
			return true;
	return false;
}

/* Returns libc's function that finds objects, or NULL. The loader has one for all namespaces. */
static int (*find_object_function(void))(void *addr, struct libc_object *found)
{
	void *f = atomic_load_explicit(&functions[LIBC_FIND_OBJECT], memory_order_relaxed);
	struct loaded libc;

	if (LIKELY(f != NULL))
		return (int (*)(void *, struct libc_object *))f;
	if (os_is_static())
		return libc_linked.find_object;
	if (!find_libc(&libc, first_map()))
		return NULL;
	f = loaded_function(&libc, names[LIBC_FIND_OBJECT]);
	atomic_store_explicit(&functions[LIBC_FIND_OBJECT], f, memory_order_relaxed);
	return (int (*)(void *, struct libc_object *))f;
}

int libc_find_object(uintptr_t addr, struct libc_object *found)
{
	int (*f)(void *, struct libc_object *) = find_object_function();

	return f == NULL ? LIBC_CANNOT_FIND : f((void *)addr, found);
}

struct link_map *libc_own_map(void)
{
	struct link_map *map = atomic_load_explicit(&own, memory_order_relaxed);
	struct libc_object found;

	if (map != NULL || _DYNAMIC == NULL)
		return map;
	map = first_map();
	while (map != NULL && map->l_ld != _DYNAMIC)
		map = map->l_next;
	/* The list has no objects of other namespaces. */
	if (map == NULL && libc_find_object((uintptr_t)names, &found) == 0)
		map = found.map;
	atomic_store_explicit(&own, map, memory_order_relaxed);
	return map;
}

bool libc_own_tables(struct loaded *o)
{
	struct link_map *map = libc_own_map();

	return map != NULL && loaded_read(o, map->l_addr, map->l_ld);
}

/* Returns the first object of this library's namespace. */
static const struct link_map *first_of_namespace(void)
{
	const struct link_map *map = libc_own_map();

	while (map != NULL && map->l_prev != NULL)
		map = map->l_prev;
	return map;
}

bool libc_tables(struct loaded *libc)
{
	return find_libc(libc, first_of_namespace());
}

bool libc_is_behind(void)
{
	const struct link_map *map = libc_own_map();
	struct loaded libc;

	return map != NULL && find_libc(&libc, map->l_next);
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

/* --- libc's functions --- */

/* Returns the function, or NULL if this part of libc has none, and keeps it for the next call. */
static void *look_up(const struct loaded *part, enum libc_name name)
{
	void *f = loaded_function(part, names[name]);
	bool executable;

	if (f == NULL || !libc_contains(part, (uintptr_t)f, &executable))
		return NULL;
	atomic_store_explicit(&functions[name], f, memory_order_relaxed);
	return f;
}

bool libc_tables_with(enum libc_name name, struct loaded *part)
{
	const struct link_map *first = first_of_namespace();

	if (find_libc(part, first) && look_up(part, name) != NULL)
		return true;
	for (const struct link_map *m = first; m != NULL; m = m->l_next)
		if (is_beside_libc(part, m) && look_up(part, name) != NULL)
			return true;
	return false;
}

void *libc_function(enum libc_name name)
{
	void *f = atomic_load_explicit(&functions[name], memory_order_relaxed);
	struct loaded part;

	if (LIKELY(f != NULL))
		return f;
	return libc_tables_with(name, &part)
		       ? atomic_load_explicit(&functions[name], memory_order_relaxed)
		       : NULL;
}

void *libc_next_function(enum libc_name name)
{
	void *f = atomic_load_explicit(&next_functions[name], memory_order_relaxed);
	const struct link_map *map;
	struct loaded o;

	if (LIKELY(f != NULL))
		return f;
	map = libc_own_map();
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

bool libc_is_glibc(void)
{
	return os_is_static() ? libc_linked.is_glibc : libc_function(LIBC_GNU_VERSION) != NULL;
}

bool libc_mistakes_thread(void)
{
	int (*tid)(void) = os_is_static() ? libc_linked.thread_id
					  : (int (*)(void))libc_function(LIBC_GETTID);

	return tid != NULL && tid() != os_thread();
}

CONSTRUCTOR static void look_all_up(void)
{
	struct loaded libc;
	const char *single;

	if (os_is_static()) {
		if (libc_linked.single_threaded != NULL)
			libc_single_threaded = libc_linked.single_threaded;
		return;
	}
	if (!libc_tables(&libc))
		return;
	for (unsigned i = 0; i < LIBC_NAMES; i++)
		(void)look_up(&libc, (enum libc_name)i);
	single = loaded_variable(&libc, "__libc_single_threaded");
	if (single != NULL)
		libc_single_threaded = single;
}
