/* SPDX-License-Identifier: MIT */
/*
 * test_loader_argument.c - a program that was started as an argument of the loader, with glibc
 * before 2.36: the place where argc was has other contents when constructors run.
 *
 * Later versions of glibc keep that place. So this program overwrites it, in .preinit_array, before
 * the constructors of libraries.
 */
#include "face.h"

#include <malloc.h>

extern void *__libc_stack_end;

static void overwrite(void)
{
	*(volatile uintptr_t *)__libc_stack_end = UINT64_C(0x1234567890ab);
}

__attribute__((section(".preinit_array"), used)) static void (*const first)(void) = overwrite;

int main(void)
{
	char *p = malloc(100), *q = valloc(1);

	CHECK(face_malloc_is_goalloc());
	CHECK(p != NULL && q != NULL && (uintptr_t)q % (size_t)sysconf(_SC_PAGESIZE) == 0);
	free(p);
	free(q);
	return 0;
}
