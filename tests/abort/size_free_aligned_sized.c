/* SPDX-License-Identifier: MIT */
/*
 * size_free_aligned_sized.c - free_aligned_sized with a size that does not fit into the slot.
 */
#include "misuse.h"

int main(void)
{
	void *p = aligned_alloc(64, 128);

	announce(p, malloc_usable_size(p));
	free_aligned_sized(p, 64, 1000);
	return 0;
}
