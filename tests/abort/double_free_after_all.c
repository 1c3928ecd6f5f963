/* SPDX-License-Identifier: MIT */
/*
 * double_free_after_all.c - an object freed twice, when every object of its span is free and
 * the heap was trimmed: free memory by either name.
 */
#include "misuse.h"

int main(void)
{
	enum { N = 4000 };
	static void *p[N];

	for (size_t i = 0; i < N; i++)
		p[i] = do_malloc(200);
	for (size_t i = 0; i < N; i++)
		do_free(p[i]);
	(void)malloc_trim(0);
	announce(p[N / 2], 0);
	do_free(p[N / 2]);
	return 0;
}
