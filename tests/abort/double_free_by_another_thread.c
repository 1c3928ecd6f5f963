/* SPDX-License-Identifier: MIT */
/*
 * double_free_by_another_thread.c - an object freed by another thread, then by the one that
 * allocated it.
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
	in_a_thread(free_it, p);
	do_free(p);
	return 0;
}
