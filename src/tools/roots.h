/* SPDX-License-Identifier: MIT */
/*
 * roots.h - searches memory outside of the heap for addresses of objects. See roots.c.
 */
#ifndef GOALLOC_ROOTS_H
#define GOALLOC_ROOTS_H

#include "tools/mark.h"
#include "os/procmap.h"
#include "tools/snapshot.h"

/* Adds to the copy the program's private memory that copies do not get (MADV_DONTFORK), as far as
 * the system lets it be read. Returns how many bytes could not be read; they are zero. maps are the
 * copy's mappings before the call. */
size_t roots_complete(const struct snapshot *sn, const struct procmap *maps);

/* Marks all objects that can be reached, after mark_start(). The shared mapping that contains own
 * does not count. Returns false if there is no memory. */
bool roots_mark(struct mark *m, const struct snapshot *sn, const struct procmap *maps,
		const void *own);

#endif
