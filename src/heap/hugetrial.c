/* SPDX-License-Identifier: MIT */
/*
 * hugetrial.c - finds out whether huge pages are cheap, and does not ask for them where they are
 * not, or where big objects would lie in them. See malloc.c for the overview.
 *
 * The first touch of a region with a huge page takes some 0.1 ms. On a virtual machine whose host
 * has no huge page at hand it takes some milliseconds, many times what the small pages of the
 * region take together. So the heap watches the coarse clock during these touches. The clock
 * advances every 1 to 10 ms: it seldom does so during a cheap touch, and mostly during a dear one.
 *
 * A huge page takes memory for all of its region. If big objects follow in a region that small
 * ones began, the program may touch little of it. The region before it tells what to expect. So a
 * region gets a huge page only if small objects have at least half of the region before it.
 *
 * Owns     struct hugetrial.
 * Locks    none of its own: mheap.lock covers it.
 */
#include "heap/hugetrial.h"
#include "heap/pagemap.h"
#include "os/os.h"

/* So many slow touches among the last 8 end a trial. */
#define SLOW_MOST 4

/* The regions from one trial to the next, at first and at most. Each pause is twice as long as the
 * one before, until a trial goes well. */
#define PAUSE_FIRST 64
#define PAUSE_MOST 4096

bool hugetrial_allows(struct hugetrial *t)
{
	if (LIKELY(t->left == 0))
		return true;
	t->left--;
	return false;
}

/* How many pages of a region are looked at. */
#define LOOKS 16

/* Returns true if small objects have half of the region before. The first region of an arena has
 * none before it that is known: true, too. */
static bool has_small_before(const struct heap_arena *ha, unsigned region)
{
	const page_entry *first = &ha->spans[(size_t)region * REGION_PAGES];
	unsigned nsmall = 0;

	if (region == 0)
		return true;
	for (unsigned i = 1; i <= LOOKS; i++) {
		/* Relaxed: a hint, of which only the class is used. */
		uint64_t entry = atomic_load_explicit(first - i * (REGION_PAGES / LOOKS),
						      memory_order_relaxed);

		nsmall += entry != 0 && entry_span(entry) != &mspan_dead &&
			  entry_spanclass(entry) >> 1 != 0;
	}
	return nsmall >= LOOKS / 2;
}

bool hugetrial_begin(struct hugetrial *t, struct heap_arena *ha, unsigned w)
{
	unsigned region = w / (REGION_PAGES / 64);
	unsigned first = region * (REGION_PAGES / 64);

	if ((ha->huge_regions >> region & 1) != 0)
		return false;
	for (unsigned i = first; i < first + REGION_PAGES / 64; i++)
		if (i != w && ha->clean_bits[i] != ~(uint64_t)0)
			return false;
	if (!has_small_before(ha, region) || !hugetrial_allows(t))
		return false;
	ha->huge_regions |= (uint32_t)1 << region;
	return true;
}

bool hugetrial_touch(uintptr_t addr)
{
	uint64_t before_ms;

	os_want_huge_pages((void *)align_down(addr, REGION_SIZE), REGION_SIZE, true);
	before_ms = os_now_ms();
	*(volatile char *)addr = 0;
	return os_now_ms() != before_ms;
}

void hugetrial_note(struct hugetrial *t, bool slow)
{
	t->recent = (uint8_t)(t->recent << 1 | slow);
	if (t->recent == 0)
		t->pause = 0;
	if (popcount64(t->recent) < SLOW_MOST)
		return;
	t->recent = 0;
	t->pause = (uint32_t)min_size(max_size(2 * (size_t)t->pause, PAUSE_FIRST), PAUSE_MOST);
	t->left = t->pause;
}
