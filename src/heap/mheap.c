/* SPDX-License-Identifier: MIT */
/*
 * mheap.c - the one heap: arenas in a table, spans made of pages and pages made of spans.
 * See malloc.c for the overview.
 *
 * Owns     mheap, arena_table, arena_window, the page -> span map of every arena, the pools of span records.
 * Callers  mcentral.c, mcache.c, malloc.c. Calls pagealloc.h, arena.h, scavenge.h, limit.h, fixalloc.h, os.h.
 * Locks    mheap.lock (LOCK_MHEAP) covers pages, space and the scavenger's list. The page map needs
 *          none: whoever owns a page, by having it from the allocator, stores its entry.
 * Holds    mheap_check() tests: a page is in at most one span, and then it is in use in the bitmap.
 *          A span is in the map exactly while its record is in use. The order of changes is
 *          bitmap, then map, on the way in, and map, then bitmap, on the way out: a forked
 *          child can always rebuild the bitmap from the map.
 */
#include "heap/mheap.h"
#include "heap/limit.h"
#include "base/options.h"
#include "os/os.h"
#include "heap/scavenge.h"

_Atomic(struct arena_leaf *) arena_table[ARENA_TABLE_LEN];
struct arena_window arena_window ALIGNED(CACHE_LINE);
struct mheap mheap;

void mheap_hide_arenas(void)
{
	mheap.hidden = true;
}

/* Bytes of the page map for nbytes of whole slots. */
static size_t map_size(size_t nbytes)
{
	return nbytes / ARENA_SIZE * ARENA_MAP_SIZE;
}

size_t mheap_map_bytes(void)
{
	size_t inuse, bytes;

	fixalloc_count(&mheap.map_pool, &inuse, &bytes);
	/* Relaxed: a figure. */
	return bytes + map_size(atomic_load_explicit(&mheap.window_nbytes, memory_order_relaxed));
}

void mheap_init(void)
{
	lock_init(&mheap.lock, LOCK_MHEAP);
	for (unsigned shape = 0; shape < SPAN_SHAPES; shape++)
		fixalloc_init(&mheap.span_pools[shape], mspan_shape_bytes(shape),
			      offsetof(struct mspan, next));
	/* An arena record is never freed, so any pointer field does for the link. */
	fixalloc_init(&mheap.arena_pool, sizeof(struct heap_arena),
		      offsetof(struct heap_arena, spans));
	fixalloc_init(&mheap.leaf_pool, sizeof(struct arena_leaf), 0);
	fixalloc_init(&mheap.map_pool, ARENA_MAP_SIZE, 0);
	mheap.dirty_head = UINT32_MAX;
	mheap.dirty_tail = UINT32_MAX;
	mheap.now_ms = os_now_ms();
	mheap.ready = true;
}

/* --- growing --- */

/* The end of the window's addresses. Relaxed: written under the lock that the caller holds. */
static uintptr_t window_end_locked(void)
{
	return mheap.window_base + atomic_load_explicit(&mheap.window_nbytes, memory_order_relaxed);
}

/* Lets the window, whose map is there, reach to end, for slow paths and for fast ones. */
static void publish_window_locked(uintptr_t end)
{
	uintptr_t origin = (uintptr_t)mheap.window_map - (mheap.window_base >> PAGE_SHIFT) * sizeof(page_entry);

	/* Relaxed: read under the lock, and for figures. */
	atomic_store_explicit(&mheap.window_nbytes, end - mheap.window_base, memory_order_relaxed);
	if (mheap.hidden)
		return;
	/* Relaxed, both: stored again they have the values they had. */
	atomic_store_explicit(&arena_window.minus_base, 0 - mheap.window_base, memory_order_relaxed);
	atomic_store_explicit(&arena_window.origin, origin, memory_order_relaxed);
	/* Release: both, and the map, which is zero. Pairs with the acquire in entry_of(). */
	atomic_store_explicit(&arena_window.nbytes, end - mheap.window_base, memory_order_release);
}

/* Begins the window with the slots of [start, end). */
static void begin_window_locked(uintptr_t start, uintptr_t end)
{
	if (!mheap.space.apart)
		start -= min_size(start, WINDOW_BELOW * ARENA_SIZE);
	mheap.window_map = fixalloc_long_table(map_size(end - start));
	if (mheap.window_map == NULL)
		return;
	mheap.window_base = start;
	publish_window_locked(end);
}

