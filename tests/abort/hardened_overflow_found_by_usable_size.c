/* SPDX-License-Identifier: MIT */
/* hardened_overflow_found_by_usable_size.c - seen when the size is asked for. Needs hardened=1. */
#include "misuse.h"

int main(void)
{
	char *p = object_among_others(64);

	p[64] ^= 1;
	announce(p, 0);
	(void)do_usable(p);
	return 0;
}
