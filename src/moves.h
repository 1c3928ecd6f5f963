/* SPDX-License-Identifier: MIT */
/*
 * moves.h - which big objects realloc gives other pages by moving the ones they have. See moves.c.
 */
#ifndef GOALLOC_MOVES_H
#define GOALLOC_MOVES_H

#include "base/compiler.h"

#include <stddef.h>

/* Returns true if the pages of an object of nbytes should be moved, false if its bytes should be
 * copied. */
bool moves_pay(size_t nbytes);

/* Notes that an object has got pages that were moved. before: the bytes of the object that it
 * replaces, if that had got its pages so, too, and is freed next; otherwise 0. */
void moves_note_made(size_t before);

/* Notes that an object of nbytes that moves_note_made() was called for is freed. */
void moves_note_freed(size_t nbytes);

#endif
