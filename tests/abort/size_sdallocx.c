/* SPDX-License-Identifier: MIT */
/* size_sdallocx.c - sdallocx with a size that does not fit into the slot. */
#include "misuse.h"

int main(void)
{
	void *p = object_among_others(100);

	announce(p, malloc_usable_size(p));
	sdallocx(p, 1000, 0);
	return 0;
}
