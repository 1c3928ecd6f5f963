/* SPDX-License-Identifier: MIT */
/*
 * pagealloc.c - finds runs of free pages, lowest address first.
 * See malloc.c for the overview.
 *
 * A summary tells the free runs in a piece of the pages: at its start, the longest, at its end.
 * Each chunk has one (chunksum.c). An inner node of the tree sums up 16 nodes below it. A search
 * begins at the chunk of the lowest free page. It goes up the tree and then down, past at most 16
 * nodes of each level each time: two levels up to 1 GiB, five at 2 TiB. The tree is kept up to the
 * lowest level that has at most 16 nodes in use.
 *
 * Owns     alloc_bits, clean_bits and the chunk summaries of the arenas, and the tree above them.
 * Locks    none of its own, and no global data: the caller locks.
 * Holds    pagealloc_check() tests: a summary says exactly what its bitmap or its 16 children say;
 *          no free page is below search; clean pages are free.
 */
#include "heap/pagealloc.h"
#include "heap/chunksum.h"

#define CHUNK_SHIFT 9
_Static_assert(1 << CHUNK_SHIFT == CHUNK_PAGES, "a leaf of the tree is a chunk");
_Static_assert(ARENA_CHUNKS == SUMMARY_FANOUT, "an arena is a node of chunks");

#define LEVEL_CHUNK SUMMARY_LEVELS

/* Runs that an aligned search looks at one by one, before it takes one that is so long that it must
 * have an aligned part. */
#define ALIGNED_TRIES 64

/* Returns log2 of the pages under a node of the level: 25, 21, 17, 13 and 9. */
static unsigned level_shift(unsigned level)
{
	return CHUNK_SHIFT + SUMMARY_FANOUT_SHIFT * (LEVEL_CHUNK - level);
}

/* Returns the level where a search begins. */
static unsigned top_level(const struct pagealloc *pa)
{
	return SUMMARY_LEVELS - 1 - pa->nabove;
}

static const struct page_sum *node(const struct pagealloc *pa, unsigned level, uint64_t i)
{
	static const struct page_sum nothing;
	const struct heap_arena *ha;

	switch (level) {
	case 0:
		return &pa->level0[i];
	case 1:
		return &pa->level1[i];
	case 2:
		return &pa->level2[i];
	case 3:
		return &pa->level3[i];
	default:
		ha = pa->arenas[i / ARENA_CHUNKS];
		return ha != NULL ? &ha->chunks[i % ARENA_CHUNKS].sum : &nothing;
	}
}

/* Returns the first of the 16 summaries under node i of a level, and how many bytes they are
 * apart. They lie in an array of the tree, or in the record of an arena. */
static const struct page_sum *first_child(const struct pagealloc *pa, unsigned level, uint64_t i,
					  size_t *stride)
{
	*stride = level + 1 == LEVEL_CHUNK ? sizeof(struct arena_chunk) : sizeof(struct page_sum);
	return node(pa, level + 1, i * SUMMARY_FANOUT);
}

static bool sum_equal(struct page_sum a, struct page_sum b)
{
	return a.start == b.start && a.max == b.max && a.end == b.end;
}

static struct page_sum sum_children(const struct pagealloc *pa, unsigned level, uint64_t i)
{
	const uint32_t full = (uint32_t)1 << level_shift(level + 1);
	struct page_sum s = { 0, 0, 0 };
	uint32_t run = 0;
	bool all_free = true;
	size_t stride;
	const struct page_sum *c = first_child(pa, level, i, &stride);

	if (level + 1 == LEVEL_CHUNK && pa->arenas[i] == NULL)
		return s;
	for (unsigned k = 0; k < SUMMARY_FANOUT;
	     k++, c = (const void *)((const char *)c + stride)) {
		if (c->start == full) {
			run += full;
			continue;
		}
		run += c->start;
		if (all_free)
			s.start = run;
		all_free = false;
		if (run > s.max)
			s.max = run;
		if (c->max > s.max)
			s.max = c->max;
		run = c->end;
	}
	if (all_free)
		s.start = run;
	if (run > s.max)
		s.max = run;
	s.end = run;
	return s;
}

