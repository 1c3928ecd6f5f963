/* SPDX-License-Identifier: MIT */
/*
 * cxxlib.h - the C++ library that a piece of code uses. See cxxlib.c.
 */
#ifndef GOALLOC_CXXLIB_H
#define GOALLOC_CXXLIB_H

#include "base/base.h"

/* Returns an operator, by its mangled name, of the C++ library that the code at caller uses;
 * NULL: there is none. It is not one of this library's. May wait while another thread adds an
 * object to the list of those loaded, but not while it loads one. */
void *cxxlib_function(const char *name, uintptr_t caller);

#endif
