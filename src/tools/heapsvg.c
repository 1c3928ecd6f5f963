/* SPDX-License-Identifier: MIT */
/*
 * heapsvg.c - the map of the heap as a picture.
 *
 * An arena is a block of cells, row by row in the order of addresses. In a heap of few spans, each
 * span is a box with a tooltip and a bar as high as the span is full. In a larger heap, all runs of
 * one kind and fill form one path, and rows have the tooltips: 1 GiB of fragments takes 2 MB.
 *
 * Owns     colours and measures.
 * Locks    those of heapwalk.h and stat.h; none while anything is written.
 * Holds    elements of class kN, in one group, show the kind N of map_kind(). The lengths of its
 *          boxes and paths are its pages, divided by pages a cell. The legend comes last and has
 *          their sums. Arenas and rows that come after a first look at the heap are left out.
 */
#include "tools/heapmap.h"
#include "os/os.h"
#include "os/out.h"
#include "tools/stat.h"
#include "base/text.h"

#include <errno.h>

/* All measures are in pixels. */
#define MARGIN 24
#define GUTTER 52                                      /* left of the cells, for offsets */
#define LEFT (MARGIN + GUTTER)
#define HEAD_HEIGHT 146
#define ARENA_HEAD 26                                  /* above a block */
#define ARENA_GAP 12                                   /* beside a block and below it */
#define LEGEND_COLUMNS 4
#define LEGEND_ROW 17
#define MAX_BOXES 5000                                 /* more spans have no boxes of their own */
#define FILL_STEPS 6                                   /* of opacity, where there are no bars */

/* The more arenas there are, the smaller are their blocks. Of a single arena, only the rows up to
 * the last committed one are shown: the fewer rows, the larger. */
struct scale {
	size_t narenas, npages;   /* the scale is for heaps up to this size */
	unsigned columns;         /* of a block, a power of two */
	unsigned cell_pages;      /* pages in a cell, a power of two */
	unsigned px;              /* a cell's side */
	unsigned in_row;          /* blocks side by side */
};

static const struct scale scales[] = {
	{ 1, 512, 32, 1, 32, 1 },
	{ 1, 4096, 64, 1, 16, 1 },
	{ 1, SIZE_MAX, 128, 1, 8, 1 },
	{ 8, SIZE_MAX, 128, 1, 4, 2 },
	{ 32, SIZE_MAX, 128, 1, 2, 4 },
	{ 1024, SIZE_MAX, 64, 4, 2, 8 },
	{ SIZE_MAX, SIZE_MAX, 16, 64, 4, 16 },
};

struct measures {
	struct scale scale;
	bool boxes;               /* each span has one */
	size_t rows;              /* of cells in a block */
	size_t block_rows;        /* of blocks */
	size_t kinds;             /* in the legend */
};

/* The memory that the picture needs while it is written: too large for a small stack. */
struct picture {
	struct stat_snapshot st;
	struct measures m;
	struct map_total totals[NUM_KINDS];
	struct heapwalk walk;
	struct map_arena arena;
	bool used[NUM_KINDS * FILL_STEPS];      /* styles that occur in the arena */
	struct out out;
};

static size_t row_pages(const struct measures *m)
{
	return (size_t)m->scale.columns * m->scale.cell_pages;
}

/* --- colours --- */

/* Small classes are dark and large ones light. Cold colours are scan, warm ones noscan. Lightness
 * and hue change in even steps of OKLCH. */

static const uint32_t scan_ramp[] = { 0x433c80, 0x375295, 0x1769a5, 0x0081ac, 0x0097ab,
					     0x00aba1, 0x44bb96, 0x7cc88b, 0xadd386 };
static const uint32_t noscan_ramp[] = { 0x6f2563, 0x8a2f62, 0xa43c5d, 0xbc4b55, 0xd15e48,
					       0xdd7740, 0xe6913f, 0xeaac49, 0xebc75e };

#define RAMP_STEPS ((unsigned)(sizeof(scan_ramp) / sizeof(scan_ramp[0])) - 1)

static uint32_t between(uint32_t a, uint32_t b, unsigned part, unsigned whole)
{
	uint32_t colour = 0;

	for (unsigned shift = 0; shift < 24; shift += 8) {
		unsigned from = a >> shift & 255, to = b >> shift & 255;

		colour |= (from * (whole - part) + to * part) / whole << shift;
	}
	return colour;
}

