/* SPDX-License-Identifier: MIT */
/*
 * snapshot.c - the heap of a target at one look: what lies at an address.
 *
 * Owns     all memory of a snapshot.
 */
#include "view/snapshot.h"

#include <stdlib.h>

void snapshot_drop(struct snapshot *sn)
{
	if (sn->copy.target != NULL)
		copy_end(&sn->copy);
	free(sn->arenas);
	free(sn->runs);
	free(sn->caches);
	free(sn->states);
	*sn = (struct snapshot){ .target = NULL };
}

const struct snapshot_arena *snapshot_arena_of(const struct snapshot *sn, uintptr_t addr)
{
	size_t low = 0, high = sn->narenas;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (sn->arenas[middle].base + ARENA_SIZE <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < sn->narenas && sn->arenas[low].base <= addr ? &sn->arenas[low] : NULL;
}

/* Returns the run that contains addr, which may be a later run of its span. */
static const struct snapshot_run *run_at(const struct snapshot *sn, uintptr_t addr)
{
	const struct snapshot_arena *a = snapshot_arena_of(sn, addr);
	size_t low, high;

	if (a == NULL)
		return NULL;
	low = a->first_run;
	high = low + a->nruns;
	/* The runs of an arena cover it. */
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (sn->runs[middle].base <= addr)
			low = middle;
		else
			high = middle;
	}
	return a->nruns != 0 ? &sn->runs[low] : NULL;
}

const struct snapshot_run *snapshot_run_of(const struct snapshot *sn, uintptr_t addr)
{
	const struct snapshot_run *r = run_at(sn, addr);

	if (r == NULL || r->run.use == RUN_NONE)
		return NULL;
	/* The first run of a span lies in an arena before. */
	if (r->run.use == RUN_SPAN && !r->run.first && r->run.base < r->base)
		return run_at(sn, r->run.base);
	return r;
}

/* Sets *o to the object that contains a byte of a tiny block. */
static void tiny_object(const uint8_t *states, size_t offset, uintptr_t base,
			struct snapshot_object *o)
{
	size_t block = align_down(offset, TINY_SIZE);

	*o = (struct snapshot_object){ .addr = base + offset, .nbytes = 1,
				       .slot = (unsigned)(offset / TINY_SIZE) };
	for (size_t at = block; at <= offset; at++) {
		uint8_t nbytes = tiny_size_in(states[at]);

		if (nbytes == SLOT_FREE || nbytes > TINY_SIZE || at + nbytes <= offset)
			continue;
		o->addr = base + at;
		o->nbytes = nbytes;
		o->state = states[at];
		o->live = true;
	}
}

bool snapshot_object_at(const struct snapshot *sn, uintptr_t addr, struct snapshot_object *o)
{
	const struct snapshot_run *r = snapshot_run_of(sn, addr);
	const uint8_t *states;
	size_t offset, elemsize;

	if (r == NULL || r->run.use != RUN_SPAN || addr < r->run.base ||
	    addr - r->run.base >= r->run.span_npages * PAGE_SIZE)
		return false;
	states = sn->states + r->states_at;
	offset = addr - r->run.base;
	elemsize = r->kind == SPAN_BIG ? r->run.span_npages * PAGE_SIZE :
					 spanclass_info(r->run.spanclass)->elemsize;
	if (offset / elemsize >= r->run.nelems)
		return false;
	if (r->kind == SPAN_TINY) {
		tiny_object(states, offset, r->run.base, o);
		return true;
	}
	*o = (struct snapshot_object){ .addr = r->run.base + offset / elemsize * elemsize,
				       .nbytes = elemsize, .slot = (unsigned)(offset / elemsize) };
	o->state = states[o->slot];
	o->live = (o->state & (SLOT_LIVE | SLOT_RESIZED)) != 0;
	o->scan = spanclass_scan(r->run.spanclass) == SCAN;
	return true;
}

void snapshot_each_object(const struct snapshot *sn, const struct snapshot_run *r,
			  void (*visit)(const struct snapshot_object *o, void *arg), void *arg)
{
	size_t elemsize = r->kind == SPAN_TINY ? 1 : spanclass_info(r->run.spanclass)->elemsize;
	size_t n = r->run.nelems * (r->kind == SPAN_TINY ? (size_t)TINY_SIZE : 1);

	for (size_t i = 0; i < n; i++) {
		struct snapshot_object o;

		if (snapshot_object_at(sn, r->run.base + i * elemsize, &o) && o.live &&
		    o.addr == r->run.base + i * elemsize)
			visit(&o, arg);
	}
}
