/* SPDX-License-Identifier: MIT */
/*
 * suppressions.h - the file of --suppressions, and the leaks of a target that it names. See
 * suppressions.c.
 */
#ifndef GOALLOC_VIEW_SUPPRESSIONS_H
#define GOALLOC_VIEW_SUPPRESSIONS_H

#include "tools/suppress.h"
#include "view/frames.h"

/* The suppressions of this program; none at first. Each search for leaks counts anew. */
extern struct suppress_list suppressions;

/* Reads the file. Returns false, after one line on standard error, if it cannot be read or a line
 * of it is no suppression. */
bool suppressions_load(const char *file);

/* Returns the suppression of the innermost frame that has one, by function, file or module; NULL if
 * none has. The addresses of the stack were resolved. */
struct suppression *suppressions_find(const struct frames *f, const struct target *t,
				      const uintptr_t *pcs, size_t n);

#endif
