/* SPDX-License-Identifier: MIT */
/*
 * sizeclass.c - the 68 size classes.
 * See malloc.c for the overview.
 *
 * Owns     the constant tables, printed and proved by mksizeclass.c.
 * Callers  every layer above. Calls nothing.
 * Locks    none; everything is constant once the options are read.
 * Holds    slot sizes rise; from 16 bytes on only class 24 is not a multiple of 16.
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

/* The same, and stays so. */
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

_Atomic uint8_t sizeclass_malloc_slot[MAX_SMALL_SIZE / 8 + 1] = {
#define SIZECLASS_LOOKUP
#include "heap/sizeclass_table.inc"
#undef SIZECLASS_LOOKUP
};

static void divert(size_t i)
{
	/* Relaxed: pairs with nothing; see sizeclass_of_malloc(). */
	atomic_store_explicit(&sizeclass_malloc[i], SPANCLASS_BIG, memory_order_relaxed);
	atomic_store_explicit(&sizeclass_malloc_slot[i], SPANCLASS_BIG, memory_order_relaxed);
}

void sizeclass_divert_least(void)
{
	divert(1);
}

void sizeclass_divert_all(void)
{
	for (size_t i = 0; i <= MAX_SMALL_SIZE / 8; i++)
		divert(i);
}

void sizeclass_count(bool on)
{
	for (size_t i = 0; i <= MAX_SMALL_SIZE / 8; i++) {
		/* Relaxed: written by one thread at a time. */
		spanclass_t sc = atomic_load_explicit(&sizeclass_malloc[i], memory_order_relaxed);
		uint8_t slot = on && sc != SPANCLASS_BIG ? (uint8_t)COUNTED_SLOT(sc >> 1) : sc;

		/* Release: the counted slots are ready. Pairs with the acquire in sizeclass_slot_of_malloc(). */
		atomic_store_explicit(&sizeclass_malloc_slot[i], slot, memory_order_release);
	}
}

unsigned sizeclass_for(size_t size, size_t align)
{
	unsigned c;

	/* The lookup passes over class 24, which serves whoever can do with 8-byte alignment. */
	if (align <= 8 && size > 16 && size <= 24)
		return 3;
	/* Span bases are page aligned, so a slot is as aligned as the slot size. */
	size = align_up(size, align);
	if (size > MAX_SMALL_SIZE)
		return 0;
	c = lookup[(size + 7) / 8] >> 1;
	while ((sizeclasses[c].elemsize & (align - 1)) != 0)
		c++;
	return c;
}
