/* SPDX-License-Identifier: MIT */
/*
 * mheap.c - the one heap: makes spans of pages and pages of spans.
 * See malloc.c for the overview.
 *
 * Owns     mheap: the pages, their growth (growth.c), the pools of span records.
 * Locks    mheap.lock (LOCK_MHEAP) covers the pages, the address space, the scavenger's list and
 *          the decisions of the memory limit.
 * Holds    mheap_check() tests: a page is in at most one span, and then it is in use in the bitmap.
 *          A span is in the page map exactly while its record is in use. An allocation changes the
 *          bitmap and then the map, a free changes the map and then the bitmap: a forked child can
 *          always rebuild the bitmap from the map.
 */
#include "heap/mheap.h"
#include "base/options.h"
#include "heap/dirtyruns.h"
#include "heap/limit.h"
#include "os/os.h"

struct mheap mheap;

void mheap_init(void)
{
	lock_init(&mheap.lock, LOCK_MHEAP);
	for (unsigned shape = 0; shape < SPAN_SHAPES; shape++)
		fixalloc_init(&mheap.span_pools[shape], mspan_shape_bytes(shape),
			      offsetof(struct mspan, next));
	pagemap_init();
	growth_init(&mheap.growth, &mheap.pages);
	scavenge_init(&mheap.scavenger, &mheap.pages, &mheap.lock);
	mheap.ready = true;
}

void mheap_release_records(void)
{
	for (unsigned shape = 0; shape < SPAN_SHAPES; shape++)
		fixalloc_release(&mheap.span_pools[shape]);
}

/* --- the memory limit and the scavenger --- */

static size_t used_bytes_locked(void)
{
	/* Pages that are being released count as released: no request needs to fail for them. */
	size_t npages = mheap.pages.ntotal - mheap.pages.nclean - mheap.scavenger.nreleasing;
	/* Slots whose pages were given back are handed out without a question to the limit. So
	 * with hard=1, which allows nothing above the limit, these pages count as used. */
	size_t drained = options.hard ? 0 : mspan_count_released() * os_page_size();

	return npages * PAGE_SIZE - min_size(drained, npages * PAGE_SIZE) + fixalloc_used_bytes();
}

static struct limit_figures figures_locked(size_t need_npages)
{
	return (struct limit_figures){
		.used = used_bytes_locked(),
		.dirty = (mheap.pages.nfree - mheap.pages.nclean) * PAGE_SIZE,
		.need = need_npages * PAGE_SIZE,
		.now_ms = os_now_ms(),
	};
}

size_t mheap_used_bytes(void)
{
	size_t nbytes;

	lock_acquire(&mheap.lock);
	nbytes = used_bytes_locked();
	lock_release(&mheap.lock);
	return nbytes;
}

size_t mheap_set_limit(size_t bytes)
{
	size_t before;

	if (!mheap.ready)
		return limit_set(bytes, os_now_ms());
	lock_acquire(&mheap.lock);
	before = limit_set(bytes, os_now_ms());
	lock_release(&mheap.lock);
	return before;
}

void mheap_keep_limit(void)
{
	struct limit_figures f;
	struct limit_answer answer;

	if (limit_bytes() == 0)
		return;
	lock_acquire(&mheap.lock);
	f = figures_locked(0);
	if (f.used > limit_bytes()) {
		(void)scavenge_locked(&mheap.scavenger, f.used - limit.near_at);
		f = figures_locked(0);
	}
	answer = limit_decide(&f);
	limit_note(&answer, &f);
	if (f.used > limit_bytes())
		limit_call();
	lock_release(&mheap.lock);
}

bool mheap_scavenge_poll(uint64_t now_ms)
{
	return scavenge_poll(&mheap.scavenger, now_ms, limit_decay_ms());
}

size_t mheap_scavenge_all(void)
{
	size_t nbytes;

	lock_acquire(&mheap.lock);
	nbytes = scavenge_locked(&mheap.scavenger, SIZE_MAX);
	lock_release(&mheap.lock);
	return nbytes;
}

