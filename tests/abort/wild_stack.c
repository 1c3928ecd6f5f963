/* SPDX-License-Identifier: MIT */
/* wild_stack.c - free of an address on the stack. */
#include "misuse.h"

int main(void)
{
	_Alignas(16) volatile char on_stack[64] = {0};
	void *p = do_malloc(10);

	announce((const void *)(uintptr_t)&on_stack[16], 0);
	do_free((void *)(uintptr_t)&on_stack[16]);
	do_free(p);
	return 0;
}
