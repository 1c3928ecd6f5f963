/* SPDX-License-Identifier: MIT */
/*
 * heapsvg.c - the map of the heap as a picture.
 * See malloc.c for the overview.
 *
 * The cells of an arena lie in rows, in the order of addresses. In a heap of few spans each is a box of its own with a bar as high as it is
 * full, and a tooltip; in others the runs of a kind and a fill are one path, so that 1 GiB of fragments stays below 2 MB, and the
 * tooltips are the rows'.
 *
 * Owns     colours and measures.
 * Callers  heapmap.c. Calls heapmap.h, stat.h, out.h.
 * Locks    those of heapwalk.h and stat.h; none while anything is written.
 * Holds    what has the class kN of one group is N's of map_kind(); the lengths of its boxes and paths are its pages, divided by pages a
 *          cell, and the legend, which comes last, is their sum. Nothing is drawn beyond the height that the first look at the heap gave.
 */
#include "heapmap.h"
#include "os.h"
#include "out.h"
#include "stat.h"

/* Pixels. */
#define MAP_WIDTH 1024
#define MARGIN 24
#define GUTTER 92                                      /* left of the cells, for offsets and addresses */
#define PICTURE_WIDTH (MARGIN + GUTTER + MAP_WIDTH + MARGIN)
#define LEFT (MARGIN + GUTTER)
#define HEAD_HEIGHT 128
#define ARENA_HEAD 30
#define ARENA_GAP 10
#define LEGEND_COLUMNS 4
#define LEGEND_ROW 17

/* Spans that have a box of their own, at most. */
#define MAX_BOXES 5000

/* Arenas that have a heading, at most. */
#define MAX_HEADINGS 32

/* Steps of opacity where there are no bars. */
#define FILL_STEPS 6

struct measures {
	bool boxes;               /* each span has one */
	unsigned columns;         /* cells in a row, a power of two */
	unsigned cell_pages;      /* pages in a cell, a power of two */
	unsigned px;              /* of a cell's height; it is as wide, but where an arena has fewer cells than a row had room for */
	bool dense;               /* so many arenas that they have no heading */
	size_t narenas;
	size_t rows;              /* of all arenas */
	size_t kinds;             /* in the legend */
};

static size_t row_pages(const struct measures *m)
{
	return (size_t)m->columns * m->cell_pages;
}

/* --- colours: dark small, light large; cold scan, warm noscan; lightness and hue go evenly through OKLCH --- */

static const uint32_t scan_ramp[] = { 0x433c80, 0x375295, 0x1769a5, 0x0081ac, 0x0097ab, 0x00aba1, 0x44bb96, 0x7cc88b, 0xadd386 };
static const uint32_t noscan_ramp[] = { 0x6f2563, 0x8a2f62, 0xa43c5d, 0xbc4b55, 0xd15e48, 0xdd7740, 0xe6913f, 0xeaac49, 0xebc75e };

#define RAMP_STEPS (sizeof(scan_ramp) / sizeof(scan_ramp[0]) - 1)

static uint32_t between(uint32_t a, uint32_t b, unsigned part, unsigned whole)
{
	uint32_t colour = 0;

	for (unsigned shift = 0; shift < 24; shift += 8) {
		unsigned from = a >> shift & 255, to = b >> shift & 255;

		colour |= (from * (whole - part) + to * part) / whole << shift;
	}
	return colour;
}

static uint32_t colour_of(unsigned kind)
{
	const uint32_t *ramp = spanclass_noscan((spanclass_t)kind) ? noscan_ramp : scan_ramp;
	unsigned at;

	if (kind == SPANCLASS_BIG)
		return 0xbcd3e4;
	if (kind == SPANCLASS_BIG_NOSCAN)
		return 0xf1d9b8;
	if (kind == SPANCLASS_NOTHING)
		return 0x404040;
	at = ((kind >> 1) - 1) * RAMP_STEPS;
	if (at == (NUM_SIZE_CLASSES - 2) * RAMP_STEPS)
		return ramp[RAMP_STEPS];
	return between(ramp[at / (NUM_SIZE_CLASSES - 2)], ramp[at / (NUM_SIZE_CLASSES - 2) + 1], at % (NUM_SIZE_CLASSES - 2),
		       NUM_SIZE_CLASSES - 2);
}

