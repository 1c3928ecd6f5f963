/* SPDX-License-Identifier: MIT */
/*
 * guardspace.c - the address space of guarded objects, and the map from pages to their records.
 *
 * Address space is reserved in large pieces, handed out from the lower to the higher end, and never
 * given to two slots. Where the kernel has fences (os_fence()) it is committed step by step, and
 * fences close the pages. Elsewhere each open slot is a mapping of its own, so there are at most
 * GUARD_MAPPED_MAX of them. A slot larger than GUARD_STEP is always a mapping of its own.
 *
 * Owns     the reserved address space, the records of its regions, the map from pages to slots.
 * Locks    functions that end with _locked run under the guard lock of guard.c. Pages are opened
 *          and closed without it: they belong to the thread that has the object.
 * Holds    an entry of the map never returns to NULL. A record of a region is never freed.
 */
#include "safe/guardspace.h"
#include "heap/fixalloc.h"
#include "os/os.h"

/*
 * 16 MiB of the address space.
 * Access: [c] constant once the table shows the record  [a] atomic  [g] guard lock
 */
struct region {
	uintptr_t start;                        /* [c] */
	uint32_t inuse; /* [g] slots with a page here that are not freed for ever */
	bool released;                          /* [g] no slot is here, and none will be */
	bool whole;                        /* [c] one slot has all of it, and no other ever will */
	_Atomic(struct guarded *) slots[]; /* [a] by page, or one for all of it; NULL: no slot */
};

/* Regions by address: a table of tables. Both levels are filled in with release and never
 * changed. */
#define LEAF_SHIFT 12
#define LEAF_LEN ((size_t)1 << LEAF_SHIFT)
#define TOP_LEN ((size_t)1 << (ADDR_BITS - GUARD_REGION_SHIFT - LEAF_SHIFT))

struct leaf {
	_Atomic(struct region *) regions[LEAF_LEN];
};

/* Access: [g] guard lock  [a] atomic  [c] constant after guardspace_init() */
static struct {
	_Atomic(struct leaf *) top[TOP_LEN];    /* [a] */
	struct fixalloc regions, whole_regions; /* [c] own lock */
	uintptr_t next;                         /* [g] first address without a slot */
	uintptr_t ready;                        /* [g] addresses below are committed and fenced */
	uintptr_t end;                          /* [g] of the reservation */
	bool no_fences;                         /* [g] the kernel has none */
	_Atomic size_t mapped; /* [a] relaxed: open slots that are mappings; a bound */
} space;

void guardspace_init(void)
{
	size_t npages = GUARD_REGION / os_page_size();

	fixalloc_init(&space.whole_regions, sizeof(struct region) + sizeof(struct guarded *), 0);
	fixalloc_init(&space.regions, sizeof(struct region) + npages * sizeof(struct guarded *), 0);
}

/* --- from addresses to records --- */

static struct region *region_of(uintptr_t addr)
{
	struct leaf *leaf;

	if (addr >> ADDR_BITS != 0)
		return NULL;
	/* Acquire, both: the table, the record. Pairs with the releases in make_region(). */
	leaf = atomic_load_explicit(&space.top[addr >> (GUARD_REGION_SHIFT + LEAF_SHIFT)],
				    memory_order_acquire);
	if (leaf == NULL)
		return NULL;
	return atomic_load_explicit(&leaf->regions[(addr >> GUARD_REGION_SHIFT) % LEAF_LEN],
				    memory_order_acquire);
}

bool guardspace_owns(uintptr_t addr)
{
	return region_of(addr) != NULL;
}

/* Returns the number of an address's entry in slots. */
static size_t page_in_region(const struct region *r, uintptr_t addr)
{
	return r->whole ? 0 : (addr - r->start) / os_page_size();
}

struct guarded *guardspace_slot_of(uintptr_t addr)
{
	struct region *r = region_of(addr);

	if (r == NULL)
		return NULL;
	/* Acquire: the record. Pairs with the release in guardspace_map(). */
	return atomic_load_explicit(&r->slots[page_in_region(r, addr)], memory_order_acquire);
}