/* A size's position on the ramp is its logarithm: 8 is at 0, and each doubling is an octave. */
#define PER_OCTAVE 64
#define OCTAVES 12
_Static_assert(MAX_SMALL_SIZE == 8 << OCTAVES,
	       "the ramp goes from 8 bytes to the largest small size");

static unsigned ramp_position(unsigned elemsize)
{
	unsigned octave = 0;

	while ((16u << octave) <= elemsize)
		octave++;
	return octave * PER_OCTAVE + (elemsize - (8u << octave)) * PER_OCTAVE / (8u << octave);
}

static uint32_t colour_of(unsigned kind)
{
	const uint32_t *ramp = spanclass_scan((spanclass_t)kind) == SCAN ? scan_ramp : noscan_ramp;
	unsigned at;

	if (kind == SPANCLASS_BIG)
		return 0xbcd3e4;
	if (kind == SPANCLASS_BIG_NOSCAN)
		return 0xf1d9b8;
	if (kind == SPANCLASS_ZERO)
		return 0x404040;
	at = ramp_position(sizeclasses[kind >> 1].elemsize) * RAMP_STEPS;
	if (at == OCTAVES * PER_OCTAVE * RAMP_STEPS)
		return ramp[RAMP_STEPS];
	return between(ramp[at / (OCTAVES * PER_OCTAVE)], ramp[at / (OCTAVES * PER_OCTAVE) + 1],
		       at % (OCTAVES * PER_OCTAVE), OCTAVES * PER_OCTAVE);
}

/* --- pieces of SVG --- */

static void begin_text(struct out *o, const char *class, size_t x, size_t y)
{
	out_format(o, "<text class=\"%s\" x=\"%zu\" y=\"%zu\">", class, x, y);
}

static void end_text(struct out *o)
{
	out_str(o, "</text>\n");
}

static void put_rect(struct out *o, const char *class, size_t x, size_t y, size_t width,
		     size_t height)
{
	out_format(o, "<rect class=\"%s\" x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%zu\"/>",
		   class, x, y, width, height);
}

/* Writes a text from outside, with the escapes of XML. */
static void put_escaped(struct out *o, const char *s, size_t n)
{
	while (n != 0) {
		size_t taken = max_size(text_shown(s, n), 1);

		if (*s == '<' || *s == '&')
			out_str(o, *s == '<' ? "&lt;" : "&amp;");
		else
			out_format(o, "%.*s", (int)taken, s);
		s += taken;
		n -= taken;
	}
}

static void put_kind_name(struct out *o, unsigned kind)
{
	static const char *const others[NUM_KINDS - NUM_SPAN_CLASSES] = {
		"free pages", "released pages", "held by threads", "not committed"
	};

	if (kind >= NUM_SPAN_CLASSES) {
		out_str(o, others[kind - NUM_SPAN_CLASSES]);
	} else if (kind <= SPANCLASS_BIG_NOSCAN) {
		out_str(o, kind == SPANCLASS_BIG ? "big" : "big noscan");
	} else if (kind == SPANCLASS_ZERO) {
		out_str(o, "no bytes");
	} else {
		out_format(o, "%u %s", sizeclasses[kind >> 1].elemsize,
			   kind == SPANCLASS_TINY                ? "tiny"
			   : spanclass_scan((spanclass_t)kind) == NOSCAN ? "noscan"
								 : "scan");
	}
}

/* --- measures --- */

static const struct scale *choose_scale(size_t narenas, size_t npages)
{
	const struct scale *s = scales;

	while (narenas > s->narenas || npages > s->npages)
		s++;
	return s;
}

/* Measures the heap by a first look. Arenas that come later are not drawn. */
static struct measures measure(const struct stat_snapshot *st, struct heapwalk *w)
{
	struct measures m = { .scale = *choose_scale(st->narenas, st->heap_bytes / PAGE_SIZE) };

