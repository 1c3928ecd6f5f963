/* SPDX-License-Identifier: MIT */
/*
 * json.c - a snapshot as JSON.
 */
#include "view/json.h"
#include "base/text.h"
#include "tools/metric.h"

#include <inttypes.h>

void json_string(FILE *f, const char *text)
{
	size_t n = string_length(text);

	(void)fputc('"', f);
	while (n != 0) {
		size_t len = text_shown(text, n);

		if (len == 0)
			(void)fputs(TEXT_HIDDEN, f);
		else if (*text == '"' || *text == '\\' || *text == '<')
			(void)fprintf(f, "\\u%04x", (unsigned)*text);
		else
			(void)fwrite(text, 1, len, f);
		text += max_size(len, 1);
		n -= max_size(len, 1);
	}
	(void)fputc('"', f);
}

static const char *truth(bool value)
{
	return value ? "true" : "false";
}

/* --- the figures --- */

static void put_sums(FILE *f, const struct stat_snapshot *st)
{
	(void)fprintf(f, "\"live_bytes\":%zu,\"slack_bytes\":%zu,", st->all.live_bytes,
		      st->all.span_bytes - st->all.live_bytes);
	(void)fprintf(f, "\"free_bytes\":%zu,\"released_bytes\":%zu,",
		      st->free_bytes + st->held_bytes - st->held_released_bytes + st->moving_bytes,
		      st->released_bytes + st->held_released_bytes);
	(void)fprintf(f, "\"metadata_bytes\":%zu,\"mapped_bytes\":%zu,\"live_objects\":%zu,",
		      st->metadata_bytes, st->sys_bytes, st->all.live);
	if (st->limit_bytes != 0)
		(void)fprintf(f, "\"limit_bytes\":%zu,", st->limit_bytes);
	else
		(void)fputs("\"limit_bytes\":null,", f);
}

static void put_classes(FILE *f, const struct stat_snapshot *st)
{
	const char *comma = "";

	(void)fputs("\"classes\":[", f);
	for (unsigned sc = 2; sc < NUM_SPAN_CLASSES; sc++) {
		const struct stat_class *k = &st->classes[sc];

		if (k->spans == 0 && k->mallocs == 0)
			continue;
		(void)fprintf(f, "%s{\"size\":%u,\"scan\":%s,\"tiny\":%s,", comma,
			      sc == SPANCLASS_ZERO ? 0 : sizeclasses[sc >> 1].elemsize,
			      truth(spanclass_scan((spanclass_t)sc) == SCAN),
			      truth(sc == SPANCLASS_TINY));
		(void)fprintf(f, "\"spans\":%zu,\"slots\":%zu,\"live\":%zu,\"objects\":%zu,",
			      k->spans, k->slots, k->slots - k->free_slots, k->live);
		(void)fprintf(f, "\"live_bytes\":%zu,\"bytes\":%zu}", k->live_bytes,
			      k->span_bytes);
		comma = ",";
	}
	(void)fputs("],", f);
}

static void put_big(FILE *f, const struct stat_snapshot *st)
{
	const struct stat_class *scan = &st->classes[SPANCLASS_BIG];
	const struct stat_class *noscan = &st->classes[SPANCLASS_BIG_NOSCAN];

	(void)fprintf(f, "\"big\":{\"objects\":%zu,\"bytes\":%zu,\"kept_bytes\":%zu},",
		      scan->live + noscan->live, scan->live_bytes + noscan->live_bytes,
		      scan->free_bytes + noscan->free_bytes);
}

