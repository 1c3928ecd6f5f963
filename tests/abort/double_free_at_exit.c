/* SPDX-License-Identifier: MIT */
/* double_free_at_exit.c - an exit handler that frees twice. */
#include "misuse.h"

static void *p;

static void at_exit(void)
{
	do_free(p);
	do_free(p);
}

int main(void)
{
	p = object_among_others(100);
	announce(p, 0);
	(void)atexit(at_exit);
	return 0;
}