	m.boxes = st->all.spans <= MAX_BOXES && m.scale.px >= 4 && m.scale.cell_pages == 1;
	m.rows = ARENA_PAGES / row_pages(&m);
	m.block_rows = (st->narenas + m.scale.in_row - 1) / m.scale.in_row;
	heapwalk_init(w);
	if (st->narenas == 1 && heapwalk_arena(w)) {
		uint32_t begin, end;

		map_extent(w, &begin, &end);
		m.rows = (end + row_pages(&m) - 1) / row_pages(&m);
	}
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		m.kinds += st->classes[sc].spans != 0;
	/* There is room for some kinds that appear while the map is drawn. */
	m.kinds += LEGEND_COLUMNS;
	return m;
}

/* Returns the distance from the left edge of a block to the left edge of the next. */
static size_t block_width(const struct measures *m)
{
	return (size_t)m->scale.columns * m->scale.px + ARENA_GAP;
}

/* Returns the distance from the top of a block's heading to the top of the heading below. */
static size_t block_height(const struct measures *m)
{
	return m->rows * m->scale.px + ARENA_HEAD + ARENA_GAP;
}

static size_t map_width(const struct measures *m)
{
	return m->scale.in_row * block_width(m) - ARENA_GAP;
}

static size_t legend_height(const struct measures *m)
{
	return (m->kinds / LEGEND_COLUMNS + 4) * LEGEND_ROW;
}

static void put_styles(struct out *o, const struct measures *m)
{
	out_str(o, "<style>\n"
		   "text{font:12px \"DejaVu Sans\",Verdana,sans-serif;fill:#333}\n"
		   ".title{font-size:17px;font-weight:bold;fill:#111}\n"
		   ".small{font-size:10px;fill:#666}.end{text-anchor:end}\n"
		   ".off{font-size:10px;fill:#888;text-anchor:end}.in{fill:#223}.on{fill:#fff}\n"
		   ".t{fill-opacity:.28;stroke:#fff;stroke-width:.07}\n"
		   ".row{fill:none;pointer-events:all}.row:hover{stroke:#000;stroke-width:.2}\n"
		   ".huge{fill:#444}.all{fill:none;stroke:#ccc}\n"
		   ".paths path{fill:none;stroke:currentColor;stroke-width:1}\n"
		   ".k136{fill:#dcdcdc;color:#dcdcdc}.k137{fill:#f4f4f4;color:#f4f4f4}\n"
		   ".k138{fill:#b9b9c4;color:#b9b9c4}.k139{fill:none;color:#fff}\n"
		   ".live{fill:#2c6e9b}.unused{fill:#a8c8de}.kept{fill:#d5e3ec}"
		   ".released{fill:#f4f4f4;stroke:#bbb;stroke-width:.5}\n");
	/* Sizes in an arena are in cells. */
	out_str(o, m->scale.px >= 32 ? ".in,.on{font-size:.4px}\n" : ".in,.on{font-size:.6px}\n");
	for (unsigned i = 1; i < FILL_STEPS; i++)
		out_format(o, ".f%u{stroke-opacity:.%u}", i - 1,
			   30 + 69 * (i - 1) / (FILL_STEPS - 1));
	for (unsigned kind = 0; kind < NUM_SPAN_CLASSES; kind++)
		out_format(o, "%s.k%u{fill:#%06x;color:#%06x}", kind % 4 == 0 ? "\n" : "", kind,
			   colour_of(kind), colour_of(kind));
	out_str(o, "\n</style>\n");
}

/* --- the head --- */

/* The bar of all pages, which is drawn part by part. */
struct share_bar {
	size_t x;                 /* where the next part begins */
	size_t label;             /* where its label begins */
	size_t width, nbytes;     /* of the whole */
};

static void put_share(struct out *o, struct share_bar *bar, const char *class, const char *what,
		      size_t nbytes)
{
	size_t width = bar->nbytes == 0 ? 0 : nbytes * bar->width / bar->nbytes;

	if (nbytes == 0)
		return;
	out_format(o, "<g><title>%s: %'zu</title>", what, nbytes);
	put_rect(o, class, bar->x, 98, max_size(width, 1), 14);
	out_str(o, "</g>\n");
	put_rect(o, class, bar->label, 118, 9, 9);
	begin_text(o, "small", bar->label + 14, 126);
	out_format(o, "%s %'zu", what, nbytes);
	end_text(o);
	bar->label += bar->width / 6;
	bar->x += width;
}