/* Returns how many of the pages would begin to count. PAGE_NONE stands for new ones. */
static size_t need_locked(uint64_t page, size_t npages)
{
	if (page == PAGE_NONE)
		return npages;
	return npages - pagealloc_count_dirty(&mheap.pages, page, npages);
}

/* Returns the pages for a request, or PAGE_NONE. Where the lowest pages would cross the limit these
 * are dirty ones, if there are, because they count already. */
static uint64_t find_pages_locked(size_t npages, size_t align_pages)
{
	uint64_t page, dirty = PAGE_NONE;

	if (align_pages != 1)
		return pagealloc_find_aligned(&mheap.pages, npages, align_pages);
	page = pagealloc_find(&mheap.pages, npages);
	if (used_bytes_locked() + need_locked(page, npages) * PAGE_SIZE > limit_bytes())
		dirty = scavenge_find_locked(&mheap.scavenger, npages);
	return dirty != PAGE_NONE ? dirty : page;
}

/* Releases nbytes of free pages, or if there are none, records. Returns false in the second case,
 * after which there is nothing left. */
static bool release_locked(size_t nbytes, bool flushed)
{
	if (scavenge_locked(&mheap.scavenger, nbytes) != 0)
		return true;
	/* The flush has freed spans, and so records. */
	if (flushed) {
		lock_release(&mheap.lock);
		mheap_release_records();
		lock_acquire(&mheap.lock);
	}
	return false;
}

/* Does the work of admit_locked() where there is a limit. */
static enum limit_verdict admit_slow_locked(uint64_t *page, size_t npages, size_t align_pages,
					    enum effort effort)
{
	bool anywhere = *page == PAGE_NONE;
	bool nothing_left = false;
	struct limit_figures f = figures_locked(npages);
	struct limit_answer answer = limit_decide(&f);

	/* At most npages begin to count. Which they are matters near the limit only. */
	if (answer.verdict == LIMIT_ADMIT && answer.state == LIMIT_FAR) {
		limit_note(&answer, &f);
		return LIMIT_ADMIT;
	}
	for (;;) {
		if (anywhere)
			*page = find_pages_locked(npages, align_pages);
		f = figures_locked(need_locked(*page, npages));
		f.flushed = effort == EFFORT_AGAIN;
		f.nothing_left = nothing_left;
		answer = limit_decide(&f);
		if (effort == EFFORT_REUSE && answer.verdict != LIMIT_ADMIT)
			return LIMIT_REFUSE;
		limit_note(&answer, &f);
		if (answer.verdict != LIMIT_RELEASE)
			return answer.verdict;
		nothing_left = !release_locked(answer.nbytes, f.flushed);
	}
}

/* Decides whether the heap may take npages from *page on, or if *page is PAGE_NONE, from any
 * aligned page. In the second case *page becomes the first of the pages to take, if it matters.
 * Never returns LIMIT_RELEASE. The lock may be dropped meanwhile. */
static enum limit_verdict admit_locked(uint64_t *page, size_t npages, size_t align_pages,
				       enum effort effort)
{
	return LIKELY(limit_bytes() == 0) ? LIMIT_ADMIT
					  : admit_slow_locked(page, npages, align_pages, effort);
}

/* Returns true when the heap may take a page word that has no memory yet. */
static bool admit_word_locked(void)
{
	struct limit_figures f;
	struct limit_answer answer;

	if (LIKELY(limit_bytes() == 0))
		return true;
	f = figures_locked(PCACHE_PAGES);
	answer = limit_decide(&f);
	if (answer.verdict == LIMIT_ADMIT)
		limit_note(&answer, &f);
	return answer.verdict == LIMIT_ADMIT;
}

/* --- pages --- */

static bool note_taken_locked(uint64_t page, size_t npages, size_t nclean)
{
	return scavenge_note_taken_locked(&mheap.scavenger, page, npages, nclean, limit_decay_ms());
}

/* What a request for pages is for. */
struct wanted {
	size_t npages, align_pages;
	enum effort effort;
	struct dirty_runs *dirty;      /* NULL, or where to put which of the pages are dirty */
	bool small;                    /* for small objects; parts of big ones stay untouched */
};

