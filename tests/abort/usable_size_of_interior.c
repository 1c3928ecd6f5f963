/* SPDX-License-Identifier: MIT */
/* usable_size_of_interior.c - malloc_usable_size of a pointer into an object. */
#include "misuse.h"

int main(void)
{
	char *p = object_among_others(100);

	announce(p + 16, 0);
	(void)!do_usable(p + 16);
	return 0;
}
