/* SPDX-License-Identifier: MIT */
/*
 * figures.h - the heap in figures: what they are, and how they are added up. See figures.c.
 *
 * stat.c reads the figures of its own process, and goalloc-view those of another one.
 */
#ifndef GOALLOC_FIGURES_H
#define GOALLOC_FIGURES_H

#include "tools/heapwalk.h"
#include "tools/sample.h"

/*
 * The spans of one span class, or of all. Bytes unless said otherwise.
 *   span_bytes = live_bytes + slack_bytes + free_bytes + tail_bytes
 *   cached_bytes <= free_bytes
 *   mallocs - frees = live       malloc_bytes - freed_bytes = live_bytes
 */
struct stat_class {
	size_t spans;            /* count */
	size_t slots;            /* count; a big span has one */
	size_t live; /* objects, count; tiny spans may have more of them than slots in use */
	size_t free_slots;       /* count: slots without a live object */
	size_t span_bytes;
	size_t live_bytes;       /* malloc_usable_size() of all live objects */
	size_t slack_bytes;      /* beside the objects in tiny blocks */
	size_t free_bytes; /* of free slots, and of big objects that threads keep to use again */
	size_t cached_bytes;     /* of free_bytes: in caches and quarantine */
	size_t tail_bytes;       /* behind the last slot; pages of malloc(0) */
	size_t drained_bytes;    /* of free_bytes and tail_bytes: without memory, in spans in use */
	size_t rounding_max;     /* the most that live objects have beyond what was asked for */
	uint64_t mallocs; /* count since counting began, with the objects that were live then */
	uint64_t frees;          /* count */
	uint64_t malloc_bytes;   /* a freed tiny object counts as a block */
	uint64_t freed_bytes;
};

/* Records of one kind. */
struct stat_records {
	size_t inuse;            /* count */
	size_t inuse_bytes;
	size_t bytes;            /* memory for them, in use or not */
};

/*
 * struct stat_snapshot - all figures at one look. Bytes unless said otherwise.
 *   heap_bytes = all.span_bytes + free_bytes + released_bytes + held_bytes + moving_bytes
 *   sys_bytes = heap_bytes + metadata_bytes
 *   metadata_bytes = spans.bytes + caches.bytes + arenas.bytes + other_bytes
 * If no other thread is in the heap, moving_bytes is 0 and heap_bytes is all that it has grown to.
 */
struct stat_snapshot {
	struct stat_class classes[NUM_SPAN_CLASSES];
	struct stat_class all;               /* their sum */
	struct stat_class noscan;            /* the sum of the noscan classes */
	size_t heap_bytes;                   /* pages that the heap has grown to */
	size_t free_bytes;                   /* pages in no span */
	size_t released_bytes;               /* pages in no span, without memory */
	size_t held_bytes;                   /* pages in no span, in threads' page words */
	size_t held_released_bytes;          /* of held_bytes, without memory */
	size_t moving_bytes;                 /* pages that are changing their use */
	size_t empty_bytes; /* of spans without a live object, which also count above */
	size_t huge_bytes;                   /* regions for which huge pages were asked */
	size_t narenas;                      /* count */
	size_t ncaches;                      /* threads that have a cache, count */
	struct stat_records spans;           /* span records */
	struct stat_records caches;          /* thread caches */
	struct stat_records arenas;          /* arena records: bitmaps and page map */
	size_t other_bytes;                  /* metadata in no record yet */
	size_t metadata_bytes;
	size_t sys_bytes;
	size_t table_bytes;                  /* static tables of the library, in no sum */
	size_t limit_bytes;                  /* the memory limit; 0 for none */
	size_t kernel_page;                  /* bytes of a page of the kernel */
	bool counting;                       /* allocations are counted; else live objects count */
	struct {
		struct heapwalk walk;
		struct alloc_counts counts;
		struct live_counts live;
	} work;                              /* of stat_read(): too large for a stack */
};

/* Adds a run of pages. Pages in no span that are not free count in moving_bytes, until
 * figures_fit_caches() finds those in page words. kernel_page is set. */
void figures_add_run(struct stat_snapshot *st, const struct heap_run *r);

/* Adds what a cache keeps, except for the quarantine. Its owner may run. Returns the bytes of the
 * objects. */
size_t figures_add_cache(struct stat_snapshot *st, const struct mcache *c);

/* Makes the figures of caches fit those of pages, which were read before. */
void figures_fit_caches(struct stat_snapshot *st);

/* Sets how much address space records have, once those of the three kinds are set. */
void figures_set_metadata(struct stat_snapshot *st, size_t nbytes);

/* Sets what was allocated since counting began. */
void figures_set_counts(struct stat_snapshot *st, const struct alloc_counts *counts);

/* Computes all sums. Called last. */
void figures_sum_up(struct stat_snapshot *st);

#endif