/* Sums up chunk i anew. Returns true if its summary changed. */
static bool update_chunk(struct pagealloc *pa, uint64_t i)
{
	struct heap_arena *ha = pa->arenas[i / ARENA_CHUNKS];
	unsigned chunk = (unsigned)(i % ARENA_CHUNKS);
	struct page_sum s = chunksum_of(&ha->alloc_bits[chunk * (CHUNK_PAGES / 64)]);
	bool changed = !sum_equal(s, ha->chunks[chunk].sum);

	ha->chunks[chunk].sum = s;
	return changed;
}

enum change { TAKEN, FREED };

/* Does the work of update() for pages of one chunk. It stops at the first node that stays as it
 * is. */
static void update_one(struct pagealloc *pa, uint64_t page, size_t npages, enum change change)
{
	uint64_t i = page >> CHUNK_SHIFT;
	struct heap_arena *ha = pa->arenas[i / ARENA_CHUNKS];
	const uint64_t *alloc = &ha->alloc_bits[i % ARENA_CHUNKS * (CHUNK_PAGES / 64)];
	struct page_sum *sum = &ha->chunks[i % ARENA_CHUNKS].sum;
	unsigned from = (unsigned)(page % CHUNK_PAGES), to = from + (unsigned)npages;
	struct page_sum before = *sum;

	*sum = change == TAKEN ? chunksum_taken(alloc, from, to, before)
			       : chunksum_freed(alloc, from, to, before);
	for (unsigned level = LEVEL_CHUNK; level-- > top_level(pa);) {
		struct page_sum now = *sum;

		if (sum_equal(now, before))
			return;
		i >>= SUMMARY_FANOUT_SHIFT;
		sum = (struct page_sum *)(uintptr_t)node(pa, level, i);
		/* The node has a longer run elsewhere, and nothing changed at the borders of its
		 * child. */
		if (now.start == before.start && now.end == before.end && now.max < sum->max &&
		    before.max < sum->max)
			return;
		before = *sum;
		*sum = sum_children(pa, level, i);
	}
}

/* Brings the summaries over [page, page + npages) up to date, from the chunks to the root. All
 * pages of the range were taken, or freed, so that a chunk between the first and the last one need
 * not be looked at. In a range of one word that was freed, and in a range of one chunk that was
 * taken, some pages may have stayed as they were. */
static void update(struct pagealloc *pa, uint64_t page, size_t npages, enum change change)
{
	uint64_t first = page >> CHUNK_SHIFT;
	uint64_t last = (page + npages - 1) >> CHUNK_SHIFT;
	uint32_t nfree = change == FREED ? CHUNK_PAGES : 0;
	bool changed;

	if (first == last) {
		update_one(pa, page, npages, change);
		return;
	}
	changed = update_chunk(pa, first);
	for (uint64_t i = first + 1; i < last; i++)
		pa->arenas[i / ARENA_CHUNKS]->chunks[i % ARENA_CHUNKS].sum =
			(struct page_sum){ nfree, nfree, nfree };
	changed |= last > first + 1;
	changed |= update_chunk(pa, last);
	for (unsigned level = LEVEL_CHUNK; changed && level-- > top_level(pa);) {
		changed = false;
		first >>= SUMMARY_FANOUT_SHIFT;
		last >>= SUMMARY_FANOUT_SHIFT;
		for (uint64_t i = first; i <= last; i++) {
			struct page_sum s = sum_children(pa, level, i);
			struct page_sum *to = (struct page_sum *)(uintptr_t)node(pa, level, i);

			changed |= !sum_equal(s, *to);
			*to = s;
		}
	}
}

/* Returns the first of n free pages in a row in a chunk, from page `from` of the chunk on. Returns
 * CHUNK_PAGES when there is no such run. *tail is how many pages are free at the chunk's end
 * then. */
