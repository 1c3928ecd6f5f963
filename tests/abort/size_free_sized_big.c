/* SPDX-License-Identifier: MIT */
/* size_free_sized_big.c - free_sized with a size that does not fit into the slot. */
#include "misuse.h"

int main(void)
{
	void *p = object_among_others(100);

	announce(p, malloc_usable_size(p));
	free_sized(p, 1000);
	return 0;
}
