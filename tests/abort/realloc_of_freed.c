/* SPDX-License-Identifier: MIT */
/* realloc_of_freed.c - realloc of an object that is free. */
#include "misuse.h"

int main(void)
{
	void *p = object_among_others(100);

	announce(p, 0);
	do_free(p);
	(void)!do_realloc(p, 50);
	return 0;
}
