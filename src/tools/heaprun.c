/* SPDX-License-Identifier: MIT */
/*
 * heaprun.c - reads how full a span is, while other threads use it.
 *
 * Holds    records are type-stable, so a stale record describes a span that was. What is read is
 *          bounded by the span class and by the record's room for states.
 */
#include "tools/heaprun.h"

/* Returns how many of the eight bytes are not 0. */
static unsigned count_bytes(uint64_t word)
{
	word |= word >> 4;
	word |= word >> 2;
	word |= word >> 1;
	return popcount64(word & UINT64_C(0x0101010101010101));
}

/* Returns eight state bytes at once. */
READS_OTHERS static uint64_t states_at(const struct mspan *s, unsigned i)
{
	return PEEK(*(const any_word *)(const void *)&s->state[i]);
}

/* Counts the live objects of a span. The room for states is whole words. Bytes behind the last
 * slot's state do not count, because the record may be another span's by now. */
static struct span_fill fill_of_small(const struct mspan *s, unsigned nelems)
{
	/* As in slot_is_live(). */
	const uint64_t live = (SLOT_LIVE | SLOT_RESIZED) * UINT64_C(0x0101010101010101);
	struct span_fill f = { 0, 0, 0, 0, 0 };

	for (unsigned i = 0; i < nelems; i += sizeof(any_word))
		f.objects += count_bytes(states_at(s, i) & live & low_mask64(8 * (nelems - i)));
	f.slots = f.objects;
	return f;
}

/* Adds the objects that start in eight bytes of a tiny block. */
static void add_tiny(struct span_fill *f, uint64_t states)
{
	for (; states != 0; states >>= 8) {
		uint8_t nbytes = tiny_size_in((uint8_t)states);

		f->objects += nbytes != SLOT_FREE && nbytes <= TINY_SIZE;
		f->nbytes += nbytes <= TINY_SIZE ? nbytes : 0;
	}
}

static struct span_fill fill_of_tiny(const struct mspan *s, unsigned nelems)
{
	struct span_fill f = { 0, 0, 0, 0, 0 };

	for (unsigned slot = 0; slot < nelems; slot++) {
		uint64_t low = states_at(s, slot * TINY_SIZE);
		uint64_t high = states_at(s, slot * TINY_SIZE + TINY_SIZE / 2);
		uint32_t before = f.objects;

		add_tiny(&f, low);
		add_tiny(&f, high);
		f.slots += f.objects != before;
		/* The pin is the last byte. */
		f.pinned += f.objects == before && high >> 56 == TINY_PIN;
	}
	return f;
}

/* Reads fields of a record that its owner may be changing. */
READS_OTHERS static void read_big(const struct mspan *s, struct heap_run *r)
{
	r->spanclass = (spanclass_t)(PEEK(s->spanclass) & 1 ? SPANCLASS_BIG_NOSCAN : SPANCLASS_BIG);
	r->span_npages = PEEK(s->npages);
	/* The memory of the record was given back. */
	if (r->span_npages == 0)
		r->span_npages = 1;
}

/* Reads fields of a record that may be another span's by now. What it says about its length is
 * bounded by the class and by the room for states. */
READS_OTHERS static void read_small(const struct mspan *s, spanclass_t sc, struct heap_run *r)
{
	size_t npages = max_size(PEEK(s->npages), 1);
	unsigned room = PEEK(s->state_bytes);

	r->spanclass = sc;
	r->span_npages = min_size(npages, spanclass_max_npages(sc));
	r->nelems = spanclass_nelems(sc, r->span_npages);
	if (sc == SPANCLASS_TINY)
		r->fill = fill_of_tiny(s, (unsigned)min_size(r->nelems, room / TINY_SIZE));
	else
		r->fill = fill_of_small(s, (unsigned)min_size(r->nelems, room));
	r->fill.released = PEEK(s->released);
}

void heaprun_read_span(struct heap_run *r, const struct mspan *s, spanclass_t sc, uintptr_t base)
{
	r->use = RUN_SPAN;
	r->base = base;
	if (sc != SPANCLASS_BIG) {
		read_small(s, sc, r);
		return;
	}
	read_big(s, r);
	r->nelems = 1;
	r->fill = (struct span_fill){ 0, 0, 0, 0, 0 };
	r->fill.objects = slot_is_live(&s->state[0]);
	r->fill.slots = r->fill.objects;
}
