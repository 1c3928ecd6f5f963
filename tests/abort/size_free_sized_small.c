/* SPDX-License-Identifier: MIT */
/* size_free_sized_small.c - free_sized with a size far below the slot. */
#include "misuse.h"

int main(void)
{
	void *p = object_among_others(1000);

	announce(p, malloc_usable_size(p));
	free_sized(p, 10);
	return 0;
}