static bool take_at_locked(const struct wanted *w, uint64_t page, size_t *nclean)
{
	if (page == PAGE_NONE)
		return false;
	if (w->dirty != NULL)
		dirty_runs_find(w->dirty, &mheap.pages, page, w->npages);
	return pagealloc_alloc_at(&mheap.pages, page, w->npages, nclean);
}

static uint64_t take_pages_locked(const struct wanted *w, size_t *nclean)
{
	uint64_t page;

	if (w->align_pages == 1 && w->dirty == NULL)
		return pagealloc_alloc(&mheap.pages, w->npages, nclean);
	page = w->align_pages == 1 ?
		       pagealloc_find(&mheap.pages, w->npages) :
		       pagealloc_find_aligned(&mheap.pages, w->npages, w->align_pages);
	return take_at_locked(w, page, nclean) ? page : PAGE_NONE;
}

static uint64_t alloc_pages_locked(const struct wanted *w, size_t *nclean)
{
	uint64_t page = PAGE_NONE;

	DCHECK(lock_held(&mheap.lock));
	if (admit_locked(&page, w->npages, w->align_pages, w->effort) != LIMIT_ADMIT)
		return PAGE_NONE;
	if (!take_at_locked(w, page, nclean))
		page = take_pages_locked(w, nclean);
	/* Twice, because the first growth may lie across two arenas that are no neighbours in
	 * number. A run that is longer by all but one page of the alignment has an aligned one. */
	for (int i = 0; i < 2 && w->effort != EFFORT_REUSE && page == PAGE_NONE &&
			growth_extend_locked(&mheap.growth, w->npages + w->align_pages - 1, false);
	     i++)
		page = take_pages_locked(w, nclean);
	/* That a huge object begins clean is no sign of too much being released. In a forked child
	 * whose heap was rebuilt meanwhile the pages are free again. */
	if (page != PAGE_NONE &&
	    !note_taken_locked(page, w->npages, w->npages < HUGE_PAGES ? *nclean : 0) &&
	    !take_at_locked(w, page, nclean))
		page = PAGE_NONE;
	return page;
}

static void free_pages_locked(uintptr_t addr, size_t npages, bool clean)
{
	uint64_t page = pagealloc_page(arena_of(addr), addr);
	uint64_t last = page + npages - 1;

	pagealloc_free(&mheap.pages, page, npages, clean);
	if (clean)
		return;
	for (uint64_t chunk = page / CHUNK_PAGES; chunk <= last / CHUNK_PAGES; chunk++)
		scavenge_note_free_locked(&mheap.scavenger, chunk);
}

/* Ends a change that has made pages free. Releases some if there are too many, and if many are not
 * taken again, the records of the spans that they were. */
static void unlock_and_release_excess(void)
{
	bool many = scavenge_excess_locked(&mheap.scavenger, limit_decay_ms()) &&
		    mheap.scavenger.excess.released >= RECORDS_AFTER_PAGES;
	lock_release(&mheap.lock);
	if (many)
		mheap_release_records();
}

/* --- pages, through the page word of a thread --- */

/* Gives the pages that are left in the word back to the heap. */
static void return_word_locked(struct pcache *pc)
{
	if (pc->free == 0)
		return;
	pagealloc_free_word(&mheap.pages, pc->page, pc->free, pc->clean);
	if (pc->free != pc->clean)
		scavenge_note_free_locked(&mheap.scavenger, pc->page / CHUNK_PAGES);
	pc->free = 0;
}

/* Returns true, and marks the region, when the word that was just taken is whole and the first of
 * its region that is used, and the thread is one that takes many. */
static bool begin_huge_region_locked(const struct pcache *pc)
{
	return growth_wants_huge_locked(&mheap.growth) && pc->nwords >= THP_MIN_WORDS &&
	       pc->clean == ~(uint64_t)0 &&
	       hugetrial_begin(&mheap.trial, pagealloc_arena(&mheap.pages, pc->page),
			       (unsigned)(pc->page % ARENA_PAGES / 64));
}