static void put_head(struct out *o, const struct measures *m, const struct stat_snapshot *st)
{
	size_t kept = st->classes[SPANCLASS_BIG].free_bytes +
		      st->classes[SPANCLASS_BIG_NOSCAN].free_bytes;
	struct share_bar bar = { LEFT, LEFT, map_width(m), st->heap_bytes };
	char name[STAT_PROGRAM_MAX];

	begin_text(o, "title", LEFT, 32);
	out_str(o, "Heap of ");
	put_escaped(o, name, stat_program(name));
	out_format(o, ", pid %u", (unsigned)os_pid());
	end_text(o);
	begin_text(o, "", LEFT, 54);
	out_format(o, "%'zu in %zu arena%s: %zu objects of %'zu live in %zu spans, %'zu of it "
		      "noscan",
		   st->heap_bytes, st->narenas, plural(st->narenas), st->all.live,
		   st->all.live_bytes, st->all.spans, st->noscan.live_bytes);
	end_text(o);
	begin_text(o, "small", LEFT, 72);
	out_format(o, "In the order of addresses; a cell is %u page%s of 8 KiB, a row %'zu",
		   m->scale.cell_pages, plural(m->scale.cell_pages), row_pages(m) * PAGE_SIZE);
	out_str(o, m->boxes ? ". The bar in a span is as high as it is full of live objects." :
			      ". The fuller a span, the stronger its colour.");
	end_text(o);
	begin_text(o, "small", LEFT, 86);
	out_str(o, "Spans of small sizes are dark, of large ones light; cold colours hold pointers "
		   "(scan), warm ones do not (noscan). Marked on the left: huge pages were asked "
		   "for.");
	end_text(o);
	put_share(o, &bar, "live", "live", st->all.live_bytes);
	put_share(o, &bar, "unused", "free slots", st->all.span_bytes - st->all.live_bytes - kept);
	put_share(o, &bar, "kept", "big, kept", kept);
	put_share(o, &bar, "k138", "held by threads", st->held_bytes + st->moving_bytes);
	put_share(o, &bar, "k136", "free pages", st->free_bytes);
	put_share(o, &bar, "released", "released", st->released_bytes);
}

/* --- cells: one arena in units of cells --- */

/* Writes the tooltip of a span. */
static void put_span_title(struct out *o, const struct heap_run *r)
{
	out_format(o, "<title>%#zx: ", r->base);
	put_kind_name(o, r->spanclass);
	if (r->spanclass > SPANCLASS_BIG_NOSCAN)
		out_format(o, ", %u of %u slots in use", r->fill.slots, r->nelems);
	out_format(o, ", %'zu%s</title>", r->span_npages * PAGE_SIZE,
		   r->fill.slots == 0 && r->spanclass <= SPANCLASS_BIG_NOSCAN ? ", freed and kept" :
										"");
}

/* Draws the part of a span's box that is in use, in hundredths of a cell from the lower edge. */
static void put_bar(struct out *o, size_t x, size_t y, size_t width, uint8_t fill)
{
	size_t height = ((size_t)fill * 100 + 254) / 255;

	if (height == 0)
		return;
	y = y * 100 + 100 - height;
	out_format(o, "<rect x=\"%zu\" y=\"%zu.%02zu\" width=\"%zu\" height=\"%zu.%02zu\"/>", x,
		   y / 100, y % 100, width, height / 100, height % 100);
}

/* Writes the span's kind or size into n cells of a row from x on, if it has room there. */
static void put_label(struct out *o, const struct measures *m, const struct heap_run *r, size_t x,
		      size_t y, size_t n)
{
	bool big = r->spanclass <= SPANCLASS_BIG_NOSCAN;
	/* The text is white on a dark bar. */
	bool dark = map_fill(r) > 150 && !big && sizeclasses[r->spanclass / 2].elemsize <= 1024;
	size_t whole = m->scale.px >= 32 ? 3 : 5;

	if (m->scale.px < 16 || (n < whole && (m->scale.px < 32 || big ||
					       sizeclasses[r->spanclass / 2].elemsize > 999)))
		return;
	out_format(o, "<text class=\"%s\" x=\"%zu.15\" y=\"%zu.68\">", dark ? "on" : "in", x, y);
	if (big)
		out_format(o, "%'zu", r->span_npages * PAGE_SIZE);
	else if (n >= whole)
		put_kind_name(o, r->spanclass);
	else
		out_format(o, "%u", sizeclasses[r->spanclass / 2].elemsize);
	out_str(o, "</text>");
}

