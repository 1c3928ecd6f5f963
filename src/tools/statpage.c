/* SPDX-License-Identifier: MIT */
/*
 * statpage.c - the figures of the heap as a page of text for people.
 */
#include "tools/statpage.h"

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

static void print_rest(struct out *o, const struct stat_snapshot *st, size_t resident)
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
	print_figure(o, "resident", resident);
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

void statpage_print(struct out *o, const struct stat_snapshot *st, size_t resident)
{
	print_heap(o, st);
	print_rest(o, st, resident);
	print_counts(o, st);
	print_classes(o, st);
}
