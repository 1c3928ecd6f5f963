/* SPDX-License-Identifier: MIT */
/*
 * datasymbol.h - names of variables. See datasymbol.c.
 */
#ifndef GOALLOC_VIEW_DATASYMBOL_H
#define GOALLOC_VIEW_DATASYMBOL_H

#include "view/target.h"

/* Writes the name of the variable that contains an address, as "name" or "name+byte" and then "of
 * file". Returns false if it is not known. */
bool datasymbol_find(const struct target *t, uintptr_t addr, char *text, size_t room);

#endif
