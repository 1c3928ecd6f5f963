/* SPDX-License-Identifier: MIT */
/*
 * stats.h - reduces the measurements of a row to a few values.
 *
 * Owns     nothing; the functions are pure.
 */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stddef.h>

/* Returns the least of n values. Needs n > 0. */
double stats_min(const double *value, size_t n);

/* Sorts n values and returns the middle one, or the mean of the middle two. Needs n > 0. */
double stats_median(double *value, size_t n);

/* The sum of which a geometric mean is made. It starts zeroed. */
struct geomean {
	double log_sum;
	size_t count;
};

/* Adds a ratio. Needs ratio > 0. */
void geomean_add(struct geomean *g, double ratio);

/* Returns the mean of the ratios that were added; 0 if there were none. */
double geomean_value(const struct geomean *g);

#endif
