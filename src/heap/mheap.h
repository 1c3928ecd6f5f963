/* SPDX-License-Identifier: MIT */
/*
 * mheap.h - the one heap: arena table, page -> span map, spans from pages, big objects. See mheap.c.
 */
#ifndef GOALLOC_MHEAP_H
#define GOALLOC_MHEAP_H

#include "heap/fixalloc.h"
#include "os/lock.h"
#include "heap/mspan.h"
#include "heap/pagealloc.h"

/*
 * Pages a thread has taken from the heap and not used: one aligned word of them. No lock.
 * Access: the thread that owns it
 */
struct pcache {
	uint64_t page;     /* number of the word's first page */
	uintptr_t base;    /* its address */
	uint64_t free;     /* a bit per page that is here to take */
	uint64_t clean;    /* of these, without memory behind them, reading as zero */
	bool began;        /* the cache has asked for its first word */
};

/*
 * Access: [h] lock  [c] constant after mheap_init  [a] atomic counter, written under lock
 */
struct mheap {
	struct lock lock;                            /* LOCK_MHEAP */
	struct pagealloc pages;                      /* [h] */
	struct arena_space space;                    /* [h] */
	struct fixalloc span_pools[SPAN_SHAPES];     /* own lock */
	struct fixalloc arena_pool;                  /* own lock */
	struct fixalloc leaf_pool;                   /* own lock: leaves of the arena table, never freed */
	struct fixalloc map_pool;                    /* own lock: parts of the page map that are not in the window's */
	uintptr_t window_base;                       /* [h] the first address of the window of arenas */
	_Atomic size_t window_nbytes;                /* [a] its length: 0, or whole slots */
	char *window_map;                            /* [h] the page map of the window, a page_entry for each page */
	bool hidden;                                 /* [c] fast paths see no arenas */
	_Atomic size_t committed;                    /* [a] bytes of pages the heap has grown to */
	uint32_t dirty_head;                         /* [h] scavenger's list of chunks */
	uint32_t dirty_tail;                         /* [h] */
	uint32_t releases;                           /* [h] counts the calls of scavenge_locked() */
	size_t nreleasing;                           /* [h] pages that are neither in use nor free while the kernel works */
	struct mspan *guarded;                       /* [h] empty spans of SPANCLASS_NOTHING; they stay what they are */
	size_t guarded_npages;                       /* [h] of these */
	struct mspan *refused;                       /* [h] freed spans that the system did not make ready: tried again */
	uint64_t now_ms;                             /* [h] time of the last poll */
	bool ready;                                  /* [c] mheap_init succeeded */
	bool forked;                                 /* this is a forked child: see mheap_check() */
	uint32_t rebuilds;                           /* by mheap_after_fork() */
};

extern struct mheap mheap;

/* A leaf of the arena table. */
struct arena_leaf {
	_Atomic(struct heap_arena *) arenas[ARENA_LEAF_LEN];
};

/* The table of all arenas. Leaves and records are stored with release, once, under mheap.lock, and never change. */
extern _Atomic(struct arena_leaf *) arena_table[ARENA_TABLE_LEN];

/*
 * The window of arenas: the addresses for which one piece of memory has the page map, so that a fast path finds the entry of an address
 * with one comparison and one load. Arenas lie in the window one behind the other. The arenas that are not in it, because the system
 * put them elsewhere, are in the arena table alone, which slow paths ask.
 * The window is empty before the first arena, and where fast paths may not see arenas (rights.h).
 * Access: [a] any thread loads; stored under mheap.lock
 */
struct arena_window {
	_Atomic size_t nbytes;             /* [a] only grows; stored with release, when the others and the map are complete */
	_Atomic uintptr_t minus_base;      /* [a] -base, so that its sum with an address of the window is below nbytes; constant */
	_Atomic uintptr_t origin;          /* [a] where the page map would have the entry of address 0; constant */
};

extern struct arena_window arena_window;

static inline page_entry *page_entry_of(uintptr_t origin, uintptr_t addr)
{
	return (page_entry *)(origin + (addr >> PAGE_SHIFT) * sizeof(page_entry));
}

/* The record of the arena that addr is in, or NULL. Any address will do. */
static inline struct heap_arena *arena_of(uintptr_t addr)
{
	uintptr_t slot = addr >> ARENA_SHIFT;
	struct arena_leaf *leaf;

	if (slot >> ARENA_LEAF_SHIFT >= ARENA_TABLE_LEN)
		return NULL;
	/* Acquire, both: the leaf is empty, the record is complete. Pairs with the releases in note_arena_locked(). */
	leaf = atomic_load_explicit(&arena_table[slot >> ARENA_LEAF_SHIFT], memory_order_acquire);
	if (leaf == NULL)
		return NULL;
	return atomic_load_explicit(&leaf->arenas[slot % ARENA_LEAF_LEN], memory_order_acquire);
}

/* The page map's entry of an address in an arena. */
static inline page_entry *entry_in_arena(const struct heap_arena *ha, uintptr_t addr)
{
	return &ha->spans[addr % ARENA_SIZE >> PAGE_SHIFT];
}

