/* SPDX-License-Identifier: MIT */
/* hardened_sized_by_one.c - a wrong size that belongs to the same slot. Needs hardened=1. */
#include "misuse.h"

int main(void)
{
	char *p = object_among_others(100);

	announce(p, 100);
	free_sized(p, 101);
	return 0;
}
