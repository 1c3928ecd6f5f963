/* SPDX-License-Identifier: MIT */
/*
 * stat.c - the heap in figures: reads them once, and prints them for people.
 *
 * Owns     nothing: a snapshot belongs to its reader.
 * Locks    those of the modules it calls, one after the other; none while slots are counted.
 * Holds    the equations in stat.h, at any moment and whatever other threads do. Of two figures
 *          that make up a third, one is read and the other is the rest. A value that two looks
 *          could see differently is read once, or bounded by what was seen first. The result is
 *          exact when the program is quiet.
 */
#include "tools/stat.h"
#include "tools/heapwalk.h"
#include "heap/mcentral.h"
#include "base/options.h"
#include "base/text.h"
#include "os/os.h"
#include "os/out.h"
#include "os/metakey.h"
#include "tools/sample.h"

#include <errno.h>

/* --- spans --- */

/* Returns the most bytes that an object of this class has beyond what malloc was asked for. */
static size_t most_rounding(unsigned class)
{
	unsigned before = class - 1;

	/* malloc has no objects of 24 bytes. */
	if (before > 1 && sizeclasses[before].elemsize % 16 != 0)
		before--;
	return sizeclasses[class].elemsize - sizeclasses[before].elemsize - 1;
}

static void add_big(struct stat_class *k, const struct heap_run *r)
{
	/* The parts in each arena are added, because the length of a span that is being resized is
	 * read once, and may be cut short. */
	size_t nbytes = r->npages * PAGE_SIZE;

	k->span_bytes += nbytes;
	if (r->fill.objects != 0)
		k->live_bytes += nbytes;
	else
		k->free_bytes += nbytes;
	if (!r->first)
		return;
	k->spans++;
	k->slots++;
	k->live += r->fill.objects;
	k->free_slots += 1 - r->fill.slots;
	k->rounding_max += r->fill.objects * (PAGE_SIZE - 1);
}

static void add_small(struct stat_class *k, const struct heap_run *r)
{
	const struct sizeclass *info = spanclass_info(r->spanclass);
	size_t nbytes = r->span_npages * PAGE_SIZE;
	size_t room = (size_t)info->elemsize * r->nelems;
	size_t used = (size_t)r->fill.slots * info->elemsize;
	bool tiny = r->spanclass == SPANCLASS_TINY;

	if (!r->first)
		return;
	k->spans++;
	k->span_bytes += nbytes;
	k->live += r->fill.objects;
	k->slots += r->nelems;
	k->free_slots += r->nelems - r->fill.slots;
	if (r->spanclass == SPANCLASS_ZERO) {
		/* Objects of no bytes lie in pages that cannot be touched. */
		k->tail_bytes += nbytes;
		return;
	}
	k->live_bytes += tiny ? r->fill.nbytes : used;
	k->slack_bytes += tiny ? used - r->fill.nbytes : 0;
	k->free_bytes += room - used;
	k->tail_bytes += nbytes - room;
	/* The two were not read at the same moment. */
	k->drained_bytes += min_size(r->fill.released * os_page_size(), nbytes - used);
	k->cached_bytes += (size_t)r->fill.pinned * TINY_SIZE;
	k->rounding_max += tiny ? 0 : r->fill.objects * most_rounding(r->spanclass >> 1);
}

static void add_span(struct stat_snapshot *st, const struct heap_run *r)
{
	struct stat_class *k = &st->classes[r->spanclass];

	if (r->spanclass >> 1 == 0)
		add_big(k, r);
	else
		add_small(k, r);
	if (r->fill.objects == 0)
		st->empty_bytes += r->npages * PAGE_SIZE;
}

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
		while (heapwalk_run(w, &r)) {
			size_t nbytes = r.npages * PAGE_SIZE;

			st->released_bytes += r.use == RUN_RELEASED ? nbytes : 0;
			st->free_bytes += r.use == RUN_FREE ? nbytes : 0;
			st->moving_bytes += r.use == RUN_TAKEN ? nbytes : 0;
			if (r.use == RUN_SPAN)
				add_span(st, &r);
		}
	}
}

/* --- threads --- */

READS_OTHERS static void add_cache(struct mcache *c, void *arg)
{
	struct stat_snapshot *st = arg;

	st->held_bytes += popcount64(PEEK(c->pages.free)) * PAGE_SIZE;
	st->held_released_bytes += popcount64(PEEK(c->pages.clean)) * PAGE_SIZE;
	for (unsigned slot = 2; slot < NUM_BINS; slot++) {
		const struct bin *t = &c->bins[slot];
		unsigned sc = slot < NUM_SPAN_CLASSES
				      ? slot
				      : make_spanclass(slot - NUM_SPAN_CLASSES, SCAN);
		size_t top = PEEK(t->stack_top), bottom = PEEK(t->stack_bottom);
		size_t n = top > bottom ? (top - bottom) / sizeof(struct free_entry) : 0;

		/* Tiny blocks in caches were counted by their pins. */
		n += sc == SPANCLASS_TINY ? 0 : popcount64(PEEK(t->alloc_cache));
		st->classes[sc].cached_bytes += n * spanclass_info((spanclass_t)sc)->elemsize;
	}
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
	/* The caches were read after the pages, so the figures may not fit together. */
	st->held_bytes = min_size(st->held_bytes, st->moving_bytes);
	st->held_released_bytes = min_size(st->held_released_bytes, st->held_bytes);
	st->moving_bytes -= st->held_bytes;
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
	st->metadata_bytes = fixalloc_sys_bytes();
	st->other_bytes =
		st->metadata_bytes - st->spans.bytes - st->caches.bytes - st->arenas.bytes;
	st->table_bytes =
		sizeof(arena_table) + sizeof(mheap) + sizeof(mcentrals) + sizeof(struct mcache);
}

