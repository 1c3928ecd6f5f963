/* SPDX-License-Identifier: MIT */
/*
 * arena.h - the heap's address space and the record of each 64 MiB site of it. See arena.c.
 *
 * A site is the aligned address space of one arena.
 */
#ifndef GOALLOC_ARENA_H
#define GOALLOC_ARENA_H

#include "base/config.h"

struct mspan;

/*
 * An entry of the page map: the record of the page's span, or 0 for no span. The entry of a page
 * of a small span also has the span class and which page of the span it is, so that the slot of an
 * address is found without a look at the record.
 *
 *   63          16 15           8 7          0
 *   span record   page of span    span class
 */
typedef _Atomic uint64_t page_entry;

/* The lengths of free runs in a piece of address space, in pages: at its start, the longest, at
 * its end. */
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
	uint32_t dirty_next;      /* [h] the next chunk on the list, by number, or DIRTY_END */
	uint32_t listed_at;       /* [h] scavenger.releases when it was listed */
};

/*
 * struct heap_arena - one site, of which the heap may have only a part.
 * The record lies in metadata memory, where no overflow in the heap reaches it.
 * Access: [c] constant once the arena table shows the record  [h] mheap.lock
 *         [a] atomic, loaded by any thread; stored by the owner of the page
 */
struct heap_arena {
	uintptr_t base;                                /* [c] ARENA_SIZE aligned */
	uint32_t idx;                                  /* [c] number in pagealloc order */
	uint64_t alloc_bits[ARENA_PAGES / 64];         /* [h] 1: in use, or not committed */
	uint64_t clean_bits[ARENA_PAGES / 64];         /* [h] 1: clean */
	uint64_t committed_words[ARENA_PAGES / 64 / 64]; /* [h] 1: these 64 pages are committed */
	uint32_t huge_regions;                         /* [h] 1: huge pages were asked for. Even
							* clean pages may have memory then */
	struct arena_chunk chunks[ARENA_CHUNKS];       /* [h] */
	_Atomic uint64_t mapped_words[ARENA_PAGES / 64 / 64]; /* [a] 1: 64 pages may have entries */
	page_entry *spans;                             /* [c] its part of the page map: for each
							* page an entry, [a] */
};
#define ARENA_MAP_SIZE (ARENA_PAGES * sizeof(page_entry))

/* A piece of address space. Length 0 stands for none. */
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
	bool apart;        /* [h] nobody else maps memory there, so sites are reserved in parts */
	struct address_range owed[ARENA_SPACE_OWED];   /* [h] the system refused to take it */
};

/* Hands out the next nbytes of the reserved address space, a multiple of the page size. Returns
 * their address, or 0 if the reservation has no room left. */
uintptr_t arena_space_extend(struct arena_space *a, size_t nbytes);

/* Returns nbytes of reserved address space in another place, or 0. The place is aligned as far as
 * the system allows. The rest of the old place goes back to the system. */
uintptr_t arena_space_move(struct arena_space *a, size_t nbytes);

/* Takes back the nbytes that arena_space_extend() handed out last and that were not committed. */
void arena_space_undo(struct arena_space *a, size_t nbytes);

/* Takes back the nbytes that arena_space_move() handed out last and that were not committed. The
 * heap continues where it was before. */
void arena_space_undo_move(struct arena_space *a, size_t nbytes, const struct arena_space *before);

/* Fills the record of the site that holds addr, except for `spans`. No page of it is committed
 * yet. The record's memory is zeroed. */
void heap_arena_init(struct heap_arena *ha, uintptr_t addr, uint32_t idx);

#endif