static unsigned find_in_chunk(const uint64_t *alloc, unsigned from, size_t n, unsigned *tail)
{
	unsigned run = 0;

	for (unsigned i = from / 64; i < CHUNK_PAGES / 64; i++) {
		uint64_t w = alloc[i] | (i == from / 64 ? low_mask64(from % 64) : 0);

		if (w == 0) {
			run += 64;
			if (run >= n)
				return i * 64 + 64 - run;
			continue;
		}
		if (run + ctz64(w) >= n)
			return i * 64 - run;
		if (n < 64) {
			uint64_t starts = run_starts64(~w, (unsigned)n);

			if (starts != 0)
				return i * 64 + ctz64(starts);
		}
		run = clz64(w);
	}
	*tail = run;
	return run >= n ? CHUNK_PAGES - run : CHUNK_PAGES;
}

/* Returns how many nodes of a level have an arena below them. */
static uint64_t nodes_in_use(const struct pagealloc *pa, unsigned level)
{
	uint64_t npages = (uint64_t)pa->narenas * ARENA_PAGES;

	return (npages + ((uint64_t)1 << level_shift(level)) - 1) >> level_shift(level);
}

/* Looks through the nodes [*i, end) of a level for a run of npages, of which *run pages lie before
 * *i. Returns the run's first page when it begins in one node and ends in a later one. Returns
 * PAGE_NONE with *i < end when it lies inside node *i, and with *i == end when there is none; *run
 * is how many pages before end are free then. */
static uint64_t find_in_nodes(const struct pagealloc *pa, unsigned level, uint64_t *i, uint64_t end,
			      size_t npages, uint64_t *run)
{
	unsigned shift = level_shift(level);

	for (; *i < end; ++*i) {
		const struct page_sum *s = node(pa, level, *i);

		/* The run that reaches the start of this node is lower than those inside it. */
		if (*run + s->start >= npages)
			return (*i << shift) - *run;
		if (s->max >= npages)
			return PAGE_NONE;
		if (s->start == (uint32_t)1 << shift)
			*run += s->start;
		else
			*run = s->end;
	}
	return PAGE_NONE;
}

/* Returns the first page of the lowest run inside node i of a level, which has such a run. */
static uint64_t find_inside(const struct pagealloc *pa, unsigned level, uint64_t i, size_t npages)
{
	unsigned tail;

	while (level < LEVEL_CHUNK) {
		uint64_t end = (i + 1) << SUMMARY_FANOUT_SHIFT;
		uint64_t run = 0, page;

		i <<= SUMMARY_FANOUT_SHIFT;
		page = find_in_nodes(pa, ++level, &i, end, npages, &run);
		if (page != PAGE_NONE)
			return page;
		CHECK(i < end);
	}
	return (i << CHUNK_SHIFT) +
	       find_in_chunk(&pa->arenas[i / ARENA_CHUNKS]
				      ->alloc_bits[i % ARENA_CHUNKS * (CHUNK_PAGES / 64)],
			     0, npages, &tail);
}

/* Returns the first page of the lowest run that begins at page `from` or above it, or PAGE_NONE.
 * The search goes from the chunk of that page up the tree and then down. */
static uint64_t find_from(const struct pagealloc *pa, uint64_t from, size_t npages)
{
	const struct heap_arena *ha;
	uint64_t i = from >> CHUNK_SHIFT, run = 0, page;
	unsigned at, tail = 0;

	if (npages > (size_t)1 << (level_shift(0) + 3) || from / ARENA_PAGES >= pa->narenas)
		return PAGE_NONE;
	ha = pagealloc_arena(pa, from);
	if (ha != NULL) {
		at = find_in_chunk(&ha->alloc_bits[i % ARENA_CHUNKS * (CHUNK_PAGES / 64)],
				   (unsigned)(from % CHUNK_PAGES), npages, &tail);
		if (at < CHUNK_PAGES)
			return (i << CHUNK_SHIFT) + at;
		run = tail;
	}
	i++;
	for (unsigned level = LEVEL_CHUNK;; level--, i >>= SUMMARY_FANOUT_SHIFT) {
		bool top = level == top_level(pa);
		uint64_t end = top ? nodes_in_use(pa, level) : align_up(i, SUMMARY_FANOUT);

		page = find_in_nodes(pa, level, &i, end, npages, &run);
		if (page != PAGE_NONE)
			return page;
		if (i < end)
			return find_inside(pa, level, i, npages);
		if (top)
			return PAGE_NONE;
	}
}

