/* SPDX-License-Identifier: MIT */
/*
 * check.h - a check that ends the process; C and C++.
 *
 * For programs that do not have the heap inside: src/base/base.h has a CHECK() of its own. Any
 * thread may call these, in a signal handler and in a forked child too. They do not allocate,
 * because malloc is what is being tested.
 */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

/* Ends the process with one line on stderr unless cond holds. */
#define CHECK(cond) ((cond) ? (void)0 : check_fail(__FILE__, __LINE__, #cond))

/* Does what CHECK(a <= b) does, and the line shows both numbers. */
#define CHECK_LE(a, b) check_le((size_t)(a), (size_t)(b), __FILE__, __LINE__, #a " <= " #b)

/* Prints where the test failed, and exits with 1, or with 3 when nothing can be printed. */
__attribute__((noreturn, unused)) static void check_fail(const char *file, int line,
							 const char *what)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "FAILED %s:%d (pid %d, errno %d): %s\n", file, line,
			 (int)getpid(), errno, what);

	if (n > 0 && write(2, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1) < 0)
		_exit(3);
	_exit(1);
}

__attribute__((unused)) static void check_le(size_t a, size_t b, const char *file, int line,
					     const char *what)
{
	char text[256];

	if (a <= b)
		return;
	(void)snprintf(text, sizeof(text), "%s (%zu > %zu)", what, a, b);
	check_fail(file, line, text);
}

#endif
