/* SPDX-License-Identifier: MIT */
/*
 * find.h - finds goalloc in a target. See find.c.
 */
#ifndef GOALLOC_FIND_H
#define GOALLOC_FIND_H

#include "view/target.h"
#include "viewed.h"

enum found { FOUND, FOUND_NONE, FOUND_OTHER };

/* Copies the root record of goalloc in the target, which may be a library or a part of the program,
 * stripped or not. FOUND_NONE: there is none. FOUND_OTHER: it is one that this program does not
 * know. target.error tells about both. */
enum found find_root(struct target *t, struct viewed_root *root);

#endif