static void touch_huge_region(const struct pcache *pc)
{
	bool slow = hugetrial_touch(pc->base);

	lock_acquire(&mheap.lock);
	hugetrial_note(&mheap.trial, slow);
	lock_release(&mheap.lock);
}

/* Takes a group of the word of pages that pagealloc_alloc_word() finds for a run of npages. If no
 * run is free the heap grows, unless effort forbids it. Returns false as that function does. */
static bool take_word_locked(struct pcache *pc, unsigned npages, enum effort effort)
{
	uint64_t others, clean;

	if (!pagealloc_alloc_word(&mheap.pages, npages, &pc->page, &pc->free, &pc->clean) &&
	    !(pc->page == PAGE_NONE && effort != EFFORT_REUSE &&
	      growth_extend_locked(&mheap.growth, npages, false) &&
	      pagealloc_alloc_word(&mheap.pages, npages, &pc->page, &pc->free, &pc->clean)))
		return false;
	clean = pc->clean;
	others = pcache_choose_group(pc, npages);
	pagealloc_free_word(&mheap.pages, pc->page, others, clean & others);
	return true;
}

/* Takes the first group of a thread. A random number of groups are passed over and stay free, so
 * that no address of one thread's objects tells those of another. If no group is left behind them,
 * one of them is taken. The first thread begins at the heap's own random place. */
static bool take_first_word_locked(struct pcache *pc, unsigned npages, enum effort effort)
{
	struct pcache passed[FIRST_WORD_GAP];
	size_t wanted = mheap.pages.ntotal == 0 ? 0 : os_random() % (FIRST_WORD_GAP + 1), n = 0;
	bool ok;

	while (n < wanted) {
		passed[n] = (struct pcache){ .next = PCACHE_FIRST };
		if (!take_word_locked(&passed[n], npages, effort))
			break;
		n++;
	}
	ok = take_word_locked(pc, npages, effort);
	while (n > 0)
		return_word_locked(&passed[--n]);
	return ok || take_word_locked(pc, npages, effort);
}

/* Exchanges the group for another with a run of npages in it. Returns false when the heap has no
 * such run, or no room for a word below the limit. EFFORT_REUSE may succeed with more effort. */
static bool refill_word(struct pcache *pc, const struct wanted *w)
{
	unsigned npages = (unsigned)w->npages;
	bool huge = false, ok;

	lock_acquire(&mheap.lock);
	return_word_locked(pc);
	ok = admit_word_locked() &&
	     (pc->next != 0 ? take_word_locked(pc, npages, w->effort)
			    : take_first_word_locked(pc, npages, w->effort));
	if (ok) {
		(void)note_taken_locked(pc->page + ctz64(pc->group), popcount64(pc->group),
					popcount64(pc->clean));
		pc->base = pagealloc_addr(&mheap.pages, pc->page);
		huge = w->small && begin_huge_region_locked(pc);
	} else {
		(w->effort == EFFORT_REUSE ? pcache_clear_word : pcache_clear)(pc);
	}
	lock_release(&mheap.lock);
	if (huge)
		touch_huge_region(pc);
	return ok;
}

/* Returns the address of a short run from the word, or 0. A word is not exchanged for an aligned
 * run, because the next word may have none either. */
static uintptr_t alloc_from_word(struct pcache *pc, const struct wanted *w, bool *zeroed)
{
	unsigned npages = (unsigned)w->npages;
	uintptr_t addr = pcache_take(pc, npages, w->align_pages, zeroed);

	if (addr == 0 && w->align_pages == 1 && refill_word(pc, w))
		addr = pcache_take(pc, npages, 1, zeroed);
	if (w->dirty != NULL)
		dirty_runs_all(w->dirty, npages);
	return addr;
}

void mheap_flush_pcache(struct pcache *pc)
{
	if (pc->base == 0)
		return;
	lock_acquire(&mheap.lock);
	return_word_locked(pc);
	unlock_and_release_excess();
	pcache_clear(pc);
}

