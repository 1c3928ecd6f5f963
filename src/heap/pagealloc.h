/* SPDX-License-Identifier: MIT */
/*
 * pagealloc.h - which pages are free: a bitmap per arena under a tree of summaries. See
 * pagealloc.c.
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
 * Access: [h] the caller's lock, for every field
 */
struct pagealloc {
	uint32_t narenas;                            /* [h] arena indices in use, gaps included */
	uint32_t nabove;                             /* [h] levels kept above level 3 */
	uint64_t search;                             /* [h] no page below this number is free */
	size_t nfree;                                /* [h] free pages */
	size_t nclean;                               /* [h] of these, clean pages */
	size_t ntotal;                               /* [h] pages ever added */
	uint32_t rebuilds;                           /* by pagealloc_rebuild(). It changes only in a
						      * forked child, where the thread is alone,
						      * and while it waits for a lock */
	struct heap_arena *arenas[MAX_ARENAS];       /* [h] by index; NULL in a gap */
	struct page_sum level0[SUMMARY_TOP];         /* [h] 4096 arenas each */
	struct page_sum level1[SUMMARY_TOP * 16];
	struct page_sum level2[SUMMARY_TOP * 256];
	struct page_sum level3[MAX_ARENAS];          /* [h] one arena each */
};

/* Registers an arena whose pages are all in use, and fills its record. Returns false when there
 * are no more indices. */
bool pagealloc_add_arena(struct pagealloc *pa, struct heap_arena *ha, uintptr_t addr);

/* Adds pages of registered arenas that count as in use so far: they become free and clean. */
void pagealloc_grow(struct pagealloc *pa, uint64_t page, size_t npages);

/* Takes the lowest run of npages free pages and returns its first page, or PAGE_NONE when there is
 * none. *nclean is the number of clean pages among them. */
uint64_t pagealloc_alloc(struct pagealloc *pa, size_t npages, size_t *nclean);

/* Returns the first page of the run that pagealloc_alloc() would take, or PAGE_NONE. */
uint64_t pagealloc_find(const struct pagealloc *pa, size_t npages);

/* Returns the first page of a run of npages free pages whose address is a multiple of align_pages
 * pages, a power of two, or PAGE_NONE. It is the lowest one unless there are many runs in which
 * none is aligned. */
uint64_t pagealloc_find_aligned(const struct pagealloc *pa, size_t npages, size_t align_pages);

/* Returns how many of these pages are dirty. Their numbers may be above those of all arenas. */
size_t pagealloc_count_dirty(const struct pagealloc *pa, uint64_t page, size_t npages);

/* Returns true when all of these pages are free. Their numbers may be above those of all arenas. */
bool pagealloc_is_free(const struct pagealloc *pa, uint64_t page, size_t npages);

/* Return how many of npages free pages are clean, or dirty, from the first on without a gap. */
size_t pagealloc_clean_run(const struct pagealloc *pa, uint64_t page, size_t npages);
size_t pagealloc_dirty_run(const struct pagealloc *pa, uint64_t page, size_t npages);

/* Takes exactly these pages, with *nclean as in pagealloc_alloc(). Returns false unless all are
 * free. */
bool pagealloc_alloc_at(struct pagealloc *pa, uint64_t page, size_t npages, size_t *nclean);

/* Takes the free pages of the aligned word of 64 in which the lowest run of npages free pages
 * begins. *page is the word's first page; *free and *clean have a bit for each page. Returns false
 * when there is no such run, with *page PAGE_NONE, or when the run crosses into the next word. */
bool pagealloc_alloc_word(struct pagealloc *pa, unsigned npages, uint64_t *page, uint64_t *free,
			  uint64_t *clean);

/* Takes all free pages of a chunk that may have memory behind them: the dirty ones, and every free
 * page of a region with huge pages. A kernel page is `unit` of our pages, a power of two up to 64.
 * Clean pages in a kernel page with a dirty one share its memory, and are taken when all of it is
 * free. taken has a bit for each page. */
void pagealloc_take_dirty(struct pagealloc *pa, uint64_t chunk, unsigned unit,
			  uint64_t taken[CHUNK_PAGES / 64]);

/* Returns true when pagealloc_take_dirty() would find at least one whole kernel page to give
 * back. */
bool pagealloc_has_dirty(const struct pagealloc *pa, uint64_t chunk, unsigned unit);

/* Counts the free pages of a region, whose first page this is, as dirty. */
void pagealloc_make_dirty(struct pagealloc *pa, uint64_t page);

/* Frees pages, as clean or as dirty ones. */
void pagealloc_free(struct pagealloc *pa, uint64_t page, size_t npages, bool clean);

/* Frees the pages of an aligned word whose bits are set in `free`, those in `clean` as clean
 * ones. */
void pagealloc_free_word(struct pagealloc *pa, uint64_t page, uint64_t free, uint64_t clean);

/* Returns how many free pages lie just below page, without a gap. */
size_t pagealloc_free_before(const struct pagealloc *pa, uint64_t page);

/* Recomputes every summary and count from the bitmaps (in a forked child). Counts in `rebuilds`: a
 * thread that has pages in hand, in no span, and waits for the lock then finds them free. */
void pagealloc_rebuild(struct pagealloc *pa);

/* Checks that counts and summaries agree with the bitmaps. */
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

#endif
