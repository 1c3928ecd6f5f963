/* SPDX-License-Identifier: MIT */
/*
 * profile.c - the sampled allocations of a target as a file for pprof, and for the flame graph.
 *
 * The files are written by the library's own code (tools/pprof.c), which gets the samples and the
 * mappings of the target in place of its own.
 */
#include "view/profile.h"
#include "view/command.h"
#include "base/chance.h"
#include "base/text.h"
#include "tools/pprof.h"
#include "view/frames.h"
#include "view/room.h"

#include <stdlib.h>
#include <string.h>

/* --- a file for pprof --- */

/* What is being written, for the callbacks. */
static struct {
	struct target *target;
	const struct samples *samples;
	struct pprof_place *places;
	size_t nplaces;
} written;

static void each_sample(void (*visit)(const struct pprof_sample *sample, void *arg), void *arg)
{
	for (size_t i = 0; i < written.samples->nstacks; i++) {
		const struct samples_stack *s = &written.samples->stacks[i];
		struct pprof_sample sample = { s->pcs, s->npcs, s->nbytes, s->allocs, s->frees };

		visit(&sample, arg);
	}
}

static void each_place(void (*visit)(struct pprof_place *place, void *arg), void *arg)
{
	for (size_t i = 0; i < written.nplaces; i++)
		visit(&written.places[i], arg);
}

static bool mapping_of(size_t i, struct mapping *m)
{
	const struct target_map *map = &written.target->maps[i];

	if (i >= written.target->nmaps)
		return false;
	*m = (struct mapping){ map->start, map->end, map->offset, map->name,
			       (uint32_t)strlen(map->name), map->flags };
	return true;
}

static bool read_target(uintptr_t addr, void *to, size_t nbytes)
{
	return target_read_all(written.target, addr, to, nbytes);
}

static int by_pc(const void *a, const void *b)
{
	const struct pprof_place *x = a, *y = b;

	return x->pc < y->pc ? -1 : x->pc > y->pc;
}

/* Makes the list of all return addresses, each once. */
static void make_places(const struct samples *s)
{
	size_t n = 0;

	written.places = NULL;
	written.nplaces = 0;
	for (size_t i = 0; i < s->nstacks; i++) {
		for (unsigned j = 0; j < s->stacks[i].npcs; j++) {
			written.places = room_for_more(written.places, written.nplaces,
						       sizeof(*written.places));
			written.places[written.nplaces++] =
				(struct pprof_place){ s->stacks[i].pcs[j], 0 };
		}
	}
	if (written.nplaces == 0)
		return;
	qsort(written.places, written.nplaces, sizeof(*written.places), by_pc);
	for (size_t i = 0; i < written.nplaces; i++)
		if (n == 0 || written.places[n - 1].pc != written.places[i].pc)
			written.places[n++] = written.places[i];
	written.nplaces = n;
}

int profile_write(int fd, struct target *t, const struct samples *s, bool text)
{
	static const struct pprof_memory memory = { mapping_of, read_target };
	struct pprof_source source = { .rate = s->rate, .dropped = s->dropped, .number = 1,
				       .each_sample = each_sample, .each_place = each_place,
				       .memory = &memory };
	char heading[HEADING_MAX];
	int error;

	command_heading(heading, t);
	source.heading = heading;
	written.target = t;
	written.samples = s;
	make_places(s);
	error = text ? pprof_write_text(fd, &source) : pprof_write_proto(fd, &source);
	free(written.places);
	return error;
}

/* --- for the flame graph --- */

/* Returns what n samples of nbytes stand for. */
static uint64_t scaled(uint64_t n, size_t nbytes, double chance)
{
	return (uint64_t)((double)n * (double)nbytes / chance);
}

void profile_json(FILE *out, const struct target *t, const struct samples *s)
{
	struct frames frames = { NULL, 0 };
	bool first = true;

	for (size_t i = 0; i < s->nstacks; i++)
		frames_add(&frames, s->stacks[i].pcs, s->stacks[i].npcs);
	frames_resolve(&frames, t);
	(void)fprintf(out, "{\"period\":%zu,\"sampling\":%s,\"stacks\":[", s->rate,
		      s->on ? "true" : "false");
	for (size_t i = 0; i < s->nstacks; i++) {
		const struct samples_stack *stack = &s->stacks[i];
		double chance = chance_of(stack->nbytes, s->rate);
		uint64_t live = stack->allocs - stack->frees;

		(void)fputs(first ? "{\"frames\":" : ",{\"frames\":", out);
		first = false;
		frames_json(out, &frames, stack->pcs, stack->npcs);
		(void)fprintf(out,
			      ",\"live_objects\":%zu,\"live_bytes\":%zu,\"alloc_objects\":%zu,"
			      "\"alloc_bytes\":%zu}",
			      (size_t)scaled(live, 1, chance),
			      (size_t)scaled(live, stack->nbytes, chance),
			      (size_t)scaled(stack->allocs, 1, chance),
			      (size_t)scaled(stack->allocs, stack->nbytes, chance));
	}
	(void)fputs("]}\n", out);
	frames_drop(&frames);
}
