/* SPDX-License-Identifier: MIT */
/*
 * guard.c - objects between pages that cannot be touched: efence=1 and guardrate=N.
 * See malloc.c for the overview.
 *
 * A slot is some pages with a page that cannot be touched before and behind them. An object is at one end of its slot: at the
 * right one, where running over it is a fault at the first byte past the end that its alignment allows, or at the left one, where
 * running under it is. Its pages are open while it lives; the rest of them is filled, and looked at when it is freed. Then they are
 * closed, so that any use of it is a fault.
 *
 * With guardrate=N slots are used again, the one that was freed first before the others, and not before GUARD_QUARANTINE others of its
 * size were freed; with efence=1 and sbrk=1 never: an object has addresses that none had before.
 *
 * Where the kernel has fences (os_fence()) all slots are in one mapping. Elsewhere an open slot is a mapping of its own, and so there
 * are GUARD_MAPPED_MAX at most. Objects that are larger than GUARD_STEP are always like that.
 *
 * Owns     the address space of slots, their records, the map from pages to them.
 * Callers  malloc.c; fault.c; thread.c at start and after a fork; whoever counts or walks objects. Calls fixalloc.h, os.h, unwind.h,
 *          fault.h.
 * Locks    guard.lock (LOCK_GUARD) covers queues and new addresses. Pages are opened, filled and closed without it: they belong to who
 *          has the object.
 * Holds    a slot is in a queue, or has a live object, or is being made or freed by one thread. A page map entry is never taken back to
 *          NULL. Queues change so that a child forked in between finds them whole, or short of one slot.
 */
#include "safe/guard.h"
#include "os/fatal.h"
#include "safe/fault.h"
#include "heap/fixalloc.h"
#include "os/lock.h"
#include "os/os.h"
#include "heap/sizeclass.h"
#include "stack/unwind.h"

#include <elf.h>

/* What an open page has beside its object. Not 0: what runs over an end most often is a string's. */
#define GUARD_FILL 0xb5

/* With efence=1 one of so many objects is at the left end of its slot: what runs over is more common than what runs under. */
#define EFENCE_LEFT 8

/* Frames of ours on a stack, at most. */
#define OWN_FRAMES 8

/*
 * 16 MiB of the address space of slots.
 * Access: [c] constant once the table shows the record  [a] atomic  [g] guard lock
 */
struct region {
	uintptr_t start;                        /* [c] */
	uint32_t inuse;                         /* [g] slots that are not freed for ever and have a page in it */
	bool released;                          /* [g] there are none, and there will be none */
	bool whole;                             /* [c] one slot has all of it, and no other ever will */
	_Atomic(struct guarded *) slots[];      /* [a] by page, or one for all of it; NULL: no slot's */
};

/* Regions by address: the table of this has tables of those. Both are filled in with release and never changed. */
#define LEAF_SHIFT 12
#define LEAF_LEN ((size_t)1 << LEAF_SHIFT)
#define TOP_LEN ((size_t)1 << (ADDR_BITS - GUARD_REGION_SHIFT - LEAF_SHIFT))

struct leaf {
	_Atomic(struct region *) regions[LEAF_LEN];
};

/* Freed slots, first freed first. */
struct queue {
	struct guarded *first;
	struct guarded *last;      /* meaningless when there is no first */
	size_t n;
};