static bool make_region(uintptr_t start, bool whole)
{
	_Atomic(struct leaf *) *top = &space.top[start >> (GUARD_REGION_SHIFT + LEAF_SHIFT)];
	struct leaf *leaf = atomic_load_explicit(top, memory_order_relaxed);
	struct region *r;

	if (leaf == NULL) {
		leaf = os_alloc_metadata(align_up(sizeof(*leaf), os_page_size()));
		if (leaf == NULL)
			return false;
		/* Release: an empty table. Pairs with the acquire in region_of(). */
		atomic_store_explicit(top, leaf, memory_order_release);
	}
	r = fixalloc_alloc(whole ? &space.whole_regions : &space.regions, NULL);
	if (r == NULL)
		return false;
	r->start = start;
	r->whole = whole;
	/* Release: the record. Pairs with the acquire in region_of(). */
	atomic_store_explicit(&leaf->regions[(start >> GUARD_REGION_SHIFT) % LEAF_LEN], r,
			      memory_order_release);
	return true;
}

/* Makes records for all regions from start to end, of which a slot has [start, slot_end). */
static bool make_regions(uintptr_t start, uintptr_t slot_end, uintptr_t end)
{
	for (uintptr_t at = align_down(start, GUARD_REGION); at < end; at += GUARD_REGION)
		if (region_of(at) == NULL &&
		    !make_region(at, start <= at && at + GUARD_REGION <= slot_end))
			return false;
	return true;
}

void guardspace_map(uintptr_t start, size_t nbytes, struct guarded *g)
{
	uintptr_t page = start;

	while (page < start + nbytes) {
		struct region *r = region_of(page);

		/* Release: the record. Pairs with the acquire in guardspace_slot_of(). */
		atomic_store_explicit(&r->slots[page_in_region(r, page)], g, memory_order_release);
		page += r->whole ? GUARD_REGION : os_page_size();
	}
}

/* --- new addresses --- */

/* Reserves at least nbytes. The rest of the old reservation stays as it is: ours and unused. */
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
	space.next = start + os_page_size();
	space.ready = start;
	space.end = start + wanted;
	return true;
}

bool guardspace_close(uintptr_t start, size_t nbytes)
{
	if (!os_uncommit((void *)start, nbytes))
		return false;
	os_dump((void *)start, nbytes, false);
	return true;
}

/* Commits and fences all addresses below up_to. */
static bool make_ready_locked(uintptr_t up_to)
{
	while (space.ready < up_to) {
		size_t nbytes = min_size(GUARD_STEP, space.end - space.ready);

		if (!os_commit((void *)space.ready, nbytes))
			return false;
		os_dump((void *)space.ready, nbytes, true);
		if (!os_fence((void *)space.ready, nbytes)) {
			space.no_fences = true;
			(void)guardspace_close(space.ready, nbytes);
			return false;
		}
		space.ready += nbytes;
	}
	return true;
}

static bool commit_unfenced(uintptr_t start, size_t nbytes)
{
	if (atomic_load_explicit(&space.mapped, memory_order_relaxed) >= GUARD_MAPPED_MAX ||
	    !os_commit((void *)start, nbytes))
		return false;
	os_dump((void *)start, nbytes, true);
	return true;
}

bool guardspace_open(uintptr_t start, size_t nbytes)
{
	if (!commit_unfenced(start, nbytes))
		return false;
	atomic_fetch_add_explicit(&space.mapped, 1, memory_order_relaxed);
	return true;
}

void guardspace_uncount(void)
{
	atomic_fetch_sub_explicit(&space.mapped, 1, memory_order_relaxed);
}

/* Returns where the next slot begins, or 0 if the reservation has no room for it. */
static uintptr_t next_start_locked(size_t nbytes, size_t align, bool fenced)
{
	size_t page = os_page_size();
	/* A slot without fences lies behind all fenced addresses. */
	uintptr_t from = fenced ? space.next : max_size(space.next, space.ready);
	uintptr_t start = align_up(from, max_size(align, page));

	return space.end != 0 && start < space.end && start + nbytes + page <= space.end ? start
											 : 0;
}

/* Takes the addresses of a slot and the page behind it. Returns 0 on failure. Commits a slot that
 * is larger than a step, so that records are made only if there is memory for the slot. */
