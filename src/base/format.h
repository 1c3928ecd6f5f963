/* SPDX-License-Identifier: MIT */
/*
 * format.h - makes text of a format and values, as printf(3) does, without stdio.
 *
 * The compiler checks formats, so they are written as those of printf(3):
 *
 *	%s  %-20s     a string; padded on the right
 *	%.*s          so many bytes from outside, with "?" for what a terminal would obey (text.h)
 *	%c            a character
 *	%zu %u %8zu   a number; padded on the left. %zu is also for uint64_t and uintptr_t.
 *	%02zu         a number padded with zeros
 *	%#zx %06x     a number in lowercase hexadecimal digits, behind 0x with #
 *	%'zu          a size in bytes with its unit: "12.3 MiB", "48 B"
 *	%'10zu        such a size in a column of ten characters: "  12.3 MiB", "  48   B  "
 *	%%            a per cent sign
 */
#ifndef GOALLOC_FORMAT_H
#define GOALLOC_FORMAT_H

#include "base/base.h"

#include <stdarg.h>

/* Where text goes. */
struct format_sink {
	void (*put)(void *to, const char *s, size_t n);
	void *to;
};

/* Puts the text of a format and its values, piece by piece. Keeps errno, takes no lock and
 * allocates nothing. */
void format_text(const struct format_sink *sink, const char *format, va_list values);

/* Writes the text into a buffer and ends it with 0, cut if there is no room for all of it. Returns
 * its length without the 0. */
size_t format_buffer(char *to, size_t room, const char *format, ...) FORMATS(3, 4);

#endif
