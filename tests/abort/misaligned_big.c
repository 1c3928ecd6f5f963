/* SPDX-License-Identifier: MIT */
/* misaligned_big.c - free of the second byte of a big object. */
#include "misuse.h"

int main(void)
{
	char *p = do_malloc(300000);

	announce(p + 1, 0);
	do_free(p + 1);
	return 0;
}