static void put_colour(struct out *o, uint32_t colour)
{
	char text[7] = "#";

	for (unsigned i = 0; i < 6; i++)
		text[1 + i] = "0123456789abcdef"[colour >> (20 - 4 * i) & 15];
	out_bytes(o, text, sizeof(text));
}

/* --- pieces of SVG --- */

/* name="n" */
static void put_attribute(struct out *o, const char *name, size_t n)
{
	out_str(o, " ");
	out_str(o, name);
	out_str(o, "=\"");
	out_dec(o, n);
	out_str(o, "\"");
}

static void begin_text(struct out *o, const char *class, size_t x, size_t y)
{
	out_str(o, "<text class=\"");
	out_str(o, class);
	out_str(o, "\"");
	put_attribute(o, "x", x);
	put_attribute(o, "y", y);
	out_str(o, ">");
}

static void end_text(struct out *o)
{
	out_str(o, "</text>\n");
}

static void put_rect(struct out *o, const char *class, size_t x, size_t y, size_t width, size_t height)
{
	out_str(o, "<rect class=\"");
	out_str(o, class);
	out_str(o, "\"");
	put_attribute(o, "x", x);
	put_attribute(o, "y", y);
	put_attribute(o, "width", width);
	put_attribute(o, "height", height);
	out_str(o, "/>");
}

static void put_kind_class(struct out *o, unsigned kind)
{
	out_str(o, "k");
	out_dec(o, kind);
}

/* Text of which we know nothing. Not UTF-8, or not for XML: a question mark. */
static void put_escaped(struct out *o, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '<' || s[i] == '&')
			out_str(o, s[i] == '<' ? "&lt;" : "&amp;");
		else
			out_bytes(o, s[i] < ' ' || s[i] > '~' ? "?" : &s[i], 1);
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
	} else if (kind == SPANCLASS_NOTHING) {
		out_str(o, "no bytes");
	} else {
		out_dec(o, sizeclasses[kind >> 1].elemsize);
		out_str(o, kind == SPANCLASS_TINY ? " tiny" : spanclass_noscan((spanclass_t)kind) ? " noscan" : " scan");
	}
}

static void put_styles(struct out *o)
{
	out_str(o, "<style>\n"
		   "text{font:12px \"DejaVu Sans\",Verdana,sans-serif;fill:#333}\n"
		   ".title{font-size:17px;font-weight:bold;fill:#111}.small{font-size:10px;fill:#666}.end{text-anchor:end}\n"
		   ".off{font-size:10px;fill:#888;text-anchor:end}.in{font-size:.58px;fill:#fff;stroke:#222;stroke-width:.09;paint-order:stroke}\n"
		   ".t{fill-opacity:.28;stroke:#fff;stroke-width:.07}.row{fill:none;pointer-events:all}.row:hover{stroke:#000;stroke-width:.2}\n"
		   ".huge{fill:none;stroke:#111;stroke-opacity:.55;stroke-width:1.2}.paths path{fill:none;stroke:currentColor;stroke-width:1}\n"
		   ".k136{fill:#dcdcdc;color:#dcdcdc}.k137{fill:#f4f4f4;color:#f4f4f4}.k138{fill:#b9b9c4;color:#b9b9c4}"
		   ".k139{fill:none;color:#fff}\n"
		   ".live{fill:#2c6e9b}.unused{fill:#a8c8de}.kept{fill:#d5e3ec}.released{fill:#f4f4f4;stroke:#bbb;stroke-width:.5}\n");
	for (unsigned i = 1; i < FILL_STEPS; i++) {
		out_str(o, ".f");
		out_dec(o, i - 1);
		out_str(o, "{stroke-opacity:.");
		out_dec(o, 22 + 78 * (i - 1) / (FILL_STEPS - 1));
		out_str(o, "}");
	}
	for (unsigned kind = 0; kind < NUM_SPAN_CLASSES; kind++) {
		out_str(o, kind % 4 == 0 ? "\n.k" : ".k");
		out_dec(o, kind);
		out_str(o, "{fill:");
		put_colour(o, colour_of(kind));
		out_str(o, ";color:");
		put_colour(o, colour_of(kind));
		out_str(o, "}");
	}
	out_str(o, "\n</style>\n");
}

/* --- measures --- */