/* Makes the window reach to the end of the slots of [start, end), unless they are far from it, or there is no memory. */
static void extend_window_locked(uintptr_t start, uintptr_t end)
{
	uintptr_t had = window_end_locked();

	if (mheap.window_map == NULL) {
		begin_window_locked(start, end);
		return;
	}
	if (start < mheap.window_base || end <= had || start > had + WINDOW_MAX_GAP * ARENA_SIZE ||
	    end - mheap.window_base > MAX_ARENAS * ARENA_SIZE)
		return;
	if (fixalloc_extend_table(mheap.window_map + map_size(had - mheap.window_base), map_size(end - had)))
		publish_window_locked(end);
}

/* The part of the page map for the slot at addr; NULL when there is no memory. */
static page_entry *map_of_slot_locked(uintptr_t addr)
{
	page_entry *spans;

	if (addr >= mheap.window_base && addr < window_end_locked())
		return (page_entry *)(void *)(mheap.window_map + map_size(addr - mheap.window_base));
	spans = fixalloc_alloc(&mheap.map_pool, NULL);
	/* Relaxed: nobody else has it. One that was freed has a link there. */
	if (spans != NULL)
		atomic_store_explicit(&spans[0], 0, memory_order_relaxed);
	return spans;
}

/* The leaf of the arena table for the slot at addr; NULL when there is no memory. */
static struct arena_leaf *leaf_of_slot_locked(uintptr_t addr)
{
	_Atomic(struct arena_leaf *) *at = &arena_table[addr >> ARENA_SHIFT >> ARENA_LEAF_SHIFT];
	/* Relaxed: stored under this lock. */
	struct arena_leaf *leaf = atomic_load_explicit(at, memory_order_relaxed);

	if (leaf != NULL)
		return leaf;
	leaf = fixalloc_alloc(&mheap.leaf_pool, NULL);
	/* Release: the leaf is empty. Pairs with the acquire in arena_of(). */
	atomic_store_explicit(at, leaf, memory_order_release);
	return leaf;
}

/* Makes the record for the slot at addr, where there is none. */
static bool add_arena_locked(uintptr_t addr)
{
	struct arena_leaf *leaf = leaf_of_slot_locked(addr);
	struct heap_arena *ha = leaf != NULL ? fixalloc_alloc(&mheap.arena_pool, NULL) : NULL;

	if (ha == NULL)
		return false;
	ha->spans = map_of_slot_locked(addr);
	if (ha->spans == NULL || !pagealloc_add_arena(&mheap.pages, ha, addr)) {
		if (ha->spans != NULL && addr - mheap.window_base >= window_end_locked() - mheap.window_base)
			fixalloc_free(&mheap.map_pool, (void *)ha->spans);
		fixalloc_free(&mheap.arena_pool, ha);
		return false;
	}
	/* Release: the record is complete. Pairs with the acquire in arena_of(). */
	atomic_store_explicit(&leaf->arenas[addr >> ARENA_SHIFT & (ARENA_LEAF_LEN - 1)], ha, memory_order_release);
	return true;
}

/* Makes records for the slots of [addr, addr + nbytes), where there are none yet. */
static bool add_arenas_locked(uintptr_t addr, size_t nbytes)
{
	uintptr_t end = align_up(addr + nbytes, ARENA_SIZE);

	addr = align_down(addr, ARENA_SIZE);
	extend_window_locked(addr, end);
	for (; addr < end; addr += ARENA_SIZE)
		if (arena_of(addr) == NULL && !add_arena_locked(addr))
			return false;
	return true;
}

/* Commits nbytes that continue the heap, or that begin a new place. 0 when there is no memory. */
static uintptr_t commit_more_locked(size_t nbytes, bool extend)
{
	struct arena_space before = mheap.space;
	uintptr_t addr = extend ? arena_space_extend(&mheap.space, nbytes) :
				  arena_space_move(&mheap.space, nbytes);

	if (addr == 0)
		return 0;
	/* The memory first: numbers of arenas are never given back. */
	if (os_commit((void *)addr, nbytes)) {
		if (add_arenas_locked(addr, nbytes))
			return addr;
		(void)os_guard((void *)addr, nbytes);
	}
	if (extend)
		arena_space_undo(&mheap.space, nbytes);
	else
		arena_space_undo_move(&mheap.space, nbytes, &before);
	return 0;
}

/* Huge pages are worth it: the heap is so large that what a part-used region wastes is small beside it. Near the limit nothing is
 * wasted. */
static bool want_huge_pages(void)
{
	/* Relaxed: written under the lock that the caller holds. */
	return options.thp && limit_get_state() == LIMIT_FAR && atomic_load_explicit(&mheap.committed, memory_order_relaxed) >= THP_MIN_HEAP;
}

