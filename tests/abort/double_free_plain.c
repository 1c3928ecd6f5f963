/* SPDX-License-Identifier: MIT */
/* double_free_plain.c - a program that knows nothing of the library, and frees twice. */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	char *volatile p = malloc(100);
	void (*volatile do_free)(void *) = free;

	printf("%p 0\n", (void *)p);
	(void)fflush(stdout);
	do_free(p);
	do_free(p);
	return 0;
}
