/* SPDX-License-Identifier: MIT */
/* double_free_small.c - a small object, freed twice. */
#include "misuse.h"

int main(void)
{
	void *p = object_among_others(100);

	announce(p, 0);
	do_free(p);
	do_free(p);
	return 0;
}
