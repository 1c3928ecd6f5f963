/* SPDX-License-Identifier: MIT */
/* misaligned_4.c - free of a pointer 4 bytes into a small object. */
#include "misuse.h"

int main(void)
{
	char *p = object_among_others(100);

	announce(p + 4, 0);
	do_free(p + 4);
	return 0;
}