/* Returns the address of the pages, or 0. *zeroed tells whether they read as zero. */
static uintptr_t alloc_pages(struct pcache *pc, const struct wanted *w, bool *zeroed)
{
	uintptr_t addr = 0;
	size_t nclean;
	uint64_t page;

	if (pc != NULL && w->npages <= PCACHE_MAX_RUN)
		addr = alloc_from_word(pc, w, zeroed);
	if (addr != 0)
		return addr;
	lock_acquire(&mheap.lock);
	page = alloc_pages_locked(w, &nclean);
	if (page != PAGE_NONE)
		addr = pagealloc_addr(&mheap.pages, page);
	lock_release(&mheap.lock);
	*zeroed = page != PAGE_NONE && nclean == w->npages;
	return addr;
}

/* Frees pages that have left their span when mheap.pages.rebuilds was `rebuilds`. A rebuilt heap
 * has counted every page that is in no span as free already. */
static void free_pages(struct pcache *pc, uintptr_t addr, size_t npages, bool clean,
		       uint32_t rebuilds)
{
	if (mheap.pages.rebuilds != rebuilds ||
	    (!clean && pc != NULL && pcache_put(pc, addr, npages)))
		return;
	lock_acquire(&mheap.lock);
	if (mheap.pages.rebuilds == rebuilds)
		free_pages_locked(addr, npages, clean);
	unlock_and_release_excess();
}

/* --- spans --- */

static struct mspan *alloc_record(unsigned shape)
{
	bool fresh;
	struct mspan *s = fixalloc_alloc(&mheap.span_pools[shape], &fresh);

	if (s != NULL && fresh)
		mspan_init_record(s, shape);
	return s;
}

/* Takes an empty span whose pages are guarded, or returns NULL. Such spans are kept for the next
 * object of size 0, so that no page is guarded twice. */
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

/* Gives the pages new memory, in one mapping with their neighbours. Returns false when the system
 * refuses, or when the pages share a kernel page with others. */
static bool remap_pages(uintptr_t addr, size_t npages)
{
	if (!os_is_whole_pages((void *)addr, npages * PAGE_SIZE))
		return false;
	(void)os_drop((void *)addr, npages * PAGE_SIZE);
	return os_remap((void *)addr, npages * PAGE_SIZE);
}

/* Frees the record of a request that got no pages. If the request began a slab for it, the slab
 * would count against the limit that refused the request. */
static void free_unused_record(struct mspan *s, enum effort effort)
{
	struct fixalloc *pool = &mheap.span_pools[s->shape];

	fixalloc_free(pool, s);
	if (options.hard && effort == EFFORT_AGAIN)
		fixalloc_release(pool);
}

struct mspan *mheap_alloc_small(struct pcache *pc, spanclass_t sc, size_t npages,
				enum effort effort)
{
	struct mspan *s = sc == SPANCLASS_ZERO ? take_guarded() : NULL;
	uintptr_t addr;
	bool zeroed;

	if (s != NULL)
		return s;
	s = alloc_record(mspan_shape(sc, spanclass_nelems(sc, npages)));
	if (s == NULL)
		return NULL;
	addr = alloc_pages(pc, &(struct wanted){ npages, 1, effort, NULL, true }, &zeroed);
	if (addr == 0) {
		free_unused_record(s, effort);
		return NULL;
	}
	mspan_init_small(s, addr, sc, npages, zeroed && sc != SPANCLASS_ZERO);
	pagemap_map_span(s);
	/* After the map, because a child forked in between would take guarded pages without a span
	 * for free ones. Where the system refuses, or has larger pages, the objects can be
	 * touched, which does others no harm. */
	if (sc == SPANCLASS_ZERO && os_is_whole_pages((void *)addr, npages * PAGE_SIZE))
		(void)os_guard((void *)addr, npages * PAGE_SIZE);
	return s;
}

static struct mspan *alloc_big(struct pcache *pc, const struct wanted *w, enum scan scan)
{
	struct mspan *s = alloc_record(SPAN_SHAPE_BIG);
	uintptr_t addr = 0;
	bool zeroed;

