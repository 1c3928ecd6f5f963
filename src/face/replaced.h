/* SPDX-License-Identifier: MIT */
/*
 * replaced.h - whether the program has a malloc or a free of its own, for the names that libc does
 * not have. See replaced.c.
 *
 * libc's own names always serve this heap. All other names, operator new among them, do what
 * libstdc++ does: they call malloc and free, which the program may have replaced.
 */
#ifndef GOALLOC_REPLACED_H
#define GOALLOC_REPLACED_H

#include "heap.h"

#include <stdlib.h>

/* The tables by which fast paths of those names find bins. They are the heap's own, or an empty
 * table where malloc or free is not ours. They are constant once they are settled. */
struct replaced_tables {
	_Atomic(const _Atomic uint8_t *) bins;        /* malloc's: sizeclass_malloc_bin */
	_Atomic(const uint32_t *) divmul;             /* free's: sizeclass_divmul */
	_Atomic(const _Atomic spanclass_t *) classes; /* free's: sizeclass_malloc */
};

extern struct replaced_tables replaced_tables HIDDEN;

/* Call malloc or free by the name that the program may have replaced. If it has not, they serve
 * this heap. */
void *replaced_malloc_slow(size_t size);
void replaced_free_slow(void *p, struct mspan *s, const char *func);
void replaced_free_sized_slow(void *p, size_t size, size_t align, const char *func);

/* Finds out which library serves malloc and free, and fills in the tables. Returns true if malloc
 * is ours. */
bool replaced_settle(void);

FAST_PATH bool malloc_is_ours(void)
{
	/* Relaxed: each thread that settles finds the same answer. */
	return LIKELY(atomic_load_explicit(&replaced_tables.bins, memory_order_relaxed) ==
		      sizeclass_malloc_bin) ||
	       replaced_settle();
}

/* Does malloc's fast path alone. Returns NULL if that does not succeed, or malloc is not ours. */
FAST_PATH void *replaced_malloc_fast(size_t size)
{
	const _Atomic uint8_t *bins;
	bool fresh;

	if (UNLIKELY(size > MAX_SMALL_SIZE))
		return NULL;
	/* Relaxed, both: see malloc_is_ours() and sizeclass_count(). */
	bins = atomic_load_explicit(&replaced_tables.bins, memory_order_relaxed);
	return mcache_alloc_fast(thread_cache(),
				 atomic_load_explicit(&bins[(size + 7) / 8], memory_order_relaxed),
				 &fresh);
}

/* Does what malloc(3) does, by the program's malloc or by ours. */
FAST_PATH void *replaced_malloc(size_t size)
{
	void *p = replaced_malloc_fast(size);

	return LIKELY(p != NULL) ? p : replaced_malloc_slow(size);
}

FAST_PATH void replaced_free(void *p, const char *func)
{
	struct mspan *s;

	if (UNLIKELY(!heap_free_fast(&replaced_tables.divmul, p, &s, func)))
		replaced_free_slow(p, s, func);
}

FAST_PATH void replaced_free_sized(void *p, size_t size, size_t align, const char *func)
{
	if (UNLIKELY(!heap_free_sized_fast(
		    atomic_load_explicit(&replaced_tables.classes, memory_order_relaxed), p, size,
		    align)))
		replaced_free_sized_slow(p, size, align, func);
}

#endif