/* --- sums --- */

/* Sets what was allocated since counting began, which is never less than what is live. */
static void set_counts(struct stat_class *k, spanclass_t sc, const struct alloc_counts *counts)
{
	size_t each = sc == SPANCLASS_ZERO ? 0 : spanclass_info(sc)->elemsize;

	k->mallocs = counts->mallocs[sc];
	k->frees = k->mallocs - k->live;
	k->freed_bytes =
		sc > SPANCLASS_BIG_NOSCAN ? k->frees * each : counts->big_bytes[sc] - k->live_bytes;
	k->malloc_bytes = k->live_bytes + k->freed_bytes;
}

static void read_counts(struct stat_snapshot *st)
{
	struct live_counts *live = &st->work.live;

	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		live->objects[sc] = st->classes[sc].live;
	for (unsigned sc = SPANCLASS_BIG; sc <= SPANCLASS_BIG_NOSCAN; sc++)
		live->big_bytes[sc] = st->classes[sc].live_bytes;
	sample_read_counts(live, &st->work.counts);
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		set_counts(&st->classes[sc], (spanclass_t)sc, &st->work.counts);
	st->counting = sample_counts();
}

static void add_class(struct stat_class *sum, const struct stat_class *k)
{
	sum->spans += k->spans;
	sum->slots += k->slots;
	sum->live += k->live;
	sum->free_slots += k->free_slots;
	sum->span_bytes += k->span_bytes;
	sum->live_bytes += k->live_bytes;
	sum->slack_bytes += k->slack_bytes;
	sum->free_bytes += k->free_bytes;
	sum->cached_bytes += k->cached_bytes;
	sum->tail_bytes += k->tail_bytes;
	sum->drained_bytes += k->drained_bytes;
	sum->rounding_max += k->rounding_max;
	sum->mallocs += k->mallocs;
	sum->frees += k->frees;
	sum->malloc_bytes += k->malloc_bytes;
	sum->freed_bytes += k->freed_bytes;
}

static void sum_up(struct stat_snapshot *st)
{
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		struct stat_class *k = &st->classes[sc];

		k->cached_bytes = min_size(k->cached_bytes, k->free_bytes);
		add_class(&st->all, k);
		if (spanclass_scan((spanclass_t)sc) == NOSCAN)
			add_class(&st->noscan, k);
	}
	st->heap_bytes = st->all.span_bytes + st->free_bytes + st->released_bytes + st->held_bytes +
			 st->moving_bytes;
	st->sys_bytes = st->heap_bytes + st->metadata_bytes;
}

