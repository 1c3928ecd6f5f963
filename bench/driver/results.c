/* SPDX-License-Identifier: MIT */
/*
 * results.c - keeps the cells and computes values from them. See results.h.
 */
#include "results.h"

#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "stats.h"

void results_prepare(struct results *r)
{
	for (size_t i = 0; i < r->nlines; i++) {
		for (size_t a = 0; a < r->allocators->count; a++)
			r->line[i].cell[a].sample =
				must(calloc(r->nrounds, sizeof *r->line[i].cell[a].sample));
	}
}

void results_add(struct results *r, size_t line, size_t allocator, const struct sample *sample)
{
	struct cell *cell = &r->line[line].cell[allocator];

	cell->sample[cell->nsamples++] = *sample;
}

void results_fail(struct results *r, size_t line, size_t allocator, const char *failure)
{
	struct cell *cell = &r->line[line].cell[allocator];

	if (cell->failure == NULL)
		cell->failure = must(strdup(failure));
}

size_t results_nfailed(const struct results *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->nlines; i++) {
		for (size_t a = 0; a < r->allocators->count; a++)
			n += r->line[i].cell[a].failure != NULL;
	}
	return n;
}

static double sample_value(const struct sample *sample, enum metric metric)
{
	switch (metric) {
	case METRIC_TIME_MIN:
	case METRIC_TIME_MEDIAN:
		return sample->time_ns;
	case METRIC_RSS_MIN:
	case METRIC_RSS_MEDIAN:
		return sample->rss_kib;
	case METRIC_FAULTS_MEDIAN:
		return sample->faults;
	}
	return 0;
}

double results_value(const struct results *r, size_t line, size_t allocator, enum metric metric)
{
	const struct cell *cell = &r->line[line].cell[allocator];
	double value[MAX_NROUNDS];

	if (cell->failure != NULL || cell->nsamples == 0)
		return 0;
	for (size_t i = 0; i < cell->nsamples; i++)
		value[i] = sample_value(&cell->sample[i], metric);
	if (metric == METRIC_TIME_MIN || metric == METRIC_RSS_MIN)
		return stats_min(value, cell->nsamples);
	return stats_median(value, cell->nsamples);
}

/* Returns the least value of the row, leaving out allocator `except`; 0 if there is none. */
static double least(const struct results *r, size_t line, enum metric metric, size_t except)
{
	double best = 0;

	for (size_t a = 0; a < r->allocators->count; a++) {
		double value = a == except ? 0 : results_value(r, line, a, metric);

		if (value > 0 && (best <= 0 || value < best))
			best = value;
	}
	return best;
}

double results_ratio(const struct results *r, size_t line, size_t allocator, enum metric metric,
		     enum yardstick yard)
{
	double value = results_value(r, line, allocator, metric);
	double by = yard == YARD_GLIBC  ? results_value(r, line, ALLOCATOR_GLIBC, metric)
		    : yard == YARD_BEST ? least(r, line, metric, r->allocators->count)
					: least(r, line, metric, allocator);

	return value > 0 && by > 0 ? value / by : 0;
}

double results_geomean(const struct results *r, size_t allocator, enum metric metric,
		       enum yardstick yard, int group, size_t *nrows_counted)
{
	struct geomean mean = { 0 };

	for (size_t i = 0; i < r->nlines; i++) {
		double ratio = results_ratio(r, i, allocator, metric, yard);

		if (ratio > 0 && (group < 0 || (int)r->line[i].row->group == group))
			geomean_add(&mean, ratio);
	}
	*nrows_counted = mean.count;
	return geomean_value(&mean);
}
