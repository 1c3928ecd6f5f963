/* SPDX-License-Identifier: MIT */
/*
 * mark.c - finds the objects that words lead to: arena table, page map, slot by one multiplication,
 * state byte.
 *
 * A word counts if it points anywhere into an object, and only objects in scan spans are searched,
 * as in Go's collector. The state byte and the object are fetched when a word is found, and looked
 * at MARK_AHEAD words later.
 *
 * Owns     the marks in state bytes, and the page map entries that it adds for all pages of big
 *          objects. Both are in a snapshot, whose heap is not used again.
 * Locks    none. A lock that a stopped thread holds in the snapshot is reset.
 * Holds    the heap is as its threads were stopped, so a span may be half in the page map. What a
 *          record says is checked against the arenas before it is used.
 */
#include "tools/mark.h"
#include "os/os.h"

/* Bits of an entry of /proc/self/pagemap. */
#define PAGEMAP_PRESENT ((uint64_t)1 << 63)
#define PAGEMAP_SWAPPED ((uint64_t)1 << 62)
#define PAGEMAP_FILE ((uint64_t)1 << 61)
#define PAGEMAP_ENTRIES 128

/* Runs of pages that are asked for at a time, in the place of the entries. */
#define PAGE_RUNS (PAGEMAP_ENTRIES / 3)

/* Objects from this size on may have pages without memory. Those pages are not touched. */
#define SPARSE_SIZE MiB(1)

/* Bytes that are fetched of an object whose turn is near. */
#define FETCH_AHEAD 256

/* --- the stack of memory to be searched --- */

static bool push_part(struct mark_stack *s)
{
	struct mark_part *part = s->spare != NULL ? s->spare : os_alloc_metadata(sizeof(*part));

	s->spare = NULL;
	if (part == NULL)
		return false;
	part->below = s->part;
	s->part = part;
	s->len = 0;
	return true;
}

static bool push(struct mark_stack *s, uintptr_t base, size_t nbytes)
{
	if (s->len == MARK_PART && !push_part(s))
		return false;
	s->part->at[s->len++] = (struct mark_range){ base, nbytes };
	return true;
}

static bool pop(struct mark_stack *s, struct mark_range *r)
{
	if (s->len == 0) {
		struct mark_part *empty = s->part;

		if (empty->below == NULL)
			return false;
		s->part = empty->below;
		s->len = MARK_PART;
		/* A second spare part is lost, but the process ends soon. */
		s->spare = empty;
	}
	*r = s->part->at[--s->len];
	return true;
}

/* --- objects --- */

static void push_to_search(struct mark *m, uintptr_t base, size_t nbytes)
{
	if (UNLIKELY(!push(&m->stack, base, nbytes)))
		m->failed = true;
}

/* Marks the object if it is live and was not found before. It will be searched if it may hold
 * addresses. */
static void mark_candidate(struct mark *m, const struct mark_candidate *c)
{
	uint8_t state = slot_state(c->state);

	if (state == SLOT_FREE || state == SLOT_DEAD || (state & MARK_BITS) != m->before ||
	    c->state == m->leader)
		return;
	slot_set(c->state, state ^ m->before ^ m->after);
	if (LIKELY(c->span == NULL)) {
		if (spanclass_scan(c->spanclass) == SCAN)
			push_to_search(m, c->base, spanclass_info(c->spanclass)->elemsize);
	} else if (spanclass_scan(c->span->spanclass) == SCAN) {
		push_to_search(m, c->base, mspan_nbytes(c->span));
	}
}

static void add_candidate(struct mark *m, struct mark_candidate c)
{
	prefetch((const void *)c.state);
	if (spanclass_scan(c.spanclass) == SCAN)
		prefetch((const void *)c.base);
	if (m->candidate_in - m->candidate_out == MARK_AHEAD)
		mark_candidate(m, &m->candidates[m->candidate_out++ % MARK_AHEAD]);
	m->candidates[m->candidate_in++ % MARK_AHEAD] = c;
}

/* The bits of a tiny object's state that have its size. */
#define TINY_SIZES (2 * TINY_SIZE - 1)
_Static_assert(((SLOT_IGNORED | MARK_BITS) & TINY_SIZES) == 0, "a flag is no part of the size");

