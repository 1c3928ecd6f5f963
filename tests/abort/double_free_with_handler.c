/* SPDX-License-Identifier: MIT */
/*
 * double_free_with_handler.c - a handler of SIGABRT that allocates: the report must not be
 * made with a lock held. The handler returns, and abort goes on.
 */
#include "misuse.h"

static void handler(int signal_number)
{
	(void)signal_number;
	for (size_t n = 1; n < 1000000; n = n * 2 + 1)
		do_free(do_malloc(n));
}

int main(void)
{
	void *p = object_among_others(100);

	(void)signal(SIGABRT, handler);
	announce(p, 0);
	do_free(p);
	do_free(p);
	return 0;
}
