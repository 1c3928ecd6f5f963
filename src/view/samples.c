/* SPDX-License-Identifier: MIT */
/*
 * samples.c - the profile of a target: which code allocated how much.
 *
 * The records are read as they are (tools/profile_table.h): the list of stacks, and the table of
 * live sampled objects. While the process runs, records come and go. What is read may be a moment
 * older or newer, and chains may change under the reader, so that an object is missed.
 *
 * Owns     the copies.
 * Holds    lists that lead in a circle, and counts that cannot be, end the reading.
 */
#include "view/samples.h"
#include "tools/profile_table.h"
#include "view/room.h"

#include <stdlib.h>

/* The most records of a kind that are believed. */
#define RECORDS_MOST (1u << 24)

/* Chains that are read at a time. */
#define CHAINS 4096

static int by_record(const void *a, const void *b)
{
	const struct samples_stack *x = a, *y = b;

	return x->record < y->record ? -1 : x->record > y->record;
}

static int by_hash(const void *a, const void *b)
{
	const struct samples_object *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* Reads a stack's record. Returns the address of the next, or 0. */
static uintptr_t read_stack(struct samples *s, struct target *t, uintptr_t at)
{
	struct profile_bucket b;
	struct samples_stack stack = { .record = at };
	uintptr_t *pcs;

	if (!target_read_all(t, at, &b, sizeof(b)) || b.npcs > PROFILE_MAX_FRAMES ||
	    b.nbytes == 0) {
		s->ndamaged++;
		return 0;
	}
	pcs = room_for(b.npcs, sizeof(*pcs));
	if (!target_read_all(t, at + sizeof(b), pcs, b.npcs * sizeof(*pcs))) {
		free(pcs);
		s->ndamaged++;
		return 0;
	}
	stack.nbytes = b.nbytes;
	stack.allocs = b.allocs;
	stack.frees = b.frees < b.allocs ? b.frees : b.allocs;
	stack.npcs = b.npcs;
	stack.pcs = pcs;
	s->stacks = room_for_more(s->stacks, s->nstacks, sizeof(stack));
	s->stacks[s->nstacks++] = stack;
	return (uintptr_t)b.older;
}

/* Reads the chain that begins with a node. */
static void read_chain(struct samples *s, struct target *t, uintptr_t at)
{
	struct profile_object o;

	while (at != 0 && s->nobjects < RECORDS_MOST) {
		if (!target_read_all(t, at, &o, sizeof(o))) {
			s->ndamaged++;
			return;
		}
		s->objects = room_for_more(s->objects, s->nobjects, sizeof(*s->objects));
		s->objects[s->nobjects++] =
			(struct samples_object){ o.node.hash, (uintptr_t)o.bucket };
		at = (uintptr_t)o.node.next;
	}
}

static void read_objects(struct samples *s, struct target *t, const struct hashtable *table)
{
	uintptr_t chains[CHAINS], at;
	size_t n, left;

	if (table->bits == 0 || table->bits > HASHTABLE_LAST || table->count == 0)
		return;
	at = (uintptr_t)table->chains[table->bits];
	for (left = (size_t)1 << table->bits; left != 0; left -= n) {
		n = min_size(left, CHAINS);
		if (!target_read_all(t, at, chains, n * sizeof(chains[0]))) {
			s->ndamaged++;
			return;
		}
		for (size_t i = 0; i < n; i++)
			read_chain(s, t, chains[i]);
		at += n * sizeof(chains[0]);
	}
	qsort(s->objects, s->nobjects, sizeof(*s->objects), by_hash);
}

void samples_read(struct samples *s, struct target *t, const struct viewed_root *root)
{
	struct profile_tables tables;
	size_t on = 0;
	uintptr_t at;

	*s = (struct samples){ .rate = 0 };
	if (!target_read_all(t, (uintptr_t)root->profile, &tables, sizeof(tables)) ||
	    !target_read_all(t, (uintptr_t)root->profile_rate, &on, sizeof(on))) {
		s->ndamaged++;
		return;
	}
	s->rate = tables.rate;
	s->on = on != 0;
	/* Relaxed: it is a copy. */
	s->serial = atomic_load_explicit(&tables.serial, memory_order_relaxed);
	if (s->rate == 0)
		return;
	s->dropped = atomic_load_explicit(&tables.dropped, memory_order_relaxed);
	at = (uintptr_t)tables.newest_bucket;
	while (at != 0 && s->nstacks < RECORDS_MOST)
		at = read_stack(s, t, at);
	if (s->nstacks != 0)
		qsort(s->stacks, s->nstacks, sizeof(*s->stacks), by_record);
	read_objects(s, t, &tables.objects);
}

const struct samples_stack *samples_of(const struct samples *s, uintptr_t addr)
{
	struct samples_object key = { .hash = hashtable_of_addr(addr) };
	const struct samples_object *o =
		s->nobjects == 0 ? NULL
				 : bsearch(&key, s->objects, s->nobjects, sizeof(key), by_hash);
	struct samples_stack stack;

	if (o == NULL || s->nstacks == 0)
		return NULL;
	stack.record = o->stack;
	return bsearch(&stack, s->stacks, s->nstacks, sizeof(stack), by_record);
}

void samples_subtract(struct samples *s, const struct samples *before)
{
	if (s->serial != before->serial || before->nstacks == 0)
		return;
	for (size_t i = 0; i < s->nstacks; i++) {
		struct samples_stack *now = &s->stacks[i];
		const struct samples_stack *then = bsearch(now, before->stacks, before->nstacks,
							   sizeof(*now), by_record);

		if (then == NULL)
			continue;
		now->allocs -= then->allocs;
		now->frees -= then->frees;
	}
}

void samples_drop(struct samples *s)
{
	for (size_t i = 0; i < s->nstacks; i++)
		free((void *)(uintptr_t)s->stacks[i].pcs);
	free(s->stacks);
	free(s->objects);
	*s = (struct samples){ .rate = 0 };
}
