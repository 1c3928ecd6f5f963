/* SPDX-License-Identifier: MIT */
/*
 * heapmap.h - a map of the heap, with every page by its use. See heapmap.c.
 */
#ifndef GOALLOC_HEAPMAP_H
#define GOALLOC_HEAPMAP_H

#include "base/base.h"

/* Writes the map as text (UTF-8). Other threads run on, and each arena is shown as it was at one
 * moment. Returns 0, the errno of a failed write, or ENOMEM. Takes mheap.lock to copy the bitmaps
 * of an arena, and the locks of stat_read(). */
int heapmap_write_or_errno(int fd);

#endif
