/* SPDX-License-Identifier: MIT */
/*
 * metric.c - the figures of a snapshot under the names of Go's runtime/metrics. See malloc.c for
 * the overview.
 *
 * Owns     the table of names.
 * Locks    none.
 * Holds    all /memory/classes/ add up to the total. A class that this heap does not have is there,
 *          and 0, because dashboards add the classes up. Other names of Go are missing where no
 *          figure would be true.
 */
#include "tools/metric.h"
#include "heap/limit.h"

/* What Go gives for no limit: math.MaxInt64. */
#define NO_LIMIT ((uint64_t)INT64_MAX)

static uint64_t allocated_bytes(const struct stat_snapshot *st)
{
	return st->all.malloc_bytes;
}

static uint64_t allocated_objects(const struct stat_snapshot *st)
{
	return st->all.mallocs;
}

static uint64_t freed_bytes(const struct stat_snapshot *st)
{
	return st->all.freed_bytes;
}

static uint64_t freed_objects(const struct stat_snapshot *st)
{
	return st->all.frees;
}

static uint64_t live_bytes(const struct stat_snapshot *st)
{
	return st->all.live_bytes;
}

static uint64_t live_objects(const struct stat_snapshot *st)
{
	return st->all.live;
}

static uint64_t tiny_objects(const struct stat_snapshot *st)
{
	return st->classes[SPANCLASS_TINY].mallocs;
}

static uint64_t memory_limit(const struct stat_snapshot *st)
{
	(void)st;
	return limit_bytes() != 0 ? limit_bytes() : NO_LIMIT;
}

static uint64_t heap_free(const struct stat_snapshot *st)
{
	return st->free_bytes + st->held_bytes - st->held_released_bytes + st->moving_bytes;
}

static uint64_t heap_released(const struct stat_snapshot *st)
{
	return st->released_bytes + st->held_released_bytes;
}

static uint64_t heap_unused(const struct stat_snapshot *st)
{
	return st->all.span_bytes - st->all.live_bytes;
}

static uint64_t mcache_free(const struct stat_snapshot *st)
{
	return st->caches.bytes - st->caches.inuse_bytes;
}

static uint64_t mcache_inuse(const struct stat_snapshot *st)
{
	return st->caches.inuse_bytes;
}

static uint64_t mspan_free(const struct stat_snapshot *st)
{
	return st->spans.bytes - st->spans.inuse_bytes;
}

static uint64_t mspan_inuse(const struct stat_snapshot *st)
{
	return st->spans.inuse_bytes;
}

static uint64_t metadata_other(const struct stat_snapshot *st)
{
	return st->arenas.bytes + st->other_bytes;
}

static uint64_t total(const struct stat_snapshot *st)
{
	return st->sys_bytes;
}

static uint64_t nothing(const struct stat_snapshot *st)
{
	(void)st;
	return 0;
}

static uint64_t class_mallocs(const struct stat_class *k)
{
	return k->mallocs;
}

static uint64_t class_frees(const struct stat_class *k)
{
	return k->frees;
}

static const struct metric {
	const char *name;
	uint64_t (*value)(const struct stat_snapshot *st);
	uint64_t (*count)(
		const struct stat_class *k); /* of one class, in a histogram; NULL: a number */
} table[] = {
	{ "/gc/gomemlimit:bytes", memory_limit, NULL },
	{ "/gc/heap/allocs-by-size:bytes", allocated_objects, class_mallocs },
	{ "/gc/heap/allocs:bytes", allocated_bytes, NULL },
	{ "/gc/heap/allocs:objects", allocated_objects, NULL },
	{ "/gc/heap/frees-by-size:bytes", freed_objects, class_frees },
	{ "/gc/heap/frees:bytes", freed_bytes, NULL },
	{ "/gc/heap/frees:objects", freed_objects, NULL },
	{ "/gc/heap/live:bytes", live_bytes, NULL },
	{ "/gc/heap/objects:objects", live_objects, NULL },
	{ "/gc/heap/tiny/allocs:objects", tiny_objects, NULL },
	{ "/memory/classes/heap/free:bytes", heap_free, NULL },
	{ "/memory/classes/heap/objects:bytes", live_bytes, NULL },
	{ "/memory/classes/heap/released:bytes", heap_released, NULL },
	{ "/memory/classes/heap/stacks:bytes", nothing, NULL },
	{ "/memory/classes/heap/unused:bytes", heap_unused, NULL },
	{ "/memory/classes/metadata/mcache/free:bytes", mcache_free, NULL },
	{ "/memory/classes/metadata/mcache/inuse:bytes", mcache_inuse, NULL },
	{ "/memory/classes/metadata/mspan/free:bytes", mspan_free, NULL },
	{ "/memory/classes/metadata/mspan/inuse:bytes", mspan_inuse, NULL },
	{ "/memory/classes/metadata/other:bytes", metadata_other, NULL },
	{ "/memory/classes/os-stacks:bytes", nothing, NULL },
	{ "/memory/classes/other:bytes", nothing, NULL },
	{ "/memory/classes/profiling/buckets:bytes", nothing, NULL },
	{ "/memory/classes/total:bytes", total, NULL },
};

#define NUM_METRICS (sizeof(table) / sizeof(table[0]))

const char *metric_name(size_t i)
{
	return i < NUM_METRICS ? table[i].name : NULL;
}

static bool is_same(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* Fills in a histogram with Go's bounds: a class holds the sizes above the class before, up to its
 * own. malloc(0) is in the first bucket, and big objects, size class 0, are in the last. */
static void fill_histogram(const struct stat_snapshot *st, const struct metric *m,
			   struct metric_histogram *h)
{
	h->bounds[0] = 1;
	h->bounds[NUM_SIZE_CLASSES] = __builtin_inf();
	for (unsigned i = 0; i < NUM_SIZE_CLASSES; i++) {
		unsigned class = (i + 1) % NUM_SIZE_CLASSES;

		if (class != 0)
			h->bounds[class] = (double)sizeclasses[class].elemsize + 1;
		h->counts[i] = m->count(&st->classes[make_spanclass(class, false)]) +
			       m->count(&st->classes[make_spanclass(class, true)]);
	}
}

enum metric_kind metric_read(const struct stat_snapshot *st, const char *name, uint64_t *value,
			     struct metric_histogram *histogram)
{
	for (size_t i = 0; i < NUM_METRICS; i++) {
		if (!is_same(name, table[i].name))
			continue;
		*value = table[i].value(st);
		if (table[i].count != NULL && histogram != NULL)
			fill_histogram(st, &table[i], histogram);
		return table[i].count != NULL ? METRIC_HISTOGRAM : METRIC_UINT64;
	}
	return METRIC_BAD;
}
