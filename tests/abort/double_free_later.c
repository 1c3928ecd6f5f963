/* SPDX-License-Identifier: MIT */
/*
 * double_free_later.c - an object freed twice, with many frees of its size, and of others, in
 * between. One in two neighbours lives, so its span does.
 */
#include "misuse.h"

int main(void)
{
	enum { N = 4000 };
	static void *p[N];
	void *victim;

	for (size_t i = 0; i < N; i++)
		p[i] = do_malloc(200);
	victim = p[N / 2];
	for (size_t i = 0; i < N; i += 2)
		do_free(p[i]);
	for (size_t n = 1; n < 200000; n = n * 2 + 1)
		if (n < 150 || n > 260)
			do_free(do_malloc(n));
	announce(victim, 0);
	do_free(victim);
	return 0;
}
