/* SPDX-License-Identifier: MIT */
/*
 * stats.c - computes the minimum, the median and the geometric mean. See stats.h.
 */
#include "stats.h"

#include <math.h>
#include <stdlib.h>

double stats_min(const double *value, size_t n)
{
	double min = value[0];

	for (size_t i = 1; i < n; i++)
		min = value[i] < min ? value[i] : min;
	return min;
}

static int compare(const void *a, const void *b)
{
	const double *x = a;
	const double *y = b;

	return (*x > *y) - (*x < *y);
}

double stats_median(double *value, size_t n)
{
	qsort(value, n, sizeof *value, compare);
	return n % 2 == 1 ? value[n / 2] : (value[n / 2 - 1] + value[n / 2]) / 2;
}

void geomean_add(struct geomean *g, double ratio)
{
	g->log_sum += log(ratio);
	g->count++;
}

double geomean_value(const struct geomean *g)
{
	return g->count > 0 ? exp(g->log_sum / (double)g->count) : 0;
}
