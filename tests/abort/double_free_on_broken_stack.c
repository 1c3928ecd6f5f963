/* SPDX-License-Identifier: MIT */
/* double_free_on_broken_stack.c - a double free on a stack whose frames were overwritten: the line
 * is whole, and the walk up the stack does not crash. The argument says with what. */
#include "misuse.h"

#define WORDS 200

__attribute__((noinline)) static void break_stack_and_free(void *p, uintptr_t first, uintptr_t step)
{
	uintptr_t *frame = __builtin_frame_address(0);

	for (int i = 0; i < WORDS; i++)
		((volatile uintptr_t *)frame)[i] = first + (uintptr_t)i * step;
	do_free(p);
	_exit(0);
}

int main(int argc, char **argv)
{
	volatile char room[WORDS * sizeof(uintptr_t)];
	void *p = object_among_others(100);
	uintptr_t first = strtoul(argc > 1 ? argv[1] : "0", NULL, 0), step = 8;

	room[0] = 0;
	if (first == 1)
		first = (uintptr_t)&room[0];       /* looks like frame pointers */
	else if (first == 2)
		first = (uintptr_t)&main;          /* looks like return addresses */
	else
		step = 0;
	announce(p, 0);
	do_free(p);
	break_stack_and_free(p, first, step);
	return room[0];
}
