/* SPDX-License-Identifier: MIT */
/*
 * measure.c - runs one row under one allocator and judges the run. See measure.h.
 */
#include "measure.h"

#include <stdio.h>
#include <string.h>

#include "runner.h"

/* Reads the time that a workload printed. Returns false if it printed none. */
static bool own_time(const char *output, double *time_ns)
{
	return sscanf(output, "ns_per_op %lf", time_ns) == 1 && *time_ns > 0;
}

/* Returns whether the program printed what it printed under glibc. */
static bool output_is_right(const struct line *line, const struct run_outcome *outcome)
{
	return line->row->any_output || line->output_hash == outcome->output_hash;
}

/* Returns the arguments of the row. A workload row has no program's name in front of them. */
static const char *row_arguments(const struct row *row)
{
	const char *blank = strchr(row->words, ' ');

	if (row->group == ROW_MICRO)
		return row->words;
	return blank == NULL ? "" : blank + 1;
}

/* Returns why a run of the user's program does not count, or NULL. The run counts if it ended as
 * the first run with glibc did. `text` is room for the reason. */
static const char *check_user_run(const struct line *line, struct run_outcome *outcome, char *text,
				  size_t nbytes)
{
	char expected[64];

	if (!outcome->ended)
		return outcome->failure;
	if (outcome->status == line->status)
		return NULL;
	runner_describe_end(line->status, expected, sizeof expected);
	snprintf(text, nbytes, "%s; with glibc: %s",
		 outcome->ok ? "exit status 0" : outcome->failure, expected);
	return text;
}

/* Runs the row once and adds what it cost to `sum`. Returns why the run does not count, or NULL. */
static const char *run_once(struct line *line, const struct run_order *order, struct sample *sum)
{
	static struct run_outcome outcome;
	static char reason[2 * RUN_FAILURE_NBYTES];
	double time_ns = 0;

	runner_run(order, &outcome);
	if (!line->has_first) {
		line->has_first = outcome.ended;
		line->output_hash = outcome.output_hash;
		line->status = outcome.status;
	}
	if (line->row->argv != NULL) {
		const char *why = check_user_run(line, &outcome, reason, sizeof reason);

		if (why != NULL)
			return why;
	} else if (!outcome.ok) {
		return outcome.failure;
	}
	if (line->row->group == ROW_MICRO && !own_time(outcome.output, &time_ns))
		return "printed no time";
	if (line->row->group == ROW_PROGRAM && !output_is_right(line, &outcome))
		return "printed something else than under glibc";
	sum->time_ns += line->row->group == ROW_MICRO ? time_ns : outcome.wall_ns;
	sum->wall_ns += outcome.wall_ns;
	sum->user_ns += outcome.user_ns;
	sum->sys_ns += outcome.sys_ns;
	sum->rss_kib += outcome.rss_kib;
	sum->faults += outcome.faults;
	return NULL;
}

void measure(struct results *r, size_t line_idx, size_t allocator, double timeout_s)
{
	struct line *line = &r->line[line_idx];
	const struct row *row = line->row;
	unsigned repeat = row->repeat > 0 ? row->repeat : 1;
	struct run_order order = {
		.program = line->program,
		.words = row_arguments(row),
		.argv = row->argv,
		.env = row->env,
		.preload = r->allocators->at[allocator].preload,
		.timeout_s = timeout_s,
	};
	struct sample sum = { 0 };

	for (unsigned i = 0; i < repeat; i++) {
		const char *failure = run_once(line, &order, &sum);

		if (failure != NULL) {
			results_fail(r, line_idx, allocator, failure);
			return;
		}
	}
	sum.time_ns /= repeat;
	sum.wall_ns /= repeat;
	sum.user_ns /= repeat;
	sum.sys_ns /= repeat;
	sum.rss_kib /= repeat;
	sum.faults /= repeat;
	results_add(r, line_idx, allocator, &sum);
}
