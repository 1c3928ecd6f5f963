/* SPDX-License-Identifier: MIT */
/* double_free_very_big.c - an object of more than one arena, freed twice. */
#include "misuse.h"

int main(void)
{
	char *p = do_malloc((size_t)100 << 20);

	p[0] = 1;
	announce(p, 0);
	do_free(p);
	do_free(p);
	return 0;
}
