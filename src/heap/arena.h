/* SPDX-License-Identifier: MIT */
/*
 * arena.h - the heap's address space and the record of each 64 MB slot of it. See arena.c.
 */
#ifndef GOALLOC_ARENA_H
#define GOALLOC_ARENA_H

#include "base/config.h"

struct mspan;

/*
 * What the page map has for a page: the record of its span, and for a page of a small span, so that the slot of an address is
 * found without looking at the record, the span class and which page of the span it is. 0: no span.
 *
 *   63          16 15           8 7          0
 *   span record   page of span    span class
 */
typedef _Atomic uint64_t page_entry;

/* Free runs in a piece of address space, in pages: at its start, the longest, at its end. */
struct page_sum {
	uint32_t start;
	uint32_t max;
	uint32_t end;
};

/*
 * 512 pages of an arena.
 * Access: [h] mheap.lock
 */
struct arena_chunk {
	struct page_sum sum;      /* [h] of the chunk's 8 words of alloc_bits */
	bool dirty_listed;        /* [h] on the scavenger's list */
	uint64_t freed_ms;        /* [h] when pages were last freed here */
	uint32_t dirty_next;      /* [h] scavenger's list, chunk numbers; DIRTY_END */
	uint32_t listed_at;       /* [h] mheap.releases when it was put at the end of the list */
};

/*
 * struct heap_arena - one 64 MB slot of address space, or the chunks of it that could be had.
 * Lives in metadata memory, out of reach of an overflow in the heap.
 * Access: [c] constant once the arena table shows the record  [h] mheap.lock
 *         [a] atomic, any thread; stored by who owns the page
 */
struct heap_arena {
	uintptr_t base;                                /* [c] ARENA_SIZE aligned */
	uint32_t idx;                                  /* [c] number in pagealloc order */
	uint64_t alloc_bits[ARENA_PAGES / 64];         /* [h] 1: in use, or not ours (yet) */
	uint64_t clean_bits[ARENA_PAGES / 64];         /* [h] 1: free, reads as zero, has no memory */
	uint64_t committed_words[ARENA_PAGES / 64 / 64]; /* [h] 1: these 64 pages are committed */
	uint32_t huge_regions;                         /* [h] 1: huge pages were asked for; free pages may have memory
							* behind them, clean or not */
	struct arena_chunk chunks[ARENA_CHUNKS];       /* [h] */
	_Atomic uint64_t mapped_words[ARENA_PAGES / 64 / 64]; /* [a] 1: of these 64 pages some may have had an entry in spans */
	page_entry *spans;                             /* [c] its part of the page map: ARENA_PAGES entries, each [a].
							* Every page of a small span, the first of a big one; 0 */
};
#define ARENA_MAP_SIZE (ARENA_PAGES * sizeof(page_entry))

/* A piece of address space; none when it has no length. */
struct address_range {
	uintptr_t addr;
	size_t nbytes;
};

#define ARENA_SPACE_OWED 16

/*
 * Address space that is reserved but not committed: what the heap grows into.
 * Access: [h] mheap.lock
 */
struct arena_space {
	uintptr_t next;    /* [h] first byte not handed out; everything before it is committed */
	uintptr_t end;     /* [h] end of the reservation */
	bool apart;        /* [h] it is where nobody else maps anything: no more is reserved than is handed out */
	struct address_range owed[ARENA_SPACE_OWED];   /* [h] not wanted, and not taken back by the system yet */
};

/* nbytes (page multiple) of reserved address space that continue what was handed out last, or 0. */
uintptr_t arena_space_extend(struct arena_space *a, size_t nbytes);

/* Returns nbytes of reserved address space in another place, or 0. The place is aligned as far as the system allows. What was left
 * of the old place goes back to the system. */
uintptr_t arena_space_move(struct arena_space *a, size_t nbytes);

/* Takes back the nbytes that arena_space_extend() handed out last and that were not committed. */
void arena_space_undo(struct arena_space *a, size_t nbytes);

/* Takes back the nbytes that arena_space_move() handed out last and that were not committed: the heap goes on where it was before. */
void arena_space_undo_move(struct arena_space *a, size_t nbytes, const struct arena_space *before);

/* Fills a record for the slot of addr, but for its part of the page map: no page of it is ours yet. The memory is zeroed. */
void heap_arena_init(struct heap_arena *ha, uintptr_t addr, uint32_t idx);

#endif