uint64_t pagealloc_find(const struct pagealloc *pa, size_t npages)
{
	return find_from(pa, pa->search, npages);
}

/* A walk over [page, page + npages). Each step is a part of one word, or whole words of one arena:
 * `bits` are the pages of the range in each of the words [w, end) of ha. */
struct word_walk {
	const struct pagealloc *pa;
	uint64_t page;
	size_t npages;
	struct heap_arena *ha;
	unsigned w, end;
	uint64_t bits;
};

static bool walk_next(struct word_walk *it)
{
	unsigned bit = (unsigned)(it->page % 64);
	size_t n = min_size(64 - bit, it->npages);

	if (n == 0)
		return false;
	it->ha = pagealloc_arena(it->pa, it->page);
	it->w = (unsigned)(it->page % ARENA_PAGES / 64);
	it->end = it->w + 1;
	it->bits = low_mask64((unsigned)n) << bit;
	if (n == 64) {
		it->end = (unsigned)min_size(it->w + it->npages / 64, ARENA_PAGES / 64);
		n = (it->end - it->w) * (size_t)64;
	}
	it->page += n;
	it->npages -= n;
	return true;
}

static void take(struct pagealloc *pa, uint64_t page, size_t npages, size_t *nclean)
{
	struct word_walk it = { .pa = pa, .page = page, .npages = npages };
	size_t clean = 0;

	while (walk_next(&it)) {
		for (unsigned w = it.w; w < it.end; w++) {
			DCHECK((it.ha->alloc_bits[w] & it.bits) == 0);
			it.ha->alloc_bits[w] |= it.bits;
			if (it.ha->clean_bits[w] == 0)
				continue;
			clean += popcount64(it.ha->clean_bits[w] & it.bits);
			it.ha->clean_bits[w] &= ~it.bits;
		}
	}
	pa->nfree -= npages;
	pa->nclean -= clean;
	if (page == pa->search)
		pa->search = page + npages;
	*nclean = clean;
	update(pa, page, npages, TAKEN);
}

/* Recomputes a level from the one below. */
static void sum_level(struct pagealloc *pa, unsigned level)
{
	for (uint64_t i = 0; i < nodes_in_use(pa, level); i++)
		*(struct page_sum *)(uintptr_t)node(pa, level, i) = sum_children(pa, level, i);
}

bool pagealloc_add_arena(struct pagealloc *pa, struct heap_arena *ha, uintptr_t addr)
{
	uint32_t idx = pa->narenas;
	const struct heap_arena *before = idx > 0 ? pa->arenas[idx - 1] : NULL;

	/* A gap in the numbers keeps runs from reaching over a gap in the addresses. */
	if (before != NULL && before->base + ARENA_SIZE != align_down(addr, ARENA_SIZE))
		idx++;
	if (idx >= MAX_ARENAS)
		return false;
	heap_arena_init(ha, addr, idx);
	pa->arenas[idx] = ha;
	pa->narenas = idx + 1;
	/* A new level sums up what is below it. Later changes keep it up to date. */
	while (top_level(pa) > 0 && nodes_in_use(pa, top_level(pa)) > SUMMARY_FANOUT) {
		pa->nabove++;
		sum_level(pa, top_level(pa));
	}
	return true;
}

void pagealloc_grow(struct pagealloc *pa, uint64_t page, size_t npages)
{
	pa->ntotal += npages;
	pagealloc_free(pa, page, npages, true);
}

uint64_t pagealloc_alloc(struct pagealloc *pa, size_t npages, size_t *nclean)
{
	uint64_t page = pagealloc_find(pa, npages);

	if (page == PAGE_NONE)
		return PAGE_NONE;
	take(pa, page, npages, nclean);
	/* A single page that was taken is the lowest free one. */
	if (npages == 1)
		pa->search = page + 1;
	return page;
}

