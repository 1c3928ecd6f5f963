/* SPDX-License-Identifier: MIT */
/* usable_size_of_freed.c - malloc_usable_size of an object that is free. */
#include "misuse.h"

int main(void)
{
	void *p = object_among_others(100);

	announce(p, 0);
	do_free(p);
	(void)!do_usable(p);
	return 0;
}
