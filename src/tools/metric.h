/* SPDX-License-Identifier: MIT */
/*
 * metric.h - the figures of a snapshot under Go's names. See metric.c.
 */
#ifndef GOALLOC_METRIC_H
#define GOALLOC_METRIC_H

#include "tools/figures.h"

/* Counts by size. Bucket i has the objects of bounds[i] <= size < bounds[i + 1]. Big objects are in
 * the last bucket. */
struct metric_histogram {
	double bounds[NUM_SIZE_CLASSES + 1];
	uint64_t counts[NUM_SIZE_CLASSES];
};

enum metric_kind { METRIC_BAD, METRIC_UINT64, METRIC_HISTOGRAM };

/* Returns the i-th name in alphabetic order, or NULL behind the last. */
const char *metric_name(size_t i);

/* Reads the metric of a name. METRIC_BAD: there is none, and nothing is stored. For a histogram,
 * *value is the sum of its counts. histogram may be NULL. */
enum metric_kind metric_read(const struct stat_snapshot *st, const char *name, uint64_t *value,
			     struct metric_histogram *histogram);

#endif
