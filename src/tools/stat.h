/* SPDX-License-Identifier: MIT */
/*
 * stat.h - the heap in figures: one snapshot, from which all statistics are computed. See stat.c.
 */
#ifndef GOALLOC_STAT_H
#define GOALLOC_STAT_H

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
	bool counting;                       /* allocations are counted; else live objects count */
	struct {
		struct heapwalk walk;
		struct alloc_counts counts;
		struct live_counts live;
	} work;                              /* of stat_read(): too large for a stack */
};

/* Reads all figures while other threads run. Takes mheap.lock, the threads lock, the metadata lock
 * and sample_lock, one after the other. */
void stat_read(struct stat_snapshot *st);

/* Reads all figures into memory of its own, because a small stack has no room for a snapshot. The
 * caller gives it back with stat_drop(). Returns NULL if there is no memory. */
struct stat_snapshot *stat_take(void);
void stat_drop(struct stat_snapshot *st);

/* Stores the kernel's name of the program, without a final 0. Returns its length, or 0 if it is
 * unknown. */
#define STAT_PROGRAM_MAX 32
size_t stat_program(char name[STAT_PROGRAM_MAX]);

/* Writes a page of text for people. Returns 0, the errno of a failed write, or ENOMEM. */
int stat_print(int fd);

#endif
