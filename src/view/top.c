/* SPDX-License-Identifier: MIT */
/*
 * top.c - shows again and again what grows in a process, by size class and by thread.
 *
 * The lines are sorted by what has come since the first look. A core has one look.
 */
#include "view/command.h"
#include "base/format.h"
#include "base/text.h"
#include "view/room.h"
#include "view/take.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define SECONDS 2
#define SECONDS_MOST 86400
#define ROWS 24
/* Lines that are not those of classes or threads. */
#define ROWS_OF_HEADS 6

/* What is compared: a class or a thread. */
struct line {
	uint64_t key;            /* span class, or thread and its cache */
	char name[40];
	size_t objects;
	size_t live, cached;     /* bytes */
	int64_t since_last, since_first;    /* change of live */
};

struct look {
	struct line *lines;
	size_t n;
	size_t live, slack, free, released, resident;
	double time;
};

static size_t text_of_change(char *to, size_t room, int64_t change)
{
	if (change == 0)
		return format_buffer(to, room, "-");
	return format_buffer(to, room, "%c%'zu", change < 0 ? '-' : '+',
			     change < 0 ? 0 - (uint64_t)change : (uint64_t)change);
}

/* --- a look --- */

static struct line *add_line(struct look *k, uint64_t key)
{
	k->lines = room_for_more(k->lines, k->n, sizeof(*k->lines));
	k->lines[k->n] = (struct line){ .key = key };
	return &k->lines[k->n++];
}

static void look_at_classes(struct look *k, const struct snapshot *sn)
{
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		const struct stat_class *of = &sn->stat.classes[sc];
		const char *kind = sc == SPANCLASS_TINY                        ? "tiny"
				   : spanclass_scan((spanclass_t)sc) == NOSCAN ? "noscan"
									       : "scan";
		struct line *line = add_line(k, sc);

		line->objects = of->live;
		line->live = of->live_bytes;
		line->cached = of->cached_bytes;
		if (sc >> 1 == 0)
			(void)snprintf(line->name, sizeof(line->name), "big  %s", kind);
		else
			(void)snprintf(line->name, sizeof(line->name), "%u  %s",
				       sc == SPANCLASS_ZERO ? 0 : sizeclasses[sc >> 1].elemsize,
				       kind);
	}
}

static void look_at_threads(struct look *k, const struct snapshot *sn)
{
	for (size_t i = 0; i < sn->ncaches; i++) {
		const struct snapshot_cache *c = &sn->caches[i];
		const struct target_thread *t = target_thread_of(sn->target, c->tid);
		struct line *line = add_line(k, c->record ^ (uint64_t)c->tid << 48);

		line->objects = c->live_objects;
		line->live = c->live_bytes;
		line->cached = c->cached_bytes;
		if (c->shared)
			(void)snprintf(line->name, sizeof(line->name), "(shared)");
		else
			(void)snprintf(line->name, sizeof(line->name), "%d %s",
				       t != NULL ? t->tid : 0, t != NULL ? t->name : "");
	}
}

static void compare(struct look *now, const struct look *last, const struct look *first)
{
	for (size_t i = 0; i < now->n; i++) {
		struct line *line = &now->lines[i];

		line->since_last = line->since_first = (int64_t)line->live;
		for (size_t j = 0; j < last->n; j++)
			if (last->lines[j].key == line->key)
				line->since_last -= (int64_t)last->lines[j].live;
		for (size_t j = 0; j < first->n; j++)
			if (first->lines[j].key == line->key)
				line->since_first -= (int64_t)first->lines[j].live;
	}
}

static int by_growth(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->since_first != y->since_first)
		return x->since_first > y->since_first ? -1 : 1;
	return x->live > y->live ? -1 : x->live < y->live;
}

/* --- the screen --- */

static void print_lines(struct look *k, const char *head, size_t rows)
{
	qsort(k->lines, k->n, sizeof(*k->lines), by_growth);
	printf("%-24s%10s%12s%12s%12s%10s\n", head, "objects", "live", "since last", "since first",
	       "cached");
	for (size_t i = 0; i < k->n && i < rows; i++) {
		const struct line *line = &k->lines[i];
		char live[24], last[24], first[24], cached[24];

		if (line->live == 0 && line->since_first == 0 && line->cached == 0)
			continue;
		(void)format_buffer(live, sizeof(live), "%'zu", line->live);
		(void)format_buffer(cached, sizeof(cached), "%'zu", line->cached);
		(void)text_of_change(last, sizeof(last), line->since_last);
		(void)text_of_change(first, sizeof(first), line->since_first);
		printf("%-24.24s%10zu%12s%12s%12s%10s\n", line->name, line->objects, live, last,
		       first, cached);
	}
}