size_t pagealloc_count_dirty(const struct pagealloc *pa, uint64_t page, size_t npages)
{
	uint64_t end = min_size(page + npages, (uint64_t)pa->narenas * ARENA_PAGES);
	struct word_walk it = { .pa = pa, .page = page, .npages = page < end ? end - page : 0 };
	size_t n = 0;

	while (walk_next(&it))
		for (unsigned w = it.w; it.ha != NULL && w < it.end; w++)
			n += popcount64(it.bits &
					~(it.ha->alloc_bits[w] | it.ha->clean_bits[w]));
	return n;
}

/* Returns how many pages from `page` on are free without a gap, at most npages. Neighbours in
 * number are neighbours in address, up to a gap. */
static size_t free_run(const struct pagealloc *pa, uint64_t page, size_t npages)
{
	uint64_t end = (uint64_t)pa->narenas * ARENA_PAGES;
	struct word_walk it = { .pa = pa, .page = page };
	size_t n = 0;

	it.npages = page < end ? min_size(npages, end - page) : 0;
	while (walk_next(&it)) {
		for (unsigned w = it.w; w < it.end; w++) {
			uint64_t used = it.ha == NULL ? it.bits : it.ha->alloc_bits[w] & it.bits;

			if (used != 0)
				return n + ctz64(used) - ctz64(it.bits);
			n += popcount64(it.bits);
		}
	}
	return n;
}

/* Returns how many of the pages from the first on are alike: clean, or with flip 0 dirty. */
static size_t alike_run(const struct pagealloc *pa, uint64_t page, size_t npages, uint64_t flip)
{
	struct word_walk it = { .pa = pa, .page = page, .npages = npages };
	size_t n = 0;

	while (walk_next(&it)) {
		for (unsigned w = it.w; w < it.end; w++) {
			uint64_t others = (it.ha->clean_bits[w] ^ flip) & it.bits;

			if (others != 0)
				return n + ctz64(others) - ctz64(it.bits);
			n += popcount64(it.bits);
		}
	}
	return n;
}

size_t pagealloc_clean_run(const struct pagealloc *pa, uint64_t page, size_t npages)
{
	return alike_run(pa, page, npages, ~(uint64_t)0);
}

size_t pagealloc_dirty_run(const struct pagealloc *pa, uint64_t page, size_t npages)
{
	return alike_run(pa, page, npages, 0);
}

bool pagealloc_is_free(const struct pagealloc *pa, uint64_t page, size_t npages)
{
	return npages <= pa->nfree && free_run(pa, page, npages) == npages;
}

/* Returns how many pages lie between a page and the next address that is aligned. */
static size_t pages_to_alignment(const struct pagealloc *pa, uint64_t page, size_t align_pages)
{
	return -(pagealloc_addr(pa, page) / PAGE_SIZE) & (align_pages - 1);
}

uint64_t pagealloc_find_aligned(const struct pagealloc *pa, size_t npages, size_t align_pages)
{
	uint64_t page = find_from(pa, pa->search, npages);

	for (unsigned i = 0; i < ALIGNED_TRIES && page != PAGE_NONE; i++) {
		size_t skip = pages_to_alignment(pa, page, align_pages);
		size_t n = free_run(pa, page, skip + npages);

		if (n == skip + npages)
			return page + skip;
		page = find_from(pa, page + n, npages);
	}
	/* A run of this length has an aligned one in it. */
	if (page != PAGE_NONE)
		page = find_from(pa, page, npages + align_pages - 1);
	return page == PAGE_NONE ? PAGE_NONE : page + pages_to_alignment(pa, page, align_pages);
}

bool pagealloc_alloc_at(struct pagealloc *pa, uint64_t page, size_t npages, size_t *nclean)
{
	if (!pagealloc_is_free(pa, page, npages))
		return false;
	take(pa, page, npages, nclean);
	return true;
}

