/* SPDX-License-Identifier: MIT */
/*
 * profile.h - the sampled allocations of a target as a file for pprof, and for the flame graph. See
 * profile.c.
 */
#ifndef GOALLOC_VIEW_PROFILE_H
#define GOALLOC_VIEW_PROFILE_H

#include "view/samples.h"

#include <stdio.h>

/* Writes a profile as profile.proto, or as heap_v2 text, to a descriptor. Returns 0 or an errno. */
int profile_write(int fd, struct target *t, const struct samples *s, bool text);

/* Writes the stacks with functions, files and lines: goalloc-view(1) describes the form. */
void profile_json(FILE *out, const struct target *t, const struct samples *s);

#endif