static struct measures choose_measures(size_t npages, size_t nspans)
{
	/* Larger heaps have smaller cells, so that the picture stays about as high as it is wide. */
	static const struct {
		size_t npages;
		unsigned columns, px;
	} scales[] = { { 2048, 64, 16 }, { 8192, 128, 8 }, { 65536, 256, 4 }, { 262144, 512, 2 } };
	struct measures m = { .cell_pages = 1 };
	unsigned i = 0;

	while (i < 3 && npages > scales[i].npages)
		i++;
	m.columns = scales[i].columns;
	m.px = scales[i].px;
	while (npages / m.cell_pages > scales[3].npages)
		m.cell_pages *= 2;
	/* An arena begins a row. */
	m.columns = (unsigned)min_size(m.columns, ARENA_PAGES / m.cell_pages);
	m.boxes = nspans <= MAX_BOXES && m.px >= 4;
	return m;
}

/* Rows from the first to the last that has committed pages; *first its number in the arena. */
static size_t rows_of(const struct measures *m, uint32_t begin, uint32_t end, size_t *first)
{
	*first = begin / row_pages(m);
	return end == 0 ? 0 : (end - 1) / row_pages(m) + 1 - *first;
}

static size_t kinds_in_use(const struct stat_snapshot *st)
{
	size_t n = 0;

	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		n += st->classes[sc].spans != 0;
	return n;
}

static struct measures measure(const struct stat_snapshot *st)
{
	struct measures m = choose_measures(st->heap_bytes / PAGE_SIZE, st->all.spans);
	struct heapwalk w;

	heapwalk_init(&w);
	while (heapwalk_arena(&w)) {
		uint32_t begin, end;
		size_t first;

		map_extent(&w, &begin, &end);
		m.rows += rows_of(&m, begin, end, &first);
		m.narenas += end != 0;
	}
	m.dense = m.narenas > MAX_HEADINGS;
	/* And some that come while it is drawn. */
	m.kinds = kinds_in_use(st) + 2 * LEGEND_COLUMNS;
	return m;
}

static size_t arena_head(const struct measures *m)
{
	return m->dense ? 0 : ARENA_HEAD;
}

static size_t arena_gap(const struct measures *m)
{
	return m->dense ? 1 : ARENA_GAP;
}

static size_t map_height(const struct measures *m)
{
	return m->rows * m->px + m->narenas * (arena_head(m) + arena_gap(m));
}

static size_t legend_height(const struct measures *m)
{
	return (m->kinds / LEGEND_COLUMNS + 6) * LEGEND_ROW;
}

/* --- the head --- */

/* A part of the bar of all pages, from *x on. Behind the last one nothing is left. */
static void put_share(struct out *o, const char *class, const char *what, size_t nbytes, size_t whole, size_t *x)
{
	size_t width = whole == 0 ? 0 : nbytes * MAP_WIDTH / whole;

	if (nbytes == 0)
		return;
	out_str(o, "<g><title>");
	out_str(o, what);
	out_str(o, ": ");
	out_short_size(o, nbytes);
	out_str(o, "</title>");
	put_rect(o, class, *x, 86, max_size(width, 1), 14);
	out_str(o, "</g>\n");
	/* What fits is written below. */
	if (width >= 110) {
		begin_text(o, "small", *x, 112);
		out_str(o, what);
		out_str(o, " ");
		out_short_size(o, nbytes);
		end_text(o);
	}
	*x += width;
}

