/* SPDX-License-Identifier: MIT */
/*
 * json.c - writes the results as JSON. See json.h.
 *
 * Times are in nanoseconds and memory is in KiB. A missing value is null.
 */
#include "json.h"

#include <stdio.h>

/* Prints a comma before every member but the first. `first` starts true in each object or array. */
static void separate(FILE *f, bool *first)
{
	fputs(*first ? "\n" : ",\n", f);
	*first = false;
}

static void print_string(FILE *f, const char *text)
{
	fputc('"', f);
	for (const char *c = text; *c != '\0'; c++) {
		if (*c == '"' || *c == '\\')
			fprintf(f, "\\%c", *c);
		else if ((unsigned char)*c < ' ')
			fprintf(f, "\\u%04x", (unsigned)*c);
		else
			fputc(*c, f);
	}
	fputc('"', f);
}

static void print_member(FILE *f, const char *name, const char *text)
{
	fprintf(f, "\"%s\": ", name);
	print_string(f, text);
}

static void print_number(FILE *f, const char *name, double value)
{
	if (value > 0)
		fprintf(f, "\"%s\": %.6g", name, value);
	else
		fprintf(f, "\"%s\": null", name);
}

static void print_samples(FILE *f, const struct cell *cell)
{
	fputs("\"samples\": [", f);
	for (size_t i = 0; i < cell->nsamples; i++) {
		const struct sample *s = &cell->sample[i];

		fprintf(f,
			"%s{ \"time_ns\": %.6g, \"wall_ns\": %.6g, \"user_ns\": %.6g, "
			"\"sys_ns\": %.6g, \"rss_kib\": %.6g, \"faults\": %.0f }",
			i > 0 ? ", " : " ", s->time_ns, s->wall_ns, s->user_ns, s->sys_ns,
			s->rss_kib, s->faults);
	}
	fputs(cell->nsamples > 0 ? " ]" : "]", f);
}

static void print_cell(FILE *f, const struct results *r, size_t line, size_t a)
{
	static const struct {
		const char *name;
		enum metric metric;
	} values[] = {
		{ "time_min_ns", METRIC_TIME_MIN },        { "time_median_ns", METRIC_TIME_MEDIAN },
		{ "rss_min_kib", METRIC_RSS_MIN },         { "rss_median_kib", METRIC_RSS_MEDIAN },
		{ "faults_median", METRIC_FAULTS_MEDIAN },
	};
	static const struct {
		const char *name;
		enum metric metric;
		enum yardstick yard;
	} ratios[] = {
		{ "time_to_glibc", METRIC_TIME_MIN, YARD_GLIBC },
		{ "time_to_best", METRIC_TIME_MIN, YARD_BEST },
		{ "rss_to_glibc", METRIC_RSS_MEDIAN, YARD_GLIBC },
		{ "rss_to_best", METRIC_RSS_MEDIAN, YARD_BEST },
	};
	const struct cell *cell = &r->line[line].cell[a];

	fputs("        ", f);
	print_string(f, r->allocators->at[a].name);
	fputs(": { ", f);
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		print_number(f, values[i].name, results_value(r, line, a, values[i].metric));
		fputs(",\n          ", f);
	}
	for (size_t i = 0; i < sizeof ratios / sizeof ratios[0]; i++) {
		print_number(f, ratios[i].name,
			     results_ratio(r, line, a, ratios[i].metric, ratios[i].yard));
		fputs(",\n          ", f);
	}
	if (cell->failure != NULL)
		print_member(f, "failed", cell->failure);
	else
		fputs("\"failed\": null", f);
	fputs(", ", f);
	print_samples(f, cell);
	fputs(" }", f);
}

static void print_rows(FILE *f, const struct results *r)
{
	bool first_row = true;

	fputs("  \"rows\": [", f);
	for (size_t i = 0; i < r->nlines; i++) {
		const struct row *row = r->line[i].row;
		bool first = true;

		separate(f, &first_row);
		fputs("    { ", f);
		print_member(f, "name", row->name);
		fputs(", ", f);
		print_member(f, "group", row_group_name(row->group));
		fputs(", ", f);
		print_member(f, "command", row->words);
		fputs(",\n      \"allocators\": {", f);
		for (size_t a = 0; a < r->allocators->count; a++) {
			separate(f, &first);
			print_cell(f, r, i, a);
		}
		fputs("\n      } }", f);
	}
	fputs("\n  ],\n", f);
}

static void print_means(FILE *f, const struct results *r)
{
	static const struct {
		const char *name;
		enum metric metric;
		enum yardstick yard;
	} means[] = {
		{ "time_to_glibc", METRIC_TIME_MIN, YARD_GLIBC },
		{ "time_to_glibc_by_medians", METRIC_TIME_MEDIAN, YARD_GLIBC },
		{ "time_to_best", METRIC_TIME_MIN, YARD_BEST },
		{ "time_to_best_other", METRIC_TIME_MIN, YARD_BEST_OTHER },
		{ "rss_to_glibc", METRIC_RSS_MEDIAN, YARD_GLIBC },
		{ "rss_to_glibc_by_minima", METRIC_RSS_MIN, YARD_GLIBC },
		{ "rss_to_best", METRIC_RSS_MEDIAN, YARD_BEST },
		{ "rss_to_best_other", METRIC_RSS_MEDIAN, YARD_BEST_OTHER },
	};
	bool first = true;

	fputs("  \"geometric_means\": {", f);
	for (size_t a = 0; a < r->allocators->count; a++) {
		size_t nrows_counted = 0;

		separate(f, &first);
		fputs("    ", f);
		print_string(f, r->allocators->at[a].name);
		fputs(": { ", f);
		for (size_t i = 0; i < sizeof means / sizeof means[0]; i++) {
			print_number(f, means[i].name,
				     results_geomean(r, a, means[i].metric, means[i].yard, -1,
						     &nrows_counted));
			fputs(", ", f);
		}
		fprintf(f, "\"rows\": %zu }", nrows_counted);
	}
	fputs("\n  }\n", f);
}

bool json_write(const char *path, const struct results *r, const struct machine *m)
{
	FILE *f = fopen(path, "w");
	bool first = true;

	if (f == NULL)
		return false;
	fputs("{\n  \"machine\": { ", f);
	print_member(f, "cpu", m->cpu);
	fprintf(f, ", \"processors\": %ld, \"ram_gib\": %.1f, ", m->ncpus, m->ram_gib);
	print_member(f, "arch", m->arch);
	fputs(", ", f);
	print_member(f, "kernel", m->kernel);
	fputs(", ", f);
	print_member(f, "glibc", m->libc);
	fputs(", ", f);
	print_member(f, "huge_pages", m->thp);
	fputs(", ", f);
	print_member(f, "date", m->date);
	fprintf(f, " },\n  \"rounds\": %u,\n  \"allocators\": [", r->nrounds);
	for (size_t a = 0; a < r->allocators->count; a++) {
		separate(f, &first);
		fputs("    { ", f);
		print_member(f, "name", r->allocators->at[a].name);
		fputs(", ", f);
		print_member(f, "library", r->allocators->at[a].path);
		fputs(" }", f);
	}
	fputs("\n  ],\n", f);
	print_rows(f, r);
	print_means(f, r);
	fputs("}\n", f);
	bool ok = ferror(f) == 0;
	return fclose(f) == 0 && ok;
}
