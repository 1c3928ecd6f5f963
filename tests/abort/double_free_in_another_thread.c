/* SPDX-License-Identifier: MIT */
/*
 * double_free_in_another_thread.c - an object freed by the thread that allocated it, then by
 * another.
 */
#include "misuse.h"

static void *free_it(void *p)
{
	do_free(p);
	return NULL;
}

int main(void)
{
	void *p = object_among_others(100);

	announce(p, 0);
	do_free(p);
	in_a_thread(free_it, p);
	return 0;
}
