/* SPDX-License-Identifier: MIT */
/*
 * main.c - bench_driver: runs programs under each allocator and shows what each run cost.
 *
 * A round runs every row once under every allocator, and the next round begins with another
 * allocator. What else the machine does meanwhile therefore falls on all of them alike.
 *
 *   options.c    reads the command line
 *   allocator.c  finds the allocators and makes sure that each is really used
 *   row.c        lists the rows; input.c writes the files that their programs read
 *   program.c    makes rows of the command lines of --program
 *   measure.c    takes one sample through runner.c, which starts and waits for a program
 *   results.c    keeps the samples; with stats.c it computes ratios and means
 *   table.c, json.c, svg.c  show the results
 *
 * Exit status: 0; 1 if a row failed under any allocator; 2 for a wrong command line.
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
#define TIMEOUT_PROGRAM_S 86400.0 /* the user interrupts a program that takes too long */

/* Returns the path of bench_workload, which lies beside the driver. */
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

/* Returns whether a program among `words` is not installed, and writes its name to `missing`. */
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

/* Returns the path of the row's program. NULL means that a program is not installed; its name is in
 * `missing`. */
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

/* Writes the row's input and runs its preparation without an allocator preloaded. */
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

/* Takes the rows that are asked for. A row that cannot run is a line on stderr. */
static void select_rows(struct results *r, const struct options *o, const char *workload)
{
	r->line = calloc(nrows, sizeof *r->line);
	if (r->line == NULL)
		options_fail("out of memory");
	bool matched = false;
	for (size_t i = 0; i < nrows; i++) {
		char why[256];

		/* A pattern of --only finds the rows of --full, too. */
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

/* Prints the machine and the file of each allocator, which bench/record writes above a table. */
static void show_allocators(const struct allocators *allocators)
{
	struct machine m;
	char text[MACHINE_NBYTES];

	machine_read(&m);
	machine_describe(&m, text, sizeof text);
	printf("%s\n", text);
	for (size_t i = 0; i < allocators->count; i++)
		printf("%s %s\n", allocators->at[i].name, allocators->at[i].path);
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
	if (options.show_allocators) {
		show_allocators(&allocators);
		return 0;
	}
	if (options.nprograms == 0)
		select_rows(&results, &options, workload);
	if (results.nlines == 0)
		options_fail("nothing that was asked for can run");
	results.nrounds = options.nrounds;
	results_prepare(&results);
	run_rounds(&results, timeout_s(&options));
	return report(&results, &options) ? 0 : 1;
}
