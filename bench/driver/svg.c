/* SPDX-License-Identifier: MIT */
/*
 * svg.c - draws the plot. See svg.h.
 *
 * Holds    x grows with log2(ratio). A ratio beyond the axis is drawn as a triangle on its edge.
 *          The file refers to no other file, so that any viewer can show it.
 */
#include "svg.h"

#include <math.h>
#include <stdio.h>

#include "scale.h"

#define WIDTH    1000
#define LEFT     204 /* where the first panel begins */
#define PANEL    358 /* its width */
#define GAP      46  /* between the two */
#define TOP      112 /* where the rows begin */
#define ROW      19  /* height of one */
#define SPACE    10  /* between groups of rows */
#define BOTTOM   50
#define MARGIN   16     /* left of the text below the panels */
#define MIN_LOG2 (-4.0) /* the axis never goes beyond 1/16 .. 16 */
#define MAX_LOG2 4.0

static const char *const colours[] = { "#888888", "#d1242f", "#0969da", "#1a7f37", "#9a6700",
				       "#8250df", "#bf3989", "#0f8a9d", "#57606a", "#bc4c00" };

#define NCOLOURS (sizeof colours / sizeof colours[0])

struct panel {
	enum metric metric;
	const char *title;
	double x;        /* left edge */
	double low_log2; /* ends of the axis */
	double high_log2;
};

struct plot {
	FILE *f;
	const struct results *r;
	struct panel panel[2];
};

static void print_text(FILE *f, const char *text)
{
	for (const char *c = text; *c != '\0'; c++) {
		if (*c == '<')
			fputs("&lt;", f);
		else if (*c == '&')
			fputs("&amp;", f);
		else
			fputc(*c, f);
	}
}

static double clamp(double x, double low, double high)
{
	return x < low ? low : x > high ? high : x;
}

static double panel_x(const struct panel *p, double log2_ratio)
{
	return p->x + PANEL * (log2_ratio - p->low_log2) / (p->high_log2 - p->low_log2);
}

/* Makes the axis reach from and to whole powers of two around all ratios, at least 1/2 .. 2. */
static void panel_fit(struct panel *p, const struct results *r)
{
	p->low_log2 = -1;
	p->high_log2 = 1;
	for (size_t i = 0; i < r->nlines; i++) {
		for (size_t a = 0; a < r->allocators->count; a++) {
			double ratio = results_ratio(r, i, a, p->metric, YARD_GLIBC);

			if (ratio <= 0)
				continue;
			p->low_log2 = fmin(p->low_log2, floor(log2(ratio)));
			p->high_log2 = fmax(p->high_log2, ceil(log2(ratio)));
		}
	}
	p->low_log2 = fmax(p->low_log2, MIN_LOG2);
	p->high_log2 = fmin(p->high_log2, MAX_LOG2);
}

static void print_axis(const struct plot *plot, const struct panel *p, double height)
{
	FILE *f = plot->f;

	fprintf(f, "<text x=\"%.1f\" y=\"%d\" class=\"b\">%s</text>\n", p->x, TOP - 30, p->title);
	for (double k = p->low_log2; k <= p->high_log2; k += 1) {
		double x = panel_x(p, k);
		bool one = fabs(k) < 0.5;

		fprintf(f, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%.1f\" stroke=\"%s\"/>\n",
			x, x, TOP - 6, TOP + height, one ? "#57606a" : "#d8dee4");
		fprintf(f, "<text x=\"%.1f\" y=\"%d\" class=\"s%s\" text-anchor=\"middle\">", x,
			TOP - 12, one ? " b" : "");
		if (k < 0)
			fprintf(f, "1/%.0f</text>\n", exp2(-k));
		else
			fprintf(f, "%.0f</text>\n", exp2(k));
	}
}

/* Draws a dot at `ratio`, or a triangle on the edge if `ratio` is beyond it. A viewer shows `tip`
 * under the pointer. */
