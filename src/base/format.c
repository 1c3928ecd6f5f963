/* SPDX-License-Identifier: MIT */
/*
 * format.c - makes text of a format and values, as printf(3) does, without stdio.
 */
#include "base/format.h"
#include "base/text.h"

static void put(const struct format_sink *sink, const char *s, size_t n)
{
	sink->put(sink->to, s, n);
}

static void pad(const struct format_sink *sink, char with, size_t have, size_t width)
{
	for (; have < width; have++)
		put(sink, &with, 1);
}

static void put_string(const struct format_sink *sink, const char *s, size_t width)
{
	size_t n = string_length(s);

	put(sink, s, n);
	pad(sink, ' ', n, width);
}

static void put_from_outside(const struct format_sink *sink, const char *s, size_t n)
{
	while (n != 0) {
		size_t shown = text_shown(s, n), taken = max_size(shown, 1);

		put(sink, shown != 0 ? s : TEXT_HIDDEN, taken);
		s += taken;
		n -= taken;
	}
}

static void put_number(const struct format_sink *sink, uint64_t v, unsigned radix, char with,
		       size_t width)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[v % radix];
		v /= radix;
	} while (v != 0);
	pad(sink, with, sizeof(digits) - at, width);
	put(sink, digits + at, sizeof(digits) - at);
}

static void put_size(const struct format_sink *sink, uint64_t nbytes, bool column)
{
	unsigned unit = 0;
	uint64_t rest = 0;

	for (; nbytes >= 1024; unit++) {
		rest = nbytes % 1024;
		nbytes /= 1024;
	}
	put_number(sink, nbytes, 10, ' ', column ? 4 : 0);
	if (unit == 0) {
		put_string(sink, column ? "   B" : " B", column ? 6 : 0);
	} else {
		char text[] = ".0 KiB";

		text[1] = (char)('0' + rest * 10 / 1024);
		text[3] = "BKMGTPE"[unit];
		put(sink, text, sizeof(text) - 1);
	}
}

/* One conversion of a format. */
struct conversion {
	bool outside;           /* ".*" */
	bool prefix, size;      /* the flags "#" and "'" */
	bool is_long;           /* "z" */
	char with;              /* the character that fills the width */
	size_t width;
	char letter;
};

/* Reads the conversion behind a "%". Returns behind it. */
static const char *read_conversion(const char *s, struct conversion *c)
{
	*c = (struct conversion){ .with = ' ' };
	for (; *s == '#' || *s == '-' || *s == '\'' || *s == '0'; s++) {
		c->prefix |= *s == '#';
		c->size |= *s == '\'';
		c->with = *s == '0' ? '0' : c->with;
	}
	for (; *s >= '0' && *s <= '9'; s++)
		c->width = c->width * 10 + (size_t)(*s - '0');
	if (*s == '.') {
		c->outside = true;
		s += 2;
	}
	if (*s == 'z') {
		c->is_long = true;
		s++;
	}
	c->letter = *s;
	return s + 1;
}

void format_text(const struct format_sink *sink, const char *format, va_list values)
{
	for (;;) {
		struct conversion c;
		size_t n = 0;
		char text;

		while (format[n] != '\0' && format[n] != '%')
			n++;
		if (n != 0)
			put(sink, format, n);
		if (format[n] == '\0')
			return;
		format = read_conversion(format + n + 1, &c);
		switch (c.letter) {
		case 's':
			n = c.outside ? (size_t)va_arg(values, int) : 0;
			if (c.outside)
				put_from_outside(sink, va_arg(values, const char *), n);
			else
				put_string(sink, va_arg(values, const char *), c.width);
			break;
		case 'c':
			text = (char)va_arg(values, int);
			put(sink, &text, 1);
			break;
		case 'u':
		case 'x':
			n = c.is_long ? va_arg(values, size_t) : va_arg(values, unsigned);
			if (c.prefix)
				put(sink, "0x", 2);
			if (c.size)
				put_size(sink, n, c.width != 0);
			else
				put_number(sink, n, c.letter == 'x' ? 16 : 10, c.with, c.width);
			break;
		default:
			put(sink, "%", 1);
		}
	}
}

struct buffer {
	char *to;
	size_t room, len;
};

static void put_in_buffer(void *to, const char *s, size_t n)
{
	struct buffer *b = to;

	n = min_size(n, b->room - b->len);
	copy_bytes(b->to + b->len, s, n);
	b->len += n;
}

size_t format_buffer(char *to, size_t room, const char *format, ...)
{
	struct buffer b = { to, room - 1, 0 };
	struct format_sink sink = { put_in_buffer, &b };
	va_list values;

	va_start(values, format);
	format_text(&sink, format, values);
	va_end(values);
	to[b.len] = '\0';
	return b.len;
}
