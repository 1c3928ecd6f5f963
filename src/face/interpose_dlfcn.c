/* SPDX-License-Identifier: MIT */
/*
 * interpose_dlfcn.c - whoever reaches libc past this library finds our malloc there, too.
 *
 * There are two ways past. With RTLD_DEEPBIND a library's own scope comes before ours: its malloc
 * and free would be libc's, while its strdup would call ours. And dlsym() finds libc's free by a
 * handle of libc or of a library that needs libc, and by RTLD_NEXT in a library behind ours.
 * Programs give that free what strdup returned. So before the first such load or look-up the
 * entries of libc's dynamic symbol table for the allocation functions are pointed at ours. Every
 * later look-up that ends in libc finds our functions.
 *
 * The entries for dlopen, dlsym and their fellows are pointed here at the same time. libc's own
 * functions of these names are found only in the two ways.
 *
 * Owns     the changes to libc's symbol table.
 * Locks    none of ours. pthread_once() makes a thread wait until the table is changed. In a forked
 *          child it begins anew with glibc. With musl a child would wait for ever that another
 *          thread forked in that moment.
 * Holds    each function calls the next of its name behind ours by a tail call, so that libc sees
 *          the program as the caller: it finds the RUNPATH by the caller, and what RTLD_NEXT means.
 *          CMakeLists.txt has this file optimised in every build for that reason.
 *          dlmopen and dlvsym are in interpose_dlmopen.c.
 */
#include "face/interpose_dlfcn.h"
#include "base/text.h"
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

/* Points all versions of a name in libc's symbol table at a function. An entry that leads out of
 * libc stays: another copy of this library that comes before this one has pointed it there. */
static void redirect(const struct loaded *libc, const char *name, uintptr_t to)
{
	bool executable;

	for (ElfW(Sym) *s = loaded_next(libc, name, NULL); s != NULL;
	     s = loaded_next(libc, name, s))
		if (libc_contains(libc, libc->bias + s->st_value, &executable) &&
		    libc_contains(libc, (uintptr_t)&s->st_value, &executable))
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

/* libc's entries lead to these. They call libc's own functions, because a library that wraps one of
 * them may have come here by such an entry. */
static void *dlopen_for_libc(const char *file, int mode);
static void *dlmopen_for_libc(Lmid_t space, const char *file, int mode);
static void *dlsym_for_libc(void *handle, const char *name);
static void *dlvsym_for_libc(void *handle, const char *name, const char *version);

static const struct {
	const char *name;
	enum libc_name libcs;
	uintptr_t ours;
} openers[] = {
	{ "dlopen", LIBC_DLOPEN, (uintptr_t)dlopen_for_libc },
	{ "dlmopen", LIBC_DLMOPEN, (uintptr_t)dlmopen_for_libc },
	{ "dlsym", LIBC_DLSYM, (uintptr_t)dlsym_for_libc },
	{ "dlvsym", LIBC_DLVSYM, (uintptr_t)dlvsym_for_libc },
};

static void redirect_all(void)
{
	/* If the library was opened after the start, the program has libc's malloc and keeps it. */
	if (!libc_is_behind())
		return;
	/* Finds the functions while libc's entries still lead to libc. */
	for (size_t i = 0; i < sizeof(openers) / sizeof(openers[0]); i++) {
		(void)libc_function(openers[i].libcs);
		(void)libc_next_function(openers[i].libcs);
	}
	for (size_t i = 0; i < sizeof(openers) / sizeof(openers[0]); i++) {
		struct loaded part;

		if (libc_tables_with(openers[i].libcs, &part))
			redirect(&part, openers[i].name, openers[i].ours);
	}
	redirect_malloc();
}

/* Prepares libc's symbol table for what reaches libc past this library. */
static void prepare(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, redirect_all);
}

void dlfcn_prepare_load(int mode)
{
	if ((mode & RTLD_DEEPBIND) != 0)
		prepare();
}

void dlfcn_prepare_look_up(const char *name)
{
	for (size_t i = 0; i < sizeof(faces) / sizeof(faces[0]); i++)
		if (text_is(name, faces[i]))
			prepare();
	for (size_t i = 0; i < sizeof(openers) / sizeof(openers[0]); i++)
		if (text_is(name, openers[i].name))
			prepare();
}

static void *dlopen_for_libc(const char *file, int mode)
{
	dlfcn_prepare_load(mode);
	return ((dlopen_fn *)libc_function(LIBC_DLOPEN))(file, mode);
}

static void *dlmopen_for_libc(Lmid_t space, const char *file, int mode)
{
	dlfcn_prepare_load(mode);
	return ((dlmopen_fn *)libc_function(LIBC_DLMOPEN))(space, file, mode);
}

static void *dlsym_for_libc(void *handle, const char *name)
{
	return ((dlsym_fn *)libc_function(LIBC_DLSYM))(handle, name);
}

static void *dlvsym_for_libc(void *handle, const char *name, const char *version)
{
	return ((dlvsym_fn *)libc_function(LIBC_DLVSYM))(handle, name, version);
}

EXPORT void *dlopen(const char *file, int mode)
{
	dlfcn_prepare_load(mode);
	return CALL_NEXT(dlopen_fn, LIBC_DLOPEN, file, mode);
}

EXPORT void *dlsym(void *restrict handle, const char *restrict name)
{
	/* A look-up from the program on ends at this library before libc. */
	if (handle != RTLD_DEFAULT)
		dlfcn_prepare_look_up(name);
	return CALL_NEXT(dlsym_fn, LIBC_DLSYM, handle, name);
}
