/* SPDX-License-Identifier: MIT */
/*
 * scavenge.c - gives free pages back to the system: those beyond the cap of excess.c, those that
 * have been free for the decay time, and all when asked.
 * See malloc.c for the overview.
 *
 * Owns     the list of chunks that have dirty pages, oldest first; the cap.
 * Locks    none of its own: struct scavenger names the lock that covers the pages and the list.
 *          Pages that are being released are in use in the bitmap, so that the lock can be dropped
 *          while the kernel works.
 * Holds    a chunk with a dirty page is on the list, or is being released. Where the kernel's pages
 *          are larger than ours, this is so if all of one kernel page is free.
 */
#include "heap/scavenge.h"
#include "heap/pagemap.h"
#include "os/os.h"

#define DIRTY_END UINT32_MAX

/* Chunks looked at in one poll, so that no single malloc pays for all. A process that was idle may
 * be so again at once. So for every POLL_IDLE_MS since the poll before, but at most
 * POLL_IDLE_TIMES, as many chunks more are looked at. To release them takes about a hundredth of
 * that time. */
#define POLL_CHUNKS 16
#define POLL_IDLE_MS 256
#define POLL_IDLE_TIMES 255

/* Chunks looked at in one search for dirty pages, for the same reason. */
#define FIND_CHUNKS 16

#define CHUNK_WORDS (CHUNK_PAGES / 64)
#define CHUNK_REGIONS (CHUNK_PAGES / REGION_PAGES)

static struct arena_chunk *chunk_at(const struct scavenger *v, uint64_t chunk)
{
	return &v->pages->arenas[chunk / ARENA_CHUNKS]->chunks[chunk % ARENA_CHUNKS];
}

void scavenge_init(struct scavenger *v, struct pagealloc *pages, struct lock *lock)
{
	v->pages = pages;
	v->lock = lock;
	v->head = DIRTY_END;
	v->tail = DIRTY_END;
	v->now_ms = os_now_ms();
	excess_init(&v->excess, v->now_ms);
}

static void append_locked(struct scavenger *v, uint32_t chunk)
{
	struct arena_chunk *c = chunk_at(v, chunk);

	c->dirty_next = DIRTY_END;
	c->dirty_listed = true;
	c->listed_at = v->releases;
	if (v->tail == DIRTY_END)
		v->head = chunk;
	else
		chunk_at(v, v->tail)->dirty_next = chunk;
	v->tail = chunk;
}

static uint32_t remove_head_locked(struct scavenger *v)
{
	uint32_t chunk = v->head;

	v->head = chunk_at(v, chunk)->dirty_next;
	if (v->head == DIRTY_END)
		v->tail = DIRTY_END;
	chunk_at(v, chunk)->dirty_listed = false;
	return chunk;
}

void scavenge_note_free_locked(struct scavenger *v, uint64_t chunk)
{
	chunk_at(v, chunk)->freed_ms = v->now_ms;
	if (!chunk_at(v, chunk)->dirty_listed)
		append_locked(v, (uint32_t)chunk);
}

/* Takes the mark "has huge pages" from the regions of the chunk that have a taken page. Returns
 * these regions, a bit each. */
static uint32_t end_huge_regions_locked(struct scavenger *v, uint32_t chunk,
					const uint64_t taken[CHUNK_WORDS])
{
	uint32_t *all = &v->pages->arenas[chunk / ARENA_CHUNKS]->huge_regions;
	unsigned shift = chunk % ARENA_CHUNKS * CHUNK_REGIONS;
	uint32_t ended = 0;

	for (unsigned i = 0; i < CHUNK_WORDS; i++)
		if (taken[i] != 0)
			ended |= (uint32_t)1 << i / (REGION_PAGES / 64);
	ended &= *all >> shift;
	*all &= ~(ended << shift);
	return ended;
}

void scavenge_end_huge_region(struct scavenger *v, uintptr_t addr)
{
	uintptr_t region = align_down(addr, REGION_SIZE);
	struct heap_arena *ha = arena_of(addr);
	uint64_t page = pagealloc_page(ha, region);
	uint32_t mark = (uint32_t)1 << page % ARENA_PAGES / REGION_PAGES;
	bool marked;

	lock_acquire(v->lock);
	marked = (ha->huge_regions & mark) != 0;
	if (marked) {
		ha->huge_regions &= ~mark;
		pagealloc_make_dirty(v->pages, page);
		scavenge_note_free_locked(v, page / CHUNK_PAGES);
	}
	lock_release(v->lock);
	if (marked)
		os_want_huge_pages((void *)region, REGION_SIZE, false);
}

/* Makes the kernel drop the taken pages of the chunk at base. Where the kernel's pages are `unit`
 * of ours, only whole ones of them are dropped. Returns how many pages were dropped, and which of
 * them in clean. Ends when pa->rebuilds is not `rebuilds` any more: see release_chunk_locked().
 * Called without the lock. */