/* Free pages at the end of the heap; what it grows by continues them. */
static size_t tail_pages_locked(void)
{
	uintptr_t last = mheap.space.next - PAGE_SIZE;
	struct heap_arena *ha = mheap.space.next != 0 ? arena_of(last) : NULL;

	return ha != NULL ? pagealloc_free_before(&mheap.pages, pagealloc_page(ha, last) + 1) : 0;
}

/* Committed address space becomes free pages. Arena by arena: where the system put a reservation beside an arena
 * that was there before, neighbours in address may not be neighbours in number. */
static void add_pages_locked(uintptr_t addr, size_t nbytes)
{
	uintptr_t end = addr + nbytes;

	for (uintptr_t a = addr; a < end; a += 64 * PAGE_SIZE) {
		size_t word = a % ARENA_SIZE / PAGE_SIZE / 64;

		arena_of(a)->committed_words[word / 64] |= (uint64_t)1 << word % 64;
	}
	while (addr < end) {
		uintptr_t stop = min_size(end, align_down(addr, ARENA_SIZE) + ARENA_SIZE);

		pagealloc_grow(&mheap.pages, pagealloc_page(arena_of(addr), addr),
			       (stop - addr) / PAGE_SIZE);
		addr = stop;
	}
}

/* Makes a run of npages possible, at the end of the heap if in_place. False when there is no memory; the
 * heap is as before. */
static bool grow_locked(size_t npages, bool in_place)
{
	/* Relaxed: written under this lock. */
	size_t committed = atomic_load_explicit(&mheap.committed, memory_order_relaxed);
	size_t step = min_size(max_size(committed / PAGE_SIZE / 16, GROW_MIN_PAGES), GROW_MAX_PAGES);
	size_t tail = tail_pages_locked();
	size_t nbytes;
	uintptr_t addr;

	/* More than there are numbers for, one for the gap before a new place and one for a part at its end included. */
	if (npages >= ARENA_PAGES && npages / ARENA_PAGES + 2 > MAX_ARENAS - mheap.pages.narenas)
		return false;
	DCHECK(tail < npages);
	nbytes = align_up(max_size(npages - tail, step), GROW_MIN_PAGES) * PAGE_SIZE;
	/* By whole regions: one that comes in parts gets no huge page. */
	if (want_huge_pages())
		nbytes = align_up(mheap.space.next + nbytes, REGION_SIZE) - mheap.space.next;
	addr = commit_more_locked(nbytes, true);
	if (addr == 0) {
		/* No more than needed, then. */
		nbytes = align_up(npages - tail, GROW_MIN_PAGES) * PAGE_SIZE;
		addr = commit_more_locked(nbytes, true);
	}
	if (addr == 0 && !in_place) {
		nbytes = align_up(npages, GROW_MIN_PAGES) * PAGE_SIZE;
		addr = commit_more_locked(nbytes, false);
	}
	if (addr == 0)
		return false;
	add_pages_locked(addr, nbytes);
	atomic_store_explicit(&mheap.committed, committed + nbytes, memory_order_relaxed);
	if (committed + nbytes >= RESERVE_MIN_HEAP)
		fixalloc_keep_reserve(METADATA_RESERVE);
	return true;
}

static uint64_t alloc_pages_locked(size_t npages, bool grow, size_t *nclean)
{
	uint64_t page;

	DCHECK(lock_held(&mheap.lock));
	if (!limit_admits_locked(PAGE_NONE, npages, grow))
		return PAGE_NONE;
	page = pagealloc_alloc(&mheap.pages, npages, nclean);
	/* Twice: the first growth may lie across two arenas that are no neighbours in number. */
	for (int i = 0; i < 2 && grow && page == PAGE_NONE && grow_locked(npages, false); i++)
		page = pagealloc_alloc(&mheap.pages, npages, nclean);
	return page;
}

/* --- pages, through the cache of a thread --- */

/* The lowest bit that starts a run of n ones; 64 when there is none. */
static unsigned find_run(uint64_t bits, unsigned n)
{
	unsigned have = 1;

	while (have < n && bits != 0) {
		unsigned step = (unsigned)min_size(have, n - have);

		bits &= bits >> step;
		have += step;
	}
	return bits == 0 ? 64 : ctz64(bits);
}

/* What is left in the cache goes back to the heap. */
static void pcache_return_locked(struct pcache *pc)
{
	if (pc->free == 0)
		return;
	pagealloc_free_word(&mheap.pages, pc->page, pc->free, pc->clean);
	if (pc->free != pc->clean)
		scavenge_note_free_locked(pc->page / CHUNK_PAGES);
	pc->free = 0;
}

/* The word just taken for small objects is the first that is used of its region: the objects will be touched, and the
 * rest of the region is next in line for more of them. Big objects, of which some are never touched, are not asked
 * for. */