bool pagealloc_alloc_word(struct pagealloc *pa, unsigned npages, uint64_t *page, uint64_t *free,
			  uint64_t *clean)
{
	uint64_t first = pagealloc_find(pa, npages);
	struct heap_arena *ha;
	unsigned w;

	*page = first;
	if (first == PAGE_NONE || first % 64 + npages > 64)
		return false;
	ha = pagealloc_arena(pa, first);
	w = (unsigned)(first % ARENA_PAGES / 64);
	*page = first & ~(uint64_t)63;
	*free = ~ha->alloc_bits[w];
	*clean = ha->clean_bits[w];
	ha->alloc_bits[w] = ~(uint64_t)0;
	ha->clean_bits[w] = 0;
	pa->nfree -= popcount64(*free);
	pa->nclean -= popcount64(*clean);
	update(pa, *page, 64, TAKEN);
	if (npages == 1 || pa->search / 64 == *page / 64)
		pa->search = *page + 64;
	return true;
}

/* Returns all bits of those aligned units of `unit` bits that are completely in whole and have a
 * bit in any. */
static uint64_t whole_units(uint64_t whole, uint64_t any, unsigned unit)
{
	uint64_t first = ~(uint64_t)0 / low_mask64(unit);

	for (unsigned n = 1; n < unit; n *= 2) {
		whole &= whole >> n;
		any |= any >> n;
	}
	return (whole & any & first) * low_mask64(unit);
}

void pagealloc_take_dirty(struct pagealloc *pa, uint64_t chunk, unsigned unit,
			  uint64_t taken[CHUNK_PAGES / 64])
{
	struct heap_arena *ha = pa->arenas[chunk / ARENA_CHUNKS];
	unsigned first = (unsigned)(chunk % ARENA_CHUNKS) * (CHUNK_PAGES / 64);
	size_t npages = 0;

	for (unsigned w = first; w < first + CHUNK_PAGES / 64; w++) {
		bool huge = (ha->huge_regions >> w / (REGION_PAGES / 64) & 1) != 0;
		uint64_t free = ~ha->alloc_bits[w];
		uint64_t dirty = free & ~ha->clean_bits[w];
		uint64_t bits = huge ? free : dirty | whole_units(free, dirty, unit);

		taken[w - first] = bits;
		pa->nclean -= popcount64(ha->clean_bits[w] & bits);
		ha->clean_bits[w] &= ~bits;
		ha->alloc_bits[w] |= bits;
		npages += popcount64(bits);
	}
	pa->nfree -= npages;
	if (npages != 0)
		update(pa, chunk * CHUNK_PAGES, CHUNK_PAGES, TAKEN);
}

bool pagealloc_has_dirty(const struct pagealloc *pa, uint64_t chunk, unsigned unit)
{
	const struct heap_arena *ha = pa->arenas[chunk / ARENA_CHUNKS];
	unsigned first = (unsigned)(chunk % ARENA_CHUNKS) * (CHUNK_PAGES / 64);
	uint64_t found = 0;

	for (unsigned w = first; w < first + CHUNK_PAGES / 64; w++)
		found |= whole_units(~ha->alloc_bits[w],
				     ~ha->alloc_bits[w] & ~ha->clean_bits[w], unit);
	return found != 0;
}

void pagealloc_make_dirty(struct pagealloc *pa, uint64_t page)
{
	struct heap_arena *ha = pagealloc_arena(pa, page);
	unsigned first = (unsigned)(page % ARENA_PAGES / 64);

	for (unsigned w = first; w < first + REGION_PAGES / 64; w++) {
		pa->nclean -= popcount64(ha->clean_bits[w]);
		ha->clean_bits[w] = 0;
	}
}

void pagealloc_free(struct pagealloc *pa, uint64_t page, size_t npages, bool clean)
{
	struct word_walk it = { .pa = pa, .page = page, .npages = npages };

	while (walk_next(&it)) {
		for (unsigned w = it.w; w < it.end; w++) {
			DCHECK((it.ha->alloc_bits[w] & it.bits) == it.bits);
			it.ha->alloc_bits[w] &= ~it.bits;
			it.ha->clean_bits[w] |= clean ? it.bits : 0;
		}
	}
	pa->nfree += npages;
	if (clean)
		pa->nclean += npages;
	if (page < pa->search)
		pa->search = page;
	update(pa, page, npages, FREED);
}

