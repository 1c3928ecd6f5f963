/* SPDX-License-Identifier: MIT */
/*
 * base.h - what every file needs: the compiler, the processor, bits, and the asserts.
 */
#ifndef GOALLOC_BASE_H
#define GOALLOC_BASE_H

#include "base/bits.h"
#include "base/compiler.h"
#include "base/cpu.h"

#ifndef GOALLOC_DEBUG
#define GOALLOC_DEBUG 0
#endif

/* With 1 the fast paths of free do not check the pointer. bench/price builds a library with it, to
 * measure what the checks cost. */
#ifndef GOALLOC_UNCHECKED
#define GOALLOC_UNCHECKED 0
#endif

/* Writes file, line and condition to standard error, and aborts. See os/fatal.c. */
_Noreturn void fatal_assert(const char *file, int line, const char *condition);

/* CHECK() is always on: it is for what must stop the program. DCHECK() is always compiled, and runs
 * in debug builds. */
#define CHECK(c) ((c) ? (void)0 : fatal_assert(__FILE__, __LINE__, #c))
#define DCHECK(c) ((!GOALLOC_DEBUG || (c)) ? (void)0 : fatal_assert(__FILE__, __LINE__, #c))

#endif
