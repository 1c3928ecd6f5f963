/* SPDX-License-Identifier: MIT */
/* hardened_overflow_found_by_realloc.c - seen when the object is resized. Needs hardened=1. */
#include "misuse.h"

int main(void)
{
	char *p = object_among_others(100);

	p[101] ^= 1;
	announce(p, 0);
	p = do_realloc(p, 200);
	return 0;
}
