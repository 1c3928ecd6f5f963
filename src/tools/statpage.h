/* SPDX-License-Identifier: MIT */
/*
 * statpage.h - the figures of the heap as a page of text for people. See statpage.c.
 */
#ifndef GOALLOC_STATPAGE_H
#define GOALLOC_STATPAGE_H

#include "os/out.h"
#include "tools/figures.h"

/* Prints the figures, below a line that the caller has printed. resident is the bytes of all of the
 * process by the kernel's count; 0: unknown. */
void statpage_print(struct out *o, const struct stat_snapshot *st, size_t resident);

#endif
