/* SPDX-License-Identifier: MIT */
/* hardened_moved_tail.c - an overflow with the tail of another object of the same size. Needs
 * hardened=1. */
#include "misuse.h"

#include <string.h>

int main(void)
{
	char *p = do_malloc(104), *q = do_malloc(104);

	memcpy(q + 104, p + 104, 8);
	announce(q, 0);
	do_free(q);
	return 0;
}
