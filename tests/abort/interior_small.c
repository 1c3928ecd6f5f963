/* SPDX-License-Identifier: MIT */
/* interior_small.c - free of a pointer into a small object. */
#include "misuse.h"

int main(void)
{
	char *p = object_among_others(100);

	announce(p + 16, 0);
	do_free(p + 16);
	return 0;
}
