/* SPDX-License-Identifier: MIT */
/*
 * cxxlib.c - finds the C++ library that a piece of code uses: libstdc++, libc++, or a copy in the
 * code's own object.
 *
 * The operators of this library cannot throw, so they must find the C++ library, which can. It is
 * not known when this library is loaded: a C program may open a C++ plug-in later, and with
 * RTLD_LOCAL no name of the plug-in's library can be looked up from here. So the loaded objects are
 * searched when an allocation has failed.
 *
 * Locks    dl_iterate_phdr() takes libc's lock of the list of objects. dlopen does not hold that
 *          lock while it runs constructors.
 * Holds    a C++ library is an object that defines both the operator and std::get_new_handler.
 *          The caller's own object comes first, then the objects that it needs (DT_NEEDED), then
 *          all others in the order in which they were loaded.
 */
#include "os/cxxlib.h"
#include "os/libc.h"
#include "os/os.h"

enum rank { RANK_NONE, RANK_OTHER, RANK_NEEDED, RANK_OWN };

struct search {
	const char *name;
	uintptr_t caller;
	struct loaded user; /* the object that the caller is in */
	bool user_found;
	enum rank rank; /* of the function found */
	void *function;
	uintptr_t own;
};

typedef int visit_fn(struct dl_phdr_info *info, size_t nbytes, void *arg);
typedef int iterate_fn(visit_fn *visit, void *arg);

static void each_object(visit_fn *visit, struct search *search)
{
	iterate_fn *iterate = os_is_static() ? dl_iterate_phdr
					     : (iterate_fn *)libc_function(LIBC_DL_ITERATE_PHDR);

	if (iterate != NULL)
		(void)iterate(visit, search);
}

static bool contains(const struct dl_phdr_info *info, uintptr_t addr)
{
	for (unsigned i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD &&
		    addr - info->dlpi_addr - info->dlpi_phdr[i].p_vaddr <
			    info->dlpi_phdr[i].p_memsz)
			return true;
	return false;
}

static bool read_object(struct loaded *o, const struct dl_phdr_info *info)
{
	for (unsigned i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			return loaded_read(
				o, info->dlpi_addr,
				(const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr));
	return false;
}

static int find_user(struct dl_phdr_info *info, size_t nbytes, void *arg)
{
	struct search *search = arg;

	(void)nbytes;
	if (!contains(info, search->caller))
		return 0;
	search->user_found = read_object(&search->user, info);
	return 1;
}

static int find_function(struct dl_phdr_info *info, size_t nbytes, void *arg)
{
	struct search *search = arg;
	enum rank rank = RANK_OTHER;
	struct loaded o;
	void *f;

	(void)nbytes;
	/* The object that this code is part of never counts: a program that contains this library
	 * may define the handler, too. */
	if (contains(info, search->own) || !read_object(&o, info) ||
	    loaded_function(&o, "_ZSt15get_new_handlerv") == NULL)
		return 0;
	f = loaded_function(&o, search->name);
	if (f == NULL)
		return 0;
	if (search->user_found && o.dynamic == search->user.dynamic)
		rank = RANK_OWN;
	else if (search->user_found && loaded_needs(&search->user, loaded_soname(&o)))
		rank = RANK_NEEDED;
	if (rank <= search->rank)
		return 0;
	search->rank = rank;
	search->function = f;
	return rank == RANK_OWN;
}

void *cxxlib_function(const char *name, uintptr_t caller)
{
	struct search search = { .name = name,
				 .caller = caller,
				 .own = (uintptr_t)cxxlib_function };

	each_object(find_user, &search);
	each_object(find_function, &search);
	return search.function;
}
