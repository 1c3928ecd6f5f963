/* SPDX-License-Identifier: MIT */
/*
 * document.c - what can be asked about a target, by the names that the server and the page use.
 */
#include "view/document.h"
#include "base/text.h"
#include "view/command.h"
#include "view/json.h"
#include "view/metrics.h"
#include "view/page.h"
#include "view/take.h"

#include <string.h>

static int write_page(FILE *out, struct target *t, const char *query)
{
	(void)t;
	(void)query;
	page_write(out, NULL, 0);
	return 200;
}

/* Writes what one snapshot tells. */
static int write_of_snapshot(FILE *out, struct target *t,
			     void (*print)(FILE *out, const struct snapshot *sn))
{
	struct snapshot sn;

	if (!target_refresh(t) || take_snapshot(&sn, t) != TAKEN) {
		fprintf(out, "%s\n", t->error);
		return t->gone ? 410 : 503;
	}
	print(out, &sn);
	snapshot_drop(&sn);
	return 200;
}

static int write_stats(FILE *out, struct target *t, const char *query)
{
	(void)query;
	return write_of_snapshot(out, t, json_stats);
}

static int write_heap(FILE *out, struct target *t, const char *query)
{
	(void)query;
	return write_of_snapshot(out, t, json_heap);
}

static int write_metrics(FILE *out, struct target *t, const char *query)
{
	(void)query;
	return write_of_snapshot(out, t, metrics_write);
}

/* Writes what one of the commands finds. */
static int write_of_command(FILE *out, struct target *t, int (*find)(FILE *out, struct target *t))
{
	if (target_refresh(t) && find(out, t) == VIEW_OK)
		return 200;
	fprintf(out, "%s\n", t->error);
	return t->gone ? 410 : 503;
}

static int write_flame(FILE *out, struct target *t, const char *query)
{
	(void)query;
	return write_of_command(out, t, command_flame);
}

static int write_leaks(FILE *out, struct target *t, const char *query)
{
	(void)query;
	return write_of_command(out, t, command_leaks_json);
}

/* Sets *seconds to the number in a query, 0 if it has none. Returns false if it is no number, or
 * too large a one. */
static bool read_seconds(const char *query, size_t *seconds)
{
	const char *at = query, *rest;

	*seconds = 0;
	while (at != NULL && (rest = text_after(at, "seconds=")) == NULL) {
		at = strchr(at, '&');
		at += at != NULL;
	}
	if (at == NULL)
		return true;
	rest = text_number(rest, seconds);
	return rest != NULL && (*rest == '\0' || *rest == '&') && *seconds != 0 &&
	       *seconds <= VIEW_SECONDS_MOST;
}

static bool has_seconds(const char *query)
{
	size_t seconds;

	return read_seconds(query, &seconds) && seconds != 0;
}

static bool always(const char *query)
{
	(void)query;
	return true;
}

static int write_pprof(FILE *out, struct target *t, const char *query)
{
	size_t seconds;

	if (!read_seconds(query, &seconds)) {
		fprintf(out, "seconds= takes a number from 1 to %d\n", VIEW_SECONDS_MOST);
		return 400;
	}
	if (seconds == 0)
		return write_of_command(out, t, command_pprof_stream);
	if (t->is_core) {
		fputs("a core takes no samples any more\n", out);
		return 400;
	}
	if (target_refresh(t) && command_pprof_delta(out, t, (unsigned)seconds) == VIEW_OK)
		return 200;
	fprintf(out, "%s\n", t->error);
	return t->gone ? 410 : 503;
}

#define JSON "application/json"
#define PPROF "application/octet-stream"

const struct document documents[] = {
	{ "/", NULL, "text/html; charset=utf-8", write_page, NULL },
	{ "/stats.json", "stats", JSON, write_stats, NULL },
	{ "/heap.json", "heap", JSON, write_heap, NULL },
	{ "/metrics", NULL, METRICS_TYPE, write_metrics, NULL },
	{ "/flame.json", "flame", JSON, write_flame, NULL },
	{ "/leaks.json", "leaks", JSON, write_leaks, always },
	{ "/debug/pprof/heap", NULL, PPROF, write_pprof, has_seconds },
	{ "/debug/pprof/allocs", NULL, PPROF, write_pprof, has_seconds },
	{ NULL, NULL, NULL, NULL, NULL },
};