/* What the page map says of addr, for fast paths; 0 for any address that is not in the window. */
FAST_PATH uint64_t entry_of(uintptr_t addr)
{
	/* Acquire: the other two, and the map. Pairs with the release in publish_window_locked(). */
	size_t nbytes = atomic_load_explicit(&arena_window.nbytes, memory_order_acquire);
	uintptr_t origin;

	/* Relaxed, both: constant before nbytes is more than 0. */
	if (UNLIKELY(addr + atomic_load_explicit(&arena_window.minus_base, memory_order_relaxed) >= nbytes))
		return 0;
	origin = atomic_load_explicit(&arena_window.origin, memory_order_relaxed);
	/* Acquire: the span's constant fields. Pairs with the release in map_pages(). */
	return atomic_load_explicit(page_entry_of(origin, addr), memory_order_acquire);
}

/* What the page map says of addr; 0 for any address that is not ours. */
static inline uint64_t entry_of_any(uintptr_t addr)
{
	uint64_t entry = entry_of(addr);
	const struct heap_arena *ha;

	if (LIKELY(entry != 0))
		return entry;
	ha = arena_of(addr);
	/* Acquire: as in entry_of(). */
	return ha == NULL ? 0 : atomic_load_explicit(entry_in_arena(ha, addr), memory_order_acquire);
}

static inline struct mspan *entry_span(uint64_t entry)
{
	return (struct mspan *)(uintptr_t)(entry >> 16);
}

static inline spanclass_t entry_spanclass(uint64_t entry)
{
	return (spanclass_t)entry;
}

/* As mspan_slot_of(), without a look at the span: false for all that is not the start of a small object's slot. divmul is
 * that of the entry's span class; by 0 there are no slots. */
static inline bool entry_slot_by(uint32_t divmul, uint64_t entry, uintptr_t addr, uint32_t *slot)
{
	uint64_t offset = ((entry >> 8 & 0xff) << PAGE_SHIFT) + addr % PAGE_SIZE;
	uint64_t product = offset * divmul;

	*slot = (uint32_t)(product >> 32);
	return (uint32_t)product < divmul;
}

static inline bool entry_slot_of(uint64_t entry, uintptr_t addr, uint32_t *slot)
{
	return entry_slot_by(sizeclass_divmul[entry_spanclass(entry)], entry, addr, slot);
}

/* The span that holds addr, mspan_dead where pages were freed, or NULL. A small span for every address
 * in it, a big one for the addresses of its first page. */
static inline struct mspan *span_of(uintptr_t addr)
{
	return entry_span(entry_of_any(addr));
}

/* Once, before anything else here. */
void mheap_init(void);

/* Keeps the window of arenas empty. Called before mheap_init(). */
void mheap_hide_arenas(void);

/* Bytes of the page map: the window's, and parts of other arenas. */
size_t mheap_map_bytes(void);

/* A span of npages for this class with every slot free, owner none, in the page map. NULL when
 * there is no memory, or the first time at the memory limit: see limit_admits_locked(). Takes mheap.lock unless the page cache has the pages; pc may be NULL. */
struct mspan *mheap_alloc_small(struct pcache *pc, spanclass_t sc);

/* Returns a big object's span of npages, its base aligned to align_pages (a power of two), or NULL
 * when there is no memory. Its state is free: see mspan_set_big_live(). pc may be NULL. */
struct mspan *mheap_alloc_big(struct pcache *pc, size_t npages, size_t align_pages, bool noscan);

/* The same from the pages that the heap has, without growing it: for who has other pages to give back first. */
struct mspan *mheap_reuse_small(struct pcache *pc, spanclass_t sc);
struct mspan *mheap_reuse_big(struct pcache *pc, size_t npages, size_t align_pages, bool noscan);

/* Frees a span that nobody uses. Its pages go to the page cache if they fit there, else to the heap. */
void mheap_free_span(struct pcache *pc, struct mspan *s);

/* The same for a big span whose pages may be guarded: they become one mapping with their neighbours again. Refused by the
 * system they cannot be used, and the span waits for mheap_free_refused(). */
void mheap_free_guarded(struct pcache *pc, struct mspan *s);

/* Tries again to free what the system refused. */
void mheap_free_refused(struct pcache *pc);

/* Changes the length of a big span without moving it. False: no room behind it, or as above at the memory limit; nothing changed. */
bool mheap_resize_big(struct mspan *s, size_t npages);

/* The same from the page cache alone, without a lock: longer only, by a few pages. */
bool mheap_extend_cached(struct pcache *pc, struct mspan *s, size_t npages);

/* Gives the memory of span records that are not in use back to the system. */
void mheap_release_records(void);

/* Gives the pages of a cache back to the heap. */
void mheap_flush_pcache(struct pcache *pc);

/* Calls visit for every span in use, in the order of page numbers. Without stopping anyone: what is seen while
 * others allocate is a span or was one a moment ago. */
void mheap_each_span(void (*visit)(struct mspan *s, void *arg), void *arg);

/* In a forked child, before anything else: true when the heap was being changed by a thread that is gone,
 * and has been put in order again. Pages that such a thread was about to use are free again. */
bool mheap_after_fork(void);

/* After that, where it was put in order: the pages of this cache are not the heap's, but the
 * cache's still. */
void mheap_keep_pcache(const struct pcache *pc);

/* Every invariant of the page map and the bitmaps. No other thread may be in the heap. */
void mheap_check(void);

#endif