/* Draws a run, with one box in each row. */
static void put_run(struct out *o, const struct measures *m, const struct heap_run *r)
{
	size_t page = r->page, left = r->npages;

	out_format(o, "<g class=\"k%u\">", map_kind(r));
	if (r->use == RUN_SPAN)
		put_span_title(o, r);
	while (left != 0) {
		size_t x = page % m->scale.columns, y = page / m->scale.columns;
		size_t n = min_size(left, m->scale.columns - x);

		if (r->use == RUN_SPAN) {
			put_rect(o, "t", x, y, n, 1);
			put_bar(o, x, y, n, map_fill(r));
			put_label(o, m, r, x, y, n);
		} else {
			put_rect(o, "p", x, y, n, 1);
		}
		page += n;
		left -= n;
	}
	out_str(o, "</g>\n");
}

static void put_boxes(struct out *o, const struct measures *m, struct heapwalk *w, uint32_t end,
		      struct map_total totals[NUM_KINDS])
{
	struct heap_run r;

	while (map_next(w, &r, end)) {
		map_add(totals, &r);
		if (r.use != RUN_NONE)
			put_run(o, m, &r);
	}
}

/* Returns the step of opacity for a cell's fill. Cells without a span have the last step. */
static unsigned fill_step(const struct map_cell *cell)
{
	return cell->kind >= NUM_SPAN_CLASSES ? FILL_STEPS - 1
					      : (cell->fill * (FILL_STEPS - 1) + 254u) / 255;
}

static unsigned style_of(const struct map_cell *cell)
{
	return cell->kind * FILL_STEPS + fill_step(cell);
}

/* Draws all runs of a style as one path. */
static void put_path(struct out *o, const struct measures *m, const struct map_cell *cells,
		     size_t ncells, unsigned style)
{
	out_format(o, "<path class=\"k%u", style / FILL_STEPS);
	if (style % FILL_STEPS < FILL_STEPS - 1)
		out_format(o, " f%u", style % FILL_STEPS);
	out_str(o, "\" d=\"");
	for (size_t i = 0; i < ncells;) {
		size_t n = 0;

		while (i + n < ncells && style_of(&cells[i + n]) == style &&
		       (n == 0 || (i + n) % m->scale.columns != 0))
			n++;
		if (n != 0)
			out_format(o, "M%zu %zuh%zu", i % m->scale.columns, i / m->scale.columns,
				   n);
		i += max_size(n, 1);
	}
	out_str(o, "\"/>\n");
}

/* Writes the tooltip of a row. */
static void put_row_title(struct out *o, const struct map_arena *a, size_t begin, size_t end)
{
	size_t nspans = 0, fill = 0, npages[NUM_KINDS - NUM_SPAN_CLASSES + 1] = { 0 };

	for (size_t page = begin; page < end; page++) {
		const struct map_cell *cell = &a->cells[page];
		bool other = cell->kind >= NUM_SPAN_CLASSES;

		npages[other ? cell->kind - NUM_SPAN_CLASSES + 1 : 0]++;
		nspans += cell->first;
		fill += other ? 0 : cell->fill;
	}
	out_format(o, "<title>%#zx: %'zu, %'zu in spans, %zu begin here, slots %zu%% in use; "
		      "%'zu free, %'zu released</title>",
		   a->base + begin * PAGE_SIZE, (end - begin) * PAGE_SIZE, npages[0] * PAGE_SIZE,
		   nspans, npages[0] == 0 ? 0 : fill * 100 / (npages[0] * 255),
		   npages[1] * PAGE_SIZE, npages[2] * PAGE_SIZE);
}

