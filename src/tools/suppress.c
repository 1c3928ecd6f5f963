/* SPDX-License-Identifier: MIT */
/*
 * suppress.c - suppressions of leaks: reads their lines, and tells which names they match.
 *
 * The format is LeakSanitizer's. A line "leak:PATTERN" suppresses leaks with a function, file or
 * module in the stack of their allocation whose name the pattern matches.
 */
#include "tools/suppress.h"
#include "base/text.h"

/* Returns whether the name begins with these n bytes. */
static bool begins(const char *name, const char *with, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (name[i] == '\0' || name[i] != with[i])
			return false;
	return true;
}

/* --- lines --- */

size_t suppress_count_lines(const char *text, size_t nbytes)
{
	size_t n = 1;

	for (size_t i = 0; i < nbytes; i++)
		n += text[i] == '\n';
	return n;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Reads a line. Returns false if it is neither a suppression nor a comment. */
static bool read_line(struct suppress_list *list, const char *line, size_t n, size_t number)
{
	static const char word[] = "leak:";
	size_t nword = sizeof(word) - 1;

	while (n != 0 && is_blank(line[0])) {
		line++;
		n--;
	}
	while (n != 0 && is_blank(line[n - 1]))
		n--;
	if (n == 0 || line[0] == '#')
		return true;
	/* An empty pattern would match all. */
	if (n <= nword || !begins(line, word, nword))
		return false;
	list->at[list->n++] = (struct suppression){ .pattern = line + nword,
						    .len = n - nword,
						    .line = number };
	return true;
}

void suppress_read(struct suppress_list *list, const char *text, size_t nbytes)
{
	size_t number = 1, start = 0;

	list->n = 0;
	list->bad_line = 0;
	for (size_t i = 0; i <= nbytes; i++) {
		if (i != nbytes && text[i] != '\n')
			continue;
		if (!read_line(list, text + start, i - start, number) && list->bad_line == 0)
			list->bad_line = number;
		start = i + 1;
		number++;
	}
}

/* --- patterns --- */

bool suppress_matches(const char *pattern, size_t n, const char *name)
{
	bool anchored = n != 0 && pattern[0] == '^';
	const char *end = pattern + n, *piece = pattern + anchored;
	bool to_end = end > piece && end[-1] == '$';

	end -= to_end;
	/* Each piece between two * takes the first place where it fits: that leaves the most for
	 * those behind it. */
	for (;;) {
		size_t len = 0;

		while (piece + len < end && piece[len] != '*')
			len++;
		if (piece + len == end && to_end) {
			size_t rest = string_length(name);

			if (rest < len || (anchored && rest != len))
				return false;
			return begins(name + rest - len, piece, len);
		}
		while (!begins(name, piece, len)) {
			if (anchored || *name == '\0')
				return false;
			name++;
		}
		if (piece + len == end)
			return true;
		name += len;
		piece += len + 1;
		anchored = false;
	}
}

/* --- names --- */

/* Appends to the name, as far as there is room. */
static void append(char *name, size_t room, size_t *len, const char *text, size_t n)
{
	for (size_t i = 0; i < n && *len + 1 < room; i++)
		name[(*len)++] = text[i];
	name[*len] = '\0';
}

bool suppress_plain_name(const char *symbol, char *name, size_t room)
{
	const char *at = text_after(symbol, "_Z");
	size_t len = 0, n;

	if (at == NULL)
		return false;
	/* A name in parts begins with N, and perhaps with what a method says of its object. */
	if (*at == 'N')
		for (at++; *at == 'r' || *at == 'V' || *at == 'K' || *at == 'R' || *at == 'O';)
			at++;
	name[0] = '\0';
	if (at[0] == 'S' && at[1] == 't') {
		append(name, room, &len, "std", 3);
		at += 2;
	}
	/* L stands before the name of a static function. */
	while (at != NULL && ((*at >= '0' && *at <= '9') || *at == 'L')) {
		at = text_number(at + (*at == 'L'), &n);
		if (at == NULL || n > string_length(at))
			break;
		if (len != 0)
			append(name, room, &len, "::", 2);
		append(name, room, &len, at, n);
		at += n;
		if (symbol[2] != 'N')
			break;
	}
	return len != 0;
}

struct suppression *suppress_find(const struct suppress_list *list, const char *name)
{
	char plain[256];
	bool is_cxx = suppress_plain_name(name, plain, sizeof(plain));

	for (size_t i = 0; i < list->n && name[0] != '\0'; i++) {
		struct suppression *s = &list->at[i];

		if (suppress_matches(s->pattern, s->len, name) ||
		    (is_cxx && suppress_matches(s->pattern, s->len, plain)))
			return s;
	}
	return NULL;
}

void suppress_count(struct suppression *by, size_t nbytes)
{
	if (by == NULL)
		return;
	by->nobjects++;
	by->nbytes += nbytes;
}
