/* SPDX-License-Identifier: MIT */
/*
 * metrics.c - a snapshot in the text format of Prometheus.
 *
 * The names are those of metric.c with "goalloc" before them. Counters end with "_total". The
 * figures of size classes and of threads have labels.
 */
#include "view/metrics.h"
#include "base/text.h"
#include "tools/metric.h"

#include <inttypes.h>

/* Writes "/gc/heap/live:bytes" as "goalloc_gc_heap_live_bytes". */
static void put_name(FILE *f, const char *name, bool counter)
{
	(void)fputs("goalloc", f);
	for (; *name != '\0'; name++)
		(void)fputc(*name == '/' || *name == ':' || *name == '-' ? '_' : *name, f);
	(void)fputs(counter ? "_total" : "", f);
}

static void put_metric(FILE *f, const struct stat_snapshot *st, const char *name)
{
	bool counter = text_after(name, "/gc/heap/allocs:") != NULL ||
		       text_after(name, "/gc/heap/frees:") != NULL ||
		       text_after(name, "/gc/heap/tiny/allocs:") != NULL;
	uint64_t value = 0;

	/* A histogram's sum is another metric. */
	if (text_ends(name, "-by-size:bytes"))
		return;
	(void)metric_read(st, name, &value, NULL);
	(void)fputs("# TYPE ", f);
	put_name(f, name, counter);
	(void)fprintf(f, " %s\n", counter ? "counter" : "gauge");
	put_name(f, name, counter);
	(void)fprintf(f, " %" PRIu64 "\n", value);
}

static void put_gauge(FILE *f, const char *name, uint64_t value)
{
	(void)fprintf(f, "# TYPE goalloc_%s gauge\ngoalloc_%s %" PRIu64 "\n", name, name, value);
}

/* Returns the bytes of one figure of a class. */
static uint64_t figure_of(const struct stat_class *k, unsigned figure)
{
	return figure == 0 ? k->live : figure == 1 ? k->live_bytes : k->span_bytes;
}

static void put_classes(FILE *f, const struct stat_snapshot *st)
{
	static const char *const figures[] = { "live_objects", "live_bytes", "span_bytes" };

	for (unsigned i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
		(void)fprintf(f, "# TYPE goalloc_class_%s gauge\n", figures[i]);
		for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
			const struct stat_class *k = &st->classes[sc];

			if (k->spans == 0)
				continue;
			(void)fprintf(f, "goalloc_class_%s{size=\"", figures[i]);
			if (sc >> 1 == 0)
				(void)fputs("big", f);
			else
				(void)fprintf(f, "%u", sc == SPANCLASS_ZERO ?
							       0 :
							       sizeclasses[sc >> 1].elemsize);
			(void)fprintf(f, "\",kind=\"%s\"} %" PRIu64 "\n",
				      sc == SPANCLASS_TINY                        ? "tiny"
				      : spanclass_scan((spanclass_t)sc) == NOSCAN ? "noscan"
										  : "scan",
				      figure_of(k, i));
		}
	}
}

/* Writes a label's value. */
static void put_label(FILE *f, const char *text)
{
	size_t n = string_length(text);

	while (n != 0) {
		size_t len = text_shown(text, n);

		if (len == 0)
			(void)fputs(TEXT_HIDDEN, f);
		else if (*text == '"' || *text == '\\')
			(void)fprintf(f, "\\%c", *text);
		else
			(void)fwrite(text, 1, len, f);
		text += max_size(len, 1);
		n -= max_size(len, 1);
	}
}

static uint64_t thread_figure(const struct snapshot_cache *c, unsigned figure)
{
	return figure == 0 ? c->cached_bytes : figure == 1 ? c->page_bytes : c->live_bytes;
}

static void put_threads(FILE *f, const struct snapshot *sn)
{
	static const char *const figures[] = { "cached_bytes", "page_bytes", "live_bytes" };

	for (unsigned i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
		(void)fprintf(f, "# TYPE goalloc_thread_%s gauge\n", figures[i]);
		for (size_t k = 0; k < sn->ncaches; k++) {
			const struct snapshot_cache *c = &sn->caches[k];
			const struct target_thread *t = target_thread_of(sn->target, c->tid);

			(void)fprintf(f, "goalloc_thread_%s{tid=\"%d\",cache=\"%zu\",name=\"",
				      figures[i], t != NULL ? t->tid : 0, k);
			put_label(f, c->shared ? "(shared)" : t != NULL ? t->name : "");
			(void)fprintf(f, "\"} %" PRIu64 "\n", thread_figure(c, i));
		}
	}
}

void metrics_write(FILE *f, const struct snapshot *sn)
{
	for (size_t i = 0; metric_name(i) != NULL; i++)
		put_metric(f, &sn->stat, metric_name(i));
	put_gauge(f, "spans", sn->stat.all.spans);
	put_gauge(f, "threads", sn->stat.ncaches);
	put_gauge(f, "cached_bytes", sn->stat.all.cached_bytes);
	if (sn->resident != 0)
		put_gauge(f, "resident_bytes", sn->resident);
	put_classes(f, &sn->stat);
	put_threads(f, sn);
}
