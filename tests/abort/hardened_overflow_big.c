/* SPDX-License-Identifier: MIT */
/* hardened_overflow_big.c - behind a big object, in its last page. Needs hardened=1. */
#include "misuse.h"

int main(void)
{
	char *p = do_malloc(100000);

	p[100000] ^= 1;
	announce(p, 0);
	do_free(p);
	return 0;
}
