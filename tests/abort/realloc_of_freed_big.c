/* SPDX-License-Identifier: MIT */
/* realloc_of_freed_big.c - realloc of a big object that is free. */
#include "misuse.h"

int main(void)
{
	void *p = do_malloc(300000);

	announce(p, 0);
	do_free(p);
	(void)!do_realloc(p, 400000);
	return 0;
}
