/* SPDX-License-Identifier: MIT */
/*
 * measure.c - one row under one allocator, once. See measure.h.
 */
#include "measure.h"

#include <stdio.h>
#include <string.h>

#include "runner.h"

/* The figure a workload printed; false if it is not there. */
static bool own_time(const char *output, double *time_ns)
{
	return sscanf(output, "ns_per_op %lf", time_ns) == 1 && *time_ns > 0;
}

/* A program under another allocator must print what it printed first. */
static bool output_is_right(struct line *line, const struct run_outcome *outcome)
{
	if (line->row->any_output)
		return true;
	if (!line->has_output) {
		line->has_output = true;
		line->output_hash = outcome->output_hash;
	}
	return line->output_hash == outcome->output_hash;
}

/* What follows the program's name; a workload row has no name. */
static const char *row_arguments(const struct row *row)
{
	const char *blank = strchr(row->words, ' ');

	if (row->group == ROW_MICRO)
		return row->words;
	return blank == NULL ? "" : blank + 1;
}

void measure(struct results *r, size_t line_idx, size_t allocator, double timeout_s)
{
	struct line *line = &r->line[line_idx];
	const struct row *row = line->row;
	unsigned repeat = row->repeat > 0 ? row->repeat : 1;
	struct run_order order = {
		.program = line->program,
		.words = row_arguments(row),
		.env = row->env,
		.preload = r->allocators->at[allocator].preload,
		.timeout_s = timeout_s,
	};
	struct sample sum = { 0 };

	for (unsigned i = 0; i < repeat; i++) {
		struct run_outcome outcome;
		double time_ns = 0;

		runner_run(&order, &outcome);
		if (!outcome.ok) {
			results_fail(r, line_idx, allocator, outcome.failure);
			return;
		}
		if (row->group == ROW_MICRO && !own_time(outcome.output, &time_ns)) {
			results_fail(r, line_idx, allocator, "printed no time");
			return;
		}
		if (row->group == ROW_PROGRAM && !output_is_right(line, &outcome)) {
			results_fail(r, line_idx, allocator,
				     "printed something else than under glibc");
			return;
		}
		sum.time_ns += row->group == ROW_MICRO ? time_ns : outcome.wall_ns;
		sum.wall_ns += outcome.wall_ns;
		sum.user_ns += outcome.user_ns;
		sum.sys_ns += outcome.sys_ns;
		sum.rss_kib += outcome.rss_kib;
	}
	sum.time_ns /= repeat;
	sum.wall_ns /= repeat;
	sum.user_ns /= repeat;
	sum.sys_ns /= repeat;
	sum.rss_kib /= repeat;
	results_add(r, line_idx, allocator, &sum);
}
