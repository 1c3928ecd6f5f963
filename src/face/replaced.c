/* SPDX-License-Identifier: MIT */
/*
 * replaced.c - whether the program has a malloc or a free of its own.
 * See malloc.c for the overview.
 *
 * A program may replace malloc, free, calloc and realloc, and glibc's manual names the aligned
 * functions that it should replace with them. Libraries wrap them, too. What it does not replace
 * then still has to fit: operator new of libstdc++ calls malloc, and reallocarray calls realloc,
 * so ours must.
 *
 * Owns     the tables that fast paths of operator new and delete find slots by. At first they
 *          find none, so that the first call comes here. Where the program's functions are not
 *          ours they never find one. So the question costs no instruction.
 * Callers  the face. Calls loaded.h and libc.h, heap.h; the program's malloc and free, with
 *          nothing held.
 * Locks    none.
 * Holds    a pointer that is not of this heap goes to free by name, whoever that is: under
 *          valgrind it is not ours, and no symbol tells.
 */
#include "face/replaced.h"
#include "face/interpose.h"
#include "os/libc.h"

/* No size has a slot here, no span class has slots, and no size has a span class. */
static const uint32_t nothing[(MAX_SMALL_SIZE / 8 + 1 + 3) / 4];
_Static_assert(sizeof(nothing) >= NUM_SPAN_CLASSES * sizeof(uint32_t),
	       "it is a table of divisors, too");

struct replaced_tables replaced_tables = {
	(const _Atomic uint8_t *)nothing,
	nothing,
	(const _Atomic spanclass_t *)nothing,
};

/* Relaxed: each thread that settles finds the same. */
enum { UNKNOWN, OURS, THEIRS };
static _Atomic uint8_t whose_malloc, whose_free;

/* A name is bound to the first object that defines it. Where a program that is at a fixed address
 * takes a function's address, that is a place in the program, which leads to the first definition
 * all the same. */
static uint8_t whose(const char *name, const void *bound, const void *own)
{
	const struct link_map *us, *map;
	struct loaded o;

	if (bound == own)
		return OURS;
	us = map = loaded_map_of(own);
	while (map != NULL && map->l_prev != NULL)
		map = map->l_prev;
	for (; map != NULL && map != us; map = map->l_next)
		if (loaded_read(&o, map->l_addr, map->l_ld) && loaded_next(&o, name, NULL) != NULL)
			return THEIRS;
	return us == NULL ? THEIRS : OURS;
}

bool replaced_settle(void)
{
	uint8_t now = atomic_load_explicit(&whose_malloc, memory_order_relaxed);

	if (now != UNKNOWN)
		return now == OURS;
	now = whose("free", (const void *)free, OPAQUE((const void *)own_free));
	atomic_store_explicit(&whose_free, now, memory_order_relaxed);
	if (now == OURS) {
		atomic_store_explicit(&replaced_tables.divmul, sizeclass_divmul,
				      memory_order_relaxed);
		atomic_store_explicit(&replaced_tables.classes, sizeclass_malloc,
				      memory_order_relaxed);
	}
	now = whose("malloc", (const void *)malloc, OPAQUE((const void *)own_malloc));
	if (now == OURS)
		atomic_store_explicit(&replaced_tables.slots, sizeclass_malloc_slot,
				      memory_order_relaxed);
	atomic_store_explicit(&whose_malloc, now, memory_order_relaxed);
	return now == OURS;
}

/* The search is for the start, when no object that is searched can go. Where it is not needed, the
 * first call may as well settle: many programs never call. */
CONSTRUCTOR static void search_now(void)
{
	if ((const void *)malloc != OPAQUE((const void *)own_malloc) ||
	    (const void *)free != OPAQUE((const void *)own_free))
		(void)replaced_settle();
}

/* The program's free takes p: it is the program's, or a tool's, or nobody's. */
static bool goes_to_free(const void *p)
{
	(void)replaced_settle();
	return atomic_load_explicit(&whose_free, memory_order_relaxed) == THEIRS || !heap_owns(p);
}

SLOW_PATH void *replaced_malloc_slow(size_t size)
{
	/* A malloc may refuse 0. */
	return malloc_is_ours() ? heap_malloc(size) : malloc(size == 0 ? 1 : size);
}

SLOW_PATH void replaced_free_slow(void *p, struct mspan *s, const char *func)
{
	if (p == NULL)
		return;
	if (goes_to_free(p))
		free(p);
	else if (s == NULL || s->kind != SPAN_SMALL)
		heap_free_slow(p, s, func);
	else
		heap_free(p, func);
}

SLOW_PATH void replaced_free_sized_slow(void *p, size_t size, size_t align, const char *func)
{
	if (p == NULL)
		return;
	if (goes_to_free(p))
		free(p);
	else
		heap_free_sized(p, size, align, func);
}
