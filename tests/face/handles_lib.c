/* SPDX-License-Identifier: MIT */
/*
 * handles_lib.c - a library that comes behind the library under test, and that calls the malloc
 * and free that are next for it. Its own malloc is never called.
 */
#include "handles_lib.h"

#include <dlfcn.h>

void *handles_malloc(size_t n)
{
	void *(*next)(size_t) = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");

	return next == handles_malloc ? NULL : next(n);
}

void handles_free(void *p)
{
	void (*next)(void *) = (void (*)(void *))dlsym(RTLD_NEXT, "free");

	next(p);
}
