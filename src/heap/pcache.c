/* SPDX-License-Identifier: MIT */
/*
 * pcache.c - the page word of a thread: free pages that it has taken in advance.
 * See malloc.c for the overview.
 *
 * Owns     struct pcache. The heap fills it and takes it back (mheap.c).
 * Locks    none: a pcache belongs to one thread.
 * Holds    pages in `free` are in `group`. They are in use in the bitmaps of the page allocator,
 *          and in no span.
 */
#include "heap/pcache.h"

/* Returns the lowest bit of those in `at` that starts a run of n ones, or 64 when there is none. */
static unsigned find_run(uint64_t bits, unsigned n, uint64_t at)
{
	uint64_t starts = run_starts64(bits, n) & at;

	return starts == 0 ? 64 : ctz64(starts);
}

/* Returns the bits of the npages at addr, or 0 if they do not all lie in the word. */
static uint64_t mask_of(const struct pcache *pc, uintptr_t addr, size_t npages)
{
	uintptr_t page = (addr - pc->base) / PAGE_SIZE;

	if (pc->base == 0 || npages > PCACHE_PAGES || page >= PCACHE_PAGES ||
	    page + npages > PCACHE_PAGES)
		return 0;
	return low_mask64((unsigned)npages) << page;
}

uint64_t pcache_choose_group(struct pcache *pc, unsigned npages)
{
	unsigned size = pc->next == 0 ? PCACHE_FIRST : pc->next;
	unsigned bit = find_run(pc->free, npages, ~(uint64_t)0);
	unsigned from = bit / size * size;
	unsigned to = (bit + npages + size - 1) / size * size;
	uint64_t group = low_mask64(to - from) << from;
	uint64_t others = pc->free & ~group;

	DCHECK(bit != 64);
	pc->free &= group;
	pc->clean &= group;
	pc->group = group;
	pc->next = (uint8_t)min_size(2 * size, PCACHE_PAGES);
	if (size == PCACHE_PAGES && pc->nwords < THP_MIN_WORDS)
		pc->nwords++;
	return others;
}

uintptr_t pcache_take(struct pcache *pc, unsigned npages, size_t align_pages, bool *zeroed)
{
	/* A word's address is a multiple of its length. */
	uint64_t at = align_pages > PCACHE_PAGES ?
			      0 :
			      ~(uint64_t)0 / low_mask64((unsigned)align_pages);
	unsigned bit = find_run(pc->free, npages, at);
	uint64_t mask;

	if (bit == 64)
		return 0;
	mask = low_mask64(npages) << bit;
	*zeroed = (pc->clean & mask) == mask;
	pc->free &= ~mask;
	pc->clean &= ~mask;
	return pc->base + bit * PAGE_SIZE;
}

uint8_t pcache_fit(const struct pcache *pc, const uint8_t *npages, uint8_t length)
{
	unsigned last = pc->free != ~(uint64_t)0 ? clz64(~pc->free) : 64;
	uint8_t shorter = length;

	if (last == 0 || find_run(pc->free, npages[length], ~(uint64_t)0) != 64)
		return length;
	while (shorter > 0 && npages[shorter] > last)
		shorter--;
	return npages[shorter] <= last ? shorter : length;
}

bool pcache_take_at(struct pcache *pc, uintptr_t addr, size_t npages)
{
	uint64_t mask = mask_of(pc, addr, npages);

	if (mask == 0 || (pc->free & mask) != mask)
		return false;
	pc->free &= ~mask;
	pc->clean &= ~mask;
	return true;
}

bool pcache_put(struct pcache *pc, uintptr_t addr, size_t npages)
{
	uint64_t mask = npages > PCACHE_MAX_RUN ? 0 : mask_of(pc, addr, npages);

	if (mask == 0 || (pc->group & mask) != mask)
		return false;
	pc->free |= mask;
	return true;
}