/* Returns the state byte of the tiny object that contains addr, or NULL. */
static _Atomic uint8_t *tiny_object_at(struct mspan *s, uintptr_t addr, uintptr_t *base)
{
	uintptr_t block = align_down(addr, TINY_SIZE);

	if (addr - s->base >= (size_t)s->nelems * TINY_SIZE)
		return NULL;
	for (uintptr_t start = addr;; start--) {
		_Atomic uint8_t *state = &s->state[start - s->base];
		uint8_t size = slot_state(state);

		if (size == TINY_PIN)
			return NULL;
		if (size != SLOT_FREE) {
			*base = start;
			return (size & TINY_SIZES) > addr - start ? state : NULL;
		}
		if (start == block)
			return NULL;
	}
}

/* Finds the object of a span that is not cut into slots. */
static SLOW_PATH bool find_uncut(struct mspan *s, uintptr_t addr, struct mark_candidate *c)
{
	c->span = NULL;
	c->spanclass = s->spanclass;
	if (s->kind == SPAN_TINY) {
		c->state = tiny_object_at(s, addr, &c->base);
		return c->state != NULL;
	}
	c->state = &s->state[0];
	c->base = s->base;
	c->span = s;
	return s->kind == SPAN_BIG;
}

/* Finds the slot, the big object or the tiny object that the word points into. */
FAST_PATH bool find_candidate(const struct mark *m, uintptr_t word, struct mark_candidate *c)
{
	uint64_t entry, offset;
	uint32_t slot;

	if (LIKELY(word - m->low >= m->span))
		return false;
	entry = entry_of_any(word);
	if (entry == 0)
		return false;
	c->spanclass = entry_spanclass(entry);
	if (UNLIKELY(sizeclass_divmul[c->spanclass] == 0))
		return find_uncut(entry_span(entry), word, c);
	offset = ((entry >> 8 & 0xff) << PAGE_SHIFT) + word % PAGE_SIZE;
	slot = (uint32_t)(offset * sizeclass_divmul[c->spanclass] >> 32);
	c->state = &entry_span(entry)->state[slot];
	c->base = word - offset + (size_t)slot * spanclass_info(c->spanclass)->elemsize;
	c->span = NULL;
	return true;
}

static void search(struct mark *m, uintptr_t from, uintptr_t to)
{
	struct mark_candidate c;

	for (const uintptr_t *p = (const uintptr_t *)from; p < (const uintptr_t *)to; p++)
		if (find_candidate(m, *p, &c))
			add_candidate(m, c);
}

static void search_present(uintptr_t from, uintptr_t to, void *arg)
{
	search(arg, from, to);
}

static void search_range(struct mark *m, const struct mark_range *r)
{
	if (r->nbytes >= SPARSE_SIZE)
		mark_each_present(m->pagemap, r->base, r->base + r->nbytes, search_present, m);
	else
		search(m, r->base, r->base + r->nbytes);
}

/* Takes ranges from the stack and fetches their beginnings. */
static void fetch_ranges(struct mark *m)
{
	struct mark_range r;

	while (m->range_in - m->range_out < MARK_AHEAD && pop(&m->stack, &r)) {
		for (size_t at = 0; at < min_size(r.nbytes, FETCH_AHEAD); at += CACHE_LINE)
			prefetch((const void *)(r.base + at));
		m->ranges[m->range_in++ % MARK_AHEAD] = r;
	}
}

static void drain(struct mark *m)
{
	for (;;) {
		fetch_ranges(m);
		if (m->range_in != m->range_out) {
			struct mark_range r = m->ranges[m->range_out++ % MARK_AHEAD];

			search_range(m, &r);
		} else if (m->candidate_in != m->candidate_out) {
			mark_candidate(m, &m->candidates[m->candidate_out++ % MARK_AHEAD]);
		} else {
			return;
		}
	}
}

void mark_roots(struct mark *m, uintptr_t from, uintptr_t to)
{
	search(m, from, to);
	drain(m);
}

/* --- memory --- */

/* Visits what the kernel finds. Returns from where on it did not tell: `end` if it told all. `runs`
 * is a place for PAGE_RUNS. */
