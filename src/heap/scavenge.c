/* SPDX-License-Identifier: MIT */
/*
 * scavenge.c - gives free pages back to the system: after the decay time, or at once when asked.
 * See malloc.c for the overview.
 *
 * Owns     the list of chunks that have free pages with memory behind them, oldest first.
 * Callers  mheap.c notes what was freed; mcache.c polls from its slow paths, malloc.c asks for all
 *          (malloc_trim), limit.c for room, thread.c runs the optional thread. Calls pagealloc.h, os.h.
 * Locks    mheap.lock covers the list. Pages that are being released are in use in the bitmap, so that
 *          the lock is dropped while the kernel works.
 * Holds    a chunk with a free page that is not clean is on the list, or is being released; where the kernel's pages are larger
 *          than ours, one of which all is free.
 */
#include "heap/scavenge.h"
#include "heap/limit.h"
#include "heap/mheap.h"
#include "os/os.h"

#define DIRTY_END UINT32_MAX

/* Chunks looked at in one poll, so that no single malloc pays for all. */
#define POLL_CHUNKS 16

#define CHUNK_REGIONS (CHUNK_PAGES / REGION_PAGES)

static struct arena_chunk *chunk_at(uint64_t chunk)
{
	return &mheap.pages.arenas[chunk / ARENA_CHUNKS]->chunks[chunk % ARENA_CHUNKS];
}

static void append_locked(uint32_t chunk)
{
	chunk_at(chunk)->dirty_next = DIRTY_END;
	chunk_at(chunk)->dirty_listed = true;
	chunk_at(chunk)->listed_at = mheap.releases;
	if (mheap.dirty_tail == DIRTY_END)
		mheap.dirty_head = chunk;
	else
		chunk_at(mheap.dirty_tail)->dirty_next = chunk;
	mheap.dirty_tail = chunk;
}

static uint32_t remove_head_locked(void)
{
	uint32_t chunk = mheap.dirty_head;

	mheap.dirty_head = chunk_at(chunk)->dirty_next;
	if (mheap.dirty_head == DIRTY_END)
		mheap.dirty_tail = DIRTY_END;
	chunk_at(chunk)->dirty_listed = false;
	return chunk;
}

void scavenge_note_free_locked(uint64_t chunk)
{
	chunk_at(chunk)->freed_ms = mheap.now_ms;
	if (!chunk_at(chunk)->dirty_listed)
		append_locked((uint32_t)chunk);
}

/* First and one past the last page of the next run of ones from *from on; false when there is none. */
static bool next_run(const uint64_t bits[CHUNK_PAGES / 64], unsigned *from, unsigned *to)
{
	unsigned i = *from;

	while (i < CHUNK_PAGES && (bits[i / 64] >> i % 64 & 1) == 0)
		i++;
	*from = i;
	while (i < CHUNK_PAGES && (bits[i / 64] >> i % 64 & 1) != 0)
		i++;
	*to = i;
	return *from < i;
}

/* The regions of the chunk with huge pages of which something was taken, a bit each: from now on they have small ones. */
static uint32_t end_huge_regions_locked(uint32_t chunk, const uint64_t taken[CHUNK_PAGES / 64])
{
	uint32_t *all = &mheap.pages.arenas[chunk / ARENA_CHUNKS]->huge_regions;
	unsigned shift = chunk % ARENA_CHUNKS * CHUNK_REGIONS;
	uint32_t ended = 0;

	for (unsigned i = 0; i < CHUNK_PAGES / 64; i++)
		if (taken[i] != 0)
			ended |= (uint32_t)1 << i / (REGION_PAGES / 64);
	ended &= *all >> shift;
	*all &= ~(ended << shift);
	return ended;
}

/* Releases the free pages of a chunk. Called and returns with mheap.lock held. */
static size_t release_chunk_locked(uint32_t chunk)
{
	uint64_t first = (uint64_t)chunk * CHUNK_PAGES;
	uintptr_t base = pagealloc_addr(&mheap.pages, first);
	/* Where the kernel's pages are larger than ours, only whole ones of them. */
	unsigned unit = (unsigned)(max_size(os_page_size(), PAGE_SIZE) / PAGE_SIZE);
	uint64_t taken[CHUNK_PAGES / 64];
	uint64_t clean[CHUNK_PAGES / 64] = { 0 };
	size_t released = 0, ntaken = 0;
	uint32_t huge;

	pagealloc_take_dirty(&mheap.pages, chunk, unit, taken);
	for (unsigned i = 0; i < CHUNK_PAGES / 64; i++)
		ntaken += popcount64(taken[i]);
	mheap.nreleasing += ntaken;
	huge = end_huge_regions_locked(chunk, taken);
	lock_release(&mheap.lock);
	/* Else the kernel would make whole again what is given back in part. */
	for (unsigned r = 0; r < CHUNK_REGIONS; r++)
		if ((huge >> r & 1) != 0)
			os_want_huge_pages((void *)(base + r * REGION_SIZE), REGION_SIZE, false);
	for (unsigned from = 0, to = 0; next_run(taken, &from, &to); from = to) {
		unsigned a = (unsigned)align_up(from, unit);
		unsigned b = (unsigned)align_down(to, unit);

		if (a >= b)
			continue;
		if (!os_drop((void *)(base + a * PAGE_SIZE), (b - a) * PAGE_SIZE))
			continue;
		released += b - a;
		for (unsigned i = a; i < b; i++)
			clean[i / 64] |= (uint64_t)1 << i % 64;
	}
	lock_acquire(&mheap.lock);
	/* Not all of them in a child that a signal's handler forked meanwhile. */
	mheap.nreleasing -= min_size(ntaken, mheap.nreleasing);
	for (unsigned i = 0; i < CHUNK_PAGES / 64; i++)
		pagealloc_free_word(&mheap.pages, first + i * 64, taken[i], clean[i]);
	/* Refused; or one thread had a part of a page of the kernel in hand while another had the rest. */
	if (pagealloc_has_dirty(&mheap.pages, chunk, unit))
		scavenge_note_free_locked(chunk);
	return released * PAGE_SIZE;
}

bool scavenge_poll(uint64_t now_ms)
{
	bool all_old = true;

	lock_acquire(&mheap.lock);
	if (now_ms > mheap.now_ms)
		mheap.now_ms = now_ms;
	for (unsigned i = 0; i < POLL_CHUNKS && mheap.dirty_head != DIRTY_END; i++) {
		uint32_t chunk = remove_head_locked();

		/* Signed: another thread may have seen a later time. */
		if ((int64_t)(now_ms - chunk_at(chunk)->freed_ms) >= (int64_t)limit_decay_ms())
			release_chunk_locked(chunk);
		else
			append_locked(chunk);
		all_old &= !chunk_at(chunk)->dirty_listed;
	}
	all_old &= mheap.dirty_head != DIRTY_END;
	lock_release(&mheap.lock);
	return all_old;
}

size_t scavenge_locked(size_t nbytes)
{
	uint32_t begun = ++mheap.releases;
	size_t released = 0;

	/* What is freed or refused meanwhile, by whatever thread, goes to the end and is not looked at. Signed: the count may
	 * overflow. */
	while (released < nbytes && mheap.dirty_head != DIRTY_END &&
	       (int32_t)(chunk_at(mheap.dirty_head)->listed_at - begun) < 0)
		released += release_chunk_locked(remove_head_locked());
	return released;
}

size_t scavenge_all(void)
{
	size_t nbytes;

	lock_acquire(&mheap.lock);
	nbytes = scavenge_locked(SIZE_MAX);
	lock_release(&mheap.lock);
	return nbytes;
}
