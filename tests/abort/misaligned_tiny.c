/* SPDX-License-Identifier: MIT */
/* misaligned_tiny.c - free of the second byte of a tiny object. */
#include "misuse.h"

int main(void)
{
	char *p = object_among_others(5);

	announce(p + 1, 0);
	do_free(p + 1);
	return 0;
}
