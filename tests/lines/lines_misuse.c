/* SPDX-License-Identifier: MIT */
/* lines_misuse.c - frees an object twice, reads it after its free, or loses it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((noinline)) static char *allocate(size_t n)
{
	char *p = malloc(n); /* allocated */

	if (p != NULL)
		memset(p, 1, n);
	return p;
}

__attribute__((noinline)) static void release(char *volatile *p)
{
	free(*p); /* freed */
	__asm__ volatile("");
}

__attribute__((noinline)) static int look(const volatile char *p)
{
	__asm__ volatile("" : : "r"(p[0])); /* before */
	return p[16]; /* read */
}

static void prompt(void)
{
	char c;

	(void)fputs("name? ", stderr);
	if (read(0, &c, 1) != 1)
		_exit(4);
	(void)fputs("\n    not a frame (/x+0x1)\nlast words", stderr);
	_exit(7);
}

int main(int argc, char **argv)
{
	volatile size_t size = 40;
	char *volatile p = allocate(size);

	if (argc < 2 || p == NULL)
		return 3;
	if (strcmp(argv[1], "signal") == 0)
		return raise(SIGTERM);
	if (strcmp(argv[1], "prompt") == 0)
		prompt();
	if (strcmp(argv[1], "wait") == 0) {
		(void)write(1, "x", 1);
		return sleep(60) == 0;
	}
	if (strcmp(argv[1], "leak") == 0) {
		p = NULL;
		return 0;
	}
	release(&p);
	if (strcmp(argv[1], "twice") == 0)
		release(&p);
	return look(p);
}