static void put_head(struct out *o, const struct measures *m, const struct stat_snapshot *st)
{
	size_t kept = st->classes[SPANCLASS_BIG].free_bytes + st->classes[SPANCLASS_BIG_NOSCAN].free_bytes;
	size_t x = LEFT;
	char name[STAT_PROGRAM_MAX];

	begin_text(o, "title", LEFT, 32);
	out_str(o, "Heap of ");
	put_escaped(o, name, stat_program(name));
	out_str(o, ", pid ");
	out_dec(o, (uint64_t)os_pid());
	end_text(o);
	begin_text(o, "", LEFT, 54);
	out_short_size(o, st->heap_bytes);
	out_str(o, st->narenas == 1 ? " in " : " in ");
	out_dec(o, st->narenas);
	out_str(o, st->narenas == 1 ? " arena: " : " arenas: ");
	out_dec(o, st->all.live);
	out_str(o, " objects of ");
	out_short_size(o, st->all.live_bytes);
	out_str(o, " live in ");
	out_dec(o, st->all.spans);
	out_str(o, " spans, ");
	out_short_size(o, st->noscan.live_bytes);
	out_str(o, " of it noscan");
	end_text(o);
	begin_text(o, "small", LEFT, 72);
	out_str(o, "In the order of addresses; a cell is ");
	out_dec(o, m->cell_pages);
	out_str(o, m->cell_pages == 1 ? " page of 8 KiB, a row " : " pages of 8 KiB, a row ");
	out_short_size(o, row_pages(m) * PAGE_SIZE);
	out_str(o, m->boxes ? ". The bar in a span is as high as its slots are full." : ". The fuller the slots of a span, the stronger its colour.");
	out_str(o, " Small sizes are dark, large ones light; cold colours scan, warm ones noscan. Framed: huge pages were asked for.");
	end_text(o);
	put_share(o, "live", "live", st->all.live_bytes, st->heap_bytes, &x);
	put_share(o, "unused", "free slots", st->all.span_bytes - st->all.live_bytes - kept, st->heap_bytes, &x);
	put_share(o, "kept", "big, kept", kept, st->heap_bytes, &x);
	put_share(o, "k138", "held by threads", st->held_bytes + st->moving_bytes, st->heap_bytes, &x);
	put_share(o, "k136", "free pages", st->free_bytes, st->heap_bytes, &x);
	put_share(o, "released", "released", st->released_bytes, st->heap_bytes, &x);
}

/* --- cells: one arena in units of cells --- */

/* The tooltip of a span. */
static void put_span_title(struct out *o, const struct heap_run *r)
{
	out_str(o, "<title>");
	out_hex(o, r->base);
	out_str(o, ": ");
	put_kind_name(o, r->spanclass);
	out_str(o, ", ");
	if (r->spanclass <= SPANCLASS_BIG_NOSCAN) {
		out_short_size(o, r->span_npages * PAGE_SIZE);
		out_str(o, r->fill.slots == 0 ? ", freed and kept" : "");
	} else {
		out_dec(o, r->fill.slots);
		out_str(o, " of ");
		out_dec(o, spanclass_info(r->spanclass)->nelems);
		out_str(o, " slots in use, ");
		out_short_size(o, r->span_npages * PAGE_SIZE);
	}
	out_str(o, "</title>");
}

/* The part of a span's box that is in use. Hundredths of a cell, from the lower edge. */
static void put_bar(struct out *o, size_t x, size_t y, size_t width, uint8_t fill)
{
	size_t height = ((size_t)fill * 100 + 254) / 255;

	if (height == 0)
		return;
	out_str(o, "<rect");
	put_attribute(o, "x", x);
	out_str(o, " y=\"");
	out_fixed(o, y * 100 + 100 - height, 2);
	out_str(o, "\"");
	put_attribute(o, "width", width);
	out_str(o, " height=\"");
	out_fixed(o, height, 2);
	out_str(o, "\"/>");
}

static void put_label(struct out *o, const struct heap_run *r, size_t x, size_t y)
{
	out_str(o, "<text class=\"in\" x=\"");
	out_dec(o, x);
	out_str(o, ".25\" y=\"");
	out_dec(o, y);
	out_str(o, ".72\">");
	if (r->spanclass <= SPANCLASS_BIG_NOSCAN)
		out_short_size(o, r->span_npages * PAGE_SIZE);
	else
		out_dec(o, sizeclasses[r->spanclass >> 1].elemsize);
	out_str(o, "</text>");
}

/* A run in as many boxes as rows. */
static void put_run(struct out *o, const struct measures *m, const struct heap_run *r, uint32_t begin, uint32_t end)
{
	unsigned kind = map_kind(r);
	size_t page = r->page - begin, left = min_size(r->npages, end - r->page);

	out_str(o, "<g class=\"");
	put_kind_class(o, kind);
	out_str(o, "\">");
	if (r->use == RUN_SPAN)
		put_span_title(o, r);
	while (left != 0) {
		size_t x = page % m->columns, y = page / m->columns;
		size_t n = min_size(left, m->columns - x);

		if (r->use == RUN_SPAN) {
			put_rect(o, "t", x, y, n, 1);
			put_bar(o, x, y, n, map_fill(r));
			if (m->px >= 16 && n >= 4)
				put_label(o, r, x, y);
		} else {
			put_rect(o, "p", x, y, n, 1);
		}
		page += n;
		left -= n;
	}
	out_str(o, "</g>\n");
}

