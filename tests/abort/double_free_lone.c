/* SPDX-License-Identifier: MIT */
/*
 * double_free_lone.c - the only object of its size, freed twice; nothing was done in between.
 */
#include "misuse.h"

int main(void)
{
	void *p = do_malloc(2300);

	announce(p, 0);
	do_free(p);
	do_free(p);
	return 0;
}
