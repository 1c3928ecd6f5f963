/* SPDX-License-Identifier: MIT */
/*
 * stat.h - the heap in figures: one snapshot, from which every face of the statistics is computed. See stat.c.
 */
#ifndef GOALLOC_STAT_H
#define GOALLOC_STAT_H

#include "tools/heapwalk.h"
#include "tools/sample.h"

/*
 * The spans of one span class, or of all. Bytes unless said otherwise.
 *   span_bytes = live_bytes + slack_bytes + free_bytes + tail_bytes
 *   cached_bytes <= free_bytes       mallocs - frees = live       malloc_bytes - freed_bytes = live_bytes
 */
struct stat_class {
	size_t spans;            /* count */
	size_t slots;            /* count; of big objects one a span */
	size_t live;             /* objects, count; of a tiny span more than slots that are in use */
	size_t free_slots;       /* count: slots that hold no live object */
	size_t span_bytes;
	size_t live_bytes;       /* what the live objects may use: malloc_usable_size() of each */
	size_t slack_bytes;      /* of tiny blocks in use, beside their objects */
	size_t free_bytes;       /* of free slots; of big objects those that threads keep for the next one of their length */
	size_t cached_bytes;     /* of free_bytes: on free stacks, in current words, in quarantine */
	size_t tail_bytes;       /* behind the last slot; the guarded pages of malloc(0) */
	size_t unasked_most;     /* what live objects may have beyond what was asked for, at most: it is not stored */
	uint64_t mallocs;        /* since counting began, count; what was live then included */
	uint64_t frees;          /* count */
	uint64_t malloc_bytes;   /* a tiny object that is gone counts as a block */
	uint64_t freed_bytes;
};

/* Records of one kind. */
struct stat_records {
	size_t inuse;            /* count */
	size_t inuse_bytes;
	size_t bytes;            /* memory for them, used or not; in threads that count as one record each, what is mapped */
};

/*
 * struct stat_snapshot - all figures at one look. Bytes unless said otherwise.
 *   heap_bytes = all.span_bytes + free_bytes + released_bytes + held_bytes + moving_bytes
 *   sys_bytes = heap_bytes + metadata_bytes
 *   metadata_bytes = spans.bytes + caches.bytes + arenas.bytes + other_bytes
 * When no other thread is in the heap heap_bytes is what it has grown to, and moving_bytes is 0.
 */
struct stat_snapshot {
	struct stat_class classes[NUM_SPAN_CLASSES];
	struct stat_class all;               /* their sum */
	struct stat_class noscan;            /* the sum of those that hold no pointers */
	size_t heap_bytes;                   /* pages that the heap has grown to */
	size_t free_bytes;                   /* pages in no span */
	size_t released_bytes;               /* the same, without memory behind them */
	size_t held_bytes;                   /* the same, in threads' page words */
	size_t held_released_bytes;          /* of these, without memory behind them */
	size_t moving_bytes;                 /* in no span at the moment: being made one, freed or released */
	size_t empty_bytes;                  /* of spans without a live object; part of all.free_bytes and all.tail_bytes */
	size_t huge_bytes;                   /* regions that huge pages were asked for */
	size_t narenas;                      /* count */
	size_t ncaches;                      /* threads that have a cache, count */
	struct stat_records spans;           /* span records */
	struct stat_records caches;          /* thread caches */
	struct stat_records arenas;          /* arena records: bitmaps and page map */
	size_t other_bytes;                  /* metadata that is in no record yet */
	size_t metadata_bytes;
	size_t sys_bytes;
	size_t table_bytes;                  /* static tables: address space of the library's own, in no sum */
	bool counting;                       /* mallocs and frees are counted; else what is live counts as allocated */
	struct {
		struct heapwalk walk;
		struct alloc_counts counts;
		struct live_counts live;
	} work;                              /* stat_read()'s own: too large for a stack */
};

/* Looks at the whole heap. Any thread; others run on. Takes mheap.lock,
 * threads lock, the metadata lock and sample_lock, one after the other. */
void stat_read(struct stat_snapshot *st);

/* Does the same in memory of its own, because a snapshot has no room on a small stack. The caller
 * gives the snapshot back by stat_drop(). NULL: there is no memory. */
struct stat_snapshot *stat_take(void);
void stat_drop(struct stat_snapshot *st);

/* The name of the program, as the kernel has it, without an end. Its length; 0 when there is no telling. */
#define STAT_PROGRAM_MAX 32
size_t stat_program(char name[STAT_PROGRAM_MAX]);

/* A page of text for people. 0, or the errno of the write that failed; ENOMEM: there was no memory
 * for the figures. */
int stat_print(int fd);

#endif
