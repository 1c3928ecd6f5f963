/* SPDX-License-Identifier: MIT */
/* interior_8.c - free of a pointer 8 bytes into a small object. */
#include "misuse.h"

int main(void)
{
	char *p = object_among_others(100);

	announce(p + 8, 0);
	do_free(p + 8);
	return 0;
}