static bool begins_region_locked(const struct pcache *pc)
{
	struct heap_arena *ha = pagealloc_arena(&mheap.pages, pc->page);
	unsigned in_arena = (unsigned)(pc->page % ARENA_PAGES);
	unsigned region = in_arena / REGION_PAGES;

	if (!want_huge_pages() || pc->clean != ~(uint64_t)0 || (ha->huge_regions >> region & 1) != 0)
		return false;
	for (unsigned w = region * (REGION_PAGES / 64); w < (region + 1) * (REGION_PAGES / 64); w++)
		if (w != in_arena / 64 && ha->clean_bits[w] != ~(uint64_t)0)
			return false;
	ha->huge_regions |= (uint32_t)1 << region;
	return true;
}

/* Takes the aligned word of pages in which the lowest run of npages free pages begins. False: as pcache_refill() says. */
static bool take_word_locked(struct pcache *pc, unsigned npages, bool grow)
{
	if (pagealloc_alloc_word(&mheap.pages, npages, &pc->page, &pc->free, &pc->clean))
		return true;
	return pc->page == PAGE_NONE && grow && grow_locked(npages, false) &&
	       pagealloc_alloc_word(&mheap.pages, npages, &pc->page, &pc->free, &pc->clean);
}

/* The same for the first word of a thread: a random number of words are passed over, and stay free, so that no address of one thread's
 * objects follows from those of another's. The first thread has the heap's own random place. */
static bool take_first_word_locked(struct pcache *pc, unsigned npages, bool grow)
{
	struct pcache passed[FIRST_WORD_GAP];
	size_t wanted = mheap.pages.ntotal == 0 ? 0 : os_random() % (FIRST_WORD_GAP + 1), n = 0;
	bool ok;

	while (n < wanted && take_word_locked(&passed[n], npages, grow))
		n++;
	ok = take_word_locked(pc, npages, grow);
	while (n > 0)
		pcache_return_locked(&passed[--n]);
	return ok || take_word_locked(pc, npages, grow);
}

/* A word with a run of npages in it. False: the heap has the run only across two words, or not, or no room for words below the
 * limit. */
static bool pcache_refill(struct pcache *pc, unsigned npages, bool grow)
{
	/* A thread's first word may stay its only one, with a page of it touched: it takes more than one to begin a region. */
	bool huge = pc->base != 0;
	bool room, ok;

	lock_acquire(&mheap.lock);
	pcache_return_locked(pc);
	room = limit_has_room_locked(PCACHE_PAGES);
	ok = room && (pc->began ? take_word_locked(pc, npages, grow) : take_first_word_locked(pc, npages, grow));
	if (ok) {
		pc->began = true;
		pc->base = pagealloc_addr(&mheap.pages, pc->page);
		huge = huge && begins_region_locked(pc);
	} else {
		huge = false;
		*pc = (struct pcache){ .began = true };
	}
	lock_release(&mheap.lock);
	if (huge)
		os_want_huge_pages((void *)align_down(pc->base, REGION_SIZE), REGION_SIZE, true);
	return ok;
}

/* A short run from the cache. False: not there, ask the heap. */
static bool pcache_alloc(struct pcache *pc, unsigned npages, bool grow, uintptr_t *addr, bool *zeroed)
{
	unsigned bit = find_run(pc->free, npages);
	uint64_t mask;

	if (bit == 64 && pcache_refill(pc, npages, grow))
		bit = find_run(pc->free, npages);
	if (bit == 64)
		return false;
	mask = low_mask64(npages) << bit;
	*addr = pc->base + bit * PAGE_SIZE;
	*zeroed = (pc->clean & mask) == mask;
	pc->free &= ~mask;
	pc->clean &= ~mask;
	return true;
}

static bool pcache_free(struct pcache *pc, uintptr_t addr, size_t npages)
{
	uintptr_t page = (addr - pc->base) / PAGE_SIZE;

	/* All of it in the word. */
	if (pc->base == 0 || npages > PCACHE_MAX_RUN || page >= PCACHE_PAGES ||
	    page + npages > PCACHE_PAGES)
		return false;
	pc->free |= low_mask64((unsigned)npages) << page;
	return true;
}

void mheap_flush_pcache(struct pcache *pc)
{
	if (pc->base == 0)
		return;
	lock_acquire(&mheap.lock);
	pcache_return_locked(pc);
	lock_release(&mheap.lock);
	*pc = (struct pcache){ .began = true };
}

