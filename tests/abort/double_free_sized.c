/* SPDX-License-Identifier: MIT */
/* double_free_sized.c - freed by free_sized twice, with the right size. */
#include "misuse.h"

int main(void)
{
	void *p = object_among_others(100);

	announce(p, 0);
	free_sized(p, 100);
	free_sized(p, 100);
	return 0;
}
