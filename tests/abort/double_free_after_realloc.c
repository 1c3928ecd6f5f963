/* SPDX-License-Identifier: MIT */
/* double_free_after_realloc.c - realloc moved the object; the old pointer is freed. */
#include "misuse.h"

int main(void)
{
	void *p = object_among_others(100);
	void *q = do_realloc(p, 100000);

	announce(p, 0);
	do_free(p);
	do_free(q);
	return 0;
}
