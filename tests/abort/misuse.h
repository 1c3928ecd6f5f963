/* SPDX-License-Identifier: MIT */
/*
 * misuse.h - what the programs in tests/abort share: saying which pointer they are about to misuse,
 * and calls that no compiler looks through.
 *
 * announce() writes the line on stdout that abort_driver.c reads: the pointer and its usable size.
 * It does not allocate, so the heap stays as the program made it. A program ends with 0 when its
 * misuse went unnoticed, which the driver takes for a failure.
 */
#ifndef MISUSE_H
#define MISUSE_H

#include <dlfcn.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Declared nowhere before C23, or only in C++. */
void free_sized(void *p, size_t n);
void free_aligned_sized(void *p, size_t alignment, size_t n);
void sdallocx(void *p, size_t n, int flags);
void cfree(void *p);
void *_Znwm(size_t n);           /* operator new(size_t) */
void _ZdlPv(void *p);            /* operator delete(void *) */
void _ZdlPvm(void *p, size_t n); /* operator delete(void *, size_t) */

/* Through volatile pointers: the compiler neither removes nor warns of the misuse. */
__attribute__((unused)) static void *(*volatile do_malloc)(size_t) = malloc;
__attribute__((unused)) static void (*volatile do_free)(void *) = free;
__attribute__((unused)) static void *(*volatile do_realloc)(void *, size_t) = realloc;
__attribute__((unused)) static void *(*volatile do_reallocarray)(void *, size_t,
								 size_t) = reallocarray;
__attribute__((unused)) static size_t (*volatile do_usable)(void *) = malloc_usable_size;

/* Tells the driver which pointer is misused next, and a size its message must name. */
__attribute__((unused)) static void announce(const void *p, size_t slot)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "0x%lx %zu\n", (unsigned long)(uintptr_t)p, slot);
	if (n < 0 || write(1, text, (size_t)n) != n)
		_exit(3);
}

/* An object and some neighbours of its size that stay, so that its span does. */
__attribute__((unused)) static void *object_among_others(size_t n)
{
	void *p = NULL;
	for (int i = 0; i < 9; i++) {
		void *q = do_malloc(n);
		if (q == NULL)
			_exit(3);
		memset(q, 'x', n);
		if (i == 4)
			p = q;
	}
	return p;
}

/* Runs body in a thread of its own and waits for its end. */
__attribute__((unused)) static void in_a_thread(void *(*body)(void *), void *arg)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, body, arg) != 0 || pthread_join(thread, NULL) != 0)
		_exit(3);
}

#endif
