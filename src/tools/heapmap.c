/* SPDX-License-Identifier: MIT */
/*
 * heapmap.c - a map of the heap, with every page by its use, as text.
 *
 * Locks    those of heapwalk.h; none while anything is written.
 * Holds    every committed page is in exactly one cell, so the totals under the map are those of
 *          the cells shown, also while other threads allocate. One arena at a time is in memory
 *          that is mapped for the call, because the caller may have a small stack.
 */
#include "tools/heapmap.h"
#include "os/os.h"
#include "os/out.h"
#include "os/metakey.h"
#include "tools/stat.h"

#include <errno.h>

/* Letters of a line. */
#define LINE_CELLS 64

/* If there are more lines, a letter stands for more pages. */
#define MAX_LINES 256

/* --- cells --- */

/* Returns the kind of a run. */
static unsigned kind_of(const struct heap_run *r)
{
	switch (r->use) {
	case RUN_SPAN:
		return r->spanclass;
	case RUN_FREE:
		return KIND_FREE;
	case RUN_RELEASED:
		return KIND_RELEASED;
	case RUN_TAKEN:
		return KIND_TAKEN;
	default:
		return KIND_NONE;
	}
}

/* Returns the share of slots in use, of 255. It is not 0 if any slot is in use. */
static uint8_t fill_of(const struct heap_run *r)
{
	if (r->use != RUN_SPAN)
		return 0;
	return (uint8_t)((r->fill.slots * 255 + r->nelems - 1) / r->nelems);
}

/* An arena that is drawn. */
struct map_arena {
	uintptr_t base;
	uint32_t begin, end; /* all committed pages lie between; multiples of 64, or both 0 */
	struct map_cell cells[ARENA_PAGES];
};

/* Fills in *a from the arena of the walk. */
static void paint(struct map_arena *a, struct heapwalk *w)
{
	struct heap_run r;

	a->base = w->ha->base;
	a->begin = 0;
	a->end = 0;
	while (heapwalk_run(w, &r)) {
		struct map_cell cell = { (uint8_t)kind_of(&r), fill_of(&r) };

		/* A span may have grown beyond what was committed when the walk came here. */
		if (cell.kind != KIND_NONE) {
			if (a->end == 0)
				a->begin = (uint32_t)align_down(r.page, 64);
			a->end = (uint32_t)align_up(r.page + r.npages, 64);
		}
		for (uint32_t i = 0; i < r.npages; i++)
			a->cells[r.page + i] = cell;
	}
}

static struct map_cell merge(const struct map_cell *cells, unsigned n)
{
	struct map_cell best = cells[0];
	unsigned most = 0;

	for (unsigned i = 0; i < n && most <= n / 2; i++) {
		unsigned same = 0, fill = 0;

		for (unsigned k = 0; k < n; k++) {
			same += cells[k].kind == cells[i].kind;
			fill += cells[k].kind == cells[i].kind ? cells[k].fill : 0;
		}
		if (same <= most)
			continue;
		most = same;
		best = cells[i];
		best.fill = (uint8_t)(fill / same);
	}
	return best;
}

void heapmap_merge(struct map_cell *cells, size_t ncells, unsigned n)
{
	/* This works in place, because a cell is read before it is written. */
	for (size_t i = 0; n > 1 && i < ncells; i++)
		cells[i] = merge(&cells[i * n], n);
}

/* --- text --- */

/* Returns i for sizes up to 8 << i, which have letter i of the alphabet. */
static unsigned size_letter(size_t size)
{
	unsigned i = 0;

	while ((size_t)8 << i < size)
		i++;
	return i;
}

static char letter_of(const struct map_cell *cell)
{
	static const char others[NUM_KINDS - NUM_SPAN_CLASSES] = { '.', '_', '+', ' ' };
	unsigned kind = cell->kind;

	if (kind >= NUM_SPAN_CLASSES)
		return others[kind - NUM_SPAN_CLASSES];
	if (kind <= SPANCLASS_BIG_NOSCAN)
		return cell->fill == 0 ? '-' : kind == SPANCLASS_BIG ? '#' : '=';
	return (char)((spanclass_scan((spanclass_t)kind) == NOSCAN ? 'A' : 'a') +
		      size_letter(sizeclasses[kind >> 1].elemsize));
}

/* The pages of each letter. */
struct letters {
	size_t npages[128];
};

