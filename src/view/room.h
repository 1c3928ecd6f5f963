/* SPDX-License-Identifier: MIT */
/*
 * room.h - memory for goalloc-view, which ends when there is none. See room.c.
 */
#ifndef GOALLOC_ROOM_H
#define GOALLOC_ROOM_H

#include "base/base.h"

/* Returns zeroed memory for n things of nbytes. */
void *room_for(size_t n, size_t nbytes);

/* Makes room for one more thing of nbytes in an array that has n, and returns the array. */
void *room_for_more(void *array, size_t n, size_t nbytes);

/* Returns a copy of n bytes as a string. */
char *room_for_text(const char *text, size_t n);

#endif