/* Access: [g] lock  [a] atomic  [c] constant after guard_init() */
static struct {
	struct lock lock;
	_Atomic(struct leaf *) top[TOP_LEN];    /* [a] */
	struct fixalloc records;                /* [c] own lock */
	struct fixalloc regions, whole_regions; /* [c] own lock */
	uintptr_t next;                         /* [g] first address without a slot */
	uintptr_t ready;                        /* [g] up to here addresses are committed and fenced */
	uintptr_t end;                          /* [g] of what is reserved */
	bool no_fences;                         /* [g] the kernel has none */
	uint64_t random;                        /* [g] state of the generator that chooses ends */
	struct queue freed[GUARD_SLOT_SIZES];   /* [g] the first alone when slots are not used again: records then */
	struct guarded forgotten;               /* [c] what is freed and has no record any more */
	uintptr_t own_code, own_code_end;       /* [c] of this library; none in a program linked with it */
	_Atomic size_t live, live_bytes, page_bytes, allocated, freed_count, refused, reserved;      /* [a] relaxed: figures */
	_Atomic size_t mapped;                  /* [a] relaxed: live objects with a mapping of their own; a bound */
} guard = { .lock = LOCK_INITIALIZER(LOCK_GUARD) };

static void count(_Atomic size_t *figure, size_t n)
{
	atomic_fetch_add_explicit(figure, n, memory_order_relaxed);
}

static void uncount(_Atomic size_t *figure, size_t n)
{
	atomic_fetch_sub_explicit(figure, n, memory_order_relaxed);
}

/* Addresses are used once. */
static bool always_fresh(void)
{
	return options.efence || options.sbrk;
}

static enum guarded_state state_of(const struct guarded *g)
{
	/* Acquire: what the record says of this state. Pairs with the releases in set_state() and claim_object(). */
	return (enum guarded_state)atomic_load_explicit(&g->state, memory_order_acquire);
}

static void set_state(struct guarded *g, enum guarded_state state)
{
	/* Release: as above. */
	atomic_store_explicit(&g->state, (uint32_t)state, memory_order_release);
}

/* --- chance --- */

