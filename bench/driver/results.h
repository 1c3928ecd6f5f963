/* SPDX-License-Identifier: MIT */
/*
 * results.h - keeps everything that was measured: a cell for each row and allocator.
 *
 * Owns     the cells and their samples.
 * Holds    a cell has at most nrounds samples. A cell with a failure gets no further samples and
 *          counts nowhere.
 */
#ifndef BENCH_RESULTS_H
#define BENCH_RESULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocator.h"
#include "row.h"

/* One run, or the mean of row.repeat runs. */
struct sample {
	double time_ns; /* per operation, or the wall time of a program */
	double wall_ns;
	double user_ns;
	double sys_ns;
	double rss_kib; /* peak */
	double faults;  /* page faults, with and without reading */
};

struct cell {
	struct sample *sample;
	size_t nsamples;
	char *failure; /* one line, or NULL */
};

struct line {
	const struct row *row;
	char *program;        /* path of the program that it runs */
	bool has_first;       /* the first run, which is under glibc, has set the next two */
	uint64_t output_hash; /* every other run must have the same */
	int status; /* of --program: how every other run must end too, as wait4 tells it */
	struct cell cell[MAX_NALLOCATORS];
};

struct results {
	const struct allocators *allocators;
	struct line *line;
	size_t nlines;
	unsigned nrounds;
};

enum metric {
	METRIC_TIME_MIN,
	METRIC_TIME_MEDIAN,
	METRIC_RSS_MIN,
	METRIC_RSS_MEDIAN,
	METRIC_FAULTS_MEDIAN
};

/* The value that another is divided by: glibc's, the least of the row, or the least of all other
 * allocators. */
enum yardstick { YARD_GLIBC, YARD_BEST, YARD_BEST_OTHER };

/* Makes room for nrounds samples in all cells. */
void results_prepare(struct results *r);

void results_add(struct results *r, size_t line, size_t allocator, const struct sample *sample);

/* Takes the allocator out of the row and keeps the reason, unless there is one already. */
void results_fail(struct results *r, size_t line, size_t allocator, const char *failure);

/* Returns how many cells have failed. */
size_t results_nfailed(const struct results *r);

/* Returns nanoseconds, KiB or page faults; 0 if the cell failed or is empty. */
double results_value(const struct results *r, size_t line, size_t allocator, enum metric metric);

/* Returns the value divided by the yardstick; 0 if one of them is missing. */
double results_ratio(const struct results *r, size_t line, size_t allocator, enum metric metric,
		     enum yardstick yard);

/* Returns the geometric mean of results_ratio() over the rows of `group`, or of all groups if
 * `group` is negative. Writes the number of rows that have a ratio to *nrows. Returns 0 if none
 * has. */
double results_geomean(const struct results *r, size_t allocator, enum metric metric,
		       enum yardstick yard, int group, size_t *nrows);

#endif
