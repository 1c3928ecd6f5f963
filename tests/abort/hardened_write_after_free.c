/* SPDX-License-Identifier: MIT */
/* hardened_write_after_free.c - seen before the slot is handed out again. Needs hardened=1. */
#include "misuse.h"

int main(void)
{
	char *p = object_among_others(200);

	do_free(p);
	/* Far from both neighbours, which would see it first. */
	p[100] = 1;
	announce(p, 0);
	for (int i = 0; i < 1000000; i++)
		do_free(do_malloc(200));
	return 0;
}
