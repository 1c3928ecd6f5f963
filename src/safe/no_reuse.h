/* SPDX-License-Identifier: MIT */
/*
 * no_reuse.h - sbrk=1: the memory of a freed object is never used again. See no_reuse.c.
 */
#ifndef GOALLOC_NO_REUSE_H
#define GOALLOC_NO_REUSE_H

#include "heap/mspan.h"

/* Frees the live object in a slot, or a big object (slot 0), for ever. Ends the process if another
 * thread has freed the object. */
void no_reuse_free(struct mspan *s, uint32_t slot, const char *func);

#endif
