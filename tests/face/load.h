/* SPDX-License-Identifier: MIT */
/*
 * load.h - a table through which threads hand objects to each other.
 *
 * Every object carries its size and a pattern. Whoever takes an object out of the table owns it,
 * checks its content and frees it, mostly in another thread than the one that made it. A forked
 * child owns the copy of the table that it was born with.
 *
 * No lock: a place is exchanged atomically.
 */
#ifndef FACE_LOAD_H
#define FACE_LOAD_H

#include "face.h"

#include <stdatomic.h>

enum { LOAD_PLACES = 4096, LOAD_TAG = 0xf0f0 };

static _Atomic(void *) load_table[LOAD_PLACES];

/* Makes an object of n bytes and what its header needs; one in four by calloc. */
__attribute__((unused)) static void *load_make(uint64_t *rng, size_t n)
{
	void *p;

	n += sizeof(struct face_object);
	p = rng_below(rng, 4) == 0 ? calloc(1, n) : malloc(n);
	CHECK(p != NULL);
	face_object_fill(p, n, LOAD_TAG);
	return p;
}

/* Frees an object after a look at its content. p may be NULL. */
__attribute__((unused)) static void load_free(void *p)
{
	if (p == NULL)
		return;
	CHECK(face_object_intact(p, ((struct face_object *)p)->size, LOAD_TAG));
	free(p);
}

/* Leaves an object in one of the first nplaces places, and frees the object that was there. */
__attribute__((unused)) static void load_leave(void *p, uint64_t *rng, size_t nplaces)
{
	/* Acquire-release: the content of p is written before, and the content of the other object
	 * was written by the thread that left it. Pairs with itself in the other threads. */
	load_free(atomic_exchange_explicit(&load_table[rng_below(rng, nplaces)], p,
					   memory_order_acq_rel));
}

/* Frees all objects of the table. */
__attribute__((unused)) static void load_empty(void)
{
	for (size_t i = 0; i < LOAD_PLACES; i++)
		load_free(atomic_exchange(&load_table[i], NULL));
}

#endif
