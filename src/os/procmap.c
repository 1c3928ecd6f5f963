/* SPDX-License-Identifier: MIT */
/*
 * procmap.c - reads /proc/PID/maps into a table, without stdio and without memory from the heap.
 *
 * Owns     nothing; a struct procmap is its reader's.
 * Holds    the mappings are in the order of their addresses, and do not overlap.
 */
#include "os/procmap.h"
#include "os/os.h"
#include "os/os_process.h"

/* The text and the table have so much address space each, which costs nothing until it is used. A
 * line has more bytes than a struct mapping. */
#define TEXT_FIRST KiB(256)
#define TEXT_MOST GiB(1)
#define LINE_MIN 49
_Static_assert(sizeof(struct mapping) <= LINE_MIN, "the table is no longer than the text");

/* Reads the whole file, and ends it with 0. Returns false if it is absent or longer than room. */
static bool read_whole(int pid, char *text, size_t room, size_t *nbytes)
{
	int fd = os_open_process(pid, "maps");
	long n = -1;

	*nbytes = 0;
	if (fd < 0)
		return false;
	while (*nbytes < room - 1 && (n = os_read(fd, text + *nbytes, room - 1 - *nbytes)) > 0)
		*nbytes += (size_t)n;
	os_close(fd);
	text[*nbytes] = '\0';
	return n == 0;
}

static uint64_t parse_hex(const char **s)
{
	uint64_t n = 0;

	for (;; (*s)++) {
		char c = **s;

		if (c >= '0' && c <= '9')
			n = n * 16 + (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			n = n * 16 + (unsigned)(c - 'a' + 10);
		else
			return n;
	}
}

static void skip_field(const char **s)
{
	while (**s != ' ' && **s != '\n' && **s != '\0')
		(*s)++;
	while (**s == ' ')
		(*s)++;
}

/* "start-end rwxp offset device inode   name". */
static void parse_line(const char **s, struct mapping *m)
{
	const char *name;

	m->start = parse_hex(s);
	*s += **s == '-';
	m->end = parse_hex(s);
	*s += **s == ' ';
	m->flags = 0;
	for (; **s != ' ' && **s != '\n' && **s != '\0'; (*s)++)
		m->flags |= **s == 'r' ? MAPPING_READ :
			    **s == 'w' ? MAPPING_WRITE :
			    **s == 'x' ? MAPPING_EXEC :
			    **s == 's' ? MAPPING_SHARED : 0;
	*s += **s == ' ';
	m->offset = parse_hex(s);
	skip_field(s);
	skip_field(s);
	skip_field(s);
	name = *s;
	while (**s != '\n' && **s != '\0')
		(*s)++;
	m->name = name;
	m->name_len = (uint32_t)(*s - name);
	*s += **s == '\n';
}

bool procmap_read(struct procmap *m, int pid)
{
	for (size_t room = TEXT_FIRST; room <= TEXT_MOST; room *= 4) {
		char *p = os_reserve(NULL, 2 * room);
		const char *s = p;
		size_t nbytes = 0;

		if (p == NULL || !os_commit(p, 2 * room) || !read_whole(pid, p, room, &nbytes)) {
			bool too_long = nbytes == room - 1;

			if (p != NULL)
				(void)os_unreserve(p, 2 * room);
			if (!too_long)
				return false;
			continue;
		}
		*m = (struct procmap){ (struct mapping *)(void *)(p + room), 0, p, 2 * room };
		while (*s != '\0')
			parse_line(&s, &m->at[m->len++]);
		return true;
	}
	return false;
}

void procmap_free(struct procmap *m)
{
	(void)os_unreserve(m->text, m->nbytes);
}

size_t procmap_first(const struct procmap *m, uintptr_t addr)
{
	size_t low = 0, high = m->len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (m->at[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct mapping *procmap_find(const struct procmap *m, uintptr_t addr)
{
	size_t i = procmap_first(m, addr);

	return i < m->len && m->at[i].start <= addr ? &m->at[i] : NULL;
}

bool mapping_named(const struct mapping *mapping, const char *beginning)
{
	size_t n = 0;

	while (n < mapping->name_len && beginning[n] != '\0' && mapping->name[n] == beginning[n])
		n++;
	return beginning[n] == '\0';
}

/* --- one by one --- */

bool procmap_open(struct procmap_reader *r)
{
	r->fd = os_open_process(os_pid(), "maps");
	r->at = 0;
	r->len = 0;
	return r->fd >= 0;
}

void procmap_close(struct procmap_reader *r)
{
	os_close(r->fd);
}

/* Returns the next character, or -1 at the end. */
static int next_char(struct procmap_reader *r)
{
	if (r->at == r->len) {
		long n = os_read(r->fd, r->bytes, sizeof(r->bytes));

		r->at = 0;
		r->len = n > 0 ? (size_t)n : 0;
		if (n <= 0)
			return -1;
	}
	return (unsigned char)r->bytes[r->at++];
}

/* Reads a line. Keeps the fields in front of the name, which have a bound, and then the name. */
bool procmap_next(struct procmap_reader *r, struct mapping *m)
{
	char fields[128];
	const char *s = fields;
	size_t n = 0, len = 0;
	int c = next_char(r);

	if (c < 0)
		return false;
	for (unsigned blanks = 0; c >= 0 && c != '\n'; c = next_char(r)) {
		if (blanks >= 5 && (c != ' ' || len != 0)) {
			if (len < sizeof(r->name))
				r->name[len++] = (char)c;
		} else if (n < sizeof(fields) - 1) {
			fields[n++] = (char)c;
		}
		blanks += c == ' ';
	}
	fields[n] = '\0';
	parse_line(&s, m);
	m->name = r->name;
	m->name_len = (uint32_t)len;
	return true;
}
