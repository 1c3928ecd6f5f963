/* SPDX-License-Identifier: MIT */
/*
 * sizeclass.c - the 68 size classes.
 * See malloc.c for the overview.
 *
 * Owns     the tables of sizes, printed and proved by mksizeclass.c, and what malloc looks up in
 *          them.
 * Locks    none. All is constant once the options are read, but which bins malloc takes from.
 * Holds    slot sizes rise. From 16 bytes on only class 24 is not a multiple of 16.
 */
#include "heap/sizeclass.h"

const struct sizeclass sizeclasses[NUM_SIZE_CLASSES] = {
#define SIZECLASS_ROWS
#include "heap/sizeclass_table.inc"
#undef SIZECLASS_ROWS
};

_Atomic spanclass_t sizeclass_malloc[MAX_SMALL_SIZE / 8 + 1] = {
#define SIZECLASS_LOOKUP
#include "heap/sizeclass_table.inc"
#undef SIZECLASS_LOOKUP
};

/* sizeclass_malloc without the changes of sizeclass_divert_all(). */
static const spanclass_t lookup[MAX_SMALL_SIZE / 8 + 1] = {
#define SIZECLASS_LOOKUP
#include "heap/sizeclass_table.inc"
#undef SIZECLASS_LOOKUP
};

const uint32_t sizeclass_divmul[NUM_SPAN_CLASSES] = {
#define SIZECLASS_DIVMUL
#include "heap/sizeclass_table.inc"
#undef SIZECLASS_DIVMUL
};

_Atomic uint8_t sizeclass_malloc_bin[MAX_SMALL_SIZE / 8 + 1] = {
#define SIZECLASS_LOOKUP
#include "heap/sizeclass_table.inc"
#undef SIZECLASS_LOOKUP
};

void sizeclass_divert_all(void)
{
	for (size_t i = 0; i <= MAX_SMALL_SIZE / 8; i++) {
		/* Relaxed: pairs with nothing; see sizeclass_of_malloc(). */
		atomic_store_explicit(&sizeclass_malloc[i], SPANCLASS_BIG, memory_order_relaxed);
		atomic_store_explicit(&sizeclass_malloc_bin[i], SPANCLASS_BIG,
				      memory_order_relaxed);
	}
}

void sizeclass_count(bool on)
{
	for (size_t i = 0; i <= MAX_SMALL_SIZE / 8; i++) {
		/* Relaxed: one thread at a time stores here. */
		spanclass_t sc = atomic_load_explicit(&sizeclass_malloc[i], memory_order_relaxed);
		uint8_t bin = on && sc != SPANCLASS_BIG ? (uint8_t)COUNTED_BIN(sc >> 1) : sc;

		/* Relaxed: every cache has both bins, and a thread that takes from the other one
		 * for a while counts late. */
		atomic_store_explicit(&sizeclass_malloc_bin[i], bin, memory_order_relaxed);
	}
}

unsigned sizeclass_for(size_t size, size_t align)
{
	unsigned c;

	/* The lookup passes over class 24, which is aligned to 8 only. */
	if (align <= 8 && size > 16 && size <= 24)
		return 3;
	/* The base of a span is page aligned, so a slot is aligned as the slot size is. */
	size = align_up(size, align);
	if (size > MAX_SMALL_SIZE)
		return 0;
	c = lookup[(size + 7) / 8] >> 1;
	while ((sizeclasses[c].elemsize & (align - 1)) != 0)
		c++;
	return c;
}
