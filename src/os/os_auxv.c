/* SPDX-License-Identifier: MIT */
/*
 * os_auxv.c - what the kernel told the process at exec: the auxiliary vector (getauxval(3)).
 *
 * The vector is read where the kernel put it, because programs replace getauxval(3).
 *
 * Owns     the address of the vector, and the page size.
 * Holds    errno is as the caller left it after every function.
 */
#include "os/loaded.h"
#include "os/os.h"

#include <errno.h>
#include <sys/auxv.h>

WEAK bool os_is_static(void)
{
	return false;
}

/* ld.so sets this to the place on the stack where argc is when the process begins. */
extern void *__libc_stack_end WEAK;

/*
 * Returns the vector, which the kernel puts behind the environment, or NULL if it is not there.
 *
 * glibc before 2.36 gives the place of argc up if the program is an argument of the loader:
 * constructors have their frames there. What is there counts only if it is the number of arguments.
 * The words after it end with a 0 in any case, because arguments and environment do.
 */
static const Elf64_auxv_t *find_auxiliary(void)
{
	const uintptr_t *argc =
		os_is_static() || &__libc_stack_end == NULL ? NULL : __libc_stack_end;
	const uintptr_t *word = argc;

	if (word == NULL)
		return NULL;
	word++;
	while (*word != 0)
		word++;
	if ((size_t)(word - argc - 1) != *argc)
		return NULL;
	word++;
	while (*word != 0)
		word++;
	/* unsetenv(3) moves the rest of the environment down, and leaves more than one 0. */
	while (*word == 0)
		word++;
	for (const Elf64_auxv_t *a = (const void *)word; a->a_type != AT_NULL; a++)
		if (a->a_type == AT_PAGESZ && is_pow2(a->a_un.a_val))
			return (const void *)word;
	return NULL;
}

uintptr_t os_auxiliary(unsigned long type)
{
	/* Relaxed: each thread finds the same address. */
	static _Atomic(const Elf64_auxv_t *) cached;
	const Elf64_auxv_t *a = atomic_load_explicit(&cached, memory_order_relaxed);
	int saved_errno = errno;
	uintptr_t value;

	if (a == NULL) {
		a = find_auxiliary();
		atomic_store_explicit(&cached, a, memory_order_relaxed);
	}
	for (; a != NULL && a->a_type != AT_NULL; a++)
		if (a->a_type == type)
			return a->a_un.a_val;
	if (atomic_load_explicit(&cached, memory_order_relaxed) != NULL)
		return 0;
	value = getauxval(type);
	errno = saved_errno;
	return value;
}

size_t os_page_size(void)
{
	/* Relaxed: each thread computes the same value. */
	static _Atomic size_t cached;
	size_t n = atomic_load_explicit(&cached, memory_order_relaxed);

	if (n == 0) {
		n = (size_t)os_auxiliary(AT_PAGESZ);
		if (!is_pow2(n) || n < 4096)
			n = 4096;
		atomic_store_explicit(&cached, n, memory_order_relaxed);
	}
	return n;
}

bool os_is_secure(void)
{
	return os_auxiliary(AT_SECURE) != 0;
}

uintptr_t os_program_header(void)
{
	uintptr_t addr = os_auxiliary(AT_PHDR) - sizeof(Elf64_Ehdr);

	if (addr % os_page_size() != 0 || !os_can_read(addr) || !is_elf64((const void *)addr))
		return 0;
	return addr;
}
