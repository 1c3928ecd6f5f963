/* SPDX-License-Identifier: MIT */
/* hardened_other_size.c - an overflow that changes the size in a tail, whose other bytes it keeps.
 * Needs hardened=1. */
#include "misuse.h"

#include <string.h>

int main(void)
{
	char *p = do_malloc(100);
	uint64_t tail;

	memcpy(&tail, p + 104, sizeof(tail));
	/* Wherever the size is, and whether it is masked: one of 4 bits makes 100 another size that
	 * has room. */
	tail ^= UINT64_C(4) << 48;
	memset(p + 100, 'A', 4);
	memcpy(p + 104, &tail, sizeof(tail));
	announce(p, 0);
	do_free(p);
	return 0;
}
