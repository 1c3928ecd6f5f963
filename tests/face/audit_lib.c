/* SPDX-License-Identifier: MIT */
/*
 * audit_lib.c - a library for LD_AUDIT that allocates whenever ld.so tells it something.
 *
 * It lives in a namespace of its own, with a libc of its own, so its malloc is not ours. It is
 * called while ld.so is in the middle of our start. It replaces getppid(), by which the tests see
 * that it is there.
 */
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static void allocate(void)
{
	for (size_t n = 8; n < 300000; n *= 3) {
		char *p = malloc(n), *q = realloc(calloc(1, n), 2 * n);

		if (p == NULL || q == NULL)
			abort();
		p[n - 1] = q[n - 1];
		free(p);
		free(q);
	}
}

static pid_t no_parent(void)
{
	allocate();
	return 4711;
}

unsigned la_version(unsigned version)
{
	allocate();
	return version;
}

unsigned la_objopen(struct link_map *map, Lmid_t id, uintptr_t *cookie)
{
	(void)map;
	(void)id;
	(void)cookie;
	allocate();
	return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

void la_preinit(uintptr_t *cookie)
{
	(void)cookie;
	allocate();
}

uintptr_t la_symbind64(Elf64_Sym *symbol, unsigned ndx, uintptr_t *refcook, uintptr_t *defcook,
		       unsigned *flags, const char *name)
{
	(void)ndx;
	(void)refcook;
	(void)defcook;
	(void)flags;
	allocate();
	return strcmp(name, "getppid") == 0 ? (uintptr_t)no_parent : symbol->st_value;
}

unsigned la_objclose(uintptr_t *cookie)
{
	(void)cookie;
	allocate();
	return 0;
}
