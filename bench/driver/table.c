/* SPDX-License-Identifier: MIT */
/*
 * table.c - prints the tables. See table.h.
 *
 * A cell holds a value, its ratio to glibc's value, and a * if it is the best of the row.
 */
#include "table.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner.h"
#include "scale.h"

#define VALUE_WIDTH 7
#define RATIO_WIDTH 6
#define CELL_WIDTH  (VALUE_WIDTH + RATIO_WIDTH + 2)
#define GLIBC_WIDTH (VALUE_WIDTH + 2)
#define PEER_WIDTH  13 /* of an allocator's name at the start of a line */

struct table {
	FILE *f;
	const struct results *r;
	int name_width;
	const char *bold; /* escape sequences, or "" */
	const char *red;
	const char *plain;
};

static int cell_width(size_t allocator)
{
	return allocator == ALLOCATOR_GLIBC ? GLIBC_WIDTH : CELL_WIDTH;
}

static void print_heading(const struct table *t, const char *title)
{
	fprintf(t->f, "\n%s%s%s\n%-*s", t->bold, title, t->plain, t->name_width, "");
	for (size_t a = 0; a < t->r->allocators->count; a++)
		fprintf(t->f, "%*.*s ", cell_width(a) - 1, cell_width(a) - 2,
			t->r->allocators->at[a].name);
	fputc('\n', t->f);
}

static void print_cell(const struct table *t, size_t line, size_t a, enum metric metric,
		       struct scale scale)
{
	double value = results_value(t->r, line, a, metric);
	double ratio = results_ratio(t->r, line, a, metric, YARD_GLIBC);
	bool best = results_ratio(t->r, line, a, metric, YARD_BEST) <= 1;
	char value_text[32];
	char ratio_text[32] = "";

	if (value <= 0) {
		bool failed = t->r->line[line].cell[a].failure != NULL;

		fprintf(t->f, "%s%*s%s ", failed ? t->red : "", cell_width(a) - 1,
			failed ? "FAILED" : "-", failed ? t->plain : "");
		return;
	}
	scale_print(value_text, sizeof value_text, value / scale.divisor);
	if (ratio > 0)
		scale_print(ratio_text, sizeof ratio_text, ratio);
	fprintf(t->f, "%s%*s", best ? t->bold : "", VALUE_WIDTH, value_text);
	if (a != ALLOCATOR_GLIBC)
		fprintf(t->f, "%*s", RATIO_WIDTH, ratio_text);
	fprintf(t->f, "%s%s ", best ? "*" : " ", best ? t->plain : "");
}

/* Returns the value that chooses the unit of a row: glibc's, or that of the first allocator that
 * has one. */
static double typical(const struct results *r, size_t line, enum metric metric)
{
	double value = 0;

	for (size_t a = 0; a < r->allocators->count && value <= 0; a++)
		value = results_value(r, line, a, metric);
	return value;
}

static void print_rows(const struct table *t, enum metric metric)
{
	for (size_t i = 0; i < t->r->nlines; i++) {
		const char *name = t->r->line[i].row->name;
		struct scale scale = metric == METRIC_TIME_MIN
					     ? scale_time(typical(t->r, i, metric))
					     : scale_rss();

		fprintf(t->f, "%s %*s", name, t->name_width - 1 - (int)strlen(name), scale.unit);
		for (size_t a = 0; a < t->r->allocators->count; a++)
			print_cell(t, i, a, metric, scale);
		fputc('\n', t->f);
	}
}

/* Prints a line of geometric means, or nothing if no row counts. */
static void print_means(const struct table *t, const char *title, enum metric metric,
			enum yardstick yard, int group)
{
	size_t most = 0;

	for (size_t a = 0; a < t->r->allocators->count; a++) {
		size_t n;

		results_geomean(t->r, a, metric, yard, group, &n);
		most = n > most ? n : most;
	}
	if (most == 0)
		return;
	fprintf(t->f, "%-*s", t->name_width, title);
	for (size_t a = 0; a < t->r->allocators->count; a++) {
		char text[32];
		size_t n;
		double mean = results_geomean(t->r, a, metric, yard, group, &n);

		/* A mean over fewer rows than the others' cannot be compared with them. */
		snprintf(text, sizeof text, n == 0 ? "-" : n < most ? "(%.3f)" : "%.3f", mean);
		fprintf(t->f, "%*s ", cell_width(a) - 1, text);
	}
	fputc('\n', t->f);
}

static void print_summary(const struct table *t, enum metric min, enum metric median)
{
	fputs("geometric means of the ratios\n", t->f);
	print_means(t, "  to glibc", min, YARD_GLIBC, -1);
	print_means(t, "    micro", min, YARD_GLIBC, ROW_MICRO);
	print_means(t, "    programs", min, YARD_GLIBC, ROW_PROGRAM);
	print_means(t, min == METRIC_TIME_MIN ? "    by medians" : "    by minima", median,
		    YARD_GLIBC, -1);
	print_means(t, "  to the best of the row", min, YARD_BEST, -1);
	print_means(t, "  to the best other", min, YARD_BEST_OTHER, -1);
}

