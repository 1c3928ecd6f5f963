/* SPDX-License-Identifier: MIT */
/*
 * mheap.h - the one heap: arena table, page -> span map, spans from pages, big objects. See mheap.c.
 */
#ifndef GOALLOC_MHEAP_H
#define GOALLOC_MHEAP_H

#include "fixalloc.h"
#include "lock.h"
#include "mspan.h"
#include "pagealloc.h"

/*
 * Pages a thread has taken from the heap and not used: one aligned word of them. No lock.
 * Access: the thread that owns it
 */
struct pcache {
	uint64_t page;     /* number of the word's first page */
	uintptr_t base;    /* its address */
	uint64_t free;     /* a bit per page that is here to take */
	uint64_t clean;    /* of these, without memory behind them, reading as zero */
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
	uint32_t rebuilds;                           /* by mheap_after_fork(), in this process and those it descends from */
};

extern struct mheap mheap;

/* arena_table, or one that fast paths do not see. Constant after mheap_init(). */
extern _Atomic uintptr_t *mheap_arenas;

/* The table that fast paths ask: addr >> ARENA_SHIFT -> where the page map of that arena would have the entry of address 0, so that
 * the entry of any of its pages is at that + (addr >> PAGE_SHIFT) * 8; 0 where there is no arena. One load says of any address
 * whether it is ours. Acquire-loaded; stored with release once, under mheap.lock, and never changed. */
extern _Atomic uintptr_t arena_table[ARENA_TABLE_LEN];

static inline page_entry *page_entry_of(uintptr_t origin, uintptr_t addr)
{
	return (page_entry *)(origin + (addr >> PAGE_SHIFT) * sizeof(page_entry));
}

/* The entry of an address in this table or mheap_arenas. */
FAST_PATH uintptr_t arena_origin_in(const _Atomic uintptr_t *table, uintptr_t addr)
{
	uintptr_t slot = addr >> ARENA_SHIFT;

	if (UNLIKELY(slot >= ARENA_TABLE_LEN))
		return 0;
	/* Acquire: the record with the map. Pairs with the release in add_arenas_locked(). */
	return atomic_load_explicit(&table[slot], memory_order_acquire);
}

static inline uintptr_t arena_origin(uintptr_t addr)
{
	return arena_origin_in(mheap_arenas, addr);
}

/* The record of the arena that addr is in, or NULL. Any address will do. */
static inline struct heap_arena *arena_of(uintptr_t addr)
{
	uintptr_t origin = arena_origin(addr);

	if (origin == 0)
		return NULL;
	return (struct heap_arena *)((uintptr_t)page_entry_of(origin, align_down(addr, ARENA_SIZE)) -
				     offsetof(struct heap_arena, spans));
}

/* The page map's entry of an address by way of a table. */
FAST_PATH uint64_t entry_in(const _Atomic uintptr_t *table, uintptr_t addr)
{
	uintptr_t origin = arena_origin_in(table, addr);

	if (UNLIKELY(origin == 0))
		return 0;
	/* Acquire: the span's constant fields. Pairs with the release in map_pages(). */
	return atomic_load_explicit(page_entry_of(origin, addr), memory_order_acquire);
}

/* What the page map says of addr; 0 for any address that is not ours. For fast paths: 0 also where these may not come to the map. */
FAST_PATH uint64_t entry_of(uintptr_t addr)
{
	return entry_in(arena_table, addr);
}

static inline struct mspan *entry_span(uint64_t entry)
{
	return (struct mspan *)(uintptr_t)(entry >> 16);
}

static inline spanclass_t entry_spanclass(uint64_t entry)
{
	return (spanclass_t)entry;
}

/* As mspan_slot_of(), without a look at the span: false for all that is not the start of a small object's slot. */
static inline bool entry_slot_of(uint64_t entry, uintptr_t addr, uint32_t *slot)
{
	uint32_t divmul = sizeclass_divmul[entry_spanclass(entry)];
	uint64_t offset = ((entry >> 8 & 0xff) << PAGE_SHIFT) + addr % PAGE_SIZE;
	uint64_t product = offset * divmul;

	*slot = (uint32_t)(product >> 32);
	return (uint32_t)product < divmul;
}

/* The span that holds addr, mspan_dead where pages were freed, or NULL. A small span for every address
 * in it, a big one for the addresses of its first page. */
static inline struct mspan *span_of(uintptr_t addr)
{
	return entry_span(entry_in(mheap_arenas, addr));
}

/* Once, before anything else here. */
void mheap_init(void);

/* Before mheap_init(): arenas are entered in a table that fast paths do not see. False: no memory for it, nothing changed. */
bool mheap_hide_arenas(void);

/* A span of npages for this class with every slot free, owner none, in the page map. NULL when
 * there is no memory, or the first time at the memory limit: see limit_admits_locked(). Takes mheap.lock unless the page cache has the pages; pc may be NULL. */
struct mspan *mheap_alloc_small(struct pcache *pc, spanclass_t sc);

/* A big object's span of npages, its base aligned to align_pages (a power of two), state SLOT_LIVE.
 * NULL when there is no memory. pc may be NULL. */
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

/* After that, where it was put in order: the pages of this cache are not the heap's, but the cache's still. */
void mheap_keep_pcache(const struct pcache *pc);

/* Every invariant of the page map and the bitmaps. No other thread may be in the heap. */
void mheap_check(void);

#endif
