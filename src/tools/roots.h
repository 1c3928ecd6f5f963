/* SPDX-License-Identifier: MIT */
/*
 * roots.h - where a program keeps addresses of objects, outside the heap. See roots.c.
 */
#ifndef GOALLOC_ROOTS_H
#define GOALLOC_ROOTS_H

#include "tools/mark.h"
#include "os/procmap.h"
#include "tools/snapshot.h"

/* In a copy: adds the private memory of the program that copies do not get (MADV_DONTFORK), as far
 * as the system lets it be read. Returns how many bytes of it could not be had: they are zero. maps
 * are the copy's mappings as they were before. */
size_t roots_complete(const struct snapshot *sn, const struct procmap *maps);

/* In a snapshot, after mark_start(): marks all that can be reached. The shared mapping that own is in does not count. False when
 * there is no memory. */
bool roots_mark(struct mark *m, const struct snapshot *sn, const struct procmap *maps, const void *own);

#endif
