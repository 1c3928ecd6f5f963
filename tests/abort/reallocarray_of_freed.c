/* SPDX-License-Identifier: MIT */
/* reallocarray_of_freed.c - reallocarray of an object that is free. */
#include "misuse.h"

int main(void)
{
	void *p = object_among_others(100);

	announce(p, 0);
	do_free(p);
	(void)!do_reallocarray(p, 10, 20);
	return 0;
}
