/* SPDX-License-Identifier: MIT */
/*
 * walk.h - tells what every page of a target's heap is used for. See walk.c.
 */
#ifndef GOALLOC_WALK_H
#define GOALLOC_WALK_H

#include "view/snapshot.h"

/* Fills in arenas, runs and states, and adds the runs to the figures. Returns false, with
 * target.error set, if the heap cannot be read. */
bool walk_heap(struct snapshot *sn);

#endif
