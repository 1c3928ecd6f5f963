/* SPDX-License-Identifier: MIT */
/*
 * stats.h - the few figures that a row of measurements is reduced to.
 *
 * Owns     nothing; pure functions.
 */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stddef.h>

/* The least of n values. Needs n > 0. */
double stats_min(const double *value, size_t n);

/* The middle one of n values, or the mean of the middle two. Sorts them. Needs n > 0. */
double stats_median(double *value, size_t n);

/* A geometric mean as it grows. Starts zeroed. */
struct geomean {
	double log_sum;
	size_t count;
};

/* Adds a ratio. Needs ratio > 0. */
void geomean_add(struct geomean *g, double ratio);

/* The mean of what was added, 0 if that is nothing. */
double geomean_value(const struct geomean *g);

#endif
