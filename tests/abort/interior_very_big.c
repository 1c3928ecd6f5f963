/* SPDX-License-Identifier: MIT */
/*
 * interior_very_big.c - free of a pointer into a big object, arenas away from its start.
 */
#include "misuse.h"

int main(void)
{
	char *p = do_malloc((size_t)200 << 20);

	announce(p + ((size_t)150 << 20), 0);
	do_free(p + ((size_t)150 << 20));
	return 0;
}
