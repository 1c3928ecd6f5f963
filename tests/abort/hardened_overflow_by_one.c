/* SPDX-License-Identifier: MIT */
/* hardened_overflow_by_one.c - one byte behind an object that does not fill its slot. Needs
 * hardened=1. */
#include "misuse.h"

int main(void)
{
	char *p = object_among_others(27);

	p[27] = 0;
	announce(p, 0);
	do_free(p);
	return 0;
}