static bool alloc_pages(struct pcache *pc, size_t npages, bool grow, uintptr_t *addr, bool *zeroed)
{
	size_t nclean;
	uint64_t page;

	if (pc != NULL && npages <= PCACHE_MAX_RUN &&
	    pcache_alloc(pc, (unsigned)npages, grow, addr, zeroed))
		return true;
	lock_acquire(&mheap.lock);
	page = alloc_pages_locked(npages, grow, &nclean);
	if (page != PAGE_NONE)
		*addr = pagealloc_addr(&mheap.pages, page);
	lock_release(&mheap.lock);
	*zeroed = page != PAGE_NONE && nclean == npages;
	return page != PAGE_NONE;
}

static void free_pages_locked(uintptr_t addr, size_t npages, bool clean)
{
	uint64_t page = pagealloc_page(arena_of(addr), addr);

	pagealloc_free(&mheap.pages, page, npages, clean);
	if (clean)
		return;
	for (uint64_t chunk = page / CHUNK_PAGES; chunk <= (page + npages - 1) / CHUNK_PAGES; chunk++)
		scavenge_note_free_locked(chunk);
}

static void free_pages(struct pcache *pc, uintptr_t addr, size_t npages, bool clean)
{
	if (!clean && pc != NULL && pcache_free(pc, addr, npages))
		return;
	lock_acquire(&mheap.lock);
	free_pages_locked(addr, npages, clean);
	lock_release(&mheap.lock);
}

/* --- the page map --- */

static page_entry *map_entry(uintptr_t addr)
{
	return entry_in_arena(arena_of(addr), addr);
}

/* The word of mapped_words that tells of the page at addr and its 63 neighbours, and the bit in it. */
static _Atomic uint64_t *mapped_word(uintptr_t addr, uint64_t *bit)
{
	size_t word = addr % ARENA_SIZE / PAGE_SIZE / 64;

	*bit = (uint64_t)1 << word % 64;
	return &arena_of(addr)->mapped_words[word / 64];
}

/* Relaxed: who gets a page has synchronised with all who had it, and so with who set the bit for it. */
static bool may_be_mapped(uintptr_t addr)
{
	uint64_t bit;
	_Atomic uint64_t *word = mapped_word(addr, &bit);

	return (atomic_load_explicit(word, memory_order_relaxed) & bit) != 0;
}

static void note_mapped(uintptr_t addr)
{
	uint64_t bit;
	_Atomic uint64_t *word = mapped_word(addr, &bit);

	/* Relaxed: see may_be_mapped(). */
	if ((atomic_load_explicit(word, memory_order_relaxed) & bit) == 0)
		atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
}

/* Enters the same for npages pages from addr on, or one page after the other. */
static void map_pages(uintptr_t addr, size_t npages, uint64_t entry, uint64_t step)
{
	uintptr_t last = addr + (npages - 1) * PAGE_SIZE;

	/* No small span is longer than that: it is in one word or two. */
	DCHECK(npages <= 64);
	note_mapped(addr);
	note_mapped(last);
	for (; npages > 0; npages--, addr += PAGE_SIZE, entry += step)
		/* Release: the span is complete. Pairs with the acquire in entry_of(). */
		atomic_store_explicit(map_entry(addr), entry, memory_order_release);
}

/* The first page, and for a small span all others behind it. */
static void map_span(const struct mspan *s)
{
	uint64_t entry = (uint64_t)(uintptr_t)s << 16;

	if (s->kind == SPAN_BIG)
		map_pages(s->base, 1, entry, 0);
	else
		map_pages(s->base, s->npages, entry | s->spanclass, 1 << 8);
}

/* The pages behind the first one of a big object: no entry. Where there never was one the map's memory is not touched. */
static void unmap_pages(uintptr_t addr, size_t npages)
{
	uintptr_t end = addr + npages * PAGE_SIZE;

	while (addr < end) {
		uintptr_t stop = min_size(end, align_down(addr, 64 * PAGE_SIZE) + 64 * PAGE_SIZE);

		if (may_be_mapped(addr))
			for (uintptr_t page = addr; page < stop; page += PAGE_SIZE)
				/* Relaxed: only who owns the page stores here. */
				if (atomic_load_explicit(map_entry(page), memory_order_relaxed) != 0)
					atomic_store_explicit(map_entry(page), 0, memory_order_relaxed);
		addr = stop;
	}
}

static struct mspan *alloc_record(unsigned shape)
{
	bool fresh;
	struct mspan *s = fixalloc_alloc(&mheap.span_pools[shape], &fresh);

	if (s != NULL && fresh)
		mspan_init_record(s, shape);
	return s;
}

/* Spans whose pages are guarded are kept for the next object of size 0: a page is guarded once. */
static struct mspan *take_guarded(void)
{
	struct mspan *s;

