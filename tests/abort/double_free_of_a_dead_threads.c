/* SPDX-License-Identifier: MIT */
/* double_free_of_a_dead_threads.c - an object whose thread is gone, freed twice. */
#include "misuse.h"

static void *allocate(void *out)
{
	*(void **)out = object_among_others(100);
	return NULL;
}

int main(void)
{
	void *p = NULL;

	in_a_thread(allocate, &p);
	announce(p, 0);
	do_free(p);
	do_free(p);
	return 0;
}
