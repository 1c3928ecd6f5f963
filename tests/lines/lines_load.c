/* SPDX-License-Identifier: MIT */
/* lines_load.c - allocates in a function, and in one that is inlined into its caller. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *keep[20000];
static volatile size_t size = 300;

__attribute__((noinline)) static char *make_buffer(size_t n)
{
	char *p = malloc(n); /* line of make_buffer */

	memset(p, 1, n);
	return p;
}

static inline __attribute__((always_inline)) char *make_inlined(size_t n)
{
	char *p = malloc(n); /* line of make_inlined */

	memset(p, 1, n);
	return p;
}

int main(int argc, char **argv)
{
	(void)argv;
	for (int i = 0; i < 10000; i++)
		keep[i] = make_buffer(size); /* line of main */
	for (int i = 10000; i < 20000; i++)
		keep[i] = make_inlined(size); /* another line of main */
	if (argc > 1 && fork() == 0)
		return 0;
	return keep[5] == 0 || keep[15000] == 0;
}
