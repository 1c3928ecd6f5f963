/* SPDX-License-Identifier: MIT */
/* wild_realloc.c - realloc of a static object. */
#include "misuse.h"

static _Alignas(16) char in_data[64] = "text";

int main(void)
{
	do_free(do_malloc(10));
	announce(in_data, 0);
	(void)!do_realloc(in_data, 100);
	return 0;
}
