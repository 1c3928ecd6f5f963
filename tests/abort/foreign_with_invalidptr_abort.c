/* SPDX-License-Identifier: MIT */
/*
 * foreign_with_invalidptr_abort.c - a pointer of the heap of glibc, with
 * GOALLOC=invalidptr=abort.
 */
#include "misuse.h"

int main(void)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
	void *(*glibc_malloc)(size_t) =
		libc == NULL ? NULL : (void *(*)(size_t))dlsym(libc, "__libc_malloc");
	void *p = glibc_malloc == NULL ? NULL : glibc_malloc(100);

	announce(p, 0);
	do_free(p);
	return 0;
}
