/* SPDX-License-Identifier: MIT */
/*
 * size_free_sized_big_longer.c - a big object may have the pages of a longer one that was freed
 * before it. A size far below both is still wrong.
 */
#include "misuse.h"

int main(void)
{
	void *p;

	free(do_malloc(100000));
	p = do_malloc(90000);
	announce(p, malloc_usable_size(p));
	free_sized(p, 1000);
	return 0;
}