static uintptr_t visit_found(int pagemap, uintptr_t addr, uintptr_t end, struct os_page_run *runs,
			     void (*visit)(uintptr_t from, uintptr_t to, void *arg), void *arg)
{
	while (addr < end) {
		uintptr_t before = addr;
		long n = os_find_pages(pagemap, &addr, end, runs, PAGE_RUNS);

		for (long i = 0; i < n; i++)
			visit(runs[i].start, min_size(runs[i].end, end), arg);
		if (addr == before)
			return before;
	}
	return end;
}

/* Visits the pages of at most PAGEMAP_ENTRIES entries. */
static void visit_entries(const uint64_t *entries, uintptr_t addr, uintptr_t stop,
			  void (*visit)(uintptr_t from, uintptr_t to, void *arg), void *arg)
{
	size_t page = os_page_size();
	uintptr_t first = addr;

	for (size_t i = 0; addr < stop; i++, addr += page) {
		/* A page that belongs to a file was never written to. */
		if ((entries[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) != 0 &&
		    (entries[i] & PAGEMAP_FILE) == 0)
			continue;
		if (first < addr)
			visit(first, addr, arg);
		first = addr + page;
	}
	if (first < stop)
		visit(first, stop, arg);
}

void mark_each_present(int pagemap, uintptr_t addr, uintptr_t end,
		       void (*visit)(uintptr_t from, uintptr_t to, void *arg), void *arg)
{
	size_t page = os_page_size();
	union {
		uint64_t entries[PAGEMAP_ENTRIES];
		struct os_page_run runs[PAGE_RUNS];
	} u;

	/* The rest of a kernel page that is larger than our pages. */
	if (addr % page != 0 && addr < end) {
		uintptr_t stop = min_size(end, align_up(addr, page));

		visit(addr, stop, arg);
		addr = stop;
	}
	if (pagemap >= 0)
		addr = visit_found(pagemap, addr, end, u.runs, visit, arg);
	while (addr < end) {
		size_t n = min_size((end - addr + page - 1) / page, PAGEMAP_ENTRIES);
		uintptr_t stop = min_size(end, addr + n * page);

		if (pagemap < 0 || os_read_at(pagemap, u.entries, n * sizeof(u.entries[0]),
					      addr / page * sizeof(u.entries[0])) !=
					   (long)(n * sizeof(u.entries[0])))
			visit(addr, stop, arg);
		else
			visit_entries(u.entries, addr, stop, visit, arg);
		addr = stop;
	}
}

/* --- the heap as it is found --- */

static void each_arena(struct mark *m, void (*visit)(struct mark *m, struct heap_arena *ha))
{
	for (uint32_t i = 0; i < mheap.pages.narenas && i < MAX_ARENAS; i++)
		if (mheap.pages.arenas[i] != NULL)
			visit(m, mheap.pages.arenas[i]);
}

static void add_bounds(struct mark *m, struct heap_arena *ha)
{
	uintptr_t end = max_size(m->low + m->span, ha->base + ARENA_SIZE);

	m->low = m->span == 0 ? ha->base : min_size(m->low, ha->base);
	m->span = end - m->low;
}

/* Makes every page of a big object lead to it, as far as it lies in arenas. */
static void fill_page_map(struct mspan *s, void *arg)
{
	(void)arg;
	if (s->kind != SPAN_BIG)
		return;
	for (size_t i = 1; i < s->npages; i++) {
		uintptr_t addr = s->base + i * PAGE_SIZE;
		const struct heap_arena *ha = arena_of(addr);

		if (ha == NULL)
			return;
		/* Relaxed: there is no other thread. */
		atomic_store_explicit(entry_in_arena(ha, addr), (uint64_t)(uintptr_t)s << 16,
				      memory_order_relaxed);
	}
}

bool mark_start(struct mark *m)
{
	*m = (struct mark){ .pagemap = os_open_read("/proc/self/pagemap"),
			    .before = MARK_NONE,
			    .after = MARK_REACHED };
	(void)lock_reset_orphan(&mheap.lock);
	each_arena(m, add_bounds);
	mheap_each_span(fill_page_map, NULL);
	return push_part(&m->stack) && push_part(&m->leaders);
}

/* --- what is lost --- */

struct visit_lost {
	void (*visit)(const struct mark_object *o, bool direct, void *arg);
	void *arg;
	struct mark_counts *counts;
};

static void visit_object(const struct mark_object *o, const struct visit_lost *v)
{
	v->counts->nlive++;
	v->counts->live_bytes += o->nbytes;
	if (mark_of(o->state) == MARK_REACHED)
		return;
	v->counts->nlost++;
	v->counts->lost_bytes += o->nbytes;
	v->visit(o, mark_of(o->state) != MARK_INDIRECT, v->arg);
}

static void visit_tiny(struct mspan *s, const struct visit_lost *v)
{
	for (size_t i = 0; i < (size_t)s->nelems * TINY_SIZE; i++) {
		uint8_t state = slot_state(&s->state[i]);
		struct mark_object o = { s->base + i, state & TINY_SIZES, &s->state[i],
					 s->spanclass };

		if (state != SLOT_FREE && state != TINY_PIN)
			visit_object(&o, v);
	}
}

static void visit_span(struct mspan *s, void *arg)
{
	const struct visit_lost *v = arg;
	size_t nbytes = s->kind == SPAN_BIG                 ? mspan_nbytes(s)
			: s->spanclass == SPANCLASS_ZERO ? 0
							    : s->elemsize;

	if (s->kind == SPAN_TINY) {
		visit_tiny(s, v);
		return;
	}
	for (uint32_t i = 0; i < s->nelems; i++) {
		struct mark_object o = { s->base + (size_t)i * s->elemsize, nbytes, &s->state[i],
					 s->spanclass };

		if (slot_state(o.state) != SLOT_FREE && slot_state(o.state) != SLOT_DEAD)
			visit_object(&o, v);
	}
}

void mark_each_lost(void (*visit)(const struct mark_object *o, bool direct, void *arg), void *arg,
		    struct mark_counts *counts)
{
	struct visit_lost v = { visit, arg, counts };

	*counts = (struct mark_counts){ 0, 0, 0, 0 };
	mheap_each_span(visit_span, &v);
}

uint64_t mark_order(uintptr_t base)
{
	return (uint64_t)arena_of(base)->idx << ARENA_SHIFT | base % ARENA_SIZE;
}

void mark_object(struct mark *m, const struct mark_object *o)
{
	struct mark_candidate c;

	if (!find_candidate(m, o->base, &c))
		return;
	add_candidate(m, c);
	drain(m);
}

static void mark_if_ignored(const struct mark_object *o, bool direct, void *arg)
{
	(void)direct;
	if ((slot_state(o->state) & SLOT_IGNORED) != 0)
		mark_object(arg, o);
}

void mark_ignored(struct mark *m)
{
	struct mark_counts counts;

	mark_each_lost(mark_if_ignored, m, &counts);
}

/* --- direct and indirect --- */

/* Makes a lost object a leader if no object before it, by address, leads to it. */
static void follow(const struct mark_object *o, bool direct, void *arg)
{
	struct mark *m = arg;

	(void)direct;
	if (mark_of(o->state) != MARK_NONE)
		return;
	slot_set(o->state, slot_state(o->state) | MARK_FOLLOWED);
	if (spanclass_scan(o->spanclass) == NOSCAN)
		return;
	if (!push(&m->leaders, o->base, o->nbytes))
		m->failed = true;
	push_to_search(m, o->base, o->nbytes);
	drain(m);
}

/* A leader leads to objects that are not leaders, and perhaps to earlier leaders. So leaders are
 * searched from the last to the first. A leader that no search has found by its turn is at most in
 * a ring: it is direct, and all objects that it leads to are indirect. */
void mark_lost(struct mark *m)
{
	struct mark_counts counts;
	struct mark_candidate c;
	struct mark_range r;

	m->after = MARK_FOLLOWED;
	mark_each_lost(follow, m, &counts);
	m->before = MARK_FOLLOWED;
	m->after = MARK_INDIRECT;
	while (pop(&m->leaders, &r)) {
		if (!find_candidate(m, r.base, &c) || mark_of(c.state) == MARK_INDIRECT)
			continue;
		m->leader = c.state;
		push_to_search(m, r.base, r.nbytes);
		drain(m);
	}
}
