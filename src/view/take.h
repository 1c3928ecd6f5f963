/* SPDX-License-Identifier: MIT */
/*
 * take.h - takes a snapshot. See take.c.
 */
#ifndef GOALLOC_TAKE_H
#define GOALLOC_TAKE_H

#include "view/snapshot.h"

enum taken {
	TAKEN,              /* the caller drops the snapshot */
	TAKEN_NONE,         /* target.error says why */
	TAKEN_OTHER,        /* likewise: the target has another version of goalloc */
};

/* Reads the heap of the target, which was opened or refreshed before. */
enum taken take_snapshot(struct snapshot *sn, struct target *t);

#endif