/* Prints the share of slots in use in the line's spans, as a bar of eighths and in per cent. */
static void print_fill(struct out *o, const struct map_cell *cells)
{
	static const char *const bars[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	size_t sum = 0, n = 0;

	for (unsigned i = 0; i < LINE_CELLS; i++) {
		if (cells[i].kind >= NUM_SPAN_CLASSES)
			continue;
		sum += cells[i].fill;
		n++;
	}
	if (n == 0)
		return;
	out_format(o, " %s%4zu%%", bars[(sum * 8 + n * 255 - 1) / (n * 255)],
		   sum * 100 / (n * 255));
}

static bool is_same_line(const struct map_cell *a, const struct map_cell *b)
{
	for (unsigned i = 0; i < LINE_CELLS; i++)
		if (letter_of(&a[i]) != letter_of(&b[i]))
			return false;
	return true;
}

static void print_line(struct out *o, uintptr_t addr, const struct map_cell *cells)
{
	char text[LINE_CELLS + 1] = "";

	for (unsigned i = 0; i < LINE_CELLS; i++)
		text[i] = letter_of(&cells[i]);
	out_format(o, "%#zx |%s|", addr, text);
	print_fill(o, cells);
	out_str(o, "\n");
}

static void print_same(struct out *o, size_t n)
{
	if (n != 0)
		out_format(o, "               * %zu more like this\n", n);
}

/* Prints an arena. Lines like the line before are only counted. */
static void print_arena(struct out *o, struct map_arena *a, unsigned cell_pages)
{
	uint32_t line_pages = LINE_CELLS * cell_pages;
	uint32_t begin = (uint32_t)align_down(a->begin, line_pages);
	size_t nlines = (a->end - begin + line_pages - 1) / line_pages, same = 0;
	struct map_cell *cells = &a->cells[begin];

	heapmap_merge(cells, nlines * LINE_CELLS, cell_pages);
	for (size_t i = 0; i < nlines; i++, cells += LINE_CELLS) {
		if (i > 0 && is_same_line(cells, cells - LINE_CELLS)) {
			same++;
			continue;
		}
		print_same(o, same);
		same = 0;
		print_line(o, a->base + begin * PAGE_SIZE + i * line_pages * PAGE_SIZE, cells);
	}
	print_same(o, same);
}

static void count_letters(struct letters *letters, const struct map_arena *a)
{
	for (uint32_t page = 0; page < ARENA_PAGES; page++)
		letters->npages[(unsigned char)letter_of(&a->cells[page])]++;
}

static void print_letter(struct out *o, const struct letters *letters, char letter,
			 const char *what)
{
	size_t npages = letters->npages[(unsigned char)letter];

	if (npages != 0)
		out_format(o, "%c%10zu %-7s%'10zu  %s", letter, npages,
			   npages == 1 ? "page" : "pages", npages * PAGE_SIZE, what);
}

static void print_sizes(struct out *o, const struct letters *letters, unsigned i, enum scan scan)
{
	char letter = (char)((scan == NOSCAN ? 'A' : 'a') + i);

	if (letters->npages[(unsigned char)letter] == 0)
		return;
	print_letter(o, letters, letter, "objects of ");
	if (i > 0)
		out_format(o, "%u to ", (8u << (i - 1)) + 1);
	out_format(o, "%u bytes%s\n", 8u << i, scan == NOSCAN ? ", noscan" : "");
}

static void print_letters(struct out *o, const struct letters *letters)
{
	print_letter(o, letters, 'A', "objects of no bytes\n");
	for (unsigned i = 0; i <= size_letter(MAX_SMALL_SIZE); i++) {
		print_sizes(o, letters, i, SCAN);
		if (i > 0)
			print_sizes(o, letters, i, NOSCAN);
	}
	print_letter(o, letters, '#', "big objects\n");
	print_letter(o, letters, '=', "big objects, noscan\n");
	print_letter(o, letters, '-', "big objects, freed: kept for the next of their length\n");
	print_letter(o, letters, '+', "held by threads, in no span\n");
	print_letter(o, letters, '.', "free\n");
	print_letter(o, letters, '_', "free and released: without memory\n");
}

/* Chooses the pages of a letter so that the map of a large heap fits on some screens. */
static unsigned choose_cell_pages(void)
{
	size_t npages =
		atomic_load_explicit(&mheap.growth.committed, memory_order_relaxed) / PAGE_SIZE;
	unsigned n = 1;

	while (n < ARENA_PAGES / LINE_CELLS && npages / (n * LINE_CELLS) > MAX_LINES)
		n *= 2;
	return n;
}

static void print_head(struct out *o, unsigned cell_pages)
{
	char name[STAT_PROGRAM_MAX];

	out_format(o, "goalloc: heap of %.*s, pid %u; a letter is %'zu, a line %'zu; behind it, "
		      "how full its spans are\n",
		   (int)stat_program(name), name, (unsigned)os_pid(),
		   (size_t)cell_pages * PAGE_SIZE, (size_t)cell_pages * LINE_CELLS * PAGE_SIZE);
}

/* The memory that the map needs while it is written. */
struct text_map {
	struct letters letters;
	struct map_arena arena;
	struct heapwalk walk;
	struct out out;
};

static int write_text(int fd)
{
	struct text_map *map = os_alloc_scratch(sizeof(*map));
	unsigned cell_pages = choose_cell_pages();
	int error;

	if (map == NULL)
		return ENOMEM;
	out_init(&map->out, fd);
	print_head(&map->out, cell_pages);
	heapwalk_init(&map->walk);
	while (heapwalk_arena(&map->walk)) {
		paint(&map->arena, &map->walk);
		count_letters(&map->letters, &map->arena);
		print_arena(&map->out, &map->arena, cell_pages);
	}
	print_letters(&map->out, &map->letters);
	(void)out_flush(&map->out);
	error = map->out.error;
	os_free_scratch(map, sizeof(*map));
	return error;
}

int heapmap_write_or_errno(int fd)
{
	uint32_t rights = metakey_open();
	int error = write_text(fd);

	metakey_close(rights);
	return error;
}
