/* SPDX-License-Identifier: MIT */
/* double_free_twice_remote.c - an object freed twice by a thread that never allocated. */
#include "misuse.h"

static void *free_it_twice(void *p)
{
	do_free(p);
	do_free(p);
	return NULL;
}

int main(void)
{
	void *p = object_among_others(100);

	announce(p, 0);
	in_a_thread(free_it_twice, p);
	return 0;
}
