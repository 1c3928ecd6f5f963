/* SPDX-License-Identifier: MIT */
/*
 * text.h - what a text begins and ends with, and which of its characters a terminal may be shown.
 *
 * File names, symbols, names of programs and settings come from others. A terminal obeys the
 * control characters in them: C0 (below 0x20), DEL, and C1 (U+0080 to U+009F). UTF-8 has two bytes
 * for a C1 character, and old terminals one.
 */
#ifndef GOALLOC_TEXT_H
#define GOALLOC_TEXT_H

#include "base/base.h"

/* Returns the text behind the word if it begins with that, else NULL. */
static inline const char *text_after(const char *text, const char *word)
{
	while (*word != '\0')
		if (*text++ != *word++)
			return NULL;
	return text;
}

static inline bool text_is(const char *text, const char *other)
{
	const char *rest = text_after(text, other);

	return rest != NULL && *rest == '\0';
}

static inline bool text_has(const char *text, const char *word)
{
	while (*text != '\0' && text_after(text, word) == NULL)
		text++;
	return *text != '\0';
}

static inline bool text_ends(const char *text, const char *end)
{
	size_t n = string_length(text), nend = string_length(end);

	return n >= nend && text_is(text + n - nend, end);
}

/* Reads a decimal number. Returns the text behind it, or NULL if there is none or it does not fit
 * into *n. */
static inline const char *text_number(const char *text, size_t *n)
{
	const char *first = text;

	for (*n = 0; *text >= '0' && *text <= '9'; text++) {
		size_t digit = (size_t)(*text - '0');

		if (mul_overflow(*n, 10, n) || *n > SIZE_MAX - digit)
			return NULL;
		*n += digit;
	}
	return text != first ? text : NULL;
}

/* The text shown in place of a byte that may not be shown. */
#define TEXT_HIDDEN "?"

/* Returns the number of bytes of the character at s, or 0 if it is a control character or no UTF-8.
 * There are n bytes at s, at least one. */
static inline size_t text_shown(const char *s, size_t n)
{
	static const uint32_t least[] = { 0, 0x20, 0xa0, 0x800, 0x10000 };
	uint8_t first = (uint8_t)s[0];
	size_t len = first < 0x80                    ? 1
		     : first >= 0xc2 && first < 0xe0 ? 2
		     : first >= 0xe0 && first < 0xf0 ? 3
		     : first >= 0xf0 && first < 0xf5 ? 4
						     : 0;
	uint32_t c = len == 1 ? first : first & (0x7fu >> len);

	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if (((uint8_t)s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | ((uint8_t)s[i] & 0x3f);
	}
	if (c < least[len] || c == 0x7f || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
		return 0;
	return len;
}

#endif
