/* SPDX-License-Identifier: MIT */
/*
 * deepbind_lib.c - a shared library that test_deepbind.c loads with RTLD_DEEPBIND.
 *
 * Its own calls of malloc and free look into its own dependencies first, and find glibc's. Calls
 * that libc makes inside of strdup go the global way, to the preloaded malloc.
 */
#include <stdlib.h>
#include <string.h>
#include <malloc.h>

void *deep_malloc(size_t n);
void *deep_calloc(size_t n);
void *deep_aligned(size_t alignment, size_t n);
char *deep_strdup(const char *s);
void *deep_realloc(void *p, size_t n);
size_t deep_usable(void *p);
void deep_free(void *p);
int deep_strdup_and_free(const char *s);
void *deep_malloc_address(void);

void *deep_malloc(size_t n)
{
	return malloc(n);
}

void *deep_calloc(size_t n)
{
	return calloc(1, n);
}

void *deep_aligned(size_t alignment, size_t n)
{
	void *p = NULL;
	return posix_memalign(&p, alignment, n) == 0 ? p : NULL;
}

char *deep_strdup(const char *s)
{
	return strdup(s);
}

void *deep_realloc(void *p, size_t n)
{
	return realloc(p, n);
}

size_t deep_usable(void *p)
{
	return malloc_usable_size(p);
}

void deep_free(void *p)
{
	free(p);
}

int deep_strdup_and_free(const char *s)
{
	char *p = strdup(s);
	int same = p != NULL && strcmp(p, s) == 0;
	free(p);
	return same;
}

void *deep_malloc_address(void)
{
	return (void *)&malloc;
}
