/* SPDX-License-Identifier: MIT */
/*
 * double_free_tiny_among_others.c - an object of 3 bytes whose neighbours live, freed twice.
 */
#include "misuse.h"

int main(void)
{
	void *p = object_among_others(3);

	announce(p, 0);
	do_free(p);
	do_free(p);
	return 0;
}
