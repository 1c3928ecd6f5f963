/* SPDX-License-Identifier: MIT */
/*
 * interpose_tools.c - the functions of goalloc.h that look into the heap and steer it.
 *
 * Holds    each function checks its arguments as goalloc.h says, and calls a tool or the heap.
 */
#include "tools/heapmap.h"
#include "tools/leak.h"
#include "heap.h"
#include "tools/metric.h"
#include "base/options.h"
#include "os/os.h"
#include "os/out.h"
#include "tools/profile.h"
#include "os/metakey.h"
#include "start.h"
#include "tools/sample.h"
#include "tools/stat.h"

#include "goalloc.h"

#include <errno.h>

_Static_assert(GOALLOC_SIZE_CLASSES == NUM_SIZE_CLASSES, "goalloc.h has the same number");
_Static_assert(sizeof(struct goalloc_histogram) == sizeof(struct metric_histogram) &&
		       offsetof(struct goalloc_histogram, counts) ==
			       offsetof(struct metric_histogram, counts),
	       "the public struct has the same layout");
_Static_assert((int)GOALLOC_METRIC_UINT64 == (int)METRIC_UINT64 &&
		       (int)GOALLOC_METRIC_HISTOGRAM == (int)METRIC_HISTOGRAM,
	       "the public enum has the same values");

/* Returns 0 for 0. Sets errno for any other number, and returns -1. */
static int result_of(int error)
{
	if (error == 0)
		return 0;
	errno = error;
	return -1;
}

/* --- statistics --- */

/* Fills the fields that Go has. */
static void fill_go(struct goalloc_memstats *m, const struct stat_snapshot *st)
{
	m->Counting = st->counting;
	m->Alloc = st->all.live_bytes;
	m->TotalAlloc = st->all.malloc_bytes;
	m->Sys = st->sys_bytes;
	m->Mallocs = st->all.mallocs;
	m->Frees = st->all.frees;
	m->HeapAlloc = st->all.live_bytes;
	m->HeapSys = st->heap_bytes;
	m->HeapInuse = st->all.span_bytes;
	m->HeapIdle = st->heap_bytes - st->all.span_bytes;
	m->HeapReleased = st->released_bytes + st->held_released_bytes;
	m->HeapObjects = st->all.live;
	m->MSpanInuse = st->spans.inuse_bytes;
	m->MSpanSys = st->spans.bytes;
	m->MCacheInuse = st->caches.inuse_bytes;
	m->MCacheSys = st->caches.bytes;
	m->OtherSys = st->arenas.bytes + st->other_bytes;
}

/* Fills BySize. Objects of malloc(0) are counted as class 0, although their span class has slots of
 * the smallest size class. */
static void fill_sizes(struct goalloc_memstats *m, const struct stat_snapshot *st)
{
	for (unsigned sc = 2; sc < NUM_SPAN_CLASSES; sc++) {
		unsigned class = sc == SPANCLASS_ZERO ? 0 : sc >> 1;

		m->BySize[class].Size = sizeclasses[class].elemsize;
		m->BySize[class].Mallocs += st->classes[sc].mallocs;
		m->BySize[class].Frees += st->classes[sc].frees;
	}
}

/* Fills the fields that Go does not have. */
static void fill_more(struct goalloc_memstats *m, const struct stat_snapshot *st)
{
	const struct stat_class *tiny = &st->classes[SPANCLASS_TINY];
	const struct stat_class *big = &st->classes[SPANCLASS_BIG];
	const struct stat_class *big_noscan = &st->classes[SPANCLASS_BIG_NOSCAN];

	m->NoscanAlloc = st->noscan.live_bytes;
	m->NoscanObjects = st->noscan.live;
	m->NoscanInuse = st->noscan.span_bytes;
	m->TinyAlloc = tiny->live_bytes;
	m->TinyObjects = tiny->live;
	m->TinyMallocs = tiny->mallocs;
	m->BigAlloc = big->live_bytes + big_noscan->live_bytes;
	m->BigObjects = big->live + big_noscan->live;
	m->BigMallocs = big->mallocs + big_noscan->mallocs;
	m->BigFrees = big->frees + big_noscan->frees;
	m->Spans = st->all.spans;
	m->TinySlack = st->all.slack_bytes;
	m->BigKept = big->free_bytes + big_noscan->free_bytes;
	m->FreeSlots = st->all.free_bytes - m->BigKept;
	m->FreeSlotsCached = st->all.cached_bytes;
	m->Tails = st->all.tail_bytes;
	m->EmptySpans = st->empty_bytes;
	m->HeapFree = st->free_bytes;
	m->PageWords = st->held_bytes;
	m->HugeRegions = st->huge_bytes;
	m->RoundingMax = st->all.rounding_max;
	m->Threads = st->ncaches;
	m->Arenas = st->narenas;
}

