/* SPDX-License-Identifier: MIT */
/* double_free_big.c - a big object, freed twice. */
#include "misuse.h"

int main(void)
{
	char *p = do_malloc(300000);

	memset(p, 1, 300000);
	announce(p, 0);
	do_free(p);
	do_free(p);
	return 0;
}
