/* SPDX-License-Identifier: MIT */
/* double_free_cfree.c - freed by free, then by cfree. */
#include "misuse.h"

int main(void)
{
	void *p = object_among_others(100);

	announce(p, 0);
	do_free(p);
	cfree(p);
	return 0;
}