	lock_acquire(&mheap.lock);
	s = mheap.guarded;
	if (s != NULL) {
		mheap.guarded = s->next;
		mheap.guarded_npages -= s->npages;
	}
	lock_release(&mheap.lock);
	return s;
}

static void keep_guarded(struct mspan *s)
{
	mspan_set_owner(s, 0);
	lock_acquire(&mheap.lock);
	s->next = mheap.guarded;
	order_stores();
	mheap.guarded = s;
	mheap.guarded_npages += s->npages;
	lock_release(&mheap.lock);
}

/* As os_remap(), of pages that the kernel may have larger ones than: then they stay as they are. */
static bool remap_pages(uintptr_t addr, size_t npages)
{
	if (!os_is_whole_pages((void *)addr, npages * PAGE_SIZE))
		return false;
	(void)os_drop((void *)addr, npages * PAGE_SIZE);
	return os_remap((void *)addr, npages * PAGE_SIZE);
}

static struct mspan *alloc_small(struct pcache *pc, spanclass_t sc, bool grow)
{
	size_t npages = spanclass_info(sc)->npages;
	struct mspan *s = sc == SPANCLASS_NOTHING ? take_guarded() : NULL;
	uintptr_t addr;
	bool zeroed;

	if (s != NULL)
		return s;
	s = alloc_record(mspan_shape(sc));
	if (s == NULL)
		return NULL;
	if (!alloc_pages(pc, npages, grow, &addr, &zeroed)) {
		fixalloc_free(&mheap.span_pools[s->shape], s);
		return NULL;
	}
	mspan_init_small(s, addr, sc, zeroed && sc != SPANCLASS_NOTHING);
	map_span(s);
	/* After the map: a child forked in between would take guarded pages that no span has for free ones. Refused, or with
	 * larger pages of the kernel, the objects can be touched: no harm to others. */
	if (sc == SPANCLASS_NOTHING && os_is_whole_pages((void *)addr, npages * PAGE_SIZE))
		(void)os_guard((void *)addr, npages * PAGE_SIZE);
	return s;
}

struct mspan *mheap_alloc_small(struct pcache *pc, spanclass_t sc)
{
	return alloc_small(pc, sc, true);
}

struct mspan *mheap_reuse_small(struct pcache *pc, spanclass_t sc)
{
	return alloc_small(pc, sc, false);
}

static struct mspan *alloc_big(struct pcache *pc, size_t npages, size_t align_pages, bool noscan, bool grow)
{
	struct mspan *s = alloc_record(SPAN_SHAPE_BIG);
	size_t extra = align_pages - 1;
	uintptr_t addr;
	bool zeroed;

	if (s == NULL)
		return NULL;
	if (npages > UINT32_MAX || !alloc_pages(pc, npages + extra, grow, &addr, &zeroed)) {
		fixalloc_free(&mheap.span_pools[s->shape], s);
		return NULL;
	}
	if (extra != 0) {
		uintptr_t aligned = align_up(addr, align_pages * PAGE_SIZE);
		size_t before = (aligned - addr) / PAGE_SIZE;

		if (before != 0)
			free_pages(NULL, addr, before, zeroed);
		if (extra != before)
			free_pages(NULL, aligned + npages * PAGE_SIZE, extra - before, zeroed);
		addr = aligned;
	}
	mspan_init_big(s, addr, npages, noscan, zeroed);
	unmap_pages(addr + PAGE_SIZE, npages - 1);
	map_span(s);
	return s;
}

struct mspan *mheap_alloc_big(struct pcache *pc, size_t npages, size_t align_pages, bool noscan)
{
	return alloc_big(pc, npages, align_pages, noscan, true);
}

struct mspan *mheap_reuse_big(struct pcache *pc, size_t npages, size_t align_pages, bool noscan)
{
	return alloc_big(pc, npages, align_pages, noscan, false);
}

static void free_span(struct pcache *pc, struct mspan *s, bool clean)
{
	uintptr_t base = s->base;
	size_t npages = s->npages;
	bool big = s->kind == SPAN_BIG;
	/* Only a thread that is alone in a forked child changes it, while it waits for a lock. */
	uint32_t rebuilds = mheap.rebuilds;

	/* First: a child forked while the map changes finds a span that nobody owns, and leaves it alone. */
	mspan_set_owner(s, 0);
	map_pages(base, big ? 1 : npages, (uint64_t)(uintptr_t)&mspan_dead << 16, 0);
	s->kind = SPAN_DEAD;
	fixalloc_free(&mheap.span_pools[s->shape], s);
	/* A rebuilt heap counts every page that no span has as free. */
	if (mheap.rebuilds == rebuilds)
		free_pages(pc, base, npages, clean);
}

