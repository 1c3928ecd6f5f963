/* SPDX-License-Identifier: MIT */
/*
 * foreign_with_invalidptr_abort.c - a pointer of the heap of glibc, with
 * GOALLOC=invalidptr=abort.
 */
#include "libcs_own.h"
#include "misuse.h"

int main(void)
{
	void *(*glibc_malloc)(size_t) = (void *(*)(size_t))libcs_own("malloc");
	void *p = glibc_malloc == NULL ? NULL : glibc_malloc(100);

	announce(p, 0);
	do_free(p);
	return 0;
}