EXPORT int goalloc_read_memstats(struct goalloc_memstats *m)
{
	struct {
		struct stat_snapshot st;
		struct goalloc_memstats full;
	} *work;

	if (m->size < offsetof(struct goalloc_memstats, Alloc))
		return result_of(EINVAL);
	work = os_alloc_scratch(sizeof(*work));
	if (work == NULL)
		return result_of(ENOMEM);
	stat_read(&work->st);
	work->full.version = GOALLOC_MEMSTATS_VERSION;
	work->full.size = min_size(m->size, sizeof(work->full));
	fill_go(&work->full, &work->st);
	fill_sizes(&work->full, &work->st);
	fill_more(&work->full, &work->st);
	copy_bytes(m, &work->full, work->full.size);
	os_free_scratch(work, sizeof(*work));
	return 0;
}

EXPORT void goalloc_count(int on)
{
	uint32_t rights = metakey_open();

	sample_count(on != 0);
	metakey_close(rights);
}

EXPORT int goalloc_metrics_read(struct goalloc_metric *metrics, size_t n)
{
	struct stat_snapshot *st = stat_take();
	bool known = true;

	if (st == NULL)
		return result_of(ENOMEM);
	for (size_t i = 0; i < n; i++) {
		struct goalloc_metric *m = &metrics[i];

		m->kind = (enum goalloc_metric_kind)metric_read(
			st, m->name, &m->value, (struct metric_histogram *)(void *)m->histogram);
		known &= m->kind != GOALLOC_METRIC_BAD;
	}
	stat_drop(st);
	return result_of(known ? 0 : ENOENT);
}

EXPORT int goalloc_metric_read(const char *name, uint64_t *value)
{
	struct goalloc_metric m = { .name = name };
	int result = goalloc_metrics_read(&m, 1);

	if (result == 0)
		*value = m.value;
	return result;
}

EXPORT const char *goalloc_metric_name(size_t i)
{
	return metric_name(i);
}

/* --- the heap map --- */

EXPORT int goalloc_heap_map_fd(int fd)
{
	return result_of(heapmap_write_or_errno(fd));
}

static int write_heap_map(int fd, const char *file)
{
	(void)file;
	return heapmap_write_or_errno(fd);
}

EXPORT int goalloc_heap_map(const char *file)
{
	return result_of(out_to_file(file, false, 0, write_heap_map));
}

/* --- the profile --- */

/* Returns an errno, or 0 if a profile can be begun. The leak finder uses the same records. */
static int profile_obstacle(void)
{
	return options.off ? ENOTSUP : options.leakcheck != 0 ? EBUSY : 0;
}

EXPORT int goalloc_profile_start(size_t rate)
{
	int error = rate == 0 ? EINVAL : profile_obstacle();
	uint32_t rights;

	if (error != 0)
		return result_of(error);
	start_attend();
	rights = metakey_open();
	if (!sample_begin_profile(rate))
		error = ENOMEM;
	metakey_close(rights);
	return result_of(error);
}

EXPORT int goalloc_profile_stop(void)
{
	int error = profile_obstacle();
	uint32_t rights;

	if (error != 0)
		return result_of(error);
	rights = metakey_open();
	sample_end_profile();
	metakey_close(rights);
	return 0;
}

EXPORT int goalloc_profile_write_fd(int fd, int text)
{
	return result_of(profile_write_or_errno(fd, text != 0));
}

static int write_profile(int fd, const char *file)
{
	return profile_write_or_errno(fd, profile_is_text(file));
}

EXPORT int goalloc_profile_write(const char *file)
{
	return result_of(out_to_file(file, false, 0, write_profile));
}

/* --- the memory limit --- */

EXPORT size_t goalloc_set_memory_limit(size_t bytes)
{
	return bytes == 0 ? heap_limit() : heap_set_limit(bytes);
}

/* --- giving memory back --- */

EXPORT int goalloc_set_scavenge(int ms)
{
	int before = heap_scavenge_ms();

	if (ms > SCAVENGE_MS_MAX)
		return result_of(EINVAL);
	if (ms >= 0)
		heap_set_scavenge_ms((uint32_t)ms);
	return before;
}

EXPORT void goalloc_thread_idle(void)
{
	heap_thread_idle();
}

/* --- the leak finder --- */

EXPORT int goalloc_ignore(void *p)
{
	return result_of(p == NULL || heap_ignore(p, "goalloc_ignore") ? 0 : EINVAL);
}

EXPORT ssize_t goalloc_leak_check(int fd)
{
	struct leak_result result;

	leak_check(fd, &result, 0);
	if (result.error != 0)
		return result_of(result.error);
	/* The count is right, but the report is incomplete. */
	if (result.write_error != 0)
		errno = result.write_error;
	return (ssize_t)result.nobjects;
}
