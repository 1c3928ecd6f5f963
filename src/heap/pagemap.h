/* SPDX-License-Identifier: MIT */
/*
 * pagemap.h - from an address to its arena and its span. See pagemap.c.
 *
 * The page map has an entry for each page of an arena: the page's span, the span's class, and which
 * page of the span it is. Entries are found in two ways:
 *
 *   - The window of arenas is a range of addresses for which one piece of memory has the page map.
 *     Fast paths find an entry there with one comparison and one load. Arenas lie in the window
 *     one behind the other. The window is empty before the first arena, and where fast paths may
 *     not see arenas (metakey.h).
 *   - The arena table leads to the record of any arena. Only slow paths ask it. It alone has the
 *     arenas that the system put outside of the window.
 */
#ifndef GOALLOC_PAGEMAP_H
#define GOALLOC_PAGEMAP_H

#include "heap/fixalloc.h"
#include "heap/mspan.h"
#include "heap/pagealloc.h"

/* A leaf of the arena table. */
struct arena_leaf {
	_Atomic(struct heap_arena *) arenas[ARENA_LEAF_LEN];
};

/* The arena table. A leaf or a record is stored once, with release, under the heap's lock. */
extern _Atomic(struct arena_leaf *) arena_table[ARENA_TABLE_LEN];

/*
 * What fast paths know of the window.
 * Access: [a] atomic, loaded by any thread; stored under the heap's lock
 */
struct arena_window {
	_Atomic size_t nbytes;             /* [a] only grows; stored after the rest and the map */
	_Atomic uintptr_t minus_base;      /* [a] -base: added to an address of the window it gives
					    *     less than nbytes; constant */
	_Atomic uintptr_t origin;          /* [a] where the map would have the entry of address 0;
					    *     constant */
};

extern struct arena_window arena_window;

/*
 * Access: [h] the heap's lock  [c] constant after pagemap_init  [a] atomic, stored under the lock
 */
struct pagemap {
	struct fixalloc arena_pool;        /* own lock; records are never freed */
	struct fixalloc leaf_pool;         /* own lock: leaves of the arena table, never freed */
	struct fixalloc map_pool;          /* own lock: parts of the map outside of the window */
	uintptr_t window_base;             /* [h] the first address of the window */
	_Atomic size_t window_nbytes;      /* [a] its length: 0, or whole sites */
	char *window_map;                  /* [h] its page map, a page_entry for each page */
	bool hidden;                       /* [c] fast paths see an empty window */
};

extern struct pagemap page_map;

static inline page_entry *page_entry_of(uintptr_t origin, uintptr_t addr)
{
	return (page_entry *)(origin + (addr >> PAGE_SHIFT) * sizeof(page_entry));
}

/* Returns the record of the arena that holds addr, or NULL. Any address is allowed. */
static inline struct heap_arena *arena_of(uintptr_t addr)
{
	uintptr_t site = addr >> ARENA_SHIFT;
	struct arena_leaf *leaf;

	if (site >> ARENA_LEAF_SHIFT >= ARENA_TABLE_LEN)
		return NULL;
	/* Acquire: the leaf is empty. Pairs with the release in leaf_of_site_locked(). */
	leaf = atomic_load_explicit(&arena_table[site >> ARENA_LEAF_SHIFT], memory_order_acquire);
	if (leaf == NULL)
		return NULL;
	/* Acquire: the record is complete. Pairs with the release in add_arena_locked(). */
	return atomic_load_explicit(&leaf->arenas[site % ARENA_LEAF_LEN], memory_order_acquire);
}

/* Returns where the page map has the entry of an address in the arena. */
static inline page_entry *entry_in_arena(const struct heap_arena *ha, uintptr_t addr)
{
	return &ha->spans[addr % ARENA_SIZE >> PAGE_SHIFT];
}

