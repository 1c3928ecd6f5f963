/* SPDX-License-Identifier: MIT */
/* hardened_underflow.c - one byte before an object, in a free slot. Needs hardened=1. */
#include "misuse.h"

int main(void)
{
	char *p;

	/* Not the first of its span: there is no slot before that. */
	do {
		p = do_malloc(24);
	} while ((uintptr_t)p % 8192 == 0);
	p[-1] ^= 1;
	announce(p, 0);
	do_free(p);
	return 0;
}