	if (s == NULL)
		return NULL;
	if (w->npages <= UINT32_MAX)
		addr = alloc_pages(pc, w, &zeroed);
	if (addr == 0) {
		free_unused_record(s, w->effort);
		return NULL;
	}
	mspan_init_big(s, addr, w->npages, scan, zeroed);
	pagemap_clear(addr + PAGE_SIZE, w->npages - 1);
	pagemap_map_span(s);
	return s;
}

struct mspan *mheap_alloc_big(struct pcache *pc, size_t npages, size_t align_pages, enum scan scan,
			      enum effort effort)
{
	struct wanted w = { npages, align_pages, effort, NULL, false };

	return alloc_big(pc, &w, scan);
}

/* Takes the wish for huge pages from all regions that have a page of these. Memory is given back
 * after that, because the kernel would make a region whole again of which a part is given back, and
 * of which a page is touched. */
static void end_huge_regions(uintptr_t addr, size_t npages)
{
	uintptr_t end = addr + npages * PAGE_SIZE;

	for (uintptr_t a = align_down(addr, REGION_SIZE); a < end; a += REGION_SIZE)
		scavenge_end_huge_region(&mheap.scavenger, a);
}

struct mspan *mheap_alloc_zeroed(struct pcache *pc, size_t npages, size_t align_pages,
				 enum scan scan, enum effort effort)
{
	struct dirty_runs dirty;
	struct wanted w = { npages, align_pages, effort, &dirty, false };
	struct mspan *s = alloc_big(pc, &w, scan);

	if (s != NULL && !s->zeroed) {
		if (npages >= HUGE_PAGES)
			end_huge_regions(s->base, npages);
		dirty_runs_clear(&dirty, s->base, npages);
		s->zeroed = true;
	}
	return s;
}

static void free_span(struct pcache *pc, struct mspan *s, bool clean)
{
	uintptr_t base = s->base;
	size_t npages = s->npages;
	uint32_t rebuilds = mheap.pages.rebuilds;

	if (s->kind != SPAN_BIG)
		mspan_begin_use(s);
	/* First, because a child forked while the map changes leaves a span without owner alone. */
	mspan_set_owner(s, 0);
	pagemap_unmap_span(s);
	s->kind = SPAN_DEAD;
	fixalloc_free(&mheap.span_pools[s->shape], s);
	free_pages(pc, base, npages, clean, rebuilds);
}

/* Gives memory of pages of a big span back that are to be freed, if that is to be done at once:
 * pages that were moved become one mapping with their neighbours again. Returns true if the pages
 * are clean afterwards. */
static bool clean_pages(const struct mspan *s, uintptr_t addr, size_t npages)
{
	if (s->moved)
		return remap_pages(addr, npages);
	if (npages < HUGE_PAGES || !os_is_whole_pages((void *)addr, npages * PAGE_SIZE))
		return false;
	end_huge_regions(addr, npages);
	return os_drop((void *)addr, npages * PAGE_SIZE);
}