static size_t drop_taken(const struct pagealloc *pa, uint32_t rebuilds, uintptr_t base,
			 unsigned unit, const uint64_t taken[CHUNK_WORDS],
			 uint64_t clean[CHUNK_WORDS])
{
	size_t dropped = 0;

	for (unsigned from = 0, to = 0;
	     pa->rebuilds == rebuilds && next_run(taken, CHUNK_PAGES, &from, &to); from = to) {
		unsigned a = (unsigned)align_up(from, unit);
		unsigned b = (unsigned)align_down(to, unit);

		if (a >= b || !os_drop((void *)(base + a * PAGE_SIZE), (b - a) * PAGE_SIZE))
			continue;
		dropped += b - a;
		for (unsigned i = a; i < b; i++)
			clean[i / 64] |= (uint64_t)1 << i % 64;
	}
	return dropped;
}

/* Releases the free pages of a chunk. Returns the number of bytes released. */
static size_t release_chunk_locked(struct scavenger *v, uint32_t chunk)
{
	uint64_t first = (uint64_t)chunk * CHUNK_PAGES;
	uintptr_t base = pagealloc_addr(v->pages, first);
	unsigned unit = (unsigned)(max_size(os_page_size(), PAGE_SIZE) / PAGE_SIZE);
	uint64_t taken[CHUNK_WORDS];
	uint64_t clean[CHUNK_WORDS] = { 0 };
	uint32_t huge, rebuilds = v->pages->rebuilds;
	size_t ntaken = 0, dropped;

	pagealloc_take_dirty(v->pages, chunk, unit, taken);
	for (unsigned i = 0; i < CHUNK_WORDS; i++)
		ntaken += popcount64(taken[i]);
	v->nreleasing += ntaken;
	huge = end_huge_regions_locked(v, chunk, taken);
	lock_release(v->lock);
	/* First, because the kernel would make a region whole again of which a part is released. */
	for (unsigned r = 0; r < CHUNK_REGIONS; r++)
		if ((huge >> r & 1) != 0)
			os_want_huge_pages((void *)(base + r * REGION_SIZE), REGION_SIZE, false);
	dropped = drop_taken(v->pages, rebuilds, base, unit, taken, clean);
	lock_acquire(v->lock);
	/* A signal handler may have forked meanwhile. In its child nreleasing began at 0 again. If
	 * the pages were rebuilt there, those in hand are free already, or in use again. */
	v->nreleasing -= min_size(ntaken, v->nreleasing);
	if (v->pages->rebuilds != rebuilds)
		return dropped * PAGE_SIZE;
	for (unsigned i = 0; i < CHUNK_WORDS; i++)
		pagealloc_free_word(v->pages, first + i * 64, taken[i], clean[i]);
	/* Dirty pages are left where the kernel refused, or where two threads had parts of one
	 * kernel page in hand. */
	if (pagealloc_has_dirty(v->pages, chunk, unit))
		scavenge_note_free_locked(v, chunk);
	return dropped * PAGE_SIZE;
}

bool scavenge_poll(struct scavenger *v, uint64_t now_ms, uint32_t decay_ms)
{
	bool all_old = true;
	size_t nleft = POLL_CHUNKS;

	if (!os_can_drop())
		return false;
	lock_acquire(v->lock);
	if (now_ms > v->now_ms) {
		nleft += min_size((now_ms - v->now_ms) / POLL_IDLE_MS, POLL_IDLE_TIMES) *
			 POLL_CHUNKS;
		v->now_ms = now_ms;
	}
	for (; nleft > 0 && v->head != DIRTY_END; nleft--) {
		uint32_t chunk = remove_head_locked(v);

		/* Signed: another thread may have seen a later time. */
		if ((int64_t)(now_ms - chunk_at(v, chunk)->freed_ms) >= (int64_t)decay_ms)
			release_chunk_locked(v, chunk);
		else
			append_locked(v, chunk);
		all_old &= !chunk_at(v, chunk)->dirty_listed;
	}
	all_old &= v->head != DIRTY_END;
	lock_release(v->lock);
	return all_old;
}

size_t scavenge_locked(struct scavenger *v, size_t nbytes)
{
	uint32_t begun = ++v->releases;
	size_t released = 0;

	/* Nothing would be released, and all chunks would go to the end, where a thread that called
	 * a hook meanwhile does not look. */
	if (!os_can_drop())
		return 0;
	/* A chunk that is listed meanwhile, by any thread, goes to the end and is not looked at.
	 * Signed: the count may overflow. */
	while (released < nbytes && v->head != DIRTY_END &&
	       (int32_t)(chunk_at(v, v->head)->listed_at - begun) < 0)
		released += release_chunk_locked(v, remove_head_locked(v));
	return released;
}

/* Counts the ones among the bits [from, from + n). */
static size_t count_bits(const uint64_t bits[CHUNK_WORDS], unsigned from, size_t n)
{
	size_t sum = 0;

	for (unsigned i = from / 64; i * 64 < from + n; i++) {
		uint64_t word = bits[i];

		if (i == from / 64)
			word &= ~low_mask64(from % 64);
		if (from + n < (i + 1) * 64)
			word &= low_mask64((unsigned)((from + n) % 64));
		sum += popcount64(word);
	}
	return sum;
}