void mheap_free_span(struct pcache *pc, struct mspan *s)
{
	if (s->spanclass == SPANCLASS_NOTHING)
		keep_guarded(s);
	else
		/* One mapping with its neighbours again; the new pages are clean. */
		free_span(pc, s, s->kind == SPAN_BIG && s->moved && remap_pages(s->base, s->npages));
}

void mheap_free_guarded(struct pcache *pc, struct mspan *s)
{
	if (remap_pages(s->base, s->npages)) {
		free_span(pc, s, true);
		return;
	}
	lock_acquire(&mheap.lock);
	s->next = mheap.refused;
	order_stores();
	mheap.refused = s;
	lock_release(&mheap.lock);
}

void mheap_free_refused(struct pcache *pc)
{
	struct mspan *s, *next;

	lock_acquire(&mheap.lock);
	s = mheap.refused;
	mheap.refused = NULL;
	lock_release(&mheap.lock);
	for (; s != NULL; s = next) {
		next = s->next;
		mheap_free_guarded(pc, s);
	}
}

/* Between this address and the end of the heap there are only free pages, or none. */
static bool is_last_locked(uintptr_t end)
{
	return end + tail_pages_locked() * PAGE_SIZE == mheap.space.next;
}

/* For pages behind an object that has room there: else nothing needs to be given back for it. */
static bool limit_admits_behind_locked(uintptr_t end, uint64_t page, size_t npages)
{
	return (pagealloc_is_free(&mheap.pages, page, npages) || is_last_locked(end)) && limit_admits_locked(page, npages, true);
}

bool mheap_resize_big(struct mspan *s, size_t npages)
{
	uintptr_t end = s->base + mspan_nbytes(s);
	size_t had = s->npages;
	bool ok = true;

	if (npages > UINT32_MAX)
		return false;
	if (npages < had) {
		uintptr_t cut = s->base + npages * PAGE_SIZE;
		bool clean = s->moved && remap_pages(cut, had - npages);

		lock_acquire(&mheap.lock);
		free_pages_locked(cut, had - npages, clean);
	} else {
		uint64_t page = pagealloc_page(arena_of(s->base), s->base) + had;
		size_t more = npages - had;
		size_t nclean;
		bool admitted;

		lock_acquire(&mheap.lock);
		admitted = limit_bytes() == 0 || limit_admits_behind_locked(end, page, more);
		ok = admitted && pagealloc_alloc_at(&mheap.pages, page, more, &nclean);
		/* The last object of the heap grows with it. */
		if (admitted && !ok && is_last_locked(end) && grow_locked(more, true))
			ok = pagealloc_alloc_at(&mheap.pages, page, more, &nclean);
		if (ok)
			unmap_pages(end, more);
	}
	if (ok)
		s->npages = (uint32_t)npages;
	lock_release(&mheap.lock);
	return ok;
}

bool mheap_extend_cached(struct pcache *pc, struct mspan *s, size_t npages)
{
	uintptr_t end = s->base + mspan_nbytes(s);
	uintptr_t page = (end - pc->base) / PAGE_SIZE;
	uint64_t mask;

	if (pc->base == 0 || npages <= s->npages || npages - s->npages > PCACHE_PAGES ||
	    page >= PCACHE_PAGES || page + (npages - s->npages) > PCACHE_PAGES)
		return false;
	mask = low_mask64((unsigned)(npages - s->npages)) << page;
	if ((pc->free & mask) != mask)
		return false;
	pc->free &= ~mask;
	pc->clean &= ~mask;
	unmap_pages(end, npages - s->npages);
	s->npages = (uint32_t)npages;
	return true;
}

void mheap_release_records(void)
{
	for (unsigned shape = 0; shape < SPAN_SHAPES; shape++)
		fixalloc_release(&mheap.span_pools[shape]);
}

/* Those in the first narenas arenas. */
static void each_span(uint32_t narenas, void (*visit)(struct mspan *s, void *arg), void *arg)
{
	for (uint32_t i = 0; i < narenas; i++) {
		/* Entries below narenas do not change any more. */
		struct heap_arena *ha = mheap.pages.arenas[i];
		const struct mspan *last = NULL;

		for (unsigned page = 0; ha != NULL && page < ARENA_PAGES; page++) {
			/* Acquire: as in entry_of(). */
			struct mspan *s = entry_span(atomic_load_explicit(&ha->spans[page],
									  memory_order_acquire));

			/* A small span that crosses into this arena was visited in the one before. */
			if (s == NULL || s == &mspan_dead || s == last || s->kind == SPAN_DEAD ||
			    s->base < ha->base)
				continue;
			last = s;
			visit(s, arg);
		}
	}
}

