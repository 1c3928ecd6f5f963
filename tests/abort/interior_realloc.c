/* SPDX-License-Identifier: MIT */
/* interior_realloc.c - realloc of a pointer into an object. */
#include "misuse.h"

int main(void)
{
	char *p = object_among_others(100);

	announce(p + 32, 0);
	(void)!do_realloc(p + 32, 200);
	return 0;
}