static void print_sum(const char *name, size_t nbytes)
{
	char text[24];

	(void)format_buffer(text, sizeof(text), "%'zu", nbytes);
	printf("%s %s", name, text);
}

static size_t rows_of_screen(void)
{
	struct winsize size;

	if (ioctl(1, TIOCGWINSZ, &size) != 0 || size.ws_row < ROWS_OF_HEADS + 4)
		return ROWS;
	return size.ws_row;
}

/* The looks that are compared: at classes, and at threads. */
struct top {
	struct look classes, threads;
};

static void print_top(struct target *t, struct top *now, double first_time, bool screen)
{
	size_t rows = rows_of_screen() - ROWS_OF_HEADS;
	const struct look *k = &now->classes;

	if (screen)
		printf("\033[H\033[2J");
	printf("goalloc-view: %s, pid %d, for %.0f s", t->name, t->pid, k->time - first_time);
	if (k->resident != 0)
		print_sum(", resident", k->resident);
	printf("\n");
	print_sum("live", k->live);
	print_sum("  slack", k->slack);
	print_sum("  free", k->free);
	print_sum("  released", k->released);
	printf("\n\n");
	print_lines(&now->classes, "size", rows - rows / 3);
	printf("\n");
	print_lines(&now->threads, "thread", rows / 3);
	(void)fflush(stdout);
}

static void forget(struct top *top)
{
	free(top->classes.lines);
	free(top->threads.lines);
	*top = (struct top){ .classes.n = 0 };
}

/* Takes a look. Returns an exit status. */
static int look(struct target *t, struct top *top)
{
	struct snapshot sn;
	const struct stat_snapshot *st = &sn.stat;
	int status = command_snapshot(&sn, t);

	*top = (struct top){ .classes.n = 0 };
	if (status != VIEW_OK)
		return status;
	top->classes.time = sn.time;
	top->classes.live = st->all.live_bytes;
	top->classes.slack = st->all.span_bytes - st->all.live_bytes;
	top->classes.free = st->free_bytes + st->held_bytes + st->moving_bytes;
	top->classes.released = st->released_bytes;
	top->classes.resident = sn.resident;
	look_at_classes(&top->classes, &sn);
	look_at_threads(&top->threads, &sn);
	snapshot_drop(&sn);
	return VIEW_OK;
}

/* Looks again and again until the process ends. */
static int look_on(struct target *t, struct top *first, struct top *last, size_t seconds)
{
	bool screen = isatty(1) == 1;
	double begun = first->classes.time;

	for (;;) {
		struct timespec pause = { (time_t)seconds, 0 };
		struct top now;
		int status;

		(void)nanosleep(&pause, NULL);
		if (!target_refresh(t)) {
			(void)command_fail_target(t);
			return t->gone ? VIEW_OK : VIEW_FAILED;
		}
		status = look(t, &now);
		if (status != VIEW_OK)
			return t->gone ? VIEW_OK : status;
		compare(&now.classes, &last->classes, &first->classes);
		compare(&now.threads, &last->threads, &first->threads);
		print_top(t, &now, begun, screen);
		forget(last);
		*last = now;
		if (ferror(stdout))
			return command_end_output();
	}
}

int command_top(struct target *t, const char *value)
{
	struct top first, last;
	size_t seconds = SECONDS;
	const char *rest = value != NULL ? text_number(value, &seconds) : "";
	int status;

	if (rest == NULL || *rest != '\0' || seconds == 0 || seconds > SECONDS_MOST)
		return command_fail("--top=%s: the seconds are 1 to %d", value, SECONDS_MOST);
	status = look(t, &first);
	if (status != VIEW_OK)
		return status;
	(void)look(t, &last);
	compare(&last.classes, &first.classes, &first.classes);
	compare(&last.threads, &first.threads, &first.threads);
	print_top(t, &last, first.classes.time, isatty(1) == 1);
	if (!t->is_core)
		status = look_on(t, &first, &last, seconds);
	forget(&first);
	forget(&last);
	return status;
}
