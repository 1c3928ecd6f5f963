/* SPDX-License-Identifier: MIT */
/*
 * spelling.h - how far a word is from the one that was meant.
 */
#ifndef GOALLOC_SPELLING_H
#define GOALLOC_SPELLING_H

#include "base/base.h"

static inline char spelling_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Returns how many slips turn a word in small letters into the n bytes given, in capitals or not. A
 * slip is a letter that is changed, missing or added, or two neighbours that are swapped. For long
 * words it returns a large number. */
unsigned spelling_slips(const char *given, size_t n, const char *word);

#endif
