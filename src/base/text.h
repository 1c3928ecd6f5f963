/* SPDX-License-Identifier: MIT */
/*
 * text.h - which characters of a text from outside may be shown on a terminal.
 *
 * File names, symbols, names of programs and settings come from others. A terminal obeys the
 * control characters in them: C0 (below 0x20), DEL, and C1 (U+0080 to U+009F). UTF-8 has two bytes
 * for a C1 character, and old terminals one.
 */
#ifndef GOALLOC_TEXT_H
#define GOALLOC_TEXT_H

#include "base/base.h"

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