static void put_threads(FILE *f, const struct snapshot *sn)
{
	(void)fputs("\"threads\":[", f);
	for (size_t i = 0; i < sn->ncaches; i++) {
		const struct snapshot_cache *c = &sn->caches[i];
		const struct target_thread *thread = target_thread_of(sn->target, c->tid);

		(void)fprintf(f, "%s{\"tid\":%d,\"name\":", i == 0 ? "" : ",",
			      thread != NULL ? thread->tid : 0);
		json_string(f, c->shared        ? "(shared)"
			       : thread != NULL ? thread->name
						: "");
		(void)fprintf(f, ",\"cached_bytes\":%zu,\"page_bytes\":%zu,\"live_bytes\":%zu,",
			      c->cached_bytes, c->page_bytes, c->live_bytes);
		(void)fprintf(f, "\"live_objects\":%zu,\"objects_allocated\":", c->live_objects);
		if (sn->stat.counting)
			(void)fprintf(f, "%" PRIu64 "}", c->allocated);
		else
			(void)fputs("null}", f);
	}
	(void)fputs("],", f);
}

static void put_metrics(FILE *f, const struct stat_snapshot *st)
{
	(void)fputs("\"metrics\":{", f);
	for (size_t i = 0; metric_name(i) != NULL; i++) {
		uint64_t value = 0;

		(void)metric_read(st, metric_name(i), &value, NULL);
		(void)fprintf(f, "%s\"%s\":%" PRIu64, i == 0 ? "" : ",", metric_name(i), value);
	}
	(void)fputs("}", f);
}

void json_stats(FILE *f, const struct snapshot *sn)
{
	const struct stat_snapshot *st = &sn->stat;

	(void)fputs("{\"program\":", f);
	json_string(f, sn->target->name);
	(void)fprintf(f, ",\"pid\":%d,\"time\":%.3f,\"core\":%s,\"version\":", sn->target->pid,
		      sn->time, truth(sn->target->is_core));
	json_string(f, sn->root.version);
	(void)fprintf(f, ",\"page_size\":%zu,\"resident_bytes\":%zu,", PAGE_SIZE, sn->resident);
	put_sums(f, st);
	(void)fprintf(f, "\"counting\":%s,", truth(st->counting));
	put_classes(f, st);
	put_big(f, st);
	put_threads(f, sn);
	put_metrics(f, st);
	(void)fputs("}\n", f);
}

/* --- the map --- */

/* Writes the runs of an arena of one kind: spans, free pages, or pages that threads hold. */
static void put_runs(FILE *f, const struct snapshot *sn, const struct snapshot_arena *a,
		     const char *kind)
{
	const char *comma = "";

	(void)fprintf(f, "\"%s\":[", kind);
	for (size_t i = 0; i < a->nruns; i++) {
		const struct heap_run *r = &sn->runs[a->first_run + i].run;

		if (*kind == 's' && r->use == RUN_SPAN)
			(void)fprintf(f, "%s[%u,%u,%u,%u,%u,%u]", comma, r->page, r->npages,
				      r->spanclass >> 1,
				      spanclass_scan(r->spanclass) == SCAN ? 1u : 0u,
				      r->fill.slots, r->nelems);
		else if (*kind == 'f' && (r->use == RUN_FREE || r->use == RUN_RELEASED))
			(void)fprintf(f, "%s[%u,%u,%u]", comma, r->page, r->npages,
				      r->use == RUN_RELEASED ? r->npages : 0);
		else if (*kind == 'h' && r->use == RUN_TAKEN)
			(void)fprintf(f, "%s[%u,%u]", comma, r->page, r->npages);
		else
			continue;
		comma = ",";
	}
	(void)fputs("]", f);
}

void json_heap(FILE *f, const struct snapshot *sn)
{
	(void)fprintf(f, "{\"page_size\":%zu,\"arenas\":[", PAGE_SIZE);
	for (size_t i = 0; i < sn->narenas; i++) {
		const struct snapshot_arena *a = &sn->arenas[i];

		(void)fprintf(f, "%s{\"address\":\"%#zx\",\"pages\":%zu,", i == 0 ? "" : ",",
			      a->base, ARENA_PAGES);
		put_runs(f, sn, a, "spans");
		(void)fputc(',', f);
		put_runs(f, sn, a, "free");
		(void)fputc(',', f);
		put_runs(f, sn, a, "held");
		(void)fputs("}\n", f);
	}
	(void)fputs("]}\n", f);
}
