/* SPDX-License-Identifier: MIT */
/* wild_code.c - free of the address of a function. */
#include "misuse.h"

int main(void)
{
	announce((void *)(uintptr_t)&announce, 0);
	do_free((void *)(uintptr_t)&announce);
	return 0;
}
