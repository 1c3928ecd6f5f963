/* SPDX-License-Identifier: MIT */
/*
 * textmap.c - a map of a heap as text: draws the runs of pages that it is given.
 *
 * A line has at most 80 columns: an address without its 0x, a letter for each page or for some
 * pages, and how full the spans are.
 *
 * Holds    every committed page is in exactly one cell, so the totals under the map are those of
 *          the cells shown.
 */
#include "tools/textmap.h"
#include "base/text.h"

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

void textmap_merge(struct map_cell *cells, size_t ncells, unsigned n)
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

/* Prints the share of slots in use in the line's spans, as a bar of eighths. */
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
	out_str(o, bars[(sum * 8 + n * 255 - 1) / (n * 255)]);
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
	out_format(o, "%zx |%s|", addr, text);
	print_fill(o, cells);
	out_str(o, "\n");
}

static void print_same(struct out *o, size_t n)
{
	if (n != 0)
		out_format(o, "             * %zu more like this\n", n);
}

/* Prints an arena. Lines like the line before are only counted. */
static void print_arena(struct out *o, struct textmap_arena *a, unsigned cell_pages)
{
	uint32_t line_pages = LINE_CELLS * cell_pages;
	uint32_t begin = (uint32_t)align_down(a->begin, line_pages);
	size_t nlines = (a->end - begin + line_pages - 1) / line_pages, same = 0;
	struct map_cell *cells = &a->cells[begin];

	textmap_merge(cells, nlines * LINE_CELLS, cell_pages);
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

static void count_letters(struct textmap_letters *letters, const struct textmap_arena *a)
{
	for (uint32_t page = 0; page < ARENA_PAGES; page++)
		letters->npages[(unsigned char)letter_of(&a->cells[page])]++;
}

static void print_letter(struct out *o, const struct textmap_letters *letters, char letter,
			 const char *what)
{
	size_t npages = letters->npages[(unsigned char)letter];

	if (npages != 0)
		out_format(o, "%c%10zu %-7s%'10zu  %s", letter, npages,
			   npages == 1 ? "page" : "pages", npages * PAGE_SIZE, what);
}

static void print_sizes(struct out *o, const struct textmap_letters *letters, unsigned i,
			enum scan scan)
{
	char letter = (char)((scan == NOSCAN ? 'A' : 'a') + i);

	if (letters->npages[(unsigned char)letter] == 0)
		return;
	print_letter(o, letters, letter, "objects of ");
	if (i > 0)
		out_format(o, "%u to ", (8u << (i - 1)) + 1);
	out_format(o, "%u bytes%s\n", 8u << i, scan == NOSCAN ? ", noscan" : "");
}

static void print_letters(struct out *o, const struct textmap_letters *letters)
{
	print_letter(o, letters, 'A', "objects of no bytes\n");
	for (unsigned i = 0; i <= size_letter(MAX_SMALL_SIZE); i++) {
		print_sizes(o, letters, i, SCAN);
		if (i > 0)
			print_sizes(o, letters, i, NOSCAN);
	}
	print_letter(o, letters, '#', "big objects\n");
	print_letter(o, letters, '=', "big objects, noscan\n");
	print_letter(o, letters, '-', "freed big objects, kept for the next\n");
	print_letter(o, letters, '+', "held by threads, in no span\n");
	print_letter(o, letters, '.', "free\n");
	print_letter(o, letters, '_', "free and released: without memory\n");
}

/* --- the map --- */

/* Chooses the pages of a letter so that the map of a large heap fits on some screens. */
static unsigned choose_cell_pages(size_t npages)
{
	unsigned n = 1;

	while (n < ARENA_PAGES / LINE_CELLS && npages / (n * LINE_CELLS) > MAX_LINES)
		n *= 2;
	return n;
}

void textmap_begin(struct textmap *map, int fd, const char *heading, size_t nbytes)
{
	out_init(&map->out, fd);
	map->cell_pages = choose_cell_pages(nbytes / PAGE_SIZE);
	out_format(&map->out, "goalloc: %s\nheap map: a letter is %'zu, a line %'zu\n", heading,
		   (size_t)map->cell_pages * PAGE_SIZE,
		   (size_t)map->cell_pages * LINE_CELLS * PAGE_SIZE);
}

void textmap_begin_arena(struct textmap *map, uintptr_t base)
{
	map->arena.base = base;
	map->arena.begin = 0;
	map->arena.end = 0;
}

void textmap_add(struct textmap *map, const struct heap_run *r)
{
	struct textmap_arena *a = &map->arena;
	struct map_cell cell = { (uint8_t)kind_of(r), fill_of(r) };

	/* A span may have grown beyond what was committed when the walk came here. */
	if (cell.kind != KIND_NONE) {
		if (a->end == 0)
			a->begin = (uint32_t)align_down(r->page, 64);
		a->end = (uint32_t)align_up(r->page + r->npages, 64);
	}
	for (uint32_t i = 0; i < r->npages; i++)
		a->cells[r->page + i] = cell;
}

void textmap_end_arena(struct textmap *map)
{
	count_letters(&map->letters, &map->arena);
	print_arena(&map->out, &map->arena, map->cell_pages);
}

int textmap_end_or_errno(struct textmap *map)
{
	print_letters(&map->out, &map->letters);
	(void)out_flush(&map->out);
	return map->out.error;
}
