/* SPDX-License-Identifier: MIT */
/*
 * pagemap.c - from an address to its arena and its span.
 * See malloc.c for the overview.
 *
 * Owns     page_map, arena_table, arena_window, and the page map of every arena.
 * Locks    none of its own. The heap's lock covers the arenas. Entries need no lock: the thread
 *          that has a page from the page allocator stores its entry.
 * Holds    an arena that the table shows is complete, and stays for ever. The window only grows.
 */
#include "heap/pagemap.h"

_Atomic(struct arena_leaf *) arena_table[ARENA_TABLE_LEN];
struct arena_window arena_window ALIGNED(CACHE_LINE);
struct pagemap page_map;

void pagemap_init(void)
{
	/* An arena record is never freed, so any pointer field can be the link. */
	fixalloc_init(&page_map.arena_pool, sizeof(struct heap_arena),
		      offsetof(struct heap_arena, spans));
	fixalloc_init(&page_map.leaf_pool, sizeof(struct arena_leaf), 0);
	fixalloc_init(&page_map.map_pool, ARENA_MAP_SIZE, 0);
}

void pagemap_hide(void)
{
	page_map.hidden = true;
}

/* Returns the bytes of the page map for nbytes of whole sites. */
static size_t map_size(size_t nbytes)
{
	return nbytes / ARENA_SIZE * ARENA_MAP_SIZE;
}

size_t pagemap_nbytes(void)
{
	size_t inuse, bytes;

	fixalloc_count(&page_map.map_pool, &inuse, &bytes);
	/* Relaxed: a figure. */
	return bytes +
	       map_size(atomic_load_explicit(&page_map.window_nbytes, memory_order_relaxed));
}

/* --- arenas --- */

static uintptr_t window_end_locked(void)
{
	/* Relaxed: stored under the lock that the caller holds. */
	return page_map.window_base +
	       atomic_load_explicit(&page_map.window_nbytes, memory_order_relaxed);
}

/* Lets the window reach to end, for slow paths and for fast ones. Its map is there. */
static void publish_window_locked(uintptr_t end)
{
	uintptr_t base = page_map.window_base;
	uintptr_t before = (base >> PAGE_SHIFT) * sizeof(page_entry);
	uintptr_t origin = (uintptr_t)page_map.window_map - before;

	/* Relaxed: read under the lock, and for figures. */
	atomic_store_explicit(&page_map.window_nbytes, end - base, memory_order_relaxed);
	if (page_map.hidden)
		return;
	/* Relaxed, both: when they are stored again they keep their values. */
	atomic_store_explicit(&arena_window.minus_base, 0 - base, memory_order_relaxed);
	atomic_store_explicit(&arena_window.origin, origin, memory_order_relaxed);
	/* Release: both, and the map, which is zero. Pairs with the acquire in entry_of(). */
	atomic_store_explicit(&arena_window.nbytes, end - base, memory_order_release);
}

/* Begins the window with the sites of [start, end). */
static void begin_window_locked(bool apart, uintptr_t start, uintptr_t end)
{
	/* Where the system chooses places, later ones are below. */
	if (!apart)
		start -= min_size(start, WINDOW_BELOW * ARENA_SIZE);
	page_map.window_map = fixalloc_long_table(map_size(end - start));
	if (page_map.window_map == NULL)
		return;
	page_map.window_base = start;
	publish_window_locked(end);
}

/* Makes the window reach to the end of the sites of [start, end). Does nothing when they are far
 * from it, or when there is no memory. */
static void extend_window_locked(bool apart, uintptr_t start, uintptr_t end)
{
	uintptr_t base = page_map.window_base;
	uintptr_t had = window_end_locked();

	if (page_map.window_map == NULL) {
		begin_window_locked(apart, start, end);
		return;
	}
	if (start < base || end <= had || start > had + WINDOW_MAX_GAP * ARENA_SIZE ||
	    end - base > MAX_ARENAS * ARENA_SIZE)
		return;
	if (fixalloc_extend_table(page_map.window_map + map_size(had - base), map_size(end - had)))
		publish_window_locked(end);
}