static void print_dot(const struct plot *plot, const struct panel *p, size_t a, double ratio,
		      double y, const char *tip)
{
	FILE *f = plot->f;
	double k = log2(ratio);
	double x = panel_x(p, clamp(k, p->low_log2, p->high_log2));
	const char *colour = colours[a % NCOLOURS];
	bool own = a == ALLOCATOR_GOALLOC;

	if (k < p->low_log2 || k > p->high_log2) {
		double d = k < p->low_log2 ? -7 : 7;

		fprintf(f, "<path d=\"M%.1f %.1f l%.1f 4 l0 -8 z\" fill=\"%s\">", x + d, y, -d,
			colour);
		fprintf(f, "<title>%s</title></path>\n", tip);
		return;
	}
	fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" fill=\"%s\" stroke=\"#fff\">", x, y,
		own ? "5.5" : "4", colour);
	fprintf(f, "<title>%s</title></circle>\n", tip);
}

/* Draws the dots of one row: the peers first, then goalloc on top. glibc is the line at 1. */
static void print_dots(const struct plot *plot, const struct panel *p, size_t line, double y)
{
	const struct results *r = plot->r;

	for (size_t k = 2; k <= r->allocators->count; k++) {
		size_t a = k < r->allocators->count ? k : ALLOCATOR_GOALLOC;
		double value = results_value(r, line, a, p->metric);
		double ratio = results_ratio(r, line, a, p->metric, YARD_GLIBC);
		struct scale scale = p->metric == METRIC_TIME_MIN ? scale_time(value) : scale_rss();
		char number[32];
		char tip[96];

		if (r->line[line].cell[a].failure != NULL)
			fprintf(plot->f,
				"<text x=\"%.1f\" y=\"%.1f\" class=\"b\" style=\"fill:%s\">"
				"\303\227</text>\n",
				p->x + PANEL + 6 + 8.0 * (double)(k - 2), y + 4,
				colours[a % NCOLOURS]);
		if (ratio <= 0)
			continue;
		scale_print(number, sizeof number, value / scale.divisor);
		snprintf(tip, sizeof tip, "%s: %s %s, %.2f of glibc", r->allocators->at[a].name,
			 number, scale.unit, ratio);
		print_dot(plot, p, a, ratio, y, tip);
	}
}

static void print_mean_dots(const struct plot *plot, const struct panel *p, double y)
{
	const struct results *r = plot->r;

	for (size_t k = 2; k <= r->allocators->count; k++) {
		size_t a = k < r->allocators->count ? k : ALLOCATOR_GOALLOC;
		size_t n;
		double mean = results_geomean(r, a, p->metric, YARD_GLIBC, -1, &n);
		char tip[96];

		if (n == 0)
			continue;
		snprintf(tip, sizeof tip, "%s: %.3f of glibc", r->allocators->at[a].name, mean);
		print_dot(plot, p, a, mean, y, tip);
	}
}

static void print_label(const struct plot *plot, const char *name, double y, bool shade, bool bold)
{
	if (shade)
		fprintf(plot->f,
			"<rect x=\"8\" y=\"%.1f\" width=\"%d\" height=\"%d\" fill=\"#f6f8fa\"/>\n",
			y - ROW / 2.0, WIDTH - 16, ROW);
	fprintf(plot->f, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\"%s>", LEFT - 14, y + 4,
		bold ? " class=\"b\"" : "");
	print_text(plot->f, name);
	fputs("</text>\n", plot->f);
}

static double row_y(const struct results *r, size_t line)
{
	double y = TOP + ROW + SPACE + ROW / 2.0 + (double)line * ROW;

	return line > 0 && r->line[line].row->group != r->line[0].row->group ? y + SPACE : y;
}

