/* SPDX-License-Identifier: MIT */
/*
 * main.c - bench_driver: runs the rows of row.c under each allocator and shows what each cost.
 *
 *   options.c    the command line
 *   allocator.c  finds the allocators and makes sure that each is really used
 *   row.c        what is run; input.c writes what programs read
 *   measure.c    takes one sample, by runner.c: fork, exec, wait4
 *   results.c    keeps the samples, reckons ratios and means, by stats.c
 *   table.c, json.c, svg.c  show them
 *
 * Holds    the rounds interleave: in each, every row runs under every allocator in turn, beginning
 *          with another one each time, so that what the machine does meanwhile falls on all of
 *          them.
 *
 * Exit status: 0; 1 if a row failed under any allocator; 2 on a wrong command line.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "allocator.h"
#include "json.h"
#include "machine.h"
#include "measure.h"
#include "options.h"
#include "program.h"
#include "progress.h"
#include "results.h"
#include "row.h"
#include "runner.h"
#include "svg.h"
#include "table.h"

#define TIMEOUT_S         30.0
#define TIMEOUT_FULL_S    300.0
#define TIMEOUT_PROGRAM_S 86400.0 /* the user interrupts what takes too long */

/* bench_workload lies beside the driver. */
static const char *workload_path(void)
{
	static char path[PATH_MAX + 16];
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash = n > 0 ? strrchr(path, '/') : NULL;

	if (slash == NULL)
		options_fail("cannot read /proc/self/exe: %s", strerror(errno));
	strcpy(slash, "/bench_workload");
	if (access(path, X_OK) != 0)
		options_fail("'%s' is not there", path);
	return path;
}

/* The first program among `words` that is not installed, in `missing`; false if all are. */
static bool find_missing(const char *words, char *missing, size_t nbytes)
{
	while (words != NULL && *words != '\0') {
		size_t length = strcspn(words, " ");

		snprintf(missing, nbytes, "%.*s", (int)length, words);
		char *path = runner_find(missing);
		if (path == NULL)
			return true;
		free(path);
		words += length + strspn(words + length, " ");
	}
	return false;
}

/* Finds what the row runs; NULL, and a name in `missing`, if that is not installed. */
static char *row_program(const struct row *row, const char *workload, char *missing, size_t nbytes)
{
	if (row->group == ROW_MICRO)
		return strdup(workload);
	if (find_missing(row->needs, missing, nbytes))
		return NULL;
	snprintf(missing, nbytes, "%.*s", (int)strcspn(row->words, " "), row->words);
	return runner_find(missing);
}

static void list_rows(const struct options *o, const char *workload)
{
	for (size_t i = 0; i < nrows; i++) {
		char missing[64];
		char *program = row_program(&rows[i], workload, missing, sizeof missing);

		if (options_select(o, rows[i].name)) {
			printf("%-28s %-9s%s%s%s\n", rows[i].name, row_group_name(rows[i].group),
			       rows[i].full ? "--full " : "",
			       program == NULL ? "not installed: " : "",
			       program == NULL ? missing : "");
		}
		free(program);
	}
}

/* Writes the row's input and runs its preparation, without preload. */
static bool prepare_row(const struct row *row, char *why, size_t nbytes)
{
	struct run_outcome outcome;

	if (row->input != NULL && !row->input(runner_scratch())) {
		snprintf(why, nbytes, "cannot write its input: %s", strerror(errno));
		return false;
	}
	if (row->prepare == NULL)
		return true;
	struct run_order order = {
		.program = "/bin/sh",
		.words = strchr(row->prepare, ' ') + 1,
		.env = row->env,
		.timeout_s = TIMEOUT_FULL_S,
	};
	runner_run(&order, &outcome);
	if (!outcome.ok)
		snprintf(why, nbytes, "%s: %s", row->prepare, outcome.failure);
	return outcome.ok;
}

/* Takes the rows that are asked for and can run; notes on stderr which cannot. */
static void select_rows(struct results *r, const struct options *o, const char *workload)
{
	r->line = calloc(nrows, sizeof *r->line);
	if (r->line == NULL)
		options_fail("out of memory");
	bool matched = false;
	for (size_t i = 0; i < nrows; i++) {
		char why[256];

		/* A pattern finds the rows of --full too. */
		if (!options_select(o, rows[i].name) || (rows[i].full && !o->full && o->nonly == 0))
			continue;
		matched = true;
		char *program = row_program(&rows[i], workload, why, sizeof why);
		if (program == NULL) {
			fprintf(stderr, "%s is skipped: %s is not installed\n", rows[i].name, why);
			continue;
		}
		if (!prepare_row(&rows[i], why, sizeof why)) {
			fprintf(stderr, "%s is skipped: %s\n", rows[i].name, why);
			free(program);
			continue;
		}
		r->line[r->nlines++] = (struct line){ .row = &rows[i], .program = program };
	}
	if (!matched)
		options_fail("--only: no row matches; --list prints them");
}

static void run_rounds(struct results *r, double timeout_s)
{
	size_t nallocators = r->allocators->count;
	size_t total = r->nrounds * r->nlines * nallocators;
	size_t done = 0;

	for (unsigned round = 0; round < r->nrounds; round++) {
		for (size_t i = 0; i < r->nlines; i++) {
			for (size_t k = 0; k < nallocators; k++, done++) {
				size_t a = (round + k) % nallocators;

				progress_show(done, total, r->line[i].row->name,
					      r->allocators->at[a].name);
				if (r->line[i].cell[a].failure == NULL)
					measure(r, i, a, timeout_s);
			}
		}
	}
	progress_clear();
}

static bool report(const struct results *r, const struct options *o)
{
	struct machine m;
	bool ok = true;

	machine_read(&m);
	if (o->nprograms > 0)
		table_print_programs(stdout, r, &m);
	else
		table_print(stdout, r, &m);
	if (o->json != NULL && !json_write(o->json, r, &m)) {
		fprintf(stderr, "bench_driver: cannot write '%s': %s\n", o->json, strerror(errno));
		ok = false;
	}
	if (o->svg != NULL && !svg_write(o->svg, r, &m)) {
		fprintf(stderr, "bench_driver: cannot write '%s': %s\n", o->svg, strerror(errno));
		ok = false;
	}
	return ok && results_nfailed(r) == 0;
}

static double timeout_s(const struct options *o)
{
	if (o->nprograms > 0)
		return TIMEOUT_PROGRAM_S;
	return o->full ? TIMEOUT_FULL_S : TIMEOUT_S;
}

int main(int argc, char **argv)
{
	struct options options;
	struct allocators allocators;
	struct results results = { .allocators = &allocators };

	options_parse(&options, argc, argv);
	const char *workload = workload_path();
	if (options.list) {
		list_rows(&options, workload);
		return 0;
	}
	runner_open();
	atexit(runner_close);
	if (options.nprograms > 0)
		programs_add(&results, &options);
	allocators_find(&allocators, &options, workload);
	if (options.nprograms == 0)
		select_rows(&results, &options, workload);
	if (results.nlines == 0)
		options_fail("nothing that was asked for can run");
	results.nrounds = options.nrounds;
	results_prepare(&results);
	run_rounds(&results, timeout_s(&options));
	return report(&results, &options) ? 0 : 1;
}
