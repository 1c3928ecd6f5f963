/* SPDX-License-Identifier: MIT */
/* double_free_zero.c - malloc(0) gives an object; it is freed twice. */
#include "misuse.h"

int main(void)
{
	void *p = do_malloc(0);

	announce(p, 0);
	do_free(p);
	do_free(p);
	return 0;
}
