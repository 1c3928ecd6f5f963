/* SPDX-License-Identifier: MIT */
/* hardened_overflow_into_free_slot.c - 32 bytes behind an object of 8, beyond its own slot. Needs
 * hardened=1. */
#include "misuse.h"

int main(void)
{
	char *p;

	/* Nor the last ones. */
	do {
		p = do_malloc(8);
	} while ((uintptr_t)p % 8192 > 8000);
	p[8 + 31] ^= 1;
	announce(p, 0);
	do_free(p);
	return 0;
}
