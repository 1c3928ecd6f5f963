/* SPDX-License-Identifier: MIT */
/*
 * take.c - takes a snapshot: reads caches, records and counts; walk.c reads the pages.
 *
 * Holds    the equations in figures.h.
 */
#include "view/take.h"
#include "view/room.h"
#include "view/threadid.h"
#include "view/walk.h"
#include "os/os.h"

#include <stdlib.h>
#include <time.h>

/* More blocks of caches, or spans on a list, than there ever are. */
#define BLOCKS_MOST 100000

/* Copies a field of a record of the target. */
#define READ_FIELD(sn, record, type, field, to) \
	target_read_all((sn)->target, (uintptr_t)(record) + offsetof(type, field), to, \
			sizeof(*(to)))

/* --- caches --- */

/* What is known of all caches together. */
struct caches {
	struct snapshot *sn;
	struct mcache *cache;     /* a copy of one */
};

static void count_allocated(struct snapshot *sn, const struct mcache *c, uint64_t *allocated)
{
	uint64_t all = 0;

	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		sn->counts.mallocs[sc] += c->counted.made.mallocs[sc];
		all += c->counted.made.mallocs[sc];
	}
	for (unsigned class = 1; class < NUM_SIZE_CLASSES; class++) {
		const struct bin *b = &c->bins[COUNTED_BIN(class)];

		if (b->stack_top > b->stack_bottom) {
			sn->counts.mallocs[make_spanclass(class, SCAN)] -= stack_depth(b);
			all -= stack_depth(b);
		}
	}
	sn->counts.big_bytes[0] += c->counted.made.big_bytes[0];
	sn->counts.big_bytes[1] += c->counted.made.big_bytes[1];
	*allocated = all;
}

/* Adds the objects in quarantine. */
static size_t add_quarantine(struct snapshot *sn, const struct mcache *c)
{
	size_t kept = 0;

	for (unsigned i = 0; i < QUARANTINE_SMALL; i++) {
		const struct snapshot_run *r = c->quarantine.small[i] != 0 ?
						       snapshot_run_of(sn, c->quarantine.small[i]) :
						       NULL;

		if (r == NULL || r->run.use != RUN_SPAN)
			continue;
		sn->stat.classes[r->run.spanclass].cached_bytes +=
			spanclass_info(r->run.spanclass)->elemsize;
		kept += spanclass_info(r->run.spanclass)->elemsize;
	}
	return kept;
}

static void add_cache(struct caches *all, uintptr_t record, bool shared)
{
	struct snapshot *sn = all->sn;
	const struct mcache *c = all->cache;
	struct snapshot_cache cache = { .record = record, .user = c->user, .shared = shared };

	cache.cached_bytes = figures_add_cache(&sn->stat, c) + add_quarantine(sn, c) +
			     (size_t)bigcache_npages(&c->big) * PAGE_SIZE;
	cache.page_bytes = popcount64(c->pages.free) * PAGE_SIZE;
	count_allocated(sn, c, &cache.allocated);
	sn->caches = room_for_more(sn->caches, sn->ncaches, sizeof(cache));
	sn->caches[sn->ncaches++] = cache;
}

/* Reads a cache's record, which a thread may have or not. */
static void read_cache(struct caches *all, uintptr_t record)
{
	struct snapshot *sn = all->sn;
	struct mcache *c = all->cache;
	uint64_t ignored;
	size_t nbytes;

	if (!target_read_all(sn->target, record, c, sizeof(*c))) {
		sn->nmissing++;
		return;
	}
	nbytes = mcache_nbytes(c);
	sn->stat.caches.bytes += nbytes;
	if (!c->in_use) {
		count_allocated(sn, c, &ignored);
		return;
	}
	sn->stat.caches.inuse++;
	sn->stat.caches.inuse_bytes += nbytes;
	sn->stat.ncaches++;
	add_cache(all, record, false);
}