static bool in_window_locked(uintptr_t addr)
{
	return addr >= page_map.window_base && addr < window_end_locked();
}

/* Returns the part of the page map for the site at addr, or NULL when there is no memory. */
static page_entry *map_of_site_locked(uintptr_t addr)
{
	page_entry *spans;

	if (in_window_locked(addr))
		return (void *)(page_map.window_map + map_size(addr - page_map.window_base));
	spans = fixalloc_alloc(&page_map.map_pool, NULL);
	/* A part that was freed has a link there. Relaxed: no other thread has it. */
	if (spans != NULL)
		atomic_store_explicit(&spans[0], 0, memory_order_relaxed);
	return spans;
}

/* Returns the leaf of the arena table for the site at addr, or NULL when there is no memory. */
static struct arena_leaf *leaf_of_site_locked(uintptr_t addr)
{
	_Atomic(struct arena_leaf *) *at = &arena_table[addr >> ARENA_SHIFT >> ARENA_LEAF_SHIFT];
	/* Relaxed: stored under this lock. */
	struct arena_leaf *leaf = atomic_load_explicit(at, memory_order_relaxed);

	if (leaf != NULL)
		return leaf;
	leaf = fixalloc_alloc(&page_map.leaf_pool, NULL);
	/* Release: the leaf is empty. Pairs with the acquire in arena_of(). */
	atomic_store_explicit(at, leaf, memory_order_release);
	return leaf;
}

/* Makes the record for the site at addr, which has none. */
static bool add_arena_locked(struct pagealloc *pages, uintptr_t addr)
{
	struct arena_leaf *leaf = leaf_of_site_locked(addr);
	struct heap_arena *ha = leaf != NULL ? fixalloc_alloc(&page_map.arena_pool, NULL) : NULL;

	if (ha == NULL)
		return false;
	ha->spans = map_of_site_locked(addr);
	if (ha->spans == NULL || !pagealloc_add_arena(pages, ha, addr)) {
		if (ha->spans != NULL && !in_window_locked(addr))
			fixalloc_free(&page_map.map_pool, (void *)ha->spans);
		fixalloc_free(&page_map.arena_pool, ha);
		return false;
	}
	/* Release: the record is complete. Pairs with the acquire in arena_of(). */
	atomic_store_explicit(&leaf->arenas[addr >> ARENA_SHIFT & (ARENA_LEAF_LEN - 1)], ha,
			      memory_order_release);
	return true;
}

bool pagemap_add_arenas(struct pagealloc *pages, bool apart, uintptr_t addr, size_t nbytes)
{
	uintptr_t end = align_up(addr + nbytes, ARENA_SIZE);

	addr = align_down(addr, ARENA_SIZE);
	extend_window_locked(apart, addr, end);
	for (; addr < end; addr += ARENA_SIZE)
		if (arena_of(addr) == NULL && !add_arena_locked(pages, addr))
			return false;
	return true;
}

/* --- entries --- */

/* A bit of mapped_words stands for a row of 64 pages. */
#define ROW_SIZE (64 * PAGE_SIZE)
_Static_assert(ARENA_SIZE % (64 * ROW_SIZE) == 0, "a word of them is of one arena");

/* Returns the word of mapped_words that tells of the page at addr and its neighbours, and the bit
 * in it that stands for their row. */
static _Atomic uint64_t *mapped_word(uintptr_t addr, uint64_t *bit)
{
	size_t word = addr % ARENA_SIZE / ROW_SIZE;

	*bit = (uint64_t)1 << word % 64;
	return &arena_of(addr)->mapped_words[word / 64];
}

static void note_mapped(uintptr_t addr)
{
	uint64_t bit;
	_Atomic uint64_t *word = mapped_word(addr, &bit);

	/* Relaxed: see pagemap_clear(). */
	if ((atomic_load_explicit(word, memory_order_relaxed) & bit) == 0)
		atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
}

/* Stores entries of npages pages from addr on: the first is entry, each of the others is more by
 * step. */
