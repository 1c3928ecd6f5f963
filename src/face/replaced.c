/* SPDX-License-Identifier: MIT */
/*
 * replaced.c - whether the program has a malloc or a free of its own.
 *
 * A program may replace malloc, free, calloc and realloc, and glibc's manual names the aligned
 * functions that it should replace with them. Libraries wrap them, too. The names that the program
 * does not replace must fit to those that it does: operator new of libstdc++ calls malloc, and
 * reallocarray calls realloc, so ours must.
 *
 * Owns     the tables that fast paths of operator new and delete find bins by. At first they find
 *          none, so that the first call comes here. Where the program's functions are not ours
 *          they never find one. So the question costs no instruction.
 * Locks    none. Nothing is held while the program's malloc or free is called.
 * Holds    a pointer that is not of this heap goes to free by name. Under valgrind that function is
 *          not ours, although no symbol tells.
 */
#include "face/replaced.h"
#include "face/face.h"
#include "os/libc.h"

/* In this table no size has a bin, no span class has slots, and no size has a span class. */
static const uint32_t nothing[(MAX_SMALL_SIZE / 8 + 1 + 3) / 4];
_Static_assert(sizeof(nothing) >= NUM_SPAN_CLASSES * sizeof(uint32_t),
	       "the table stands for the table of divisors, too");

struct replaced_tables replaced_tables = {
	(const _Atomic uint8_t *)nothing,
	nothing,
	(const _Atomic spanclass_t *)nothing,
};

/* Relaxed: each thread that settles finds the same answer. */
enum { UNKNOWN, OURS, THEIRS };
static _Atomic uint8_t whose_malloc, whose_free;

/*
 * Returns OURS or THEIRS for a name that this library references as `bound` and defines as `own`.
 * A name is bound to the first object that defines it. But if a program at a fixed address takes a
 * function's address, the name is bound to a place in the program. That place leads to the first
 * definition, so the objects are searched.
 */
static uint8_t whose(const char *name, const void *bound, const void *own)
{
	const struct link_map *us, *map;
	struct loaded o;

	if (bound == own)
		return OURS;
	us = map = libc_own_map();
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
		atomic_store_explicit(&replaced_tables.bins, sizeclass_malloc_bin,
				      memory_order_relaxed);
	atomic_store_explicit(&whose_malloc, now, memory_order_relaxed);
	return now == OURS;
}

/* Settles at the start if objects must be searched, because none of them can be unloaded yet. If
 * not, the first call settles: many programs never make one. */
CONSTRUCTOR static void search_now(void)
{
	if ((const void *)malloc != OPAQUE((const void *)own_malloc) ||
	    (const void *)free != OPAQUE((const void *)own_free))
		(void)replaced_settle();
}

/* Returns true if free by name takes p: it is the program's, a tool's, or not of this heap. */
static bool goes_to_free(const void *p)
{
	(void)replaced_settle();
	return atomic_load_explicit(&whose_free, memory_order_relaxed) == THEIRS || !heap_owns(p);
}

SLOW_PATH void *replaced_malloc_slow(size_t size)
{
	/* The program's malloc may refuse 0. */
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
	/* Relaxed: see malloc_is_ours(). */
	if (p == NULL ||
	    heap_free_sized_slot(atomic_load_explicit(&replaced_tables.classes,
						      memory_order_relaxed),
				 p, size, align, func))
		return;
	if (goes_to_free(p))
		free(p);
	else
		heap_free_sized(p, size, align, func);
}
