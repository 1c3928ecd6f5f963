/* SPDX-License-Identifier: MIT */
/* wild_static.c - free of the address of a static object. */
#include "misuse.h"

static _Alignas(16) char in_data[64] = "text";

int main(void)
{
	do_free(do_malloc(10));
	announce(in_data, 0);
	do_free(in_data);
	return 0;
}
