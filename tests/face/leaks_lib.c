/* SPDX-License-Identifier: MIT */
/*
 * leaks_lib.c - a shared library with thread-local storage, which libc allocates at the first
 * touch. test_leaks.c keeps an address there.
 */
void leaks_keep(void *p);

static __thread void *volatile kept;

void leaks_keep(void *p)
{
	kept = p;
}
