/* SPDX-License-Identifier: MIT */
/*
 * growth.c - how the heap gets more pages: it commits address space, in steps.
 * See malloc.c for the overview.
 *
 * Owns     struct growth: the address space that the heap grows into.
 * Locks    none of its own; the caller holds the lock that covers the pages.
 * Holds    every byte before space.next is committed and belongs to a page of the page allocator,
 *          except for what lies between two places of the heap.
 */
#include "heap/growth.h"
#include "base/options.h"
#include "heap/limit.h"
#include "os/os.h"

void growth_init(struct growth *g, struct pagealloc *pages)
{
	g->pages = pages;
}

/* Commits nbytes that continue the heap, or that begin it anew in another place. Returns their
 * address, or 0 when there is no memory. */
static uintptr_t commit_more_locked(struct growth *g, size_t nbytes, bool extend)
{
	struct arena_space before = g->space;
	uintptr_t addr = extend ? arena_space_extend(&g->space, nbytes) :
				  arena_space_move(&g->space, nbytes);

	if (addr == 0)
		return 0;
	/* Before the arenas, because numbers of arenas are never given back. */
	if (os_commit((void *)addr, nbytes)) {
		if (pagemap_add_arenas(g->pages, g->space.apart, addr, nbytes))
			return addr;
		(void)os_guard((void *)addr, nbytes);
	}
	if (extend)
		arena_space_undo(&g->space, nbytes);
	else
		arena_space_undo_move(&g->space, nbytes, &before);
	return 0;
}

bool growth_wants_huge_locked(const struct growth *g)
{
	return options.thp && limit_get_state() == LIMIT_FAR && growth_bytes(g) >= THP_MIN_HEAP;
}

size_t growth_tail_locked(const struct growth *g)
{
	uintptr_t last = g->space.next - PAGE_SIZE;
	struct heap_arena *ha = g->space.next != 0 ? arena_of(last) : NULL;

	return ha != NULL ? pagealloc_free_before(g->pages, pagealloc_page(ha, last) + 1) : 0;
}

/* Makes free pages of committed address space, arena by arena: neighbours in address are not always
 * neighbours in number, because the system may put a reservation beside an older arena. */
static void add_pages_locked(struct growth *g, uintptr_t addr, size_t nbytes)
{
	uintptr_t end = addr + nbytes;

	for (uintptr_t a = addr; a < end; a += 64 * PAGE_SIZE) {
		size_t word = a % ARENA_SIZE / PAGE_SIZE / 64;

		arena_of(a)->committed_words[word / 64] |= (uint64_t)1 << word % 64;
	}
	while (addr < end) {
		uintptr_t stop = min_size(end, align_down(addr, ARENA_SIZE) + ARENA_SIZE);

		pagealloc_grow(g->pages, pagealloc_page(arena_of(addr), addr),
			       (stop - addr) / PAGE_SIZE);
		addr = stop;
	}
}

bool growth_extend_locked(struct growth *g, size_t npages, bool in_place)
{
	size_t committed = growth_bytes(g);
	size_t part = committed / PAGE_SIZE / 16;
	size_t step = min_size(max_size(part, GROW_MIN_PAGES), GROW_MAX_PAGES);
	size_t tail = growth_tail_locked(g);
	size_t nbytes;
	uintptr_t addr;

	/* There are not so many numbers of arenas. A new place needs two more: one for the gap
	 * before it, and one for a part at its end. */
	if (npages >= ARENA_PAGES && npages / ARENA_PAGES + 2 > MAX_ARENAS - g->pages->narenas)
		return false;
	DCHECK(tail < npages);
	nbytes = align_up(max_size(npages - tail, step), GROW_MIN_PAGES) * PAGE_SIZE;
	/* By whole regions, because a region that is committed in parts gets no huge page. */
	if (growth_wants_huge_locked(g))
		nbytes = align_up(g->space.next + nbytes, REGION_SIZE) - g->space.next;
	/* The first attempt commits a whole step behind the heap, so that system calls are few. The
	 * second attempt commits only what the run lacks beyond the tail, because the system may
	 * have memory or address space for that alone. If both fail the heap begins anew in another
	 * place, where the tail is of no use. */
	addr = commit_more_locked(g, nbytes, true);
	if (addr == 0) {
		nbytes = align_up(npages - tail, GROW_MIN_PAGES) * PAGE_SIZE;
		addr = commit_more_locked(g, nbytes, true);
	}
	if (addr == 0 && !in_place) {
		nbytes = align_up(npages, GROW_MIN_PAGES) * PAGE_SIZE;
		addr = commit_more_locked(g, nbytes, false);
	}
	if (addr == 0)
		return false;
	add_pages_locked(g, addr, nbytes);
	/* Relaxed: stored under this lock. Read by growth_bytes(). */
	atomic_store_explicit(&g->committed, committed + nbytes, memory_order_relaxed);
	if (committed + nbytes >= RESERVE_MIN_HEAP)
		fixalloc_keep_reserve(METADATA_RESERVE);
	return true;
}
