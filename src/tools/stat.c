/* SPDX-License-Identifier: MIT */
/*
 * stat.c - reads the figures of the heap of this process.
 *
 * Owns     nothing: a snapshot belongs to its reader.
 * Locks    those of the modules it calls, one after the other; none while slots are counted.
 * Holds    the equations in figures.h, at any moment and whatever other threads do. The result is
 *          exact when the program is quiet.
 */
#include "tools/stat.h"
#include "tools/heading.h"
#include "tools/heapwalk.h"
#include "heap/mcentral.h"
#include "base/options.h"
#include "base/text.h"
#include "os/os.h"
#include "os/out.h"
#include "os/metakey.h"
#include "tools/sample.h"
#include "tools/statpage.h"
#include "heap/limit.h"

#include <errno.h>

/* Adds up every page of the heap. Pages in no span that are not free count in moving_bytes, until
 * add_caches() finds those in page words. */
static void walk_heap(struct stat_snapshot *st)
{
	struct heapwalk *w = &st->work.walk;
	struct heap_run r;

	heapwalk_init(w);
	while (heapwalk_arena(w)) {
		st->narenas++;
		st->huge_bytes += popcount64(w->huge_regions) * REGION_SIZE;
		while (heapwalk_run(w, &r))
			figures_add_run(st, &r);
	}
}

/* --- threads --- */

READS_OTHERS static void add_cache(struct mcache *c, void *arg)
{
	struct stat_snapshot *st = arg;

	(void)figures_add_cache(st, c);
	for (unsigned i = 0; options.hardened && i < QUARANTINE_SMALL; i++) {
		uintptr_t addr = PEEK(c->quarantine.small[i]);
		uint64_t entry = addr != 0 ? entry_of_any(addr) : 0;

		st->classes[entry_spanclass(entry)].cached_bytes +=
			spanclass_info(entry_spanclass(entry))->elemsize;
	}
}

static void add_caches(struct stat_snapshot *st)
{
	struct cache_count count = thread_count_caches();

	thread_each_cache(add_cache, st);
	st->ncaches = count.inuse;
	st->caches = (struct stat_records){ count.inuse, count.inuse_bytes, count.bytes };
	figures_fit_caches(st);
}

/* --- records --- */

static void add_pool(struct stat_records *to, const struct fixalloc *f)
{
	size_t inuse, bytes;

	fixalloc_count(f, &inuse, &bytes);
	to->inuse += inuse;
	to->inuse_bytes += inuse * f->size;
	to->bytes += bytes;
}

static void add_records(struct stat_snapshot *st)
{
	size_t map_bytes;

	for (unsigned shape = 0; shape < SPAN_SHAPES; shape++)
		add_pool(&st->spans, &mheap.span_pools[shape]);
	add_pool(&st->arenas, &page_map.arena_pool);
	add_pool(&st->arenas, &page_map.leaf_pool);
	map_bytes = pagemap_nbytes();
	st->arenas.inuse_bytes += map_bytes;
	st->arenas.bytes += map_bytes;
	/* This is read last. It only grows, so it is never less than its parts. */
	figures_set_metadata(st, fixalloc_sys_bytes());
	st->table_bytes =
		sizeof(arena_table) + sizeof(mheap) + sizeof(mcentrals) + sizeof(struct mcache);
}

/* --- sums --- */

static void read_counts(struct stat_snapshot *st)
{
	struct live_counts *live = &st->work.live;

	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		live->objects[sc] = st->classes[sc].live;
	for (unsigned sc = SPANCLASS_BIG; sc <= SPANCLASS_BIG_NOSCAN; sc++)
		live->big_bytes[sc] = st->classes[sc].live_bytes;
	sample_read_counts(live, &st->work.counts);
	figures_set_counts(st, &st->work.counts);
	st->counting = sample_counts();
}

void stat_read(struct stat_snapshot *st)
{
	uint32_t rights;

	zero_bytes(st, sizeof(*st));
	st->limit_bytes = limit_bytes();
	if (!mheap.ready)
		return;
	rights = metakey_open();
	st->kernel_page = os_page_size();
	walk_heap(st);
	add_caches(st);
	add_records(st);
	read_counts(st);
	figures_sum_up(st);
	metakey_close(rights);
}

struct stat_snapshot *stat_take(void)
{
	struct stat_snapshot *st = os_alloc_scratch(sizeof(*st));

	if (st != NULL)
		stat_read(st);
	return st;
}

void stat_drop(struct stat_snapshot *st)
{
	os_free_scratch(st, sizeof(*st));
}

/* --- the page --- */

/* Returns the resident bytes of the process by the kernel's count, or 0 if they are unknown. */
static size_t resident_bytes(void)
{
	char text[128];
	const char *s = text;
	size_t npages = 0;

	/* "PAGES RESIDENT ...". */
	(void)os_read_file("/proc/self/statm", text, sizeof(text));
	while (*s != '\0' && *s++ != ' ')
		;
	(void)text_number(s, &npages);
	return npages * os_page_size();
}

/* The memory that a page needs. */
struct page {
	struct stat_snapshot st;
	struct out out;
};
_Static_assert(sizeof(struct page) <= OS_SCRATCH_RESERVE,
	       "figures can be had when there is no memory left");

int stat_print(int fd)
{
	struct page *page = os_alloc_scratch(sizeof(*page));
	char heading[HEADING_MAX];
	struct out *o;
	int error;

	if (page == NULL)
		return ENOMEM;
	o = &page->out;
	stat_read(&page->st);
	out_init(o, fd);
	heading_of_self(heading, os_pid());
	out_format(o, "goalloc: %s\n", heading);
	statpage_print(o, &page->st, resident_bytes());
	(void)out_flush(o);
	error = o->error;
	os_free_scratch(page, sizeof(*page));
	return error;
}