static void print_legend(const struct plot *plot)
{
	double x = LEFT;

	for (size_t a = 0; a < plot->r->allocators->count; a++) {
		const char *name = plot->r->allocators->at[a].name;
		double length = 0;

		for (const char *c = name; *c != '\0'; c++)
			length += 7.2;
		if (a == ALLOCATOR_GLIBC)
			fprintf(plot->f,
				"<line x1=\"%.1f\" x2=\"%.1f\" y1=\"50\" y2=\"62\" "
				"stroke=\"#57606a\" stroke-width=\"2\"/>\n",
				x, x);
		else
			fprintf(plot->f, "<circle cx=\"%.1f\" cy=\"56\" r=\"%s\" fill=\"%s\"/>\n",
				x, a == ALLOCATOR_GOALLOC ? "5.5" : "4", colours[a % NCOLOURS]);
		fprintf(plot->f, "<text x=\"%.1f\" y=\"60\"%s>", x + 10,
			a == ALLOCATOR_GOALLOC ? " class=\"b\"" : "");
		print_text(plot->f, name);
		fputs("</text>\n", plot->f);
		x += length + 32;
	}
}

static void print_head(const struct plot *plot, const struct machine *m, double total)
{
	FILE *f = plot->f;
	char machine[MACHINE_NBYTES];

	fprintf(f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
		"viewBox=\"0 0 %d %.0f\">\n",
		WIDTH, total, WIDTH, total);
	fputs("<style>text{font:12px system-ui,-apple-system,\"Segoe UI\",\"DejaVu Sans\","
	      "sans-serif;fill:#1f2328}.b{font-weight:600}.s{font-size:11px}.t{font-size:16px}"
	      ".m{fill:#59636e;font-size:11px}</style>\n",
	      f);
	fprintf(f, "<rect width=\"%d\" height=\"%.0f\" rx=\"6\" fill=\"#fff\"/>\n", WIDTH, total);
	fprintf(f,
		"<text x=\"%d\" y=\"30\" class=\"b t\">Time and peak memory relative to glibc: "
		"further left is better</text>\n",
		LEFT);
	fprintf(f,
		"<text x=\"%d\" y=\"%.0f\" class=\"m\">Best time and median peak RSS of %u "
		"interleaved rounds, %s. A triangle is beyond the axis, \303\227 failed.</text>\n",
		MARGIN, total - 31, plot->r->nrounds, m->date);
	machine_describe(m, machine, sizeof machine);
	fprintf(f, "<text x=\"%d\" y=\"%.0f\" class=\"m\">", MARGIN, total - 14);
	print_text(f, machine);
	fputs("</text>\n", f);
}

bool svg_write(const char *path, const struct results *r, const struct machine *m)
{
	struct plot plot = {
		.f = fopen(path, "w"),
		.r = r,
		.panel = {
			{ .metric = METRIC_TIME_MIN, .title = "time / glibc", .x = LEFT },
			{ .metric = METRIC_RSS_MEDIAN, .title = "peak RSS / glibc",
			  .x = LEFT + PANEL + GAP },
		},
	};

	if (plot.f == NULL)
		return false;
	double height = row_y(r, r->nlines - 1) + ROW - TOP;
	double mean_y = TOP + ROW / 2.0;

	print_head(&plot, m, TOP + height + BOTTOM);
	print_legend(&plot);
	print_label(&plot, "geometric mean", mean_y, true, true);
	for (size_t i = 0; i < r->nlines; i++)
		print_label(&plot, r->line[i].row->name, row_y(r, i), i % 2 == 1, false);
	for (size_t k = 0; k < 2; k++) {
		struct panel *p = &plot.panel[k];

		panel_fit(p, r);
		print_axis(&plot, p, height);
		print_mean_dots(&plot, p, mean_y);
		for (size_t i = 0; i < r->nlines; i++)
			print_dots(&plot, p, i, row_y(r, i));
	}
	fputs("</svg>\n", plot.f);
	bool ok = ferror(plot.f) == 0;
	return fclose(plot.f) == 0 && ok;
}
