/* SPDX-License-Identifier: MIT */
/*
 * stress.h - what the stress programs share: tagged objects, a mix of sizes, seconds from the
 * command line.
 *
 * The programs call the heap by its internal names, so that they run under the sanitizers too.
 */
#ifndef STRESS_H
#define STRESS_H

#include "heap/heapcheck.h"
#include "child.h"
#include "clock.h"
#include "heap.h"
#include "rng.h"
#include "tools/stat.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Returns a size that is mostly small, sometimes tiny and seldom big. */
static inline size_t stress_size(uint64_t *r)
{
	switch (rng_below(r, 16)) {
	case 0:
	case 1:
		return rng_below(r, 8);
	case 2:
		return rng_below(r, 4096);
	case 3:
		return rng_below(r, 64) == 0 ? 32768 + rng_below(r, 200000) : rng_below(r, 32768);
	default:
		return 8 + rng_below(r, 250);
	}
}

/* An object with its size and a tag in every byte that is checked when it is freed. */
struct object {
	unsigned char *p;
	size_t size;
	unsigned char tag;
};

static inline void object_make(struct object *o, uint64_t *r, size_t size)
{
	o->size = size;
	o->tag = (unsigned char)rng_next(r);
	switch (rng_below(r, 8)) {
	case 0:
		o->p = heap_calloc(size);
		for (size_t i = 0; i < size; i++)
			CHECK(o->p[i] == 0);
		break;
	case 1:
		o->p = heap_malloc_noscan(size);
		break;
	case 2:
		o->p = heap_aligned((size_t)16 << rng_below(r, 5), size, SCAN);
		break;
	default:
		o->p = heap_malloc(size);
		break;
	}
	CHECK(o->p != NULL);
	memset(o->p, o->tag, size);
}

static inline void object_check(const struct object *o)
{
	size_t step = o->size > 512 ? 61 : 1;

	for (size_t i = 0; i < o->size; i += step)
		CHECK(o->p[i] == o->tag);
}

static inline void object_free(struct object *o)
{
	if (o->p == NULL)
		return;
	object_check(o);
	heap_free(o->p, "free");
	o->p = NULL;
}

/* Frees the objects that threads have left in cells. */
static inline void cells_free(_Atomic(struct object *) *cells, int n)
{
	for (int i = 0; i < n; i++) {
		struct object *o = atomic_load(&cells[i]);

		if (o == NULL)
			continue;
		object_free(o);
		heap_free(o, "free");
	}
}

static inline void object_resize(struct object *o, uint64_t *r)
{
	size_t size = stress_size(r);
	unsigned char *p;

	if (o->p == NULL || size == 0)
		return;
	object_check(o);
	p = heap_realloc(o->p, size, SCAN, "realloc");
	CHECK(p != NULL);
	for (size_t i = 0; i < size && i < o->size; i++)
		CHECK(p[i] == o->tag);
	memset(p, o->tag, size);
	o->p = p;
	o->size = size;
}

/* Returns the seconds to run: the first argument, or what the test suite can afford. */
static inline double stress_seconds(int argc, char **argv)
{
	return argc > 1 ? atof(argv[1]) : 3;
}

#endif