static void put_boxes(struct out *o, const struct measures *m, struct heapwalk *w, uint32_t begin, uint32_t end,
		      struct map_total totals[NUM_KINDS])
{
	struct heap_run r;

	while (heapwalk_run(w, &r)) {
		if (r.page < begin || r.page >= end)
			continue;
		map_add(totals, &r);
		if (r.use != RUN_NONE)
			put_run(o, m, &r, begin, end);
	}
}

/* The cell that stands for cell_pages pages: the kind that has most of them, as full as they are in the mean. */
static struct map_cell merge_cells(const struct map_cell *cells, unsigned n)
{
	struct map_cell best = cells[0];
	unsigned most = 0;

	for (unsigned i = 0; i < n; i++) {
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

/* The step of opacity of a cell's fill; others than spans have the last. */
static unsigned fill_step(const struct map_cell *cell)
{
	return cell->kind >= NUM_SPAN_CLASSES ? FILL_STEPS - 1 : (cell->fill * (FILL_STEPS - 1) + 254u) / 255;
}

static unsigned style_of(const struct map_cell *cell)
{
	return cell->kind * FILL_STEPS + fill_step(cell);
}

/* One path for all runs of a style, from cell begin on. */
static void put_path(struct out *o, const struct measures *m, const struct map_cell *cells, size_t ncells, unsigned style)
{
	out_str(o, "<path class=\"");
	put_kind_class(o, style / FILL_STEPS);
	if (style % FILL_STEPS < FILL_STEPS - 1) {
		out_str(o, " f");
		out_dec(o, style % FILL_STEPS);
	}
	out_str(o, "\" d=\"");
	for (size_t i = 0; i < ncells;) {
		size_t n = 0;

		while (i + n < ncells && style_of(&cells[i + n]) == style && (n == 0 || (i + n) % m->columns != 0))
			n++;
		if (n != 0) {
			out_str(o, "M");
			out_dec(o, i % m->columns);
			out_str(o, " ");
			out_dec(o, i / m->columns);
			out_str(o, "h");
			out_dec(o, n);
		}
		i += max_size(n, 1);
	}
	out_str(o, "\"/>\n");
}

/* What is in a row, for its tooltip. */
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
	out_str(o, "<title>");
	out_hex(o, a->base + begin * PAGE_SIZE);
	out_str(o, ": ");
	out_short_size(o, (end - begin) * PAGE_SIZE);
	out_str(o, ", ");
	out_short_size(o, npages[0] * PAGE_SIZE);
	out_str(o, " in spans, ");
	out_dec(o, nspans);
	out_str(o, " begin here, slots ");
	out_dec(o, npages[0] == 0 ? 0 : fill * 100 / (npages[0] * 255));
	out_str(o, "% in use; ");
	out_short_size(o, npages[1] * PAGE_SIZE);
	out_str(o, " free, ");
	out_short_size(o, npages[2] * PAGE_SIZE);
	out_str(o, " released");
	out_str(o, "</title>");
}

/* The styles that occur, and a path for each; then a box to point at for each row. a->begin is the first cell's page. */
static void put_paths(struct out *o, const struct measures *m, struct map_arena *a)
{
	size_t ncells = (a->end - a->begin + m->cell_pages - 1) / m->cell_pages;
	struct map_cell *cells = &a->cells[a->begin];
	bool used[NUM_KINDS * FILL_STEPS] = { false };

	for (size_t begin = 0; begin < ncells * m->cell_pages; begin += row_pages(m)) {
		out_str(o, "<g>");
		put_row_title(o, a, a->begin + begin, min_size(a->begin + begin + row_pages(m), a->end));
		put_rect(o, "row", 0, begin / row_pages(m), m->columns, 1);
		out_str(o, "</g>\n");
	}
	/* In place: a cell is read before those before it are written. */
	for (size_t i = 0; i < ncells; i++)
		cells[i] = merge_cells(&cells[i * m->cell_pages], m->cell_pages);
	for (size_t i = 0; i < ncells; i++)
		used[style_of(&cells[i])] = true;
	out_str(o, "<g class=\"paths\" pointer-events=\"none\" transform=\"translate(0 .5)\">\n");
	for (unsigned style = 0; style < NUM_KINDS * FILL_STEPS; style++)
		if (used[style] && style / FILL_STEPS != KIND_NONE)
			put_path(o, m, cells, ncells, style);
	out_str(o, "</g>\n");
}

/* --- an arena --- */

static void put_arena_head(struct out *o, const struct heapwalk *w, size_t y)
{
	size_t committed = 0;

	for (unsigned i = 0; i < sizeof(w->committed_words) / sizeof(w->committed_words[0]); i++)
		committed += popcount64(w->committed_words[i]) * 64 * PAGE_SIZE;
	begin_text(o, "", LEFT, y + ARENA_HEAD - 8);
	out_str(o, "Arena ");
	out_hex(o, w->ha->base);
	if (committed == ARENA_SIZE) {
		out_str(o, ", 64 MiB");
	} else {
		out_str(o, ": ");
		out_short_size(o, committed);
		out_str(o, " of 64 MiB committed");
	}
	if (w->huge_regions != 0) {
		out_str(o, ", ");
		out_short_size(o, popcount64(w->huge_regions) * REGION_SIZE);
		out_str(o, " of it in huge pages, as the kernel grants them");
	}
	end_text(o);
}

/* In place of a heading. Where there is room for the next one. */
static size_t put_address(struct out *o, const struct heapwalk *w, size_t y)
{
	begin_text(o, "off", LEFT - 8, y + 8);
	out_hex(o, w->ha->base);
	end_text(o);
	return y + 12;
}

/* How far into the arena some rows begin. */
static void put_offsets(struct out *o, const struct measures *m, size_t first, size_t nrows, size_t y)
{
	size_t step = max_size(64 / m->px, 1);

	if (m->dense)
		return;
	for (size_t row = 0; row < nrows; row += step) {
		begin_text(o, "off", LEFT - 8, y + row * m->px + max_size(m->px - m->px / 4, 8));
		out_str(o, "+");
		out_short_size(o, (first + row) * row_pages(m) * PAGE_SIZE);
		end_text(o);
	}
}

/* Frames around the regions with huge pages: parts of a row, or some whole ones. */
static void put_regions(struct out *o, const struct measures *m, uint32_t regions, size_t first, size_t nrows, size_t y)
{
	size_t in_row = max_size(row_pages(m) / REGION_PAGES, 1), rows = max_size(REGION_PAGES / row_pages(m), 1);
	size_t width = MAP_WIDTH / in_row;

	for (unsigned i = 0; i < ARENA_PAGES / REGION_PAGES; i++) {
		size_t row = i / in_row * rows;

		if ((regions >> i & 1) == 0 || row < first || row + rows > first + nrows)
			continue;
		put_rect(o, "huge", LEFT + i % in_row * width, y + (row - first) * m->px, width, rows * m->px);
		out_str(o, "\n");
	}
}

/* Draws the arena of the walk from y on, in at most *rows_left rows. The height it took. */
static size_t put_arena(struct out *o, const struct measures *m, struct heapwalk *w, size_t y, size_t *rows_left, size_t *next_label,
			struct map_total totals[NUM_KINDS])
{
	struct map_arena a;
	uint32_t begin, end, regions = w->huge_regions;
	size_t first, nrows;