static void print_failures(const struct table *t, const char *title)
{
	if (results_nfailed(t->r) == 0)
		return;
	fprintf(t->f, "\n%sFAILED%s%s\n", t->red, t->plain, title);
	for (size_t i = 0; i < t->r->nlines; i++) {
		for (size_t a = 0; a < t->r->allocators->count; a++) {
			const char *failure = t->r->line[i].cell[a].failure;

			if (failure != NULL)
				fprintf(t->f, "  %s under %s: %s\n", t->r->line[i].row->name,
					t->r->allocators->at[a].name, failure);
		}
	}
}

/* Prints the title so that it ends where the ratios of its column do. */
static void print_column_title(const struct table *t, const char *title, const char *unit)
{
	char text[CELL_WIDTH];

	snprintf(text, sizeof text, "%s%s%s", title, *unit != '\0' ? ", " : "", unit);
	fprintf(t->f, "%*s ", CELL_WIDTH - 1, text);
}

/* Prints a command line of the user and, for each allocator, a line of figures. */
static void print_program(const struct table *t, size_t line)
{
	struct scale time = scale_time(typical(t->r, line, METRIC_TIME_MIN));
	const struct {
		const char *title;
		enum metric metric;
		struct scale scale;
	} column[] = {
		{ "best", METRIC_TIME_MIN, time },
		{ "median", METRIC_TIME_MEDIAN, time },
		{ "peak", METRIC_RSS_MEDIAN, scale_rss() },
		{ "page faults", METRIC_FAULTS_MEDIAN, { "", 1 } },
	};
	size_t ncolumns = sizeof column / sizeof column[0];

	fprintf(t->f, "\n%s%s%s\n%-*s", t->bold, t->r->line[line].row->name, t->plain, PEER_WIDTH,
		"");
	for (size_t c = 0; c < ncolumns; c++)
		print_column_title(t, column[c].title, column[c].scale.unit);
	fputc('\n', t->f);
	for (size_t a = 0; a < t->r->allocators->count; a++) {
		fprintf(t->f, "%-*.*s", PEER_WIDTH, PEER_WIDTH - 1, t->r->allocators->at[a].name);
		for (size_t c = 0; c < ncolumns; c++) {
			print_cell(t, line, a, column[c].metric, column[c].scale);
			if (a == ALLOCATOR_GLIBC)
				fprintf(t->f, "%*s", CELL_WIDTH - GLIBC_WIDTH, "");
		}
		fputc('\n', t->f);
	}
	if (t->r->line[line].has_first && t->r->line[line].status != 0) {
		char end[64];

		runner_describe_end(t->r->line[line].status, end, sizeof end);
		fprintf(t->f, "every run that counts ended with: %s\n", end);
	}
}

static struct table table_open(FILE *f, const struct results *r)
{
	bool colour = isatty(fileno(f)) == 1 && getenv("NO_COLOR") == NULL;

	return (struct table){
		.f = f,
		.r = r,
		.name_width = (int)strlen("  to the best of the row") + 1,
		.bold = colour ? "\033[1m" : "",
		.red = colour ? "\033[31m" : "",
		.plain = colour ? "\033[0m" : "",
	};
}

static void print_machine(FILE *f, const struct machine *m)
{
	char text[MACHINE_NBYTES];

	machine_describe(m, text, sizeof text);
	fprintf(f, "%s\n", text);
}

void table_print_programs(FILE *f, const struct results *r, const struct machine *m)
{
	struct table t = table_open(f, r);

	print_machine(f, m);
	fprintf(f,
		"%u runs under each allocator, in turn; each value is followed by its ratio to "
		"glibc's; * is the best\n"
		"time: best and median run; peak memory and page faults: median\n",
		r->nrounds);
	for (size_t i = 0; i < r->nlines; i++)
		print_program(&t, i);
	print_failures(&t, "");
}

void table_print(FILE *f, const struct results *r, const struct machine *m)
{
	struct table t = table_open(f, r);

	for (size_t i = 0; i < r->nlines; i++) {
		int width = (int)strlen(r->line[i].row->name) + 4;

		t.name_width = width > t.name_width ? width : t.name_width;
	}
	print_machine(f, m);
	fprintf(f,
		"%u rounds, allocators in turn; each value is followed by its ratio to glibc's; "
		"* is the best of the row\n",
		r->nrounds);
	print_heading(&t, "time: per operation, or of the whole program (best round)");
	print_rows(&t, METRIC_TIME_MIN);
	print_summary(&t, METRIC_TIME_MIN, METRIC_TIME_MEDIAN);
	print_heading(&t, "peak memory: RSS (median of the rounds)");
	print_rows(&t, METRIC_RSS_MEDIAN);
	print_summary(&t, METRIC_RSS_MEDIAN, METRIC_RSS_MIN);
	print_failures(&t, " (means in brackets leave these rows out)");
}
