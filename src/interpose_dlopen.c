/* SPDX-License-Identifier: MIT */
/*
 * interpose_dlopen.c - libraries loaded with RTLD_DEEPBIND use our malloc, too.
 * See malloc.c for the overview.
 *
 * Owns     the one change to libc's symbol table.
 * Callers  programs that call dlopen. Calls libc and the dynamic linker's public structures.
 * Locks    none of ours.
 * Holds    without RTLD_DEEPBIND dlopen is libc's own, entered by a tail call, so that libc sees the
 *          program as the caller and finds its RUNPATH. With it, the library's own scope comes
 *          before ours, and its malloc and free would be libc's while its strdup would come from ours. So before
 *          the first such load the entries of libc's dynamic symbol table for the allocation functions are
 *          pointed at ours: every later lookup that ends in libc finds us. __libc_malloc and its
 *          family stay as they are: the way to libc's heap for what it has handed out.
 */
#include "base.h"
#include "os.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>

/* What libc defines and we replace. */
static const char *const faces[] = {
	"malloc", "free", "calloc", "realloc", "reallocarray", "memalign", "aligned_alloc",
	"posix_memalign", "valloc", "pvalloc", "malloc_usable_size", "malloc_trim", "mallinfo",
	"mallinfo2", "malloc_info", "malloc_stats", "mallopt", "cfree",
};

/* Number of dynamic symbols, from the GNU hash table: one past the last symbol of the last chain. */
static size_t count_symbols(const uint32_t *gnu_hash)
{
	uint32_t nbuckets = gnu_hash[0];
	uint32_t first = gnu_hash[1];
	const uint32_t *buckets = gnu_hash + 4 + gnu_hash[2] * 2;
	const uint32_t *chains = buckets + nbuckets;
	uint32_t last = 0;

	for (uint32_t i = 0; i < nbuckets; i++)
		if (buckets[i] > last)
			last = buckets[i];
	if (last < first)
		return first;
	while ((chains[last - first] & 1) == 0)
		last++;
	return (size_t)last + 1;
}

static void redirect(const struct link_map *libc)
{
	ElfW(Sym) *symbols = NULL;
	const char *names = NULL;
	const uint32_t *gnu_hash = NULL;
	size_t nsymbols;

	for (const ElfW(Dyn) *d = libc->l_ld; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_SYMTAB)
			symbols = (ElfW(Sym) *)d->d_un.d_ptr;
		else if (d->d_tag == DT_STRTAB)
			names = (const char *)d->d_un.d_ptr;
		else if (d->d_tag == DT_GNU_HASH)
			gnu_hash = (const uint32_t *)d->d_un.d_ptr;
	}
	if (symbols == NULL || names == NULL || gnu_hash == NULL)
		return;
	nsymbols = count_symbols(gnu_hash);
	for (size_t i = 0; i < nsymbols; i++) {
		const char *name = names + symbols[i].st_name;

		if (ELF64_ST_TYPE(symbols[i].st_info) != STT_FUNC)
			continue;
		for (size_t k = 0; k < sizeof(faces) / sizeof(faces[0]); k++) {
			const void *ours = strcmp(name, faces[k]) == 0 ?
						   dlsym(RTLD_DEFAULT, faces[k]) : NULL;

			/* Addresses in the table are relative to where libc is. */
			if (ours != NULL)
				os_store_protected(&symbols[i].st_value,
						   (uintptr_t)ours - libc->l_addr);
		}
	}
}

/* libc is where __libc_malloc is. */
static void redirect_libc(void)
{
	void *libc_malloc = dlsym(RTLD_NEXT, "__libc_malloc");
	struct link_map *map = NULL;
	Dl_info info;

	if (libc_malloc != NULL && dladdr1(libc_malloc, &info, (void **)&map, RTLD_DL_LINKMAP) != 0 &&
	    map != NULL)
		redirect(map);
}

typedef void *dlopen_fn(const char *file, int mode);

static dlopen_fn *libc_dlopen(void)
{
	/* Relaxed: every thread finds the same. */
	static _Atomic(dlopen_fn *) found;
	dlopen_fn *f = atomic_load_explicit(&found, memory_order_relaxed);

	if (f == NULL) {
		*(void **)&f = dlsym(RTLD_NEXT, "dlopen");
		atomic_store_explicit(&found, f, memory_order_relaxed);
	}
	return f;
}

EXPORT void *dlopen(const char *file, int mode)
{
	/* Relaxed: redirecting twice stores the same values. */
	static _Atomic bool redirected;

	if (UNLIKELY((mode & RTLD_DEEPBIND) != 0) &&
	    !atomic_exchange_explicit(&redirected, true, memory_order_relaxed))
		redirect_libc();
	return libc_dlopen()(file, mode);
}
