/* SPDX-License-Identifier: MIT */
/* misaligned_realloc.c - realloc of the fourth byte of an object. */
#include "misuse.h"

int main(void)
{
	char *p = object_among_others(100);

	announce(p + 3, 0);
	(void)!do_realloc(p + 3, 200);
	return 0;
}
