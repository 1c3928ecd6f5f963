/* SPDX-License-Identifier: MIT */
/*
 * lines.h - the lines of a text; C and C++.
 */
#ifndef TESTS_LINES_H
#define TESTS_LINES_H

#include <stddef.h>
#include <string.h>

/* Returns how many lines a text has. A last line without a newline counts. */
static inline size_t count_lines(const char *text)
{
	size_t n = 0;

	while (*text != '\0') {
		const char *end = strchr(text, '\n');

		n++;
		text = end != NULL ? end + 1 : text + strlen(text);
	}
	return n;
}

#endif
