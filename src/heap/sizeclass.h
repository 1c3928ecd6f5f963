/* SPDX-License-Identifier: MIT */
/*
 * sizeclass.h - from a size to its class, and from a class to its slots and spans. See sizeclass.c.
 *
 * A span class is size class << 1 | noscan. Scan memory may hold pointers, noscan memory never
 * does.
 */
#ifndef GOALLOC_SIZECLASS_H
#define GOALLOC_SIZECLASS_H

#include "base/config.h"

typedef uint8_t spanclass_t;

/* COUNTED_TOTAL is the number of entries of all counted stacks. SPANCLASS_TINY has tiny blocks.
 * SPANCLASS_ZERO is the span class of malloc(0): slots of 8 bytes in pages that cannot be accessed.
 * It is free for this because noscan objects of 8 bytes are tiny. */
#define SIZECLASS_TOTALS
#include "heap/sizeclass_table.inc"
#undef SIZECLASS_TOTALS

/* One size class. Every field is constant. */
struct sizeclass {
	uint32_t elemsize;        /* bytes of a slot */
	uint32_t divmul;          /* ceil(2^32 / elemsize) */
	uint8_t npages[SPAN_LENGTHS];    /* heap pages of a span, the shortest first */
	uint16_t stack_entries;   /* the most entries of a free stack, unless a thread alone has
				   * learnt that more are worth it */
};

extern const struct sizeclass sizeclasses[NUM_SIZE_CLASSES];

/* The scan span class of malloc(size), by (size + 7) / 8. Its slots are aligned to 16 from 16
 * bytes on. Size 0 has SPANCLASS_BIG, of which no fast path has objects. Only
 * sizeclass_divert_all() stores here. */
extern _Atomic spanclass_t sizeclass_malloc[MAX_SMALL_SIZE / 8 + 1];

static inline spanclass_t sizeclass_of_malloc(size_t size)
{
	/* Relaxed: while it is stored to no thread has a cache, so that both values lead to the
	 * slow path. */
	return atomic_load_explicit(&sizeclass_malloc[(size + 7) / 8], memory_order_relaxed);
}

/* The bin of its cache from which a thread takes an object: the one of the span class, or while
 * allocations are counted, the counted bin of the size class. */
#define COUNTED_BIN(sizeclass) (NUM_SPAN_CLASSES + (sizeclass))
#define NUM_BINS COUNTED_BIN(NUM_SIZE_CLASSES)
_Static_assert(NUM_BINS <= 256, "a bin's number is a byte");

extern _Atomic uint8_t sizeclass_malloc_bin[MAX_SMALL_SIZE / 8 + 1];

static inline uint8_t sizeclass_bin_of_malloc(size_t size)
{
	/* Relaxed: see sizeclass_count(). */
	return atomic_load_explicit(&sizeclass_malloc_bin[(size + 7) / 8], memory_order_relaxed);
}

/* Makes malloc take from the counted bins, or from the plain ones. One thread at a time calls
 * this. */
void sizeclass_count(bool on);

/* Enters SPANCLASS_BIG for every size, so that slow paths decide about all. Called before the first
 * object of the options that want this. */
void sizeclass_divert_all(void);

/* The span classes of big objects. */
#define SPANCLASS_BIG 0
#define SPANCLASS_BIG_NOSCAN 1

/* divmul by span class; 0 for big objects and tiny blocks, which have no slots of one size. */
extern const uint32_t sizeclass_divmul[NUM_SPAN_CLASSES];

/* What the flags of a request and of its object say. */
enum scan { SCAN, NOSCAN };        /* the object may hold pointers; it never does */
enum content { RAW, ZERO };        /* the object may read as anything; it reads as zero */

static inline spanclass_t make_spanclass(unsigned sizeclass, enum scan scan)
{
	return (spanclass_t)(sizeclass << 1 | scan);
}

static inline const struct sizeclass *spanclass_info(spanclass_t sc)
{
	return &sizeclasses[sc >> 1];
}

/* Returns the pages of the longest spans of a class. */
static inline size_t spanclass_max_npages(spanclass_t sc)
{
	return spanclass_info(sc)->npages[SPAN_LENGTHS - 1];
}

/* Returns the slots of a span of npages, at most spanclass_max_npages(). */
static inline unsigned spanclass_nelems(spanclass_t sc, size_t npages)
{
	/* divmul is exact up to the end of the longest span. */
	return (unsigned)((uint64_t)npages * PAGE_SIZE * spanclass_info(sc)->divmul >> 32);
}

static inline enum scan spanclass_scan(spanclass_t sc)
{
	return sc & 1;
}

/* Returns the alignment of malloc(size). */
static inline size_t sizeclass_malloc_align(size_t size)
{
	return size < 16 ? 8 : 16;
}

/* Returns the smallest size class of at least size bytes, 1..MAX_SMALL_SIZE, all of whose slots are
 * aligned to align, a power of two up to PAGE_SIZE. Returns 0 when only a big object is. */
unsigned sizeclass_for(size_t size, size_t align);

#endif
