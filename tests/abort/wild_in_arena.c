/* SPDX-License-Identifier: MIT */
/* wild_in_arena.c - free of an address in an arena (64 MiB) where no span is yet. */
#include "misuse.h"

int main(void)
{
	char *p = object_among_others(100);
	char *end = (char *)(((uintptr_t)p | (((uintptr_t)64 << 20) - 1)) + 1);

	announce(end - 8192 + 64, 0);
	do_free(end - 8192 + 64);
	return 0;
}