static void map_pages(uintptr_t addr, size_t npages, uint64_t entry, uint64_t step)
{
	uintptr_t last = addr + (npages - 1) * PAGE_SIZE;
	page_entry *at = entry_in_arena(arena_of(addr), addr);

	/* A small span is at most this long, so it lies in one word or two. */
	DCHECK(npages <= 64);
	note_mapped(addr);
	note_mapped(last);
	for (; npages > 0; npages--, at++, addr += PAGE_SIZE, entry += step) {
		if (addr % ARENA_SIZE == 0)
			at = entry_in_arena(arena_of(addr), addr);
		/* Release: the span is complete. Pairs with the acquire in entry_of(). */
		atomic_store_explicit(at, entry, memory_order_release);
	}
}

void pagemap_map_span(const struct mspan *s)
{
	uint64_t entry = (uint64_t)(uintptr_t)s << 16;

	if (s->kind == SPAN_BIG)
		map_pages(s->base, 1, entry, 0);
	else
		map_pages(s->base, s->npages, entry | s->spanclass, 1 << 8);
}

void pagemap_unmap_span(const struct mspan *s)
{
	map_pages(s->base, s->kind == SPAN_BIG ? 1 : s->npages,
		  (uint64_t)(uintptr_t)&mspan_dead << 16, 0);
}

/* Clears the entries of [addr, end), which lie in one row of 64 pages: the one that bit stands
 * for in word. */
static void clear_row(uintptr_t addr, uintptr_t end, _Atomic uint64_t *word, uint64_t bit)
{
	page_entry *at = entry_in_arena(arena_of(addr), addr);
	page_entry *stop = at + (end - addr) / PAGE_SIZE;

	/* Relaxed: only the owner of a page stores its entry. */
	for (; at < stop; at++)
		if (atomic_load_explicit(at, memory_order_relaxed) != 0)
			atomic_store_explicit(at, 0, memory_order_relaxed);
	if (end - addr < ROW_SIZE)
		return;
	/* The caller has every page of the row, so no other thread sets the bit meanwhile. The
	 * bit goes last, for a child forked here. Relaxed: see pagemap_clear(). */
	order_stores();
	atomic_fetch_and_explicit(word, ~bit, memory_order_relaxed);
}

void pagemap_clear(uintptr_t addr, size_t npages)
{
	uintptr_t end = addr + npages * PAGE_SIZE;

	while (addr < end) {
		uintptr_t row = align_down(addr, ROW_SIZE);
		uint64_t bit;
		_Atomic uint64_t *word = mapped_word(addr, &bit);
		/* Relaxed: the owner of a page has synchronised with its former owners, and so with
		 * the thread that set the bit for it. */
		uint64_t bits = atomic_load_explicit(word, memory_order_relaxed) / bit;

		if ((bits & 1) != 0)
			clear_row(addr, min_size(end, row + ROW_SIZE), word, bit);
		/* On to the next row whose bit is set, or to the next word. */
		bits &= ~(uint64_t)1;
		addr = bits != 0 ? row + ctz64(bits) * ROW_SIZE
				 : align_down(addr, 64 * ROW_SIZE) + 64 * ROW_SIZE;
	}
}

void pagemap_each_span(const struct pagealloc *pages, uint32_t narenas,
		       void (*visit)(struct mspan *s, void *arg), void *arg)
{
	for (uint32_t i = 0; i < narenas; i++) {
		/* Entries below narenas do not change any more. */
		struct heap_arena *ha = pages->arenas[i];
		const struct mspan *last = NULL;

		for (unsigned page = 0; ha != NULL && page < ARENA_PAGES; page++) {
			/* Acquire: as in entry_of(). */
			struct mspan *s = entry_span(atomic_load_explicit(&ha->spans[page],
									  memory_order_acquire));

			/* A small span that crosses into this arena was visited in the one
			 * before. */
			if (s == NULL || s == &mspan_dead || s == last || s->kind == SPAN_DEAD ||
			    s->base < ha->base)
				continue;
			last = s;
			visit(s, arg);
		}
	}
}
