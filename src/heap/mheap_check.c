/* SPDX-License-Identifier: MIT */
/*
 * mheap_check.c - checks every invariant of the page map and the bitmaps against each other.
 * See malloc.c for the overview.
 *
 * Locks    takes mheap.lock, but no other thread may be in the heap anyway.
 */
#include "heap/mheap.h"

struct check_walk {
	size_t npages;
	size_t released;
};

static void check_span(struct mspan *s, void *arg)
{
	struct check_walk *walk = arg;
	uint64_t page = pagealloc_page(arena_of(s->base), s->base);
	bool big = s->kind == SPAN_BIG;

	/* A thread that is gone had the span in hand, before it had an owner or while the map
	 * changed. It is lost to this child. */
	if (mheap.forked && !big && mspan_owner_relaxed(s) == 0)
		return;
	for (size_t i = 0; i < s->npages; i++) {
		const struct heap_arena *ha = pagealloc_arena(&mheap.pages, page + i);
		unsigned in_arena = (unsigned)((page + i) % ARENA_PAGES);
		/* Relaxed: no other thread is in the heap. */
		uint64_t entry = atomic_load_explicit(&ha->spans[in_arena], memory_order_relaxed);

		CHECK((ha->alloc_bits[in_arena / 64] >> in_arena % 64 & 1) != 0);
		if (big && i > 0) {
			CHECK(entry == 0);
			continue;
		}
		CHECK(entry_span(entry) == s);
		CHECK((entry & 0xffff) == (big ? 0 : i << 8 | s->spanclass));
	}
	walk->npages += s->npages;
	walk->released += big ? 0 : s->released;
}

void mheap_check(void)
{
	struct check_walk walk = { 0 };

	mheap_each_span(check_span, &walk);
	CHECK(mheap.forked || walk.released == mspan_count_released());
	lock_acquire(&mheap.lock);
	pagealloc_check(&mheap.pages);
	CHECK(walk.npages + mheap.pages.nfree <= mheap.pages.ntotal);
	CHECK(mheap.pages.ntotal * PAGE_SIZE == growth_bytes(&mheap.growth));
	lock_release(&mheap.lock);
}