static uintptr_t take_at_locked(uintptr_t start, size_t nbytes, bool *fenced)
{
	uintptr_t end = start + nbytes + os_page_size();
	bool large = nbytes > GUARD_STEP;

	if (large && !commit_unfenced(start, nbytes))
		return 0;
	if (!make_regions(start, start + nbytes, end)) {
		/* Some of these regions may be for this slot alone, so no other slot gets them. */
		if (large && guardspace_close(start, nbytes))
			space.next = space.ready = end;
		return 0;
	}
	if (*fenced && !make_ready_locked(end)) {
		*fenced = false;
		/* Without memory there is no slot. Without fences the step is still unused. */
		if (!space.no_fences || start < space.ready)
			return 0;
	}
	space.next = end;
	if (!*fenced)
		space.ready = max_size(space.ready, start + nbytes);
	return start;
}

uintptr_t guardspace_take_locked(size_t nbytes, size_t align, bool *fenced)
{
	uintptr_t next = space.next, ready = space.ready, end = space.end, reserved, start;

	*fenced = !space.no_fences && nbytes <= GUARD_STEP;
	start = next_start_locked(nbytes, align, *fenced);
	if (start != 0)
		return take_at_locked(start, nbytes, fenced);
	if (!reserve_locked(nbytes + align + 2 * os_page_size()))
		return 0;
	reserved = space.ready;
	start = take_at_locked(next_start_locked(nbytes, align, *fenced), nbytes, fenced);
	/* A reservation made in vain is given back, unless a record leads to it. */
	if (start == 0 && space.next == reserved + os_page_size() && region_of(reserved) == NULL &&
	    os_unreserve((void *)reserved, space.end - reserved)) {
		space.next = next;
		space.ready = ready;
		space.end = end;
	}
	return start;
}

/* --- regions that are used up --- */

/* Releases a region, memory and page tables, if its slots are freed for ever and none will
 * follow. */
static void release_region_locked(struct region *r)
{
	uintptr_t end = r->start + GUARD_REGION, last = min_size(space.next, space.ready);

	if (r->inuse == 0 && !r->released && (end <= last || r->start >= space.end))
		r->released = guardspace_close(r->start, GUARD_REGION);
}

void guardspace_use_locked(uintptr_t start, size_t nbytes, bool once)
{
	uintptr_t first = align_down(start, GUARD_REGION);

	for (uintptr_t at = first; at < start + nbytes; at += GUARD_REGION)
		region_of(at)->inuse++;
	/* One of the first slots of a region: the region before gets no more. */
	if (once && start - first < 2 * GUARD_STEP && region_of(first - GUARD_REGION) != NULL)
		release_region_locked(region_of(first - GUARD_REGION));
}

void guardspace_leave_locked(uintptr_t start, size_t nbytes)
{
	uintptr_t at = align_down(start, GUARD_REGION);

	for (; at < start + nbytes; at += GUARD_REGION) {
		region_of(at)->inuse--;
		release_region_locked(region_of(at));
	}
}

/* --- all of it --- */

void guardspace_each(void (*visit)(uintptr_t addr, size_t nbytes, void *arg), void *arg)
{
	for (size_t i = 0; i < TOP_LEN; i++) {
		/* Acquire, both: the table, the record. Pairs with the releases in
		 * make_region(). */
		struct leaf *leaf = atomic_load_explicit(&space.top[i], memory_order_acquire);

		for (size_t j = 0; leaf != NULL && j < LEAF_LEN; j++) {
			struct region *r =
				atomic_load_explicit(&leaf->regions[j], memory_order_acquire);

			if (r != NULL)
				visit(r->start, GUARD_REGION, arg);
		}
	}
}

/* The arguments of guardspace_each_page(). */
struct visit_pages {
	void (*visit)(struct guarded *g, uintptr_t page, void *arg);
	void *arg;
};

static void visit_pages_of(uintptr_t addr, size_t nbytes, void *arg)
{
	const struct visit_pages *v = arg;
	size_t step = region_of(addr)->whole ? GUARD_REGION : os_page_size();

	for (uintptr_t at = addr; at < addr + nbytes; at += step) {
		struct guarded *g = guardspace_slot_of(at);

		if (g != NULL)
			v->visit(g, at, v->arg);
	}
}

void guardspace_each_page(void (*visit)(struct guarded *g, uintptr_t page, void *arg), void *arg)
{
	struct visit_pages v = { visit, arg };

	guardspace_each(visit_pages_of, &v);
}