void mheap_each_span(void (*visit)(struct mspan *s, void *arg), void *arg)
{
	uint32_t narenas;

	lock_acquire(&mheap.lock);
	narenas = mheap.pages.narenas;
	lock_release(&mheap.lock);
	each_span(narenas, visit, arg);
}

/* --- fork --- */

static void mark_span_in_use(struct mspan *s, void *arg)
{
	uint64_t page = pagealloc_page(arena_of(s->base), s->base);

	(void)arg;
	for (size_t n = s->npages; n > 0; n--, page++) {
		struct heap_arena *ha = pagealloc_arena(&mheap.pages, page);

		ha->alloc_bits[page % ARENA_PAGES / 64] |= (uint64_t)1 << page % 64;
	}
}

bool mheap_after_fork(void)
{
	bool was_held = lock_reset_orphan(&mheap.lock);

	fixalloc_after_fork();
	mheap.forked = true;
	/* Who was releasing them is gone: they stay in use. */
	mheap.nreleasing = 0;
	if (!was_held || mheap.space.next == 0)
		return false;
	/* Every page that was committed is free unless a span has it. Which pages have memory behind
	 * them is not known any more. */
	for (uint32_t i = 0; i < mheap.pages.narenas; i++) {
		struct heap_arena *ha = mheap.pages.arenas[i];

		if (ha == NULL)
			continue;
		for (unsigned c = 0; c < ARENA_CHUNKS; c++)
			ha->chunks[c].dirty_listed = false;
		for (unsigned w = 0; w < ARENA_PAGES / 64; w++) {
			ha->clean_bits[w] = 0;
			ha->alloc_bits[w] = (ha->committed_words[w / 64] >> w % 64 & 1) != 0 ?
						    0 : ~(uint64_t)0;
		}
	}
	each_span(mheap.pages.narenas, mark_span_in_use, NULL);
	mheap.rebuilds++;
	pagealloc_rebuild(&mheap.pages);
	mheap.dirty_head = UINT32_MAX;
	mheap.dirty_tail = UINT32_MAX;
	for (uint32_t i = 0; i < mheap.pages.narenas * ARENA_CHUNKS; i++)
		if (mheap.pages.arenas[i / ARENA_CHUNKS] != NULL &&
		    mheap.pages.arenas[i / ARENA_CHUNKS]->chunks[i % ARENA_CHUNKS].sum.max != 0)
			scavenge_note_free_locked(i);
	return true;
}

void mheap_keep_pcache(const struct pcache *pc)
{
	size_t nclean;

	lock_acquire(&mheap.lock);
	for (uint64_t bits = pc->free; bits != 0; bits &= bits - 1)
		(void)pagealloc_alloc_at(&mheap.pages, pc->page + ctz64(bits), 1, &nclean);
	lock_release(&mheap.lock);
}

/* --- checking --- */

struct check_walk {
	size_t npages;
};

static void check_span(struct mspan *s, void *arg)
{
	struct check_walk *walk = arg;
	uint64_t page = pagealloc_page(arena_of(s->base), s->base);

	/* A thread that is gone had it in hand, between no owner and the whole map: lost to this child. */
	if (mheap.forked && s->kind != SPAN_BIG && mspan_owner_relaxed(s) == 0)
		return;
	for (size_t i = 0; i < s->npages; i++) {
		const struct heap_arena *ha = pagealloc_arena(&mheap.pages, page + i);
		unsigned in_arena = (unsigned)((page + i) % ARENA_PAGES);
		/* Relaxed: no other thread is in the heap. */
		uint64_t entry = atomic_load_explicit(&ha->spans[in_arena], memory_order_relaxed);

		CHECK((ha->alloc_bits[in_arena / 64] >> in_arena % 64 & 1) != 0);
		if (s->kind == SPAN_BIG && i > 0)
			CHECK(entry == 0);
		else
			CHECK(entry_span(entry) == s && (entry & 0xffff) == (s->kind == SPAN_BIG ? 0 : i << 8 | s->spanclass));
	}
	walk->npages += s->npages;
}

void mheap_check(void)
{
	struct check_walk walk = { 0 };

	mheap_each_span(check_span, &walk);
	lock_acquire(&mheap.lock);
	pagealloc_check(&mheap.pages);
	CHECK(walk.npages + mheap.pages.nfree <= mheap.pages.ntotal);
	CHECK(mheap.pages.ntotal * PAGE_SIZE ==
	      atomic_load_explicit(&mheap.committed, memory_order_relaxed));
	lock_release(&mheap.lock);
}
