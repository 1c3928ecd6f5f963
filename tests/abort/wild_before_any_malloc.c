/* SPDX-License-Identifier: MIT */
/* wild_before_any_malloc.c - free of a wild address as the first call of a program. */
#include "misuse.h"

static _Alignas(16) char in_data[64] = "text";

int main(void)
{
	announce(in_data + 16, 0);
	do_free(in_data + 16);
	return 0;
}
