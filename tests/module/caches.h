/* SPDX-License-Identifier: MIT */
/*
 * caches.h - a heap with three caches in one thread. They stand for three threads of which one runs
 * at a time, so that a test decides about every step.
 */
#ifndef TESTS_CACHES_H
#define TESTS_CACHES_H

#include "heap/mcache.h"
#include "heap/mcentral.h"
#include "heap/mheap.h"
#include "base/options.h"
#include "heap/tiny.h"
#include "module.h"
#include "pattern.h"

enum { NCACHES = 3 };

static struct {
	struct mcache c[NCACHES];
	/* A rest is committed by whole kernel pages. */
	ALIGNED(65536) struct mcache_rest rest[NCACHES];
} place;
static struct mcache *const cache = place.c;

/* Begins the heap. No tick comes by itself. */
static void start(void)
{
	options.scavenge_ms = 1000000;
	mheap_init();
	mcache_flush_others = tiny_detach;
	for (int i = 0; i < NCACHES; i++)
		mcache_init(&cache[i], &place.rest[i]);
}

/* Returns an object of the class that a cache gives, or NULL when there is no memory. */
static inline void *get_or_null(struct mcache *c, spanclass_t sc)
{
	bool fresh;
	void *p = mcache_alloc_fast(c, sc, &fresh);

	if (p == NULL)
		p = mcache_alloc_slow(c, sc, &fresh);
	if (p != NULL && fresh)
		CHECK(all_zero(p, spanclass_info(sc)->elemsize));
	return p;
}

static inline void *get(struct mcache *c, spanclass_t sc)
{
	void *p = get_or_null(c, sc);

	CHECK(p != NULL);
	return p;
}

/* Lets every level look at its own invariants. */
static void check_all(void)
{
	for (int i = 0; i < NCACHES; i++)
		mcache_check(&cache[i]);
	mcentral_check();
	mheap_check();
}

/* Empties the caches. The test has freed all objects, so every page must be free or a guard
 * then. */
static void end_with_empty_heap(void)
{
	for (int i = 0; i < NCACHES; i++)
		mcache_flush(&cache[i]);
	check_all();
	CHECK(mheap.pages.nfree + mheap.guarded_npages == mheap.pages.ntotal);
}

#endif
