/* SPDX-License-Identifier: MIT */
/*
 * threadid.h - the kernel's numbers of the threads that have caches. See threadid.c.
 */
#ifndef GOALLOC_THREADID_H
#define GOALLOC_THREADID_H

#include "view/snapshot.h"

/* Sets tid in the caches of a snapshot. It stays 0 where the number is not found. */
void threadid_find(struct snapshot *sn);

#endif
