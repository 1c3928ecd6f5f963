/* SPDX-License-Identifier: MIT */
/* interior_big.c - free of a pointer into a big object, at one of its pages. */
#include "misuse.h"

int main(void)
{
	char *p = do_malloc(300000);

	announce(p + 8192, 0);
	do_free(p + 8192);
	return 0;
}
