/* SPDX-License-Identifier: MIT */
/*
 * metric.c - the figures of a snapshot under the names of Go's runtime/metrics. See malloc.c for
 * the overview.
 *
 * Owns     the table of names.
 * Holds    all /memory/classes/ add up to the total. A class that this heap does not have is there,
 *          and 0, because dashboards add the classes up. Other names of Go are missing where no
 *          figure would be true.
 */
#include "tools/metric.h"
#include "base/text.h"

/* What Go gives for no limit: math.MaxInt64. */
#define NO_LIMIT ((uint64_t)INT64_MAX)

static uint64_t memory_limit(const struct stat_snapshot *st)
{
	return st->limit_bytes != 0 ? st->limit_bytes : NO_LIMIT;
}

/* The counts of the classes that a histogram has; NONE: the metric is a number. */
enum counts { NONE, MALLOCS, FREES };

/* Name, figure of a snapshot st, counts. */
#define METRICS(METRIC) \
	METRIC("/gc/gomemlimit:bytes", memory_limit(st), NONE) \
	METRIC("/gc/heap/allocs-by-size:bytes", st->all.mallocs, MALLOCS) \
	METRIC("/gc/heap/allocs:bytes", st->all.malloc_bytes, NONE) \
	METRIC("/gc/heap/allocs:objects", st->all.mallocs, NONE) \
	METRIC("/gc/heap/frees-by-size:bytes", st->all.frees, FREES) \
	METRIC("/gc/heap/frees:bytes", st->all.freed_bytes, NONE) \
	METRIC("/gc/heap/frees:objects", st->all.frees, NONE) \
	METRIC("/gc/heap/live:bytes", st->all.live_bytes, NONE) \
	METRIC("/gc/heap/objects:objects", st->all.live, NONE) \
	METRIC("/gc/heap/tiny/allocs:objects", st->classes[SPANCLASS_TINY].mallocs, NONE) \
	METRIC("/memory/classes/heap/free:bytes", \
	       st->free_bytes + st->held_bytes - st->held_released_bytes + st->moving_bytes, NONE) \
	METRIC("/memory/classes/heap/objects:bytes", st->all.live_bytes, NONE) \
	METRIC("/memory/classes/heap/released:bytes", \
	       st->released_bytes + st->held_released_bytes, NONE) \
	METRIC("/memory/classes/heap/stacks:bytes", 0, NONE) \
	METRIC("/memory/classes/heap/unused:bytes", st->all.span_bytes - st->all.live_bytes, NONE) \
	METRIC("/memory/classes/metadata/mcache/free:bytes", \
	       st->caches.bytes - st->caches.inuse_bytes, NONE) \
	METRIC("/memory/classes/metadata/mcache/inuse:bytes", st->caches.inuse_bytes, NONE) \
	METRIC("/memory/classes/metadata/mspan/free:bytes", \
	       st->spans.bytes - st->spans.inuse_bytes, NONE) \
	METRIC("/memory/classes/metadata/mspan/inuse:bytes", st->spans.inuse_bytes, NONE) \
	METRIC("/memory/classes/metadata/other:bytes", st->arenas.bytes + st->other_bytes, NONE) \
	METRIC("/memory/classes/os-stacks:bytes", 0, NONE) \
	METRIC("/memory/classes/other:bytes", 0, NONE) \
	METRIC("/memory/classes/profiling/buckets:bytes", 0, NONE) \
	METRIC("/memory/classes/total:bytes", st->sys_bytes, NONE)

#define METRIC_NAME(name, value, counts) { name, counts },
#define METRIC_VALUE(name, value, counts) value,

static const struct metric {
	const char *name;
	enum counts counts;
} table[] = { METRICS(METRIC_NAME) };

#define NUM_METRICS (sizeof(table) / sizeof(table[0]))

const char *metric_name(size_t i)
{
	return i < NUM_METRICS ? table[i].name : NULL;
}

static uint64_t metric_value(const struct stat_snapshot *st, size_t i)
{
	const uint64_t values[] = { METRICS(METRIC_VALUE) };

	return values[i];
}

static uint64_t count_of(const struct stat_class *k, enum counts counts)
{
	return counts == MALLOCS ? k->mallocs : k->frees;
}

/* Fills in a histogram with Go's bounds: a class holds the sizes above the class before, up to its
 * own. malloc(0) is in the first bucket, and big objects, size class 0, are in the last. */
static void fill_histogram(const struct stat_snapshot *st, enum counts counts,
			   struct metric_histogram *h)
{
	h->bounds[0] = 1;
	h->bounds[NUM_SIZE_CLASSES] = __builtin_inf();
	for (unsigned i = 0; i < NUM_SIZE_CLASSES; i++) {
		unsigned class = (i + 1) % NUM_SIZE_CLASSES;

		if (class != 0)
			h->bounds[class] = (double)sizeclasses[class].elemsize + 1;
		h->counts[i] = count_of(&st->classes[make_spanclass(class, SCAN)], counts) +
			       count_of(&st->classes[make_spanclass(class, NOSCAN)], counts);
	}
}

enum metric_kind metric_read(const struct stat_snapshot *st, const char *name, uint64_t *value,
			     struct metric_histogram *histogram)
{
	for (size_t i = 0; i < NUM_METRICS; i++) {
		if (!text_is(name, table[i].name))
			continue;
		*value = metric_value(st, i);
		if (table[i].counts == NONE)
			return METRIC_UINT64;
		if (histogram != NULL)
			fill_histogram(st, table[i].counts, histogram);
		return METRIC_HISTOGRAM;
	}
	return METRIC_BAD;
}
