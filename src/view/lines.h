/* SPDX-License-Identifier: MIT */
/*
 * lines.h - writes files and lines into profiles and reports of the library. See lines.c.
 */
#ifndef GOALLOC_LINES_H
#define GOALLOC_LINES_H

#include <stdbool.h>
#include <stdio.h>

/* Rewrites a profile (profile.proto) with demangled functions, files, lines and inlined functions.
 * The new file replaces the old one when it is complete. Returns NULL, or why the file stays as it
 * is. */
const char *lines_into_profile(const char *file);

/* Copies text from a descriptor to a stream. Where a frame of one of the library's stacks is
 * followed by its object, it gets its demangled function, file and line. Text that is no report
 * passes at once. Returns when the text ends, or when `over` has become true and nothing is there
 * to be read. */
void lines_into_text(int from, FILE *to, bool (*over)(void));

#endif