void pagealloc_free_word(struct pagealloc *pa, uint64_t page, uint64_t free, uint64_t clean)
{
	struct heap_arena *ha = pagealloc_arena(pa, page);
	unsigned w = (unsigned)(page % ARENA_PAGES / 64);

	if (free == 0)
		return;
	DCHECK((ha->alloc_bits[w] & free) == free && (clean & ~free) == 0);
	ha->alloc_bits[w] &= ~free;
	ha->clean_bits[w] |= clean;
	pa->nfree += popcount64(free);
	pa->nclean += popcount64(clean);
	if (page + ctz64(free) < pa->search)
		pa->search = page + ctz64(free);
	update(pa, page + ctz64(free), 64 - clz64(free) - ctz64(free), FREED);
}

size_t pagealloc_free_before(const struct pagealloc *pa, uint64_t page)
{
	size_t n = 0;

	while (page > 0) {
		const struct heap_arena *ha = pagealloc_arena(pa, page - 1);
		unsigned bit = (unsigned)((page - 1) % 64);
		uint64_t used;

		if (ha == NULL)
			break;
		/* The pages of this word up to page - 1, with page - 1 in the highest bit. */
		used = ha->alloc_bits[(page - 1) % ARENA_PAGES / 64] << (63 - bit);
		if (used != 0)
			return n + clz64(used);
		n += bit + 1;
		page -= bit + 1;
	}
	return n;
}

void pagealloc_rebuild(struct pagealloc *pa)
{
	pa->rebuilds++;
	pa->nfree = 0;
	pa->nclean = 0;
	pa->search = 0;
	for (uint32_t i = 0; i < pa->narenas; i++) {
		struct heap_arena *ha = pa->arenas[i];

		if (ha == NULL)
			continue;
		for (unsigned w = 0; w < ARENA_PAGES / 64; w++) {
			ha->clean_bits[w] &= ~ha->alloc_bits[w];
			pa->nfree += popcount64(~ha->alloc_bits[w]);
			pa->nclean += popcount64(ha->clean_bits[w]);
		}
		for (unsigned c = 0; c < ARENA_CHUNKS; c++)
			(void)update_chunk(pa, (uint64_t)i * ARENA_CHUNKS + c);
	}
	/* A change may have stopped between the leaves and the root, so all inner nodes are
	 * recomputed. */
	for (unsigned level = SUMMARY_LEVELS; level-- > top_level(pa);)
		sum_level(pa, level);
}

void pagealloc_check(const struct pagealloc *pa)
{
	size_t nfree = 0, nclean = 0;

	for (uint32_t i = 0; i < pa->narenas; i++) {
		const struct heap_arena *ha = pa->arenas[i];

		if (ha == NULL)
			continue;
		CHECK(ha->idx == i);
		for (unsigned w = 0; w < ARENA_PAGES / 64; w++) {
			nfree += popcount64(~ha->alloc_bits[w]);
			nclean += popcount64(ha->clean_bits[w]);
			CHECK((ha->clean_bits[w] & ha->alloc_bits[w]) == 0);
			CHECK((uint64_t)i * ARENA_PAGES + w * 64 + 63 >= pa->search ||
			      ha->alloc_bits[w] == ~(uint64_t)0);
		}
		for (unsigned c = 0; c < ARENA_CHUNKS; c++)
			CHECK(sum_equal(ha->chunks[c].sum,
					chunksum_of(&ha->alloc_bits[c * (CHUNK_PAGES / 64)])));
	}
	CHECK(nfree == pa->nfree && nclean == pa->nclean);
	for (unsigned level = top_level(pa); level < SUMMARY_LEVELS; level++) {
		for (uint64_t i = 0; i < nodes_in_use(pa, level); i++)
			CHECK(sum_equal(*node(pa, level, i), sum_children(pa, level, i)));
	}
}