void mheap_free_span(struct pcache *pc, struct mspan *s)
{
	if (s->spanclass == SPANCLASS_ZERO)
		keep_guarded(s);
	else
		free_span(pc, s, s->kind == SPAN_BIG && clean_pages(s, s->base, s->npages));
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

/* Returns true when no page from end to the end of the heap is in use. */
static bool is_last_locked(uintptr_t end)
{
	return end + growth_tail_locked(&mheap.growth) * PAGE_SIZE == mheap.growth.space.next;
}

static void shrink_big(struct pcache *pc, struct mspan *s, size_t npages)
{
	uintptr_t cut = s->base + npages * PAGE_SIZE;
	size_t less = s->npages - npages;
	bool clean = clean_pages(s, cut, less);
	uint32_t rebuilds = mheap.pages.rebuilds;

	s->npages = (uint32_t)npages;
	/* A child forked here does not find the pages in the span and free. */
	order_stores();
	free_pages(pc, cut, less, clean, rebuilds);
}

/* Takes the pages [page, page + npages), which begin at addr and lie behind a big object. */
static enum resize take_behind_locked(uintptr_t addr, uint64_t page, size_t npages,
				      enum effort effort)
{
	enum limit_verdict verdict;
	bool is_free = pagealloc_is_free(&mheap.pages, page, npages);
	size_t nclean;

	/* Before the limit is asked, so that nothing is released where there is no room anyway. */
	if (!is_free && !is_last_locked(addr))
		return RESIZE_NO;
	verdict = admit_locked(&page, npages, 1, effort);
	if (verdict != LIMIT_ADMIT)
		return verdict == LIMIT_FLUSH ? RESIZE_FLUSH : RESIZE_NO;
	/* The last object of the heap grows with it. */
	if (!pagealloc_alloc_at(&mheap.pages, page, npages, &nclean) &&
	    !(is_last_locked(addr) && growth_extend_locked(&mheap.growth, npages, true) &&
	      pagealloc_alloc_at(&mheap.pages, page, npages, &nclean)))
		return RESIZE_NO;
	scavenge_note_reached_locked(&mheap.scavenger, page + npages);
	return RESIZE_DONE;
}

static enum resize lengthen_big(struct mspan *s, size_t npages, enum effort effort)
{
	uintptr_t end = s->base + mspan_nbytes(s);
	uint64_t page = pagealloc_page(arena_of(s->base), s->base) + s->npages;
	size_t more = npages - s->npages;
	enum resize result;

	lock_acquire(&mheap.lock);
	result = take_behind_locked(end, page, more, effort);
	if (result == RESIZE_DONE) {
		pagemap_clear(end, more);
		s->npages = (uint32_t)npages;
	}
	lock_release(&mheap.lock);
	return result;
}

/* Makes a big span longer by pages of the page word, without a lock. */
static bool lengthen_from_word(struct pcache *pc, struct mspan *s, size_t npages)
{
	uintptr_t end = s->base + mspan_nbytes(s);

	if (pc == NULL || npages <= s->npages || !pcache_take_at(pc, end, npages - s->npages))
		return false;
	pagemap_clear(end, npages - s->npages);
	s->npages = (uint32_t)npages;
	return true;
}

enum resize mheap_resize_big(struct pcache *pc, struct mspan *s, size_t npages,
			     enum effort effort)
{
	if (npages > UINT32_MAX)
		return RESIZE_NO;
	if (npages < s->npages) {
		shrink_big(pc, s, npages);
		return RESIZE_DONE;
	}
	return lengthen_from_word(pc, s, npages) ? RESIZE_DONE : lengthen_big(s, npages, effort);
}

void mheap_each_span(void (*visit)(struct mspan *s, void *arg), void *arg)
{
	uint32_t narenas;

	lock_acquire(&mheap.lock);
	narenas = mheap.pages.narenas;
	lock_release(&mheap.lock);
	pagemap_each_span(&mheap.pages, narenas, visit, arg);
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

/* Marks every page that is committed as free and dirty. Which pages are clean is not known any
 * more. */
static void free_all_pages(struct heap_arena *ha)
{
	for (unsigned w = 0; w < ARENA_PAGES / 64; w++) {
		bool committed = (ha->committed_words[w / 64] >> w % 64 & 1) != 0;

		ha->clean_bits[w] = 0;
		ha->alloc_bits[w] = committed ? 0 : ~(uint64_t)0;
	}
}

bool mheap_after_fork(void)
{
	bool was_held = lock_reset_orphan(&mheap.lock);

	fixalloc_after_fork();
	mheap.forked = true;
	scavenge_after_fork(&mheap.scavenger);
	if (!was_held || mheap.growth.space.next == 0)
		return false;
	for (uint32_t i = 0; i < mheap.pages.narenas; i++)
		if (mheap.pages.arenas[i] != NULL)
			free_all_pages(mheap.pages.arenas[i]);
	pagemap_each_span(&mheap.pages, mheap.pages.narenas, mark_span_in_use, NULL);
	pagealloc_rebuild(&mheap.pages);
	scavenge_rebuild(&mheap.scavenger);
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