/* xorshift64*; *state is not 0. */
static uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t seed(void)
{
	return (os_random() ^ lock_self()) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

/* --- from addresses to records --- */

static struct region *region_of(uintptr_t addr)
{
	struct leaf *leaf;

	if (addr >> ADDR_BITS != 0)
		return NULL;
	/* Acquire, both: the table, the record. Pairs with the releases in make_region(). */
	leaf = atomic_load_explicit(&guard.top[addr >> (GUARD_REGION_SHIFT + LEAF_SHIFT)], memory_order_acquire);
	if (leaf == NULL)
		return NULL;
	return atomic_load_explicit(&leaf->regions[(addr >> GUARD_REGION_SHIFT) % LEAF_LEN], memory_order_acquire);
}

bool guard_owns(uintptr_t addr)
{
	return region_of(addr) != NULL;
}

/* The number of an address's entry in slots. */
static size_t page_in_region(const struct region *r, uintptr_t addr)
{
	return r->whole ? 0 : (addr - r->start) / os_page_size();
}

/* The record of the slot that has the address; NULL. */
static struct guarded *slot_of(uintptr_t addr)
{
	struct region *r = region_of(addr);

	/* Acquire: the record. Pairs with the release in map_slot(). */
	return r == NULL ? NULL : atomic_load_explicit(&r->slots[page_in_region(r, addr)], memory_order_acquire);
}

static bool make_region(uintptr_t start, bool whole)
{
	_Atomic(struct leaf *) *top = &guard.top[start >> (GUARD_REGION_SHIFT + LEAF_SHIFT)];
	struct leaf *leaf = atomic_load_explicit(top, memory_order_relaxed);
	struct region *r;

	if (leaf == NULL) {
		leaf = os_alloc_metadata(align_up(sizeof(*leaf), os_page_size()));
		if (leaf == NULL)
			return false;
		/* Release: an empty table. Pairs with the acquire in region_of(). */
		atomic_store_explicit(top, leaf, memory_order_release);
	}
	r = fixalloc_alloc(whole ? &guard.whole_regions : &guard.regions, NULL);
	if (r == NULL)
		return false;
	r->start = start;
	r->whole = whole;
	/* Release: the same for the record. */
	atomic_store_explicit(&leaf->regions[(start >> GUARD_REGION_SHIFT) % LEAF_LEN], r, memory_order_release);
	return true;
}

/* Sees to it that all addresses of a range are known to be ours, of which a slot has [start, slot_end). */
static bool make_regions(uintptr_t start, uintptr_t slot_end, uintptr_t end)
{
	for (uintptr_t at = align_down(start, GUARD_REGION); at < end; at += GUARD_REGION)
		if (region_of(at) == NULL && !make_region(at, start <= at && at + GUARD_REGION <= slot_end))
			return false;
	return true;
}

/* All pages of the slot lead to g. */
static void map_slot(uintptr_t start, size_t nbytes, struct guarded *g)
{
	uintptr_t page = start;

	while (page < start + nbytes) {
		struct region *r = region_of(page);

		/* Release: the record. Pairs with the acquire in slot_of(). */
		atomic_store_explicit(&r->slots[page_in_region(r, page)], g, memory_order_release);
		page += r->whole ? GUARD_REGION : os_page_size();
	}
}

/* --- new addresses; with the lock held --- */

/* A new reservation for at least nbytes. What is left of the old one stays as it is, ours and without use. */
static bool reserve_locked(size_t nbytes)
{
	size_t wanted = align_up(max_size(nbytes, GUARD_RESERVE), GUARD_REGION);
	size_t least = align_up(nbytes, GUARD_REGION);
	uintptr_t addr, start;

	addr = (uintptr_t)os_reserve(NULL, wanted + GUARD_REGION);
	if (addr == 0) {
		wanted = least;
		addr = (uintptr_t)os_reserve(NULL, wanted + GUARD_REGION);
	}
	if (addr == 0)
		return false;
	start = align_up(addr, GUARD_REGION);
	if (start != addr)
		(void)os_unreserve((void *)addr, start - addr);
	(void)os_unreserve((void *)(start + wanted), addr + GUARD_REGION - start);
	os_dump((void *)start, wanted, false);
	count(&guard.reserved, wanted);
	guard.next = start + os_page_size();
	guard.ready = start;
	guard.end = start + wanted;
	return true;
}

/* A range is as it was reserved, one mapping with its neighbours. */
static bool close_for_good(uintptr_t start, size_t nbytes)
{
	if (!os_uncommit((void *)start, nbytes))
		return false;
	os_dump((void *)start, nbytes, false);
	return true;
}

/* Commits and fences up to the address at least. */
static bool make_ready_locked(uintptr_t up_to)
{
	while (guard.ready < up_to) {
		size_t nbytes = min_size(GUARD_STEP, guard.end - guard.ready);

		if (!os_commit((void *)guard.ready, nbytes))
			return false;
		os_dump((void *)guard.ready, nbytes, true);
		if (!os_fence((void *)guard.ready, nbytes)) {
			guard.no_fences = true;
			(void)close_for_good(guard.ready, nbytes);
			return false;
		}
		guard.ready += nbytes;
	}
	return true;
}

/* Commits a slot that is not fenced, so that records are made only for one that there is memory for. */
static bool commit_slot(uintptr_t start, size_t nbytes)
{
	if (atomic_load_explicit(&guard.mapped, memory_order_relaxed) >= GUARD_MAPPED_MAX || !os_commit((void *)start, nbytes))
		return false;
	os_dump((void *)start, nbytes, true);
	return true;
}

/* Where the slot begins that comes next, 0 if it does not fit in what is reserved. */
static uintptr_t next_start_locked(size_t nbytes, size_t align, bool fenced)
{
	size_t page = os_page_size();
	/* What is not to be fenced lies behind what is. */
	uintptr_t start = align_up(fenced ? guard.next : max_size(guard.next, guard.ready), max_size(align, page));

	return guard.end != 0 && start < guard.end && start + nbytes + page <= guard.end ? start : 0;
}

/* Addresses in what is reserved for a slot, with a page behind them; 0: none. A slot that is larger than a step is open then. */
static uintptr_t take_addresses_locked(uintptr_t start, size_t nbytes, bool *fenced)
{
	uintptr_t end = start + nbytes + os_page_size();
	bool large = nbytes > GUARD_STEP;

	if (large && !commit_slot(start, nbytes))
		return 0;
	if (!make_regions(start, start + nbytes, end)) {
		/* Some of these regions may be for a slot of this length alone: no other slot gets the addresses. */
		if (large && close_for_good(start, nbytes))
			guard.next = guard.ready = end;
		return 0;
	}
	if (*fenced && !make_ready_locked(end)) {
		*fenced = false;
		/* Here is no memory, or there are no fences: then the rest of the step is as it was. */
		if (!guard.no_fences || start < guard.ready)
			return 0;
	}
	guard.next = end;
	if (!*fenced)
		guard.ready = max_size(guard.ready, start + nbytes);
	return start;
}

/* Addresses for a slot, with a page behind them; 0: none. What was reserved for the slot is given back then. */
static uintptr_t fresh_addresses_locked(size_t nbytes, size_t align, bool *fenced)
{
	uintptr_t next = guard.next, ready = guard.ready, end = guard.end, reserved, start;

	*fenced = !guard.no_fences && nbytes <= GUARD_STEP;
	start = next_start_locked(nbytes, align, *fenced);
	if (start != 0)
		return take_addresses_locked(start, nbytes, fenced);
	if (!reserve_locked(nbytes + align + 2 * os_page_size()))
		return 0;
	reserved = guard.ready;
	start = take_addresses_locked(next_start_locked(nbytes, align, *fenced), nbytes, fenced);
	/* Unless a record leads to it. */
	if (start == 0 && guard.next == reserved + os_page_size() && region_of(reserved) == NULL &&
	    os_unreserve((void *)reserved, guard.end - reserved)) {
		uncount(&guard.reserved, guard.end - reserved);
		guard.next = next;
		guard.ready = ready;
		guard.end = end;
	}
	return start;
}

/* Regions all of whose slots are freed for ever, when there are to be no more, need no memory and no page tables. */
static void release_region_locked(struct region *r)
{
	uintptr_t end = r->start + GUARD_REGION, last = min_size(guard.next, guard.ready);

	if (r->inuse == 0 && !r->released && (end <= last || r->start >= guard.end))
		r->released = close_for_good(r->start, GUARD_REGION);
}

static void use_regions_locked(const struct guarded *g)
{
	uintptr_t first = align_down(g->start, GUARD_REGION);

	for (uintptr_t at = first; at < g->start + g->nbytes; at += GUARD_REGION)
		region_of(at)->inuse++;
	/* It is one of the first of a region: now there will be no more in the one before. */
	if (always_fresh() && g->start - first < 2 * GUARD_STEP && region_of(first - GUARD_REGION) != NULL)
		release_region_locked(region_of(first - GUARD_REGION));
}

/* The slot is freed for ever. */
static void leave_regions_locked(const struct guarded *g)
{
	for (uintptr_t at = align_down(g->start, GUARD_REGION); at < g->start + g->nbytes; at += GUARD_REGION) {
		region_of(at)->inuse--;
		release_region_locked(region_of(at));
	}
}

/* --- slots; with the lock held --- */

static void queue_push(struct queue *q, struct guarded *g)
{
	g->next = NULL;
	order_stores();
	if (q->first == NULL)
		q->first = g;
	else
		q->last->next = g;
	order_stores();
	q->last = g;
	q->n++;
}

static struct guarded *queue_pop(struct queue *q)
{
	struct guarded *g = q->first;

	if (g != NULL) {
		q->first = g->next;
		q->n--;
	}
	return g;
}

/* k, if 2^k pages are the least that have room; GUARD_SLOT_SIZES if that is too much. */
static unsigned slot_size_for(size_t nbytes)
{
	unsigned k = 0;

	while (k < GUARD_SLOT_SIZES && os_page_size() << k < nbytes)
		k++;
	return k;
}

/* Freed slots of a size that are kept from use. */
static size_t quarantine(unsigned k)
{
	return min_size(GUARD_QUARANTINE, GUARD_QUARANTINE_BYTES / (os_page_size() << k));
}

/* A record for a new slot: with efence=1 that of the object freed first, when there are many. */
static struct guarded *take_record_locked(void)
{
	struct guarded *g;

	if (!always_fresh() || guard.freed[0].n < GUARD_REMEMBERED)
		return fixalloc_alloc(&guard.records, NULL);
	g = queue_pop(&guard.freed[0]);
	map_slot(g->start, g->nbytes, &guard.forgotten);
	return g;
}

static struct guarded *fresh_slot_locked(size_t nbytes, size_t align, unsigned k)
{
	struct guarded *g = take_record_locked();

	if (g == NULL)
		return NULL;
	set_state(g, GUARDED_UNUSED);
	g->slot_size = (uint8_t)k;
	g->nbytes = nbytes;
	g->start = fresh_addresses_locked(nbytes, align, &g->fenced);
	if (g->start == 0) {
		fixalloc_free(&guard.records, g);
		return NULL;
	}
	use_regions_locked(g);
	map_slot(g->start, nbytes, g);
	return g;
}

/* A slot for an object of whole pages, not in use by anyone. */
static struct guarded *take_slot_locked(size_t nbytes, size_t align)
{
	struct guarded *g = NULL;
	unsigned k;

	if (always_fresh())
		return fresh_slot_locked(nbytes, align, 0);
	/* Aligned inside of it. */
	k = slot_size_for(nbytes + (align > os_page_size() ? align - os_page_size() : 0));
	if (k == GUARD_SLOT_SIZES || atomic_load_explicit(&guard.live, memory_order_relaxed) >= GUARD_SAMPLED_MAX)
		return NULL;
	if (guard.freed[k].n <= quarantine(k))
		g = fresh_slot_locked(os_page_size() << k, 1, k);
	return g != NULL ? g : queue_pop(&guard.freed[k]);
}

static void give_slot_locked(struct guarded *g)
{
	if (always_fresh())
		leave_regions_locked(g);
	queue_push(&guard.freed[g->slot_size], g);
}

/* --- an object's pages --- */

static uintptr_t pages_of(const struct guarded *g, size_t *nbytes)
{
	uintptr_t first = align_down(g->addr, os_page_size());

	*nbytes = g->size == 0 ? 0 : align_up(g->addr + g->size, os_page_size()) - first;
	return first;
}

/* False: there are too many mappings, or there is no memory. */
static bool open_pages(struct guarded *g)
{
	size_t nbytes;
	uintptr_t first = pages_of(g, &nbytes);

	g->mapped = !g->fenced && nbytes != 0;
	if (nbytes == 0)
		return true;
	if (g->fenced)
		return os_unfence((void *)first, nbytes);
	if (!commit_slot(first, nbytes))
		return false;
	count(&guard.mapped, 1);
	return true;
}

/* What could not be closed can still be touched, and has to read as zero the next time. */
static void wipe(uintptr_t first, size_t nbytes)
{
	if (os_release((void *)first, nbytes))
		return;
	(void)os_unfence((void *)first, nbytes);
	zero_bytes((void *)first, nbytes);
}

static void close_pages(struct guarded *g)
{
	size_t nbytes;
	uintptr_t first = pages_of(g, &nbytes);

	if (nbytes == 0)
		return;
	uncount(&guard.page_bytes, nbytes);
	(void)os_drop((void *)first, nbytes);
	if (g->mapped)
		uncount(&guard.mapped, 1);
	if (!g->fenced) {
		if (!close_for_good(first, nbytes))
			wipe(first, nbytes);
	} else if (!os_fence((void *)first, nbytes)) {
		/* Memory that the program has locked cannot be fenced. The whole slot: the next object may have other pages of it. */
		g->fenced = !close_for_good(g->start, g->nbytes);
		if (g->fenced)
			wipe(first, nbytes);
	}
}

/* Calls act for what the object's pages have before it and behind it. */
static uintptr_t each_rest(const struct guarded *g, uintptr_t (*act)(uintptr_t start, size_t nbytes))
{
	size_t nbytes;
	uintptr_t first = pages_of(g, &nbytes);
	uintptr_t at;

	if (nbytes == 0)
		return 0;
	at = act(g->addr + g->size, first + nbytes - (g->addr + g->size));
	return at != 0 ? at : act(first, g->addr - first);
}

static uintptr_t fill(uintptr_t start, size_t nbytes)
{
	fill_bytes((void *)start, GUARD_FILL, nbytes);
	return 0;
}

/* The first byte that is not as it was filled; 0. */
static uintptr_t find_change(uintptr_t start, size_t nbytes)
{
	for (uintptr_t at = start; at < start + nbytes; at++)
		if (*(const unsigned char *)at != GUARD_FILL)
			return at;
	return 0;
}

/* --- objects --- */

/* What malloc aligns to; what holds no pointers is aligned by its size alone. */
static size_t natural_align(size_t size, bool noscan)
{
	size_t align = 1;

	if (!noscan || size >= 16)
		return sizeclass_malloc_align(size);
	while (align * 2 <= size)
		align *= 2;
	return align;
}

static void place(struct guarded *g, size_t size, size_t align, bool left)
{
	uintptr_t end = g->start + g->nbytes;

	g->size = size;
	g->addr = left || size == 0 ? align_up(g->start, align) : align_down(end - size, align);
}

static void *refuse(size_t nbytes)
{
	static _Atomic bool said;
	struct report r;

	/* With guardrate=N that only means fewer. What is so large may well be refused by the heap, too. */
	if (nbytes > GUARD_RESERVE)
		return NULL;
	if (atomic_fetch_add_explicit(&guard.refused, 1, memory_order_relaxed) == 0 && options.efence &&
	    !atomic_exchange_explicit(&said, true, memory_order_relaxed)) {
		report_init(&r);
		report_str(&r, "efence=1: the system gives no more guarded pages; from now on some objects are without");
		report_write(&r, 2);
	}
	return NULL;
}

void *guard_alloc(size_t size, size_t align, bool noscan)
{
	size_t page = os_page_size();
	struct guarded *g;
	uint64_t chance;
	uintptr_t addr;
	size_t nbytes;

	if (align == 0)
		align = natural_align(size, noscan);
	if (size > PTRDIFF_MAX / 4 || align > PTRDIFF_MAX / 4)
		return NULL;
	fault_watch();
	nbytes = align_up(max_size(size, 1), page);
	lock_acquire(&guard.lock);
	g = take_slot_locked(nbytes, align);
	chance = random_next(&guard.random) >> 32;
	lock_release(&guard.lock);
	if (g == NULL)
		return refuse(nbytes);
	place(g, size, align, chance % (options.efence ? EFENCE_LEFT : 2) == 0);
	g->noscan = noscan;
	if (!open_pages(g)) {
		g->mapped = false;
		lock_acquire(&guard.lock);
		set_state(g, GUARDED_FREED);
		give_slot_locked(g);
		lock_release(&guard.lock);
		return refuse(nbytes);
	}
	(void)each_rest(g, fill);
	guard_stack_here(&g->allocated);
	g->freed.n = 0;
	(void)pages_of(g, &nbytes);
	count(&guard.page_bytes, nbytes);
	count(&guard.live, 1);
	count(&guard.live_bytes, size);
	count(&guard.allocated, 1);
	addr = g->addr;
	HOLD_ADDRESS(addr);
	set_state(g, GUARDED_LIVE);
	return (void *)addr;
}

/* The record of the live object that starts at p; NULL. */
static struct guarded *live_at(const void *p)
{
	struct guarded *g = slot_of((uintptr_t)p);

	return g != NULL && state_of(g) == GUARDED_LIVE && g->addr == (uintptr_t)p ? g : NULL;
}

bool guard_size(const void *p, size_t *nbytes)
{
	const struct guarded *g = live_at(p);

	if (g == NULL)
		return false;
	*nbytes = g->size;
	return true;
}

/* Of two threads that free the same object one is told. */
static bool claim_object(struct guarded *g)
{
	uint32_t live = GUARDED_LIVE;

	/* Acquire and release: the record. Pairs with state_of() and set_state(). */
	return atomic_compare_exchange_strong_explicit(&g->state, &live, GUARDED_FREEING, memory_order_acq_rel,
						       memory_order_relaxed);
}

void guard_free(void *p, const char *func)
{
	struct guarded *g = live_at(p);
	uintptr_t at;

	if (g == NULL || !claim_object(g))
		guard_bad_pointer(p, func, NULL);
	at = each_rest(g, find_change);
	if (at != 0)
		fault_misuse(func, p, at < g->addr ? "heap underflow" : "heap overflow", g, at);
	guard_stack_here(&g->freed);
	uncount(&guard.live, 1);
	uncount(&guard.live_bytes, g->size);
	count(&guard.freed_count, 1);
	close_pages(g);
	lock_acquire(&guard.lock);
	set_state(g, GUARDED_FREED);
	give_slot_locked(g);
	lock_release(&guard.lock);
}

_Noreturn void guard_bad_pointer(const void *p, const char *func, const char *fault)
{
	const struct guarded *g = guard_nearest((uintptr_t)p);
	bool start = g != NULL && (g->addr == (uintptr_t)p || state_of(g) == GUARDED_FORGOTTEN);

	if (fault == NULL)
		fault = start ? "double free" : (uintptr_t)p % 8 != 0 ? "misaligned pointer" : "invalid pointer";
	fault_misuse(func, p, fault, g, 0);
}

/* --- questions --- */

/* From the object's nearer end; 0 inside. */
static size_t distance_to(const struct guarded *g, uintptr_t addr)
{
	if (addr < g->addr)
		return g->addr - addr;
	return addr < g->addr + g->size ? 0 : addr - (g->addr + g->size) + 1;
}

const struct guarded *guard_nearest(uintptr_t addr)
{
	size_t page = os_page_size();
	const struct guarded *g = slot_of(addr), *before, *behind;

	if (g != NULL)
		return state_of(g) == GUARDED_UNUSED ? NULL : g;
	before = slot_of(addr - page);
	behind = slot_of(addr + page);
	if (before == NULL || behind == NULL)
		return before != NULL ? before : behind;
	/* A live object rather than one that nobody should use. */
	if ((state_of(before) == GUARDED_LIVE) != (state_of(behind) == GUARDED_LIVE))
		return state_of(before) == GUARDED_LIVE ? before : behind;
	return distance_to(before, addr) <= distance_to(behind, addr) ? before : behind;
}

const struct guarded *guard_object_of(uintptr_t addr)
{
	const struct guarded *g = slot_of(addr);

	return g != NULL && state_of(g) == GUARDED_LIVE && distance_to(g, addr) == 0 ? g : NULL;
}

void guard_each_place(void (*visit)(uintptr_t addr, size_t nbytes, void *arg), void *arg)
{
	for (size_t i = 0; i < TOP_LEN; i++) {
		/* Acquire, both: as in region_of(). */
		struct leaf *leaf = atomic_load_explicit(&guard.top[i], memory_order_acquire);

		for (size_t j = 0; leaf != NULL && j < LEAF_LEN; j++) {
			struct region *r = atomic_load_explicit(&leaf->regions[j], memory_order_acquire);

			if (r != NULL)
				visit(r->start, GUARD_REGION, arg);
		}
	}
}

/* What to call for objects. */
struct visit_objects {
	void (*visit)(const struct guarded *g, void *arg);
	void *arg;
};

static void visit_objects_of(uintptr_t addr, size_t nbytes, void *arg)
{
	const struct visit_objects *v = arg;

	size_t step = region_of(addr)->whole ? GUARD_REGION : os_page_size();

	for (uintptr_t at = addr; at < addr + nbytes; at += step) {
		const struct guarded *g = slot_of(at);

		/* At the first page of its slot. */
		if (g != NULL && state_of(g) == GUARDED_LIVE && g->start == at)
			v->visit(g, v->arg);
	}
}

void guard_each(void (*visit)(const struct guarded *g, void *arg), void *arg)
{
	struct visit_objects v = { visit, arg };

	guard_each_place(visit_objects_of, &v);
}

void guard_stats_read(struct guard_stats *stats)
{
	stats->live = atomic_load_explicit(&guard.live, memory_order_relaxed);
	stats->live_bytes = atomic_load_explicit(&guard.live_bytes, memory_order_relaxed);
	stats->page_bytes = atomic_load_explicit(&guard.page_bytes, memory_order_relaxed);
	stats->allocated = atomic_load_explicit(&guard.allocated, memory_order_relaxed);
	stats->freed = atomic_load_explicit(&guard.freed_count, memory_order_relaxed);
	stats->refused = atomic_load_explicit(&guard.refused, memory_order_relaxed);
	stats->reserved = atomic_load_explicit(&guard.reserved, memory_order_relaxed);
}

/* --- who calls --- */

/* The linker's name for what this code is part of. */
extern const char __ehdr_start[] WEAK HIDDEN;

/* Where this library's code is, if it is not part of the program. */
static void find_own_code(void)
{
	uintptr_t start = (uintptr_t)__ehdr_start;
	const Elf64_Ehdr *elf = (const Elf64_Ehdr *)start;
	const Elf64_Phdr *segments;

	if (start == 0 || start == os_program_header())
		return;
	segments = (const Elf64_Phdr *)(start + elf->e_phoff);
	for (unsigned i = 0; i < elf->e_phnum; i++) {
		if (segments[i].p_type != PT_LOAD || !(segments[i].p_flags & PF_X))
			continue;
		guard.own_code = start + segments[i].p_vaddr;
		guard.own_code_end = guard.own_code + segments[i].p_memsz;
	}
}

SLOW_PATH void guard_stack_here(struct guard_stack *stack)
{
	uintptr_t pcs[GUARD_FRAMES + OWN_FRAMES];
	unsigned n = unwind_stack(pcs, GUARD_FRAMES + OWN_FRAMES, 0), own = 0;

	while (own < n && pcs[own] - guard.own_code < guard.own_code_end - guard.own_code)
		own++;
	stack->thread = (uint32_t)os_thread();
	stack->n = (uint32_t)min_size(n - own, GUARD_FRAMES);
	copy_bytes(stack->pcs, pcs + own, stack->n * sizeof(pcs[0]));
}

/* --- start, fork --- */

void guard_init(void)
{
	fixalloc_init(&guard.records, sizeof(struct guarded), offsetof(struct guarded, next));
	fixalloc_init(&guard.whole_regions, sizeof(struct region) + sizeof(struct guarded *), 0);
	fixalloc_init(&guard.regions, sizeof(struct region) + GUARD_REGION / os_page_size() * sizeof(struct guarded *), 0);
	set_state(&guard.forgotten, GUARDED_FORGOTTEN);
	guard.random = seed();
	find_own_code();
}

void guard_after_fork(void)
{
	(void)lock_reset_orphan(&guard.lock);
	fault_after_fork();
}
