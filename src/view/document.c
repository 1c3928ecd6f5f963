/* SPDX-License-Identifier: MIT */
/*
 * document.c - what can be asked about a target, by the names that the server and the page use.
 */
#include "view/document.h"
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

/* A profile of some seconds would keep the server from answering others. */
static int write_pprof(FILE *out, struct target *t, const char *query)
{
	if (strstr(query, "seconds=") != NULL) {
		fputs("?seconds is not served; goalloc-view --seconds N --pprof FILE takes "
		      "samples for so long\n", out);
		return 400;
	}
	return write_of_command(out, t, command_pprof_stream);
}

#define JSON "application/json"
#define PPROF "application/octet-stream"

const struct document documents[] = {
	{ "/", NULL, "text/html; charset=utf-8", write_page },
	{ "/stats.json", "stats", JSON, write_stats },
	{ "/heap.json", "heap", JSON, write_heap },
	{ "/metrics", NULL, METRICS_TYPE, write_metrics },
	{ "/flame.json", "flame", JSON, write_flame },
	{ "/leaks.json", "leaks", JSON, write_leaks },
	{ "/debug/pprof/heap", NULL, PPROF, write_pprof },
	{ "/debug/pprof/allocs", NULL, PPROF, write_pprof },
	{ NULL, NULL, NULL, NULL },
};