/* Draws a box to point at for each row, then a path for each style that occurs. */
static void put_paths(struct picture *p)
{
	const struct measures *m = &p->m;
	struct map_arena *a = &p->arena;
	size_t ncells = a->end / m->scale.cell_pages;
	struct map_cell *cells = a->cells;
	struct out *o = &p->out;

	for (size_t page = align_down(a->begin, row_pages(m)); page < a->end;
	     page += row_pages(m)) {
		out_str(o, "<g>");
		put_row_title(o, a, page, min_size(page + row_pages(m), a->end));
		put_rect(o, "row", 0, page / row_pages(m), m->scale.columns, 1);
		out_str(o, "</g>\n");
	}
	map_merge(cells, ncells, m->scale.cell_pages);
	zero_bytes(p->used, sizeof(p->used));
	for (size_t i = 0; i < ncells; i++)
		p->used[style_of(&cells[i])] = true;
	out_str(o, "<g class=\"paths\" pointer-events=\"none\" transform=\"translate(0 .5)\">\n");
	for (unsigned style = 0; style < NUM_KINDS * FILL_STEPS; style++)
		if (p->used[style] && style / FILL_STEPS != KIND_NONE)
			put_path(o, m, cells, ncells, style);
	out_str(o, "</g>\n");
}

/* --- an arena --- */

static void put_arena_head(struct out *o, const struct measures *m, const struct heapwalk *w,
			   size_t x, size_t y)
{
	size_t committed = 0;

	/* Small blocks have no room for a heading. */
	if (m->scale.in_row > 8)
		return;
	for (unsigned i = 0; i < sizeof(w->committed_words) / sizeof(w->committed_words[0]); i++)
		committed += popcount64(w->committed_words[i]) * 64 * PAGE_SIZE;
	begin_text(o, m->scale.in_row > 2 ? "small" : "", x, y + ARENA_HEAD - 6);
	out_format(o, "%s%#zx", m->scale.in_row > 2 ? "" : "Arena ", w->ha->base);
	if (m->scale.in_row <= 4)
		out_format(o, ": %'zu", committed);
	if (m->scale.in_row <= 2 && committed != ARENA_SIZE)
		out_str(o, " of 64 MiB");
	if (m->scale.in_row <= 2 && w->huge_regions != 0)
		out_format(o, ", %'zu huge", popcount64(w->huge_regions) * REGION_SIZE);
	end_text(o);
}

/* Writes the offsets in the arena at which some rows begin. */
static void put_offsets(struct out *o, const struct measures *m, size_t y)
{
	size_t step = max_size(64 / m->scale.px, 1);

	for (size_t row = 0; row < m->rows; row += step) {
		begin_text(o, "off", LEFT - 10,
			   y + row * m->scale.px + max_size(m->scale.px / 2 + 4, 8));
		out_format(o, "+%'zu", row * row_pages(m) * PAGE_SIZE);
		end_text(o);
	}
}

/* Draws bars beside the regions for which huge pages were asked. Each region has whole rows. */
static void put_regions(struct out *o, const struct measures *m, uint32_t regions, size_t x,
			size_t y)
{
	size_t rows = REGION_PAGES / row_pages(m);

	for (unsigned i = 0; rows != 0 && i < ARENA_PAGES / REGION_PAGES; i++) {
		if ((regions >> i & 1) == 0 || (i + 1) * rows > m->rows)
			continue;
		put_rect(o, "huge", x - 5, y + i * rows * m->scale.px, 3, rows * m->scale.px);
		out_str(o, "\n");
	}
}

/* Draws the arena of the walk as a block at x and y. */
static void put_arena(struct picture *p, size_t x, size_t y)
{
	const struct measures *m = &p->m;
	struct heapwalk *w = &p->walk;
	uint32_t regions = w->huge_regions, end = (uint32_t)(m->rows * row_pages(m));
	struct out *o = &p->out;

	put_arena_head(o, m, w, x, y);
	y += ARENA_HEAD;
	put_rect(o, "all", x, y, (size_t)m->scale.columns * m->scale.px, m->rows * m->scale.px);
	out_format(o, "\n<g class=\"arena\" transform=\"translate(%zu %zu) scale(%u)\">\n", x, y,
		   m->scale.px);
	if (m->boxes) {
		put_boxes(o, m, w, end, p->totals);
	} else {
		map_paint(&p->arena, w, end, p->totals);
		put_paths(p);
	}
	out_str(o, "</g>\n");
	if (m->scale.in_row == 1)
		put_offsets(o, m, y);
	put_regions(o, m, regions, x, y);
}

