/* SPDX-License-Identifier: MIT */
/* realloc_to_zero_of_freed.c - realloc(p, 0) frees; p was free. */
#include "misuse.h"

int main(void)
{
	void *p = object_among_others(100);

	announce(p, 0);
	do_free(p);
	(void)!do_realloc(p, 0);
	return 0;
}