/* Returns the page map's entry of addr, for fast paths; 0 for an address outside of the window. */
FAST_PATH uint64_t entry_of(uintptr_t addr)
{
	/* Acquire: the other two, and the map. Pairs with the release in
	 * publish_window_locked(). */
	size_t nbytes = atomic_load_explicit(&arena_window.nbytes, memory_order_acquire);
	uintptr_t origin;

	/* Relaxed, both: constant before nbytes is more than 0. */
	if (UNLIKELY(addr + atomic_load_explicit(&arena_window.minus_base, memory_order_relaxed) >=
		     nbytes))
		return 0;
	origin = atomic_load_explicit(&arena_window.origin, memory_order_relaxed);
	/* Acquire: the span's constant fields. Pairs with the release in map_pages(). */
	return atomic_load_explicit(page_entry_of(origin, addr), memory_order_acquire);
}

/* Returns the page map's entry of addr; 0 for an address outside of the heap. */
static inline uint64_t entry_of_any(uintptr_t addr)
{
	uint64_t entry = entry_of(addr);
	const struct heap_arena *ha;

	if (LIKELY(entry != 0))
		return entry;
	ha = arena_of(addr);
	if (ha == NULL)
		return 0;
	/* Acquire: as in entry_of(). */
	return atomic_load_explicit(entry_in_arena(ha, addr), memory_order_acquire);
}

static inline struct mspan *entry_span(uint64_t entry)
{
	return (struct mspan *)(uintptr_t)(entry >> 16);
}

static inline spanclass_t entry_spanclass(uint64_t entry)
{
	return (spanclass_t)entry;
}

/* Finds the slot that starts at addr without looking at the span's record. divmul is the one of
 * the entry's span class, or 0 where no slot shall be found. Returns false unless addr is the
 * start of a slot of a small object. At the start of a slot the low half of the product is a
 * rounding error below divmul. Every byte from there to the next slot adds divmul to it. OPAQUE()
 * makes the compiler take the page number in one instruction, and use divmul as it was loaded. */
static inline bool entry_slot_by(uint32_t divmul, uint64_t entry, uintptr_t addr, uint32_t *slot)
{
	uint64_t page = OPAQUE(entry >> 8 & 0xff);
	uint64_t offset = (page << PAGE_SHIFT) + addr % PAGE_SIZE;
	uint64_t factor = OPAQUE((uint64_t)divmul);
	uint64_t product = offset * factor;

	*slot = (uint32_t)(product >> 32);
	return GOALLOC_UNCHECKED ? divmul != 0 : (uint32_t)product < (uint32_t)factor;
}

static inline bool entry_slot_of(uint64_t entry, uintptr_t addr, uint32_t *slot)
{
	return entry_slot_by(sizeclass_divmul[entry_spanclass(entry)], entry, addr, slot);
}

/* Returns the span that holds addr, mspan_dead where its pages were freed, or NULL. A small span is
 * found by every address in it, a big one only by the addresses of its first page. */
static inline struct mspan *span_of(uintptr_t addr)
{
	return entry_span(entry_of_any(addr));
}

/* Prepares the pools. Called once. */
void pagemap_init(void);

/* Keeps the window empty for fast paths. Called before the first arena. */
void pagemap_hide(void);

/* Returns the bytes of the page map: those of the window, and the parts of other arenas. */
size_t pagemap_nbytes(void);

/* Makes records, with their parts of the page map, for the sites of [addr, addr + nbytes) that have
 * none, and registers them with the page allocator. `apart` tells that the addresses lie where only
 * this heap maps memory. Returns false when there is no memory; some of the records may have been
 * made. The heap's lock is held. */
bool pagemap_add_arenas(struct pagealloc *pages, bool apart, uintptr_t addr, size_t nbytes);

/*
 * The three functions below change entries of pages that the caller has from the page allocator,
 * and need no lock.
 */

/* Enters a span: all pages of a small one, the first page of a big one. */
void pagemap_map_span(const struct mspan *s);

/* Lets the same entries name mspan_dead. */
void pagemap_unmap_span(const struct mspan *s);

/* Clears the entries of pages that lie behind the first one of a big object. Where there never was
 * an entry, the memory of the map is not touched. */
void pagemap_clear(uintptr_t addr, size_t npages);

/* Calls visit for every span that has an entry in the first narenas arenas, in the order of page
 * numbers. Other threads may allocate meanwhile: a span that is seen is one, or was a moment
 * ago. */
void pagemap_each_span(const struct pagealloc *pages, uint32_t narenas,
		       void (*visit)(struct mspan *s, void *arg), void *arg);

#endif