/* --- the legend --- */

static void put_entry(struct out *o, unsigned kind, const struct map_total *t, size_t x, size_t y)
{
	out_format(o, "<g class=\"entry\" data-kind=\"%u\" data-pages=\"%zu\" data-spans=\"%zu\" "
		      "data-slots=\"%zu\" data-used=\"%zu\">",
		   kind, t->npages, t->spans, t->slots, t->used);
	out_format(o, "<rect class=\"k%u%s\" x=\"%zu\" y=\"%zu\" width=\"12\" "
		      "height=\"12\"/>",
		   kind, kind == KIND_RELEASED ? " released" : "", x, y - 10);
	begin_text(o, "", x + 18, y);
	put_kind_name(o, kind);
	end_text(o);
	begin_text(o, "end", x + 176, y);
	out_format(o, "%'zu", t->npages * PAGE_SIZE);
	end_text(o);
	if (kind < NUM_SPAN_CLASSES) {
		begin_text(o, "end small", x + 236, y);
		out_format(o, "%zu%% full", t->slots == 0 ? 0 : t->used * 100 / t->slots);
		end_text(o);
	}
	out_str(o, "</g>\n");
}

/* Writes the kinds of spans in the order of sizes, column after column, then the other kinds. */
static void put_legend(struct out *o, const struct measures *m,
		       const struct map_total totals[NUM_KINDS], size_t y)
{
	size_t n = 0, i = 0, nrows, column = map_width(m) / LEGEND_COLUMNS;

	for (unsigned k = 2; k < NUM_SPAN_CLASSES + 2; k++)
		n += totals[k % NUM_SPAN_CLASSES].npages != 0;
	/* If very many kinds came while the map was drawn, the last are below the edge. */
	nrows = (n + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS;
	for (unsigned k = 2; k < NUM_SPAN_CLASSES + 2; k++) {
		unsigned kind = k % NUM_SPAN_CLASSES;

		if (totals[kind].npages == 0)
			continue;
		put_entry(o, kind, &totals[kind], LEFT + i / nrows * column,
			  y + i % nrows * LEGEND_ROW);
		i++;
	}
	y += nrows * LEGEND_ROW + LEGEND_ROW / 2;
	for (unsigned kind = KIND_FREE; kind <= KIND_TAKEN; kind++)
		put_entry(o, kind, &totals[kind], LEFT + (kind - KIND_FREE) * column, y);
}

/* --- the picture --- */

static void put_svg(struct picture *p)
{
	const struct measures *m = &p->m;
	struct out *o = &p->out;
	size_t map_height = m->block_rows * block_height(m);
	size_t width = LEFT + map_width(m) + MARGIN;
	size_t height = HEAD_HEIGHT + map_height + legend_height(m) + MARGIN;
	size_t i = 0;

	out_format(o, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%zu\" height=\"%zu\" "
		      "viewBox=\"0 0 %zu %zu\" data-cell-pages=\"%u\" data-columns=\"%u\">\n",
		   width, height, width, height, m->scale.cell_pages, m->scale.columns);
	put_styles(o, m);
	out_str(o, "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n");
	put_head(o, m, &p->st);
	heapwalk_init(&p->walk);
	for (; heapwalk_arena(&p->walk) && i < m->block_rows * m->scale.in_row; i++) {
		size_t x = LEFT + i % m->scale.in_row * block_width(m);

		put_arena(p, x, HEAD_HEIGHT + i / m->scale.in_row * block_height(m));
	}
	put_legend(o, m, p->totals, HEAD_HEIGHT + map_height + LEGEND_ROW + 4);
	out_str(o, "</svg>\n");
}

int heapsvg_write_or_errno(int fd)
{
	struct picture *p = os_alloc_scratch(sizeof(*p));
	int error;

	if (p == NULL)
		return ENOMEM;
	stat_read(&p->st);
	p->m = measure(&p->st, &p->walk);
	out_init(&p->out, fd);
	put_svg(p);
	(void)out_flush(&p->out);
	error = p->out.error;
	os_free_scratch(p, sizeof(*p));
	return error;
}
