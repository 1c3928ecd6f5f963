/* SPDX-License-Identifier: MIT */
/*
 * lines_text.c - writes functions, files and lines into the library's reports of leaks and faults.
 *
 * A frame of a report is a line such as "    #0 0x55d0c0ffee12 fill+0x1b (/tmp/prog+0x1189)", in
 * reports of leaks without the number. It becomes
 * "    #0 0x55d0c0ffee12 fill(int)+0x1b /tmp/prog.cc:12 (/tmp/prog+0x1189)". A function that was
 * inlined there has a line of its own before it.
 *
 * Frames are kept until a line comes that is none, so that each object is asked once a report.
 */
#include "view/lines.h"
#include "view/symbolize.h"

#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The most lines that are kept. */
#define MAX_KEPT 4096

/* How long the end of a line, or of a report, is waited for. */
#define WAIT_MS 200

struct line {
	char *text;                /* with its newline */
	char *object;              /* of a frame; NULL for another line */
	uint64_t addr;             /* as addr2line(1) takes it, in the call */
	char *said;                /* what takes its place; NULL: nothing */
};

struct report {
	FILE *to;
	struct line lines[MAX_KEPT];
	size_t n;
	bool faulted;              /* the report is of a fault: its first address is exact */
	const size_t *order;       /* lines of the object that is looked up */
};

/* --- lines --- */

/* Splits "    #0 0xPC NAME+0xOFF (OBJECT+0xADDR)". Returns false for another line. */
static bool read_frame(struct line *l, bool exact)
{
	const char *open = strrchr(l->text, '('), *plus = strrchr(l->text, '+');
	char *end;

	if (strncmp(l->text, "    ", 4) != 0 || open == NULL || plus == NULL || plus < open ||
	    open[1] != '/' || strncmp(plus, "+0x", 3) != 0)
		return false;
	l->addr = strtoull(plus + 1, &end, 16);
	if (strcmp(end, ")\n") != 0)
		return false;
	if (!exact)
		l->addr--;
	l->object = strndup(open + 1, (size_t)(plus - open) - 1);
	return l->object != NULL;
}

/* Returns whether the line may belong to a report. */
static bool is_reports(const char *text)
{
	return strncmp(text, "    ", 4) == 0 || strncmp(text, "  used by ", 10) == 0 ||
	       strncmp(text, "  allocated", 11) == 0 || strncmp(text, "  freed by ", 10) == 0 ||
	       strncmp(text, "  found by ", 10) == 0 || strncmp(text, "goalloc: ", 9) == 0;
}

static bool is_fault(const char *text)
{
	return strncmp(text, "goalloc: use after free: ", 25) == 0 ||
	       strncmp(text, "goalloc: heap ", 14) == 0 ||
	       strncmp(text, "goalloc: wild access: ", 22) == 0;
}

/* --- names --- */

/* Makes the text that takes the place of a frame. */
static void say(size_t index, const struct symbolized *frames, size_t n, void *arg)
{
	struct report *r = arg;
	struct line *l = &r->lines[r->order[index]];
	const char *pc = strstr(l->text, "0x"), *place = strrchr(l->text, '('), *offset = place;
	size_t room;
	FILE *f;

	if (frames[n - 1].function == NULL || pc == NULL)
		return;
	/* "+0xOFF " behind the library's name, if it has one. */
	while (offset > pc && *offset != '+')
		offset--;
	if (*offset != '+')
		offset = " ";
	f = open_memstream(&l->said, &room);
	if (f == NULL)
		return;
	for (size_t i = 0; i < n; i++) {
		(void)fprintf(f, "%.*s%.*s %s", (int)(pc - l->text), l->text,
			      (int)strcspn(pc, " \n"), pc,
			      frames[i].function == NULL ? "??" : frames[i].function);
		if (i == n - 1)
			(void)fprintf(f, "%.*s", (int)strcspn(offset, " "), offset);
		if (frames[i].file != NULL)
			(void)fprintf(f, " %s:%u", frames[i].file, frames[i].line);
		(void)fprintf(f, i == n - 1 ? " %s" : " (inlined)\n", place);
	}
	if (fclose(f) != 0) {
		free(l->said);
		l->said = NULL;
	}
}

/* Looks up all frames of the first object that has frames without an answer. */
static bool look_up_next(struct report *r)
{
	uint64_t addrs[MAX_KEPT];
	size_t order[MAX_KEPT], n = 0;
	char *object = NULL;

	for (size_t i = 0; i < r->n; i++) {
		struct line *l = &r->lines[i];

		if (l->object == NULL || (object != NULL && strcmp(l->object, object) != 0))
			continue;
		order[n] = i;
		addrs[n++] = l->addr;
		if (object == NULL)
			object = l->object;
		else
			free(l->object);
		l->object = NULL;
	}
	if (object == NULL)
		return false;
	r->order = order;
	(void)symbolize(object, addrs, n, say, r);
	free(object);
	return true;
}

/* Writes the lines that are kept. */
static void write_kept(struct report *r)
{
	while (look_up_next(r))
		continue;
	for (size_t i = 0; i < r->n; i++) {
		struct line *l = &r->lines[i];

		(void)fputs(l->said != NULL ? l->said : l->text, r->to);
		free(l->said);
		free(l->text);
	}
	r->n = 0;
	(void)fflush(r->to);
}

/* Takes the next line, whose text belongs to the report from now on. */
static void take_line(struct report *r, char *text)
{
	bool used = r->n != 0 && strncmp(r->lines[r->n - 1].text, "  used by ", 10) == 0;

	if (r->n == MAX_KEPT || (r->n != 0 && !is_reports(text)))
		write_kept(r);
	if (strncmp(text, "goalloc: ", 9) == 0)
		r->faulted = is_fault(text) && strstr(text, " at 0x") != NULL;
	r->lines[r->n] = (struct line){ .text = text };
	(void)read_frame(&r->lines[r->n++], used && r->faulted);
	if (!is_reports(text))
		write_kept(r);
}

/* --- the stream --- */

/* Takes the whole lines of the text, and returns how many bytes are left. */
static size_t take_lines(struct report *r, char *text, size_t n)
{
	char *at = text, *end;

	while ((end = memchr(at, '\n', n - (size_t)(at - text))) != NULL) {
		char *line = strndup(at, (size_t)(end - at) + 1);

		if (line != NULL)
			take_line(r, line);
		at = end + 1;
	}
	n -= (size_t)(at - text);
	memmove(text, at, n);
	return n;
}

void lines_into_text(int from, FILE *to, bool (*over)(void))
{
	struct report *r = calloc(1, sizeof(*r));
	char text[65536];
	size_t have = 0;

	if (r == NULL)
		return;
	r->to = to;
	for (;;) {
		struct pollfd p = { .fd = from, .events = POLLIN };
		int ready = poll(&p, 1, WAIT_MS);
		ssize_t n;

		/* What is no report, such as a prompt, is not kept. */
		if (ready == 0 || have == sizeof(text)) {
			write_kept(r);
			(void)fwrite(text, 1, have, to);
			(void)fflush(to);
			have = 0;
		}
		if (ready == 0 && over())
			break;
		if (ready <= 0)
			continue;
		n = read(from, text + have, sizeof(text) - have);
		if (n <= 0)
			break;
		have = take_lines(r, text, have + (size_t)n);
	}
	write_kept(r);
	(void)fwrite(text, 1, have, to);
	(void)fflush(to);
	free(r);
}
