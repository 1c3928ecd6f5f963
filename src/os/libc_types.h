/* SPDX-License-Identifier: MIT */
/*
 * libc_types.h - what this library defines or calls by glibc's names, and some libc's headers do
 * not declare. An #if about the libc stands only here and in libc_linked.h.
 */
#ifndef GOALLOC_LIBC_TYPES_H
#define GOALLOC_LIBC_TYPES_H

#include <dlfcn.h>
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#if !defined(__GLIBC__)

/* The parameters of mallopt(3). */
#define M_MXFAST 1
#define M_TRIM_THRESHOLD (-1)
#define M_TOP_PAD (-2)
#define M_MMAP_THRESHOLD (-3)
#define M_MMAP_MAX (-4)
#define M_CHECK_ACTION (-5)
#define M_PERTURB (-6)
#define M_ARENA_TEST (-7)
#define M_ARENA_MAX (-8)

struct mallinfo {
	int arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};

void *pvalloc(size_t size);
int malloc_trim(size_t pad);
int mallopt(int param, int value);
struct mallinfo mallinfo(void);
void malloc_stats(void);
int malloc_info(int options, FILE *fp);

/* dlopen(3) and dlmopen(3) */
typedef long Lmid_t;
#define RTLD_DEEPBIND 8
void *dlmopen(Lmid_t space, const char *file, int mode);

#endif

/* glibc has this since 2.33. */
#if !defined(__GLIBC__) || (__GLIBC__ == 2 && __GLIBC_MINOR__ < 33)

struct mallinfo2 {
	size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks,
		keepcost;
};

struct mallinfo2 mallinfo2(void);

#endif

#endif
