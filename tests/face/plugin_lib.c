/* SPDX-License-Identifier: MIT */
/*
 * plugin_lib.c - a shared library that is loaded many times over. It allocates when it is loaded,
 * when it is called and when it is unloaded, and it has thread-local storage.
 *
 * It is built twice: with the usual thread-local storage, which libc allocates at the first touch,
 * and with initial-exec storage (PLUGIN_STATIC_TLS), for which there is little room.
 */
#include <stdlib.h>
#include <string.h>

/* volatile: a compiler makes an array of which one element is used that one. */
#ifdef PLUGIN_STATIC_TLS
static __thread volatile char mine[200] __attribute__((tls_model("initial-exec")));
#else
static __thread volatile char mine[3000];
#endif

static char *name;

char *plugin_make(size_t n);
int plugin_count(void);

__attribute__((constructor)) static void load(void)
{
	name = strdup("allocated by a constructor");
}

__attribute__((destructor)) static void unload(void)
{
	char *last = strdup(name);

	free(name);
	free(last);
}

char *plugin_make(size_t n)
{
	char *p = malloc(n);

	if (p != NULL)
		memset(p, 'p', n);
	return p;
}

/* Returns how often the calling thread has called this function. */
int plugin_count(void)
{
	return ++mine[sizeof(mine) - 1];
}
