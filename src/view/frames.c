/* SPDX-License-Identifier: MIT */
/*
 * frames.c - functions, files and lines of return addresses in a target.
 *
 * Lines, inlined functions and demangled names come from the tool that symbolize.c finds. Where
 * there is none, the file's own table of symbols has the name of the function. Files are looked for
 * where the process sees them.
 *
 * Owns     the texts.
 */
#include "view/frames.h"
#include "stack/symbol.h"
#include "view/json.h"
#include "view/room.h"
#include "view/symbolize.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_MOST 4096

static int by_pc(const void *a, const void *b)
{
	const struct frames_place *x = a, *y = b;

	return x->pc < y->pc ? -1 : x->pc > y->pc;
}

void frames_add(struct frames *f, const uintptr_t *pcs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		f->places = room_for_more(f->places, f->nplaces, sizeof(*f->places));
		f->places[f->nplaces++] = (struct frames_place){ .pc = pcs[i] };
	}
}

/* Sorts the places, and leaves each address once. */
static void sort_places(struct frames *f)
{
	size_t n = 0;

	if (f->nplaces == 0)
		return;
	qsort(f->places, f->nplaces, sizeof(*f->places), by_pc);
	for (size_t i = 0; i < f->nplaces; i++)
		if (n == 0 || f->places[n - 1].pc != f->places[i].pc)
			f->places[n++] = f->places[i];
	f->nplaces = n;
}

static char *copy_of(const char *text)
{
	return text == NULL ? NULL : room_for_text(text, strlen(text));
}

static void add_frame(struct frames_place *place, const char *name, const char *file,
		      unsigned line)
{
	place->frames = room_for_more(place->frames, place->nframes, sizeof(*place->frames));
	place->frames[place->nframes++] = (struct frame){ copy_of(name), copy_of(file), line };
}

/* The places in one mapping. */
struct part {
	struct frames_place *places;
	size_t n;
	const struct target_map *map;
	char path[PATH_MOST];         /* of the file, as this program sees it */
	struct symbols *symbols;
	struct function *functions;   /* beside places; nbytes 0: not known */
};

static void visit_place(size_t index, const struct symbolized *found, size_t n, void *arg)
{
	struct part *part = arg;

	if (index >= part->n || found[0].function == NULL)
		return;
	for (size_t i = 0; i < n; i++)
		add_frame(&part->places[index], found[i].function != NULL ? found[i].function : "?",
			  found[i].file, found[i].line);
}

static void visit_function(const struct function *f, void *arg)
{
	struct part *part = arg;

	for (size_t i = 0; i < part->n; i++)
		if (part->places[i].pc - 1 - f->start < f->nbytes &&
		    (part->functions[i].nbytes == 0 || f->global))
			part->functions[i] = *f;
}

/* Names the places that have no name yet by the file's table of symbols. */
static void name_by_table(struct part *part)
{
	struct mapping m = { part->map->start, part->map->end, part->map->offset, part->path,
			     (uint32_t)strlen(part->path), part->map->flags };

	part->symbols = room_for(1, sizeof(*part->symbols));
	part->functions = room_for(part->n, sizeof(*part->functions));
	symbols_init(part->symbols);
	if (symbols_open(part->symbols, &m))
		symbols_each(part->symbols, visit_function, part);
	for (size_t i = 0; i < part->n; i++)
		if (part->places[i].nframes == 0 && part->functions[i].nbytes != 0)
			add_frame(&part->places[i],
				  symbols_name(part->symbols, part->functions[i].name), NULL, 0);
	symbols_close(part->symbols);
	free(part->symbols);
	free(part->functions);
}

static void resolve_part(const struct target *t, struct part *part)
{
	uint64_t *addrs = room_for(part->n, sizeof(*addrs));

	part->path[0] = '\0';
	if (!t->is_core)
		(void)snprintf(part->path, sizeof(part->path), "/proc/%d/root%s", t->pid,
			       part->map->name);
	if (t->is_core || access(part->path, R_OK) != 0)
		(void)snprintf(part->path, sizeof(part->path), "%s", part->map->name);
	for (size_t i = 0; i < part->n; i++)
		addrs[i] = symbolize_address(part->path, part->places[i].pc - 1 - part->map->start +
								 part->map->offset);
	(void)symbolize(part->path, addrs, part->n, visit_place, part);
	name_by_table(part);
	free(addrs);
}

/* Gives a place without a name the text "file+0x123" or "0x123". */
static void name_by_address(const struct target *t, struct frames_place *place)
{
	const struct target_map *m = target_map_of(t, place->pc - 1);
	const char *slash = m != NULL ? strrchr(m->name, '/') : NULL;
	char text[256];

	if (slash != NULL)
		(void)snprintf(text, sizeof(text), "%.200s+%#zx", slash + 1,
			       (size_t)(place->pc - m->start + m->offset));
	else
		(void)snprintf(text, sizeof(text), "%#zx", (size_t)place->pc);
	add_frame(place, text, NULL, 0);
}

void frames_resolve(struct frames *f, const struct target *t)
{
	struct part part;

	sort_places(f);
	for (size_t i = 0; i < f->nplaces; i += part.n) {
		part = (struct part){ .places = &f->places[i], .n = 1 };
		part.map = target_map_of(t, f->places[i].pc - 1);
		while (part.map != NULL && i + part.n < f->nplaces &&
		       f->places[i + part.n].pc - 1 < part.map->end)
			part.n++;
		if (part.map != NULL && part.map->name[0] == '/')
			resolve_part(t, &part);
	}
	for (size_t i = 0; i < f->nplaces; i++)
		if (f->places[i].nframes == 0)
			name_by_address(t, &f->places[i]);
}

const struct frames_place *frames_of(const struct frames *f, uintptr_t pc)
{
	struct frames_place key = { .pc = pc };

	return bsearch(&key, f->places, f->nplaces, sizeof(key), by_pc);
}

static void frame_json(FILE *out, const struct frame *frame)
{
	if (frame->file == NULL) {
		json_string(out, frame->name);
		return;
	}
	(void)fputs("{\"name\":", out);
	json_string(out, frame->name);
	(void)fputs(",\"file\":", out);
	json_string(out, frame->file);
	(void)fprintf(out, ",\"line\":%u}", frame->line);
}

void frames_json(FILE *out, const struct frames *f, const uintptr_t *pcs, size_t n)
{
	bool first = true;

	(void)fputc('[', out);
	while (n-- != 0) {
		const struct frames_place *place = frames_of(f, pcs[n]);

		for (size_t i = place->nframes; i-- != 0; first = false) {
			if (!first)
				(void)fputc(',', out);
			frame_json(out, &place->frames[i]);
		}
	}
	(void)fputc(']', out);
}

void frames_text(FILE *out, const struct frames *f, const uintptr_t *pcs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct frames_place *place = frames_of(f, pcs[i]);

		for (size_t j = 0; j < place->nframes; j++) {
			const struct frame *frame = &place->frames[j];

			(void)fprintf(out, "    %s", frame->name);
			if (frame->file != NULL)
				(void)fprintf(out, " at %s:%u", frame->file, frame->line);
			(void)fprintf(out, "%s\n", j + 1 < place->nframes ? " (inlined)" : "");
		}
	}
}

void frames_drop(struct frames *f)
{
	for (size_t i = 0; i < f->nplaces; i++) {
		for (size_t j = 0; j < f->places[i].nframes; j++) {
			free(f->places[i].frames[j].name);
			free(f->places[i].frames[j].file);
		}
		free(f->places[i].frames);
	}
	free(f->places);
	*f = (struct frames){ NULL, 0 };
}
