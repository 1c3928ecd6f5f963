/* SPDX-License-Identifier: MIT */
/*
 * cxxlib.h - finds the C++ library that a piece of code uses. See cxxlib.c.
 */
#ifndef GOALLOC_CXXLIB_H
#define GOALLOC_CXXLIB_H

#include "base/base.h"

/* Returns the operator of a mangled name in the C++ library that the code at caller uses, or NULL
 * if there is none. The operator is not one of this library's. The call may wait for libc's lock of
 * the list of objects, which is not held while an object is loaded. */
void *cxxlib_function(const char *name, uintptr_t caller);

#endif
