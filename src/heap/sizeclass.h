/* SPDX-License-Identifier: MIT */
/*
 * sizeclass.h - size -> size class -> slot size, span length, division magic; span classes.
 * See sizeclass.c.
 *
 * A span class is size class << 1 | noscan. Scan memory may hold pointers, noscan memory never does.
 */
#ifndef GOALLOC_SIZECLASS_H
#define GOALLOC_SIZECLASS_H

#include "base/config.h"

typedef uint8_t spanclass_t;

#define SIZECLASS_TOTALS
#include "heap/sizeclass_table.inc"
#undef SIZECLASS_TOTALS

/* One size class. All [c]. */
struct sizeclass {
	uint32_t elemsize;        /* bytes of a slot */
	uint32_t divmul;          /* ceil(2^32 / elemsize) */
	uint16_t npages;          /* heap pages of a span */
	uint16_t nelems;          /* slots of a span */
	uint16_t stack_entries;   /* entries of a free stack at most */
	uint16_t stack_first;     /* where its deep stack begins; 0 when it has none */
};

extern const struct sizeclass sizeclasses[NUM_SIZE_CLASSES];

/* (size + 7) / 8 -> the scan span class that malloc uses: 16-byte aligned from 16 bytes on; SPANCLASS_BIG, which no fast path
 * has objects of, for size 0. Written to by the two calls below only. */
extern _Atomic spanclass_t sizeclass_malloc[MAX_SMALL_SIZE / 8 + 1];

static inline spanclass_t sizeclass_of_malloc(size_t size)
{
	/* Relaxed: when it is written to, no thread has a cache, and whatever is read leads to the slow path. */
	return atomic_load_explicit(&sizeclass_malloc[(size + 7) / 8], memory_order_relaxed);
}

/* The same, but which slot of its cache a thread takes the object from: the one of the span class, or while allocations are counted,
 * the counted one of the size class. */
#define COUNTED_SLOT(sizeclass) (NUM_SPAN_CLASSES + (sizeclass))
#define NUM_SLOTS COUNTED_SLOT(NUM_SIZE_CLASSES)
_Static_assert(NUM_SLOTS <= 256, "a slot's number is a byte");

extern _Atomic uint8_t sizeclass_malloc_slot[MAX_SMALL_SIZE / 8 + 1];

static inline uint8_t sizeclass_slot_of_malloc(size_t size)
{
	/* Acquire: the counted slots are ready. Pairs with the release in sizeclass_count(). */
	return atomic_load_explicit(&sizeclass_malloc_slot[(size + 7) / 8], memory_order_acquire);
}

/* From now on malloc takes from the counted slots, or no longer. Every cache has them ready. */
void sizeclass_count(bool on);

/* Before the first object of the sizes: from now on the table says SPANCLASS_BIG for up to 8 bytes, too, so that the slow paths
 * decide. */
void sizeclass_divert_least(void);
void sizeclass_divert_all(void);      /* the same for every size */

/* Span class 0 is that of big objects; 5 that of tiny blocks and 16-byte noscan objects. */
#define SPANCLASS_BIG 0
#define SPANCLASS_BIG_NOSCAN 1
#define SPANCLASS_TINY 5

/* Of malloc(0): slots of 8 bytes in pages that cannot be read or written. No noscan object of 8 bytes has a slot: those are tiny. */
#define SPANCLASS_NOTHING 3

/* Span class -> divmul; 0 for those whose spans are not cut into slots of a size: big and tiny. */
extern const uint32_t sizeclass_divmul[NUM_SPAN_CLASSES];

static inline spanclass_t make_spanclass(unsigned sizeclass, bool noscan)
{
	return (spanclass_t)(sizeclass << 1 | noscan);
}

static inline const struct sizeclass *spanclass_info(spanclass_t sc)
{
	return &sizeclasses[sc >> 1];
}

static inline bool spanclass_noscan(spanclass_t sc)
{
	return sc & 1;
}

/* What malloc(size) is aligned to. */
static inline size_t sizeclass_malloc_align(size_t size)
{
	return size < 16 ? 8 : 16;
}

/* The smallest class of at least size bytes whose slots are all aligned to align, a power of two
 * up to PAGE_SIZE; 0 when only a big object is. size is 1..MAX_SMALL_SIZE. */
unsigned sizeclass_for(size_t size, size_t align);

#endif
