/* SPDX-License-Identifier: MIT */
/*
 * pcache.h - the page word of a thread: free pages that it has taken in advance. See pcache.c.
 */
#ifndef GOALLOC_PCACHE_H
#define GOALLOC_PCACHE_H

#include "base/config.h"

/*
 * An aligned group of pages in an aligned word of 64 pages. The thread has taken those that were
 * free. A pcache without a word has base 0 and no free pages.
 * Access: the thread that owns it
 */
struct pcache {
	uint64_t page;     /* number of the word's first page */
	uintptr_t base;    /* its address */
	uint64_t free;     /* a bit for each page that can be taken */
	uint64_t clean;    /* of these, the clean pages */
	uint64_t group;    /* a bit for each page of the group */
	uint8_t next;      /* pages of the next group; 0 before the first */
	uint8_t nwords;    /* groups so far that were whole words, up to THP_MIN_WORDS */
};

/* Chooses the group for a run of npages in a word whose free pages were taken: a part of the word
 * with the lowest such run. Returns the free pages of the other parts, which no longer are the
 * pcache's. */
uint64_t pcache_choose_group(struct pcache *pc, unsigned npages);

/* Takes a run of npages, 1..PCACHE_MAX_RUN, and returns its address, a multiple of align_pages
 * pages (a power of two). *zeroed tells whether all of them read as zero. Returns 0 when the word
 * has no such run. */
uintptr_t pcache_take(struct pcache *pc, unsigned npages, size_t align_pages, bool *zeroed);

/* Returns which of the ascending lengths npages[0..length] the next run should have: the last, or
 * when the word has no such run, the longest that uses up the end of the word. A run that crosses
 * into the next word may touch the first page of a region before huge pages are asked for there. */
uint8_t pcache_fit(const struct pcache *pc, const uint8_t *npages, uint8_t length);

/* Takes exactly the npages at addr. Returns false, with nothing changed, unless they are all free
 * in the word. */
bool pcache_take_at(struct pcache *pc, uintptr_t addr, size_t npages);

/* Puts npages back as dirty pages. Returns false when they do not all lie in the group, or are more
 * than PCACHE_MAX_RUN. */
bool pcache_put(struct pcache *pc, uintptr_t addr, size_t npages);

/* Makes the pcache one without a word. Its pages are the caller's. The next group is small
 * again. */
static inline void pcache_clear(struct pcache *pc)
{
	*pc = (struct pcache){ .next = PCACHE_FIRST, .nwords = pc->nwords };
}

/* Does what pcache_clear() does, but the next group is as large as it would have been. */
static inline void pcache_clear_word(struct pcache *pc)
{
	*pc = (struct pcache){ .next = pc->next, .nwords = pc->nwords };
}

#endif
