/* SPDX-License-Identifier: MIT */
/*
 * room.c - memory for goalloc-view, which ends when there is none.
 */
#include "view/room.h"

#include <stdio.h>
#include <stdlib.h>

static void *checked(void *p)
{
	if (p == NULL) {
		fputs("goalloc-view: there is no memory\n", stderr);
		exit(1);
	}
	return p;
}

void *room_for(size_t n, size_t nbytes)
{
	return checked(calloc(max_size(n, 1), max_size(nbytes, 1)));
}

void *room_for_more(void *array, size_t n, size_t nbytes)
{
	size_t total;

	/* The array has room for a power of two. */
	if (n != 0 && !is_pow2(n))
		return array;
	return checked(mul_overflow(max_size(2 * n, 1), nbytes, &total) ? NULL :
									  realloc(array, total));
}

char *room_for_text(const char *text, size_t n)
{
	char *copy = room_for(n + 1, 1);

	copy_bytes(copy, text, n);
	return copy;
}
