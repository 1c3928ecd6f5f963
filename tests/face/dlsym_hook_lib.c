/* SPDX-License-Identifier: MIT */
/*
 * dlsym_hook_lib.c - a dlsym of its own, as overlays for games have: it allocates, and calls
 * libc's.
 *
 * Callers  preloaded with the library, before it and behind it. dlsym(RTLD_NEXT) from here means
 *          what is next for this file.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* What it was asked for. */
char *dlsym_hook_asked[1000];

void *dlsym(void *restrict handle, const char *restrict name)
{
	static void *(*libcs)(void *, const char *);
	static int n;

	if (libcs == NULL)
		*(void **)&libcs = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
	if (n < 1000)
		dlsym_hook_asked[n++] = strdup(name);
	return libcs(handle, name);
}
