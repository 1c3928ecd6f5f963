/* SPDX-License-Identifier: MIT */
/*
 * pagealloc.h - which pages are free: a bitmap per arena under a tree of summaries. See pagealloc.c.
 *
 * A page has a number: arena index * ARENA_PAGES + page in the arena. Neighbours in number are
 * neighbours in address, because an arena that does not continue the one before skips an index.
 */
#ifndef GOALLOC_PAGEALLOC_H
#define GOALLOC_PAGEALLOC_H

#include "heap/arena.h"

#define SUMMARY_FANOUT_SHIFT 4
#define SUMMARY_FANOUT (1u << SUMMARY_FANOUT_SHIFT)
#define SUMMARY_LEVELS 4                        /* above the chunks; level 3 is one per arena */
#define SUMMARY_TOP (MAX_ARENAS / 4096)         /* nodes of level 0 */

#define PAGE_NONE UINT64_MAX

/*
 * Access: [h] the caller's lock, for everything
 */
struct pagealloc {
	uint32_t narenas;                            /* [h] indices used, gaps included */
	uint32_t nabove;                             /* [h] levels kept above level 3: see pagealloc.c */
	uint64_t search;                             /* [h] no page below is free */
	size_t nfree;                                /* [h] free pages */
	size_t nclean;                               /* [h] of these, without memory behind them */
	size_t ntotal;                               /* [h] pages ever added */
	struct heap_arena *arenas[MAX_ARENAS];       /* [h] by index; NULL in a gap */
	struct page_sum level0[SUMMARY_TOP];         /* [h] 4096 arenas each */
	struct page_sum level1[SUMMARY_TOP * 16];
	struct page_sum level2[SUMMARY_TOP * 256];
	struct page_sum level3[MAX_ARENAS];          /* [h] one arena each */
};

/* Registers an arena whose pages are all in use. ha->idx is set; false when indices are used up. */
bool pagealloc_add_arena(struct pagealloc *pa, struct heap_arena *ha, uintptr_t addr);

/* New pages: free, clean. [page, page + npages) belongs to registered arenas and is in use. */
void pagealloc_grow(struct pagealloc *pa, uint64_t page, size_t npages);

/* The lowest run of npages free pages, now in use; PAGE_NONE when there is none. *nclean says how many
 * of them have no memory behind them and read as zero. */
uint64_t pagealloc_alloc(struct pagealloc *pa, size_t npages, size_t *nclean);

/* The run that pagealloc_alloc() would take. */
uint64_t pagealloc_find(const struct pagealloc *pa, size_t npages);

/* Of these pages, how many are free and not clean. Numbers above all arenas will do. */
size_t pagealloc_count_dirty(const struct pagealloc *pa, uint64_t page, size_t npages);

/* All of these pages are free. */
bool pagealloc_is_free(const struct pagealloc *pa, uint64_t page, size_t npages);

/* Takes exactly these pages if all of them are free. */
bool pagealloc_alloc_at(struct pagealloc *pa, uint64_t page, size_t npages, size_t *nclean);

/* Takes the free pages of the aligned word of 64 in which the lowest run of npages free pages begins:
 * *page is its first page, *free and *clean tell bit by bit. False when there is no such run (*page is PAGE_NONE then), or
 * when it crosses into the next word. */
bool pagealloc_alloc_word(struct pagealloc *pa, unsigned npages, uint64_t *page, uint64_t *free,
			  uint64_t *clean);

/* Takes all free pages of a chunk that may have memory behind them: those that are not clean, and all of regions with huge
 * pages. Where the kernel's pages are unit of ours, a power of two up to 64, the clean ones beside one that is not share its
 * memory: they are taken too when all of the kernel's page is free. taken tells bit by bit. */
void pagealloc_take_dirty(struct pagealloc *pa, uint64_t chunk, unsigned unit, uint64_t taken[CHUNK_PAGES / 64]);

/* pagealloc_take_dirty() would find pages that can be given back: at least one whole page of the kernel. */
bool pagealloc_has_dirty(const struct pagealloc *pa, uint64_t chunk, unsigned unit);

/* Frees pages. clean: they have no memory behind them. */
void pagealloc_free(struct pagealloc *pa, uint64_t page, size_t npages, bool clean);

/* Frees the pages of an aligned word that free says, clean as clean says. */
void pagealloc_free_word(struct pagealloc *pa, uint64_t page, uint64_t free, uint64_t clean);

/* Free pages that end just below page, without a gap. */
size_t pagealloc_free_before(const struct pagealloc *pa, uint64_t page);

/* Recomputes every summary and count from the bitmaps (in a forked child). */
void pagealloc_rebuild(struct pagealloc *pa);

/* Summaries agree with the bitmaps; for tests and debug builds. */
void pagealloc_check(const struct pagealloc *pa);

static inline struct heap_arena *pagealloc_arena(const struct pagealloc *pa, uint64_t page)
{
	return pa->arenas[page / ARENA_PAGES];
}

static inline uintptr_t pagealloc_addr(const struct pagealloc *pa, uint64_t page)
{
	return pagealloc_arena(pa, page)->base + (page % ARENA_PAGES) * PAGE_SIZE;
}

static inline uint64_t pagealloc_page(const struct heap_arena *ha, uintptr_t addr)
{
	return (uint64_t)ha->idx * ARENA_PAGES + (addr - ha->base) / PAGE_SIZE;
}

static inline struct arena_chunk *pagealloc_chunk(const struct pagealloc *pa, uint64_t page)
{
	return &pagealloc_arena(pa, page)->chunks[page % ARENA_PAGES / CHUNK_PAGES];
}

#endif
