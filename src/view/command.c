/* SPDX-License-Identifier: MIT */
/*
 * command.c - what goalloc-view does with a target: the page of statistics, and JSON.
 */
#include "view/command.h"
#include "base/text.h"
#include "tools/statpage.h"
#include "tools/textmap.h"
#include "view/json.h"
#include "view/metrics.h"
#include "view/room.h"
#include "view/take.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

struct view_modifiers view_modifiers;

int command_fail(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	(void)fputs("goalloc-view: ", stderr);
	(void)vfprintf(stderr, format, values);
	(void)fputc('\n', stderr);
	va_end(values);
	return VIEW_FAILED;
}

int command_fail_target(const struct target *t)
{
	if (t->file != NULL)
		return command_fail("%s: %s", t->file, t->error);
	if (t->name[0] != '\0')
		return command_fail("process %d (%s): %s", t->pid, t->name, t->error);
	return command_fail("process %d: %s", t->pid, t->error);
}

void command_heading(char text[HEADING_MAX], const struct target *t)
{
	struct heading h = { t->name, (unsigned)t->pid, (uint64_t)time(NULL), t->up_s, t->version };
	struct stat core;

	if (t->file != NULL && stat(t->file, &core) == 0)
		h.time_s = (uint64_t)core.st_mtime;
	heading_make(text, &h);
}

int command_snapshot(struct snapshot *sn, struct target *t)
{
	enum taken taken = take_snapshot(sn, t);

	if (taken != TAKEN) {
		(void)command_fail_target(t);
		return taken == TAKEN_OTHER ? VIEW_OTHER : VIEW_FAILED;
	}
	if (sn->nmissing != 0)
		(void)command_fail("%zu record%s could not be read%s; the figures lack what is in "
				   "them", sn->nmissing, sn->nmissing == 1 ? "" : "s",
				   t->truncated ? ", since the core is truncated" : "");
	if (sn->ndamaged != 0)
		(void)command_fail("%zu record%s %s no sense; the figures lack what is in them",
				   sn->ndamaged, sn->ndamaged == 1 ? "" : "s",
				   sn->ndamaged == 1 ? "makes" : "make");
	return VIEW_OK;
}

int command_end_output(void)
{
	return fflush(stdout) == 0 && !ferror(stdout) ?
		       VIEW_OK :
		       command_fail("standard output cannot be written to");
}

int command_page(struct target *t, const char *value)
{
	struct snapshot sn;
	char heading[HEADING_MAX];
	struct out o;
	int status = command_snapshot(&sn, t);

	(void)value;
	if (status != VIEW_OK)
		return status;
	out_init(&o, 1);
	command_heading(heading, t);
	out_format(&o, "goalloc: %s%s\n", t->is_core ? "core of " : "", heading);
	statpage_print(&o, &sn.stat, sn.resident);
	snapshot_drop(&sn);
	return out_flush(&o) ? VIEW_OK : command_fail("standard output: %s", out_reason(o.error));
}

static int end_json(int status, const struct target *t)
{
	if (status == VIEW_OK)
		return command_end_output();
	(void)command_fail_target(t);
	return status;
}

int command_json(struct target *t, const char *value)
{
	struct snapshot sn;
	bool heap = value != NULL && text_is(value, "heap");
	int status;

	if (value != NULL && text_is(value, "flame"))
		return end_json(command_flame(stdout, t), t);
	if (value != NULL && text_is(value, "leaks"))
		return end_json(command_leaks_json(stdout, t), t);
	if (value != NULL && !heap && !text_is(value, "stats"))
		return command_fail("--json=%s: there are stats, heap, flame and leaks", value);
	status = command_snapshot(&sn, t);
	if (status != VIEW_OK)
		return status;
	if (heap)
		json_heap(stdout, &sn);
	else
		json_stats(stdout, &sn);
	snapshot_drop(&sn);
	return command_end_output();
}

int command_metrics(struct target *t, const char *value)
{
	struct snapshot sn;
	int status = command_snapshot(&sn, t);

	(void)value;
	if (status != VIEW_OK)
		return status;
	metrics_write(stdout, &sn);
	snapshot_drop(&sn);
	return command_end_output();
}

int command_map(struct target *t, const char *value)
{
	struct snapshot sn;
	struct textmap *map;
	char heading[HEADING_MAX];
	int status = command_snapshot(&sn, t), error;

	(void)value;
	if (status != VIEW_OK)
		return status;
	map = room_for(1, sizeof(*map));
	command_heading(heading, t);
	textmap_begin(map, 1, heading, sn.stat.heap_bytes);
	for (size_t i = 0; i < sn.narenas; i++) {
		const struct snapshot_arena *a = &sn.arenas[i];

		textmap_begin_arena(map, a->base);
		for (size_t k = 0; k < a->nruns; k++)
			textmap_add(map, &sn.runs[a->first_run + k].run);
		textmap_end_arena(map);
	}
	error = textmap_end_or_errno(map);
	free(map);
	snapshot_drop(&sn);
	return error == 0 ? VIEW_OK : command_fail("standard output: %s", out_reason(error));
}