/* Finds the npages of the chunk with the most dirty pages among them, all free. *most is the number
 * of dirty pages to surpass, and becomes that number. Returns the index of the first page in the
 * chunk, or CHUNK_PAGES. */
static unsigned find_in_chunk(const struct scavenger *v, uint32_t chunk, size_t npages,
			      size_t *most)
{
	const struct heap_arena *ha = v->pages->arenas[chunk / ARENA_CHUNKS];
	unsigned first = chunk % ARENA_CHUNKS * CHUNK_WORDS, best = CHUNK_PAGES;
	uint64_t free[CHUNK_WORDS], dirty[CHUNK_WORDS];

	for (unsigned i = 0; i < CHUNK_WORDS; i++) {
		free[i] = ~ha->alloc_bits[first + i];
		dirty[i] = free[i] & ~ha->clean_bits[first + i];
	}
	for (unsigned from = 0, to = 0; next_run(free, CHUNK_PAGES, &from, &to); from = to) {
		if (to - from < npages)
			continue;
		/* The best place in a free run begins with a run of dirty pages, or lies at the
		 * end of the free run. */
		for (unsigned a = from, b = a; next_run(dirty, to, &a, &b); a = b) {
			unsigned at = (unsigned)min_size(a, to - npages);
			size_t n = count_bits(dirty, at, npages);

			if (n <= *most)
				continue;
			*most = n;
			best = at;
		}
	}
	return best;
}

uint64_t scavenge_find_locked(const struct scavenger *v, size_t npages)
{
	uint64_t page = PAGE_NONE;
	uint32_t chunk = v->head;
	size_t most = 0;

	for (unsigned i = 0; i < FIND_CHUNKS && chunk != DIRTY_END && most < npages; i++) {
		const struct arena_chunk *c = chunk_at(v, chunk);
		unsigned at = c->sum.max < npages ? CHUNK_PAGES
						  : find_in_chunk(v, chunk, npages, &most);

		if (at != CHUNK_PAGES)
			page = (uint64_t)chunk * CHUNK_PAGES + at;
		chunk = c->dirty_next;
	}
	return page;
}

/* --- what is kept --- */

static struct excess_figures figures_locked(const struct scavenger *v, uint32_t decay_ms)
{
	const struct pagealloc *pa = v->pages;

	return (struct excess_figures){
		.dirty = pa->nfree - pa->nclean,
		.inuse = pa->ntotal - pa->nfree - v->nreleasing,
		.decay_ms = decay_ms,
	};
}

/* Releases as many dirty pages as an object took fresh ones. */
static SLOW_PATH void exchange_locked(struct scavenger *v, size_t nfresh,
				      struct excess_figures *f)
{
	size_t npages;

	f->now_ms = os_now_ms();
	npages = excess_grown(&v->excess, nfresh, f);
	if (npages != 0)
		excess_released(&v->excess, npages,
				scavenge_locked(v, npages * PAGE_SIZE) / PAGE_SIZE);
}

bool scavenge_note_taken_locked(struct scavenger *v, uint64_t page, size_t npages, size_t nclean,
				uint32_t decay_ms)
{
	struct excess_figures f = figures_locked(v, decay_ms);
	uint32_t rebuilds = v->pages->rebuilds;
	uint64_t end = page + npages;
	size_t nfresh = end > v->fresh ? end - max_size(page, v->fresh) : 0;

	/* Fresh pages are clean, too, but nothing was released there. */
	nclean -= min_size(nclean, nfresh);
	v->fresh = max_size(v->fresh, end);
	if (nclean != 0 && excess_has_released(&v->excess))
		f.now_ms = os_now_ms();
	excess_taken(&v->excess, nclean, &f);
	if (UNLIKELY(nfresh >= EXCHANGE_PAGES_MIN))
		exchange_locked(v, nfresh, &f);
	return v->pages->rebuilds == rebuilds;
}

bool scavenge_excess_locked(struct scavenger *v, uint32_t decay_ms)
{
	struct excess_figures f = figures_locked(v, decay_ms);
	size_t npages, released;

	if (LIKELY(!excess_note_freed(&v->excess, &f)))
		return false;
	f.now_ms = os_now_ms();
	npages = excess_freed(&v->excess, &f);
	if (npages == 0)
		return false;
	released = scavenge_locked(v, npages * PAGE_SIZE) / PAGE_SIZE;
	excess_released(&v->excess, npages, released);
	return released != 0;
}

void scavenge_after_fork(struct scavenger *v)
{
	v->nreleasing = 0;
}

void scavenge_rebuild(struct scavenger *v)
{
	v->head = DIRTY_END;
	v->tail = DIRTY_END;
	for (uint32_t i = 0; i < v->pages->narenas * ARENA_CHUNKS; i++) {
		if (v->pages->arenas[i / ARENA_CHUNKS] == NULL)
			continue;
		chunk_at(v, i)->dirty_listed = false;
		if (chunk_at(v, i)->sum.max != 0)
			scavenge_note_free_locked(v, i);
	}
}
