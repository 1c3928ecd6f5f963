/* SPDX-License-Identifier: MIT */
/*
 * interpose_dlopen.c - libraries loaded with RTLD_DEEPBIND use our malloc, too.
 *
 * With RTLD_DEEPBIND the library's own scope comes before ours. Its malloc and free would be
 * libc's, while its strdup would call ours. So before the first such load the entries of libc's
 * dynamic symbol table for the allocation functions are pointed at ours. Every later lookup that
 * ends in libc finds our functions.
 *
 * A program finds libc's own dlopen only through a handle, which it has from a dlopen. So the first
 * dlopen of any kind points libc's entries for dlopen here.
 *
 * Owns     the changes to libc's symbol table.
 * Locks    none of ours. pthread_once() makes a thread wait until the table is changed, and begins
 *          anew in a forked child.
 * Holds    dlopen calls the next dlopen behind ours by a tail call, so that libc sees the program
 *          as the caller and finds its RUNPATH.
 */
#include "os/libc.h"
#include "os/libc_types.h"
#include "os/os.h"

#include <pthread.h>

/* The functions that libc defines and this library replaces. */
static const char *const faces[] = {
	"malloc", "free", "calloc", "realloc", "reallocarray", "memalign", "aligned_alloc",
	"posix_memalign", "valloc", "pvalloc", "malloc_usable_size", "malloc_trim", "mallinfo",
	"mallinfo2", "malloc_info", "malloc_stats", "mallopt", "cfree", "__libc_malloc",
	"__libc_free", "__libc_calloc", "__libc_realloc", "__libc_memalign", "__libc_valloc",
	"__libc_pvalloc", "__libc_mallopt", "__libc_mallinfo", "__posix_memalign",
};

/* Points all versions of a name in libc's symbol table at a function. */
static void redirect(const struct loaded *libc, const char *name, uintptr_t to)
{
	bool executable;

	for (ElfW(Sym) *s = loaded_next(libc, name, NULL); s != NULL;
	     s = loaded_next(libc, name, s))
		if (libc_contains(libc, (uintptr_t)&s->st_value, &executable))
			os_store_protected(&s->st_value, to - libc->bias, executable);
}

/* Points libc's entries for the allocation functions at ours. */
static void redirect_malloc(void)
{
	struct loaded libc, own;

	if (!libc_tables(&libc) || !libc_own_tables(&own))
		return;
	for (size_t i = 0; i < sizeof(faces) / sizeof(faces[0]); i++) {
		void *ours = loaded_function(&own, faces[i]);

		if (ours != NULL)
			redirect(&libc, faces[i], (uintptr_t)ours);
	}
}

typedef void *dlopen_fn(const char *file, int mode);
typedef void *dlmopen_fn(Lmid_t space, const char *file, int mode);

/* libc's entries lead to these. They call libc's own functions, because a library that wraps dlopen
 * may have come here by such an entry. */
static void *dlopen_for_libc(const char *file, int mode);
static void *dlmopen_for_libc(Lmid_t space, const char *file, int mode);

static void redirect_dlopen(void)
{
	struct loaded part;

	/* Finds the functions while libc's entries still lead to libc. */
	(void)libc_function(LIBC_DLOPEN);
	(void)libc_function(LIBC_DLMOPEN);
	(void)libc_next_function(LIBC_DLOPEN);
	(void)libc_next_function(LIBC_DLMOPEN);
	if (libc_tables_with(LIBC_DLOPEN, &part))
		redirect(&part, "dlopen", (uintptr_t)dlopen_for_libc);
	if (libc_tables_with(LIBC_DLMOPEN, &part))
		redirect(&part, "dlmopen", (uintptr_t)dlmopen_for_libc);
}

/* Prepares libc's symbol table for a load in this mode. */
static void prepare(int mode)
{
	static pthread_once_t dlopen_once = PTHREAD_ONCE_INIT, malloc_once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&dlopen_once, redirect_dlopen);
	if ((mode & RTLD_DEEPBIND) != 0)
		(void)pthread_once(&malloc_once, redirect_malloc);
}

static void *dlopen_for_libc(const char *file, int mode)
{
	prepare(mode);
	return ((dlopen_fn *)libc_function(LIBC_DLOPEN))(file, mode);
}

static void *dlmopen_for_libc(Lmid_t space, const char *file, int mode)
{
	prepare(mode);
	return ((dlmopen_fn *)libc_function(LIBC_DLMOPEN))(space, file, mode);
}

EXPORT void *dlopen(const char *file, int mode)
{
	prepare(mode);
	return ((dlopen_fn *)libc_next_function(LIBC_DLOPEN))(file, mode);
}

EXPORT void *dlmopen(Lmid_t space, const char *file, int mode)
{
	prepare(mode);
	return ((dlmopen_fn *)libc_next_function(LIBC_DLMOPEN))(space, file, mode);
}