/* Reads the caches of all blocks. */
static void read_blocks(struct caches *all)
{
	struct snapshot *sn = all->sn;
	struct partalloc records;
	uintptr_t at = 0;

	if (READ_FIELD(sn, sn->root.threads, struct thread_list, records, &records))
		at = (uintptr_t)records.blocks;
	for (unsigned n = 0; at != 0 && n < BLOCKS_MOST; n++) {
		struct part_block b;

		if (!target_read_all(sn->target, at, &b, sizeof(b))) {
			sn->nmissing++;
			return;
		}
		if (b.nrecords > 64 || records.first_nbytes < sizeof(struct mcache)) {
			sn->ndamaged++;
			return;
		}
		for (unsigned i = 0; i < b.nrecords; i++)
			if ((b.shown >> i & 1) != 0)
				read_cache(all, (uintptr_t)b.firsts + i * records.first_nbytes);
		at = (uintptr_t)b.next;
	}
}

static void read_caches(struct snapshot *sn)
{
	struct caches all = { sn, room_for(1, sizeof(struct mcache)) };
	uintptr_t shared = (uintptr_t)sn->root.shared + offsetof(struct shared_cache, cache);
	bool made = false;

	read_blocks(&all);
	if (READ_FIELD(sn, sn->root.shared, struct shared_cache, made, &made) && made &&
	    target_read_all(sn->target, shared, all.cache, sizeof(*all.cache)))
		add_cache(&all, shared, true);
	threadid_find(sn);
	figures_fit_caches(&sn->stat);
	free(all.cache);
}

static int by_record(const void *a, const void *b)
{
	const struct snapshot_cache *x = a, *y = b;

	return x->record < y->record ? -1 : x->record > y->record;
}

/* Returns the bytes of the live objects in a span of small ones. */
static size_t live_bytes(const struct snapshot_run *r)
{
	if (r->kind == SPAN_TINY)
		return r->run.fill.nbytes;
	return r->run.spanclass == SPANCLASS_ZERO ?
		       0 :
		       (size_t)r->run.fill.slots * spanclass_info(r->run.spanclass)->elemsize;
}

/* Adds the live objects of each span to its owner, or last owner. */
static void add_owned(struct snapshot *sn)
{
	if (sn->ncaches == 0)
		return;
	qsort(sn->caches, sn->ncaches, sizeof(*sn->caches), by_record);
	for (size_t i = 0; i < sn->nruns; i++) {
		const struct snapshot_run *r = &sn->runs[i];
		struct snapshot_cache key = { .record = r->owner & ~SPAN_TAGS }, *c;

		if (r->run.use != RUN_SPAN || !r->run.first || (r->owner & SPAN_CENTRAL) != 0 ||
		    key.record == 0)
			continue;
		c = bsearch(&key, sn->caches, sn->ncaches, sizeof(key), by_record);
		if (c == NULL)
			continue;
		c->live_objects += r->run.fill.objects;
		c->live_bytes += live_bytes(r);
	}
}

/* --- records and counts --- */

static bool add_pool(struct snapshot *sn, struct stat_records *to, uintptr_t pool)
{
	struct fixalloc f;

	if (!target_read_all(sn->target, pool, &f, sizeof(f)))
		return false;
	to->inuse += f.inuse;
	to->inuse_bytes += f.inuse * f.size;
	to->bytes += f.bytes;
	return true;
}

