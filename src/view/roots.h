/* SPDX-License-Identifier: MIT */
/*
 * roots.h - searches a target's memory outside of the heap for addresses of objects. See roots.c.
 */
#ifndef GOALLOC_VIEW_ROOTS_H
#define GOALLOC_VIEW_ROOTS_H

#include "view/freeze.h"
#include "view/reach.h"

/* Adds to r what may be addresses in registers, stacks and data. pagemap is a descriptor of the
 * process's /proc/PID/pagemap, or -1. Returns how many bytes could not be read. */
size_t roots_collect(struct reach *r, const struct freeze *f, int pagemap);

#endif
