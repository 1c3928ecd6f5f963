/* SPDX-License-Identifier: MIT */
/* correct.c - no misuse at all: every call of the other programs, done right. */
#include "misuse.h"

static void *free_it(void *p)
{
	do_free(p);
	return NULL;
}

int main(void)
{
	void *p = NULL;

	for (size_t n = 0; n < 400000; n = n * 2 + 1) {
		do_free(do_malloc(n));
		cfree(do_malloc(n));
		free_sized(do_malloc(n), n);
		sdallocx(do_malloc(n), n, 0);
		free_aligned_sized(aligned_alloc(64, n), 64, n);
		_ZdlPv(_Znwm(n));
		_ZdlPvm(_Znwm(n), n);
		in_a_thread(free_it, do_malloc(n));
		p = do_realloc(do_realloc(do_malloc(n), n * 2 + 1), n + 1);
		if (p == NULL || do_usable(p) < n)
			return 1;
		do_free(p);
	}
	do_free(NULL);
	announce(p, 0);
	return 0;
}
