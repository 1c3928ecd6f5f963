/* SPDX-License-Identifier: MIT */
/*
 * stat.h - reads the figures of this process: one snapshot, from which all statistics are computed.
 * See stat.c.
 */
#ifndef GOALLOC_STAT_H
#define GOALLOC_STAT_H

#include "tools/figures.h"

/* Reads all figures while other threads run. Takes mheap.lock, the threads lock, the metadata lock
 * and sample_lock, one after the other. */
void stat_read(struct stat_snapshot *st);

/* Reads all figures into memory of its own, because a small stack has no room for a snapshot. The
 * caller gives it back with stat_drop(). Returns NULL if there is no memory. */
struct stat_snapshot *stat_take(void);
void stat_drop(struct stat_snapshot *st);

/* Writes a page of text for people. Returns 0, the errno of a failed write, or ENOMEM. */
int stat_print(int fd);

#endif