void stat_read(struct stat_snapshot *st)
{
	uint32_t rights;

	zero_bytes(st, sizeof(*st));
	if (!mheap.ready)
		return;
	rights = metakey_open();
	walk_heap(st);
	add_caches(st);
	add_records(st);
	read_counts(st);
	sum_up(st);
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

/* Prints a share in per cent with one place, right-aligned. */
static void print_share(struct out *o, size_t part, size_t whole)
{
	size_t tenths = whole == 0 ? 0 : (part * 1000 + whole / 2) / whole;

	out_format(o, "%3zu.%zu%%", tenths / 10, tenths % 10);
}

/* Prints a figure and its share of the heap. The caller prints the rest of the line. */
static void print_part(struct out *o, const char *label, size_t nbytes, size_t whole)
{
	out_format(o, "%-26s%'10zu  ", label, nbytes);
	print_share(o, nbytes, whole);
	out_str(o, "   ");
}

static void print_figure(struct out *o, const char *label, size_t nbytes)
{
	out_format(o, "%-26s%'10zu           ", label, nbytes);
}

static void print_heap(struct out *o, const struct stat_snapshot *st)
{
	const struct stat_class *a = &st->all;
	size_t kept = st->classes[SPANCLASS_BIG].free_bytes +
		      st->classes[SPANCLASS_BIG_NOSCAN].free_bytes;
	size_t heap = st->heap_bytes;

	print_part(o, "heap", heap, heap);
	out_format(o, "%zu arena%s\n", st->narenas, plural(st->narenas));
	print_part(o, "  live objects", a->live_bytes, heap);
	out_format(o, "%zu object%s, %'zu of them noscan\n", a->live, plural(a->live),
		   st->noscan.live_bytes);
	print_part(o, "  slack in tiny blocks", a->slack_bytes, heap);
	out_str(o, "beside the objects in them\n");
	print_part(o, "  free slots", a->free_bytes - kept, heap);
	out_format(o, "%'zu of them in threads' caches", a->cached_bytes);
	if (a->drained_bytes != 0)
		out_format(o, ", %'zu without memory", a->drained_bytes);
	out_str(o, "\n");
	print_part(o, "  big objects kept", kept, heap);
	out_str(o, "freed, for the next of their length\n");
	print_part(o, "  behind the last slots", a->tail_bytes, heap);
	out_format(o, "%zu span%s, %'zu in empty ones\n", a->spans, plural(a->spans),
		   st->empty_bytes);
	print_part(o, "  free pages", st->free_bytes, heap);
	out_str(o, "in no span, not given back yet\n");
	print_part(o, "  released pages", st->released_bytes, heap);
	out_str(o, "in no span, without memory\n");
	print_part(o, "  threads' page words", st->held_bytes, heap);
	out_format(o, "%'zu of them without memory\n", st->held_released_bytes);
	if (st->moving_bytes != 0) {
		print_part(o, "  on their way", st->moving_bytes, heap);
		out_str(o, "becoming spans, or free\n");
	}
}

static void print_records(struct out *o, const char *label, const struct stat_records *r,
			  const char *what)
{
	print_figure(o, label, r->bytes);
	out_format(o, "%zu %s%s, %'zu in use\n", r->inuse, what, plural(r->inuse), r->inuse_bytes);
}

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

static void print_rest(struct out *o, const struct stat_snapshot *st)
{
	print_figure(o, "metadata", st->metadata_bytes);
	out_str(o, "away from the heap\n");
	print_records(o, "  span records", &st->spans, "span");
	print_records(o, "  thread caches", &st->caches, "thread");
	print_records(o, "  arena records", &st->arenas, "arena");
	print_figure(o, "  not in use", st->other_bytes);
	out_format(o, "%'zu of static tables are not in the sums\n", st->table_bytes);
	print_figure(o, "heap and metadata", st->sys_bytes);
	out_format(o, "address space; huge pages asked for: %'zu\n", st->huge_bytes);
	print_figure(o, "resident", resident_bytes());
	out_str(o, "all of the process, as the kernel counts\n");
	print_figure(o, "beyond what was asked for", st->all.rounding_max);
	out_str(o, "at most: what was asked for is not kept\n");
}

static void print_counts(struct out *o, const struct stat_snapshot *st)
{
	const struct stat_class *a = &st->all;

	if (st->counting)
		out_format(o, "\nallocated %zu object%s, %'zu; freed %zu, %'zu\n", a->mallocs,
			   plural(a->mallocs), a->malloc_bytes, a->frees, a->freed_bytes);
}

static void print_class(struct out *o, const struct stat_snapshot *st, unsigned sc)
{
	const struct stat_class *k = &st->classes[sc];

	if (sc <= SPANCLASS_BIG_NOSCAN)
		out_str(o, "     big");
	else
		out_format(o, "%8u", sc == SPANCLASS_ZERO ? 0 : sizeclasses[sc >> 1].elemsize);
	out_format(o, "  %-7s%7zu%10zu%10zu  ",
		   sc == SPANCLASS_TINY                ? "tiny"
		   : spanclass_scan((spanclass_t)sc) == NOSCAN ? "noscan"
						       : "scan",
		   k->spans, k->slots, k->live);
	print_share(o, k->slots - k->free_slots, k->slots);
	out_format(o, "  %'10zu  %'10zu", k->live_bytes,
		   k->free_bytes + k->slack_bytes + k->tail_bytes);
	if (st->counting)
		out_format(o, "%13zu", k->mallocs);
	out_str(o, "\n");
}

static void print_classes(struct out *o, const struct stat_snapshot *st)
{
	out_str(o,
		"\n    size  kind      spans     slots      live    fill        live    not live");
	out_str(o, st->counting ? "    allocated\n" : "\n");
	for (unsigned i = 2; i < NUM_SPAN_CLASSES + 2; i++) {
		/* Big objects come last. */
		unsigned sc = i % NUM_SPAN_CLASSES;

		if (st->classes[sc].spans != 0 || st->classes[sc].mallocs != 0)
			print_class(o, st, sc);
	}
}

size_t stat_program(char name[STAT_PROGRAM_MAX])
{
	size_t n = os_read_file("/proc/self/comm", name, STAT_PROGRAM_MAX);

	return n > 1 ? n - 1 : 0;
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
	char name[STAT_PROGRAM_MAX];
	struct out *o;
	int error;

	if (page == NULL)
		return ENOMEM;
	o = &page->out;
	stat_read(&page->st);
	out_init(o, fd);
	out_format(o, "goalloc: %.*s, pid %u\n", (int)stat_program(name), name,
		   (unsigned)os_pid());
	print_heap(o, &page->st);
	print_rest(o, &page->st);
	print_counts(o, &page->st);
	print_classes(o, &page->st);
	(void)out_flush(o);
	error = o->error;
	os_free_scratch(page, sizeof(*page));
	return error;
}