	map_extent(w, &begin, &end);
	nrows = min_size(rows_of(m, begin, end, &first), *rows_left);
	if (nrows == 0)
		return 0;
	*rows_left -= nrows;
	begin = (uint32_t)(first * row_pages(m));
	end = (uint32_t)min_size((first + nrows) * row_pages(m), end);
	if (!m->dense)
		put_arena_head(o, w, y);
	else if (y >= *next_label)
		*next_label = put_address(o, w, y);
	y += arena_head(m);
	put_offsets(o, m, first, nrows, y);
	out_str(o, "<g class=\"arena\" transform=\"translate(");
	out_dec(o, LEFT);
	out_str(o, " ");
	out_dec(o, y);
	out_str(o, ") scale(");
	out_dec(o, MAP_WIDTH / m->columns);
	out_str(o, " ");
	out_dec(o, m->px);
	out_str(o, ")\">\n");
	if (m->boxes) {
		put_boxes(o, m, w, begin, end, totals);
	} else {
		map_paint(&a, w, totals);
		a.begin = begin;
		a.end = end;
		put_paths(o, m, &a);
	}
	out_str(o, "</g>\n");
	put_regions(o, m, regions, first, nrows, y);
	return arena_head(m) + nrows * m->px + arena_gap(m);
}

/* --- the legend --- */

static void put_entry(struct out *o, unsigned kind, const struct map_total *t, size_t x, size_t y)
{
	out_str(o, "<g class=\"entry\"");
	put_attribute(o, "data-kind", kind);
	put_attribute(o, "data-pages", t->npages);
	put_attribute(o, "data-spans", t->spans);
	put_attribute(o, "data-slots", t->slots);
	put_attribute(o, "data-used", t->used);
	out_str(o, "><rect class=\"");
	put_kind_class(o, kind);
	out_str(o, kind == KIND_RELEASED ? " released\"" : "\"");
	put_attribute(o, "x", x);
	put_attribute(o, "y", y - 10);
	out_str(o, " width=\"12\" height=\"12\"/>");
	begin_text(o, "", x + 18, y);
	put_kind_name(o, kind);
	end_text(o);
	begin_text(o, "end", x + 176, y);
	out_short_size(o, t->npages * PAGE_SIZE);
	end_text(o);
	if (kind < NUM_SPAN_CLASSES) {
		begin_text(o, "end small", x + 236, y);
		out_dec(o, t->slots == 0 ? 0 : t->used * 100 / t->slots);
		out_str(o, "% full");
		end_text(o);
	}
	out_str(o, "</g>\n");
}

/* Kinds in the order of sizes, column after column; then what is in no span. */
static void put_legend(struct out *o, const struct measures *m, const struct map_total totals[NUM_KINDS], size_t y)
{
	size_t n = 0, i = 0, nrows;

	for (unsigned k = 2; k < NUM_SPAN_CLASSES + 2; k++)
		n += totals[k % NUM_SPAN_CLASSES].npages != 0;
	nrows = (min_size(n, m->kinds) + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS;
	for (unsigned k = 2; k < NUM_SPAN_CLASSES + 2 && i < m->kinds; k++) {
		unsigned kind = k % NUM_SPAN_CLASSES;

		if (totals[kind].npages == 0)
			continue;
		put_entry(o, kind, &totals[kind], LEFT + i / nrows * (MAP_WIDTH / LEGEND_COLUMNS), y + i % nrows * LEGEND_ROW);
		i++;
	}
	y += nrows * LEGEND_ROW + LEGEND_ROW / 2;
	for (unsigned kind = KIND_FREE; kind <= KIND_TAKEN; kind++)
		put_entry(o, kind, &totals[kind], LEFT + (kind - KIND_FREE) * (MAP_WIDTH / LEGEND_COLUMNS), y);
}

/* --- the picture --- */

static void put_svg(struct out *o, const struct measures *m, const struct stat_snapshot *st)
{
	struct map_total totals[NUM_KINDS] = { { 0 } };
	size_t height = HEAD_HEIGHT + map_height(m) + legend_height(m) + MARGIN;
	size_t y = HEAD_HEIGHT, rows_left = m->rows, next_label = 0;
	struct heapwalk w;

	out_str(o, "<svg xmlns=\"http://www.w3.org/2000/svg\"");
	put_attribute(o, "width", PICTURE_WIDTH);
	put_attribute(o, "height", height);
	out_str(o, " viewBox=\"0 0 ");
	out_dec(o, PICTURE_WIDTH);
	out_str(o, " ");
	out_dec(o, height);
	out_str(o, "\"");
	put_attribute(o, "data-cell-pages", m->cell_pages);
	out_str(o, ">\n");
	put_styles(o);
	out_str(o, "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n");
	put_head(o, m, st);
	heapwalk_init(&w);
	while (heapwalk_arena(&w))
		y += put_arena(o, m, &w, y, &rows_left, &next_label, totals);
	put_legend(o, m, totals, y + LEGEND_ROW + 4);
	out_str(o, "</svg>\n");
}

bool heapsvg_write(int fd)
{
	struct stat_snapshot st;
	struct measures m;
	struct out o;

	stat_read(&st);
	m = measure(&st);
	out_init(&o, fd);
	put_svg(&o, &m, &st);
	return out_flush(&o);
}