static void read_records(struct snapshot *sn)
{
	struct stat_snapshot *st = &sn->stat;
	uintptr_t map = (uintptr_t)sn->root.page_map;
	size_t window = 0, nbytes = 0;
	struct stat_records maps = { 0, 0, 0 };

	for (unsigned shape = 0; shape < SPAN_SHAPES; shape++)
		(void)add_pool(sn, &st->spans,
			       (uintptr_t)sn->root.mheap + offsetof(struct mheap, span_pools) +
				       shape * sizeof(struct fixalloc));
	(void)add_pool(sn, &st->arenas, map + offsetof(struct pagemap, arena_pool));
	(void)add_pool(sn, &st->arenas, map + offsetof(struct pagemap, leaf_pool));
	(void)add_pool(sn, &maps, map + offsetof(struct pagemap, map_pool));
	(void)READ_FIELD(sn, map, struct pagemap, window_nbytes, &window);
	nbytes = maps.bytes + window / ARENA_SIZE * ARENA_MAP_SIZE;
	st->arenas.inuse_bytes += nbytes;
	st->arenas.bytes += nbytes;
	nbytes = 0;
	(void)READ_FIELD(sn, sn->root.records, struct fixalloc_memory, sys_bytes, &nbytes);
	figures_set_metadata(st, nbytes);
	st->table_bytes = sn->root.table_bytes;
	(void)READ_FIELD(sn, sn->root.limit, struct limit, bytes, &st->limit_bytes);
}

/* Returns the count, or least if that is more. The sum of counts that threads were changing may
 * have wrapped below 0. */
static uint64_t not_below(uint64_t count, uint64_t least)
{
	return (int64_t)(count - least) < 0 ? least : count;
}

/* Reads the counts as sample_read_counts() does. Those of the caches are added up already. */
static void read_counts(struct snapshot *sn)
{
	struct stat_snapshot *st = &sn->stat;
	struct alloc_counts released = { .big_bytes = { 0, 0 } };
	struct sample_totals *totals = room_for(1, sizeof(*totals));
	const struct alloc_counts *more = &totals->freed;

	(void)READ_FIELD(sn, sn->root.sampling, struct sampling, counts, &st->counting);
	(void)READ_FIELD(sn, sn->root.threads, struct thread_list, released, &released);
	(void)target_read_all(sn->target, (uintptr_t)sn->root.totals, totals, sizeof(*totals));
	if (st->counting)
		more = &totals->base;
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		uint64_t live = st->classes[sc].live;
		uint64_t made = st->counting ? sn->counts.mallocs[sc] + released.mallocs[sc] : live;

		sn->counts.mallocs[sc] = not_below(made + more->mallocs[sc], live);
	}
	for (unsigned sc = SPANCLASS_BIG; sc <= SPANCLASS_BIG_NOSCAN; sc++) {
		uint64_t live = st->classes[sc].live_bytes;
		uint64_t made = st->counting ? sn->counts.big_bytes[sc] + released.big_bytes[sc] :
					       live;

		sn->counts.big_bytes[sc] = not_below(made + more->big_bytes[sc], live);
	}
	figures_set_counts(st, &sn->counts);
	free(totals);
}

/* --- all of it --- */

static enum taken failed(struct snapshot *sn)
{
	snapshot_drop(sn);
	return TAKEN_NONE;
}

enum taken take_snapshot(struct snapshot *sn, struct target *t)
{
	struct timespec now = { 0, 0 };
	enum found found;
	bool ready = false;

	*sn = (struct snapshot){ .target = t };
	found = find_root(t, &sn->root);
	if (found != FOUND)
		return found == FOUND_OTHER ? TAKEN_OTHER : TAKEN_NONE;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	sn->time = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	sn->resident = target_resident(t);
	sn->stat.kernel_page = os_page_size();
	copy_begin(&sn->copy, t);
	if (!READ_FIELD(sn, sn->root.mheap, struct mheap, ready, &ready)) {
		(void)target_fail(t, "the heap's own record cannot be read");
		return failed(sn);
	}
	if (ready) {
		if (!walk_heap(sn))
			return failed(sn);
		read_caches(sn);
		add_owned(sn);
		read_records(sn);
		read_counts(sn);
	}
	figures_sum_up(&sn->stat);
	if (t->gone) {
		(void)target_fail(t, "it ended while it was read");
		return failed(sn);
	}
	return TAKEN;
}
