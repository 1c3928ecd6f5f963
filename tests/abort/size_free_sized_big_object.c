/* SPDX-License-Identifier: MIT */
/* size_free_sized_big_object.c - free_sized of a big object with half of its size. */
#include "misuse.h"

int main(void)
{
	void *p = do_malloc(300000);

	announce(p, malloc_usable_size(p));
	free_sized(p, 150000);
	return 0;
}
