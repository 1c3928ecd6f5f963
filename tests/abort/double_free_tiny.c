/* SPDX-License-Identifier: MIT */
/*
 * double_free_tiny.c - an object of 3 bytes, freed twice; it may share its slot with others.
 */
#include "misuse.h"

int main(void)
{
	void *p = do_malloc(3);

	announce(p, 0);
	do_free(p);
	do_free(p);
	return 0;
}
