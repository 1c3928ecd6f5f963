/* SPDX-License-Identifier: MIT */
/* misaligned_small.c - free of the second byte of a small object. */
#include "misuse.h"

int main(void)
{
	char *p = object_among_others(100);

	announce(p + 1, 0);
	do_free(p + 1);
	return 0;
}
