/* SPDX-License-Identifier: MIT */
/*
 * guard.c - objects between pages that cannot be touched: efence=1 and guardrate=N. See malloc.c
 * for the overview.
 *
 * A slot is some pages between two guards. An object lies at one end of its slot. At the right end,
 * the first byte past the object that its alignment allows is a fault; at the left end, the byte
 * before the object is. The object's pages are open while it lives. The bytes beside it are filled,
 * and checked when it is freed. Then the pages are closed, so that any later use is a fault.
 *
 * With guardrate=N slots are used again, first freed first, once GUARD_QUARANTINE other slots of
 * the size were freed. With efence=1 and with sbrk=1 slots are never used again, so no two objects
 * ever have the same address.
 *
 * Owns     the objects' records, and the queues of freed slots.
 * Locks    guard.lock (LOCK_GUARD) covers the queues and new addresses. Pages are opened, filled
 *          and closed without it: they belong to the thread that has the object.
 * Holds    a slot is in a queue, or has a live object, or one thread is making or freeing it.
 *          Queues change so that a child forked in between finds them whole, or short of one slot.
 */
#include "safe/guard.h"
#include "heap/fixalloc.h"
#include "heap/sizeclass.h"
#include "os/fatal.h"
#include "os/lock.h"
#include "os/os.h"
#include "safe/guardspace.h"
#include "stack/unwind.h"

/* The byte that fills open pages beside an object. It is not 0, because the byte that runs over an
 * end is most often the 0 of a string. */
#define GUARD_FILL 0xb5

/* With efence=1 one in so many objects is at the left end of its slot: running over an end is more
 * common than running under a start. */
#define EFENCE_LEFT 8

/* Freed slots, first freed first. */
struct queue {
	struct guarded *first;
	struct guarded *last;      /* meaningless when first is NULL */
	size_t n;
};

/* Access: [g] lock  [a] atomic  [c] constant after guard_init() */
static struct {
	struct lock lock;
	struct fixalloc records;                /* [c] own lock */
	uint64_t ends;                          /* [g] chooses ends: steps of the golden ratio */
	struct queue freed[GUARD_SLOT_SIZES];   /* [g] only the first if slots are used once */
	struct guarded forgotten;               /* [c] stands for freed objects without a record */
	_Atomic size_t live;                    /* [a] relaxed: a bound */
} guard = { .lock = LOCK_INITIALIZER(LOCK_GUARD) };

/* Returns whether each address is used only once. */
static bool always_fresh(void)
{
	return options.efence || options.sbrk;
}

static enum guarded_state state_of(const struct guarded *g)
{
	/* Acquire: the record that goes with the state. Pairs with the releases in set_state() and
	 * claim_object(). */
	return (enum guarded_state)atomic_load_explicit(&g->state, memory_order_acquire);
}

static void set_state(struct guarded *g, enum guarded_state state)
{
	/* Release: the record. Pairs with the acquire in state_of(). */
	atomic_store_explicit(&g->state, (uint32_t)state, memory_order_release);
}

bool guard_owns(uintptr_t addr)
{
	return guardspace_owns(addr);
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

/* Returns the smallest k for which nbytes fit into 2^k pages, or GUARD_SLOT_SIZES if none fits. */
static unsigned slot_size_for(size_t nbytes)
{
	unsigned k = 0;

	while (k < GUARD_SLOT_SIZES && os_page_size() << k < nbytes)
		k++;
	return k;
}

/* Returns how many freed slots of a size are kept from use. */
static size_t quarantine(unsigned k)
{
	return min_size(GUARD_QUARANTINE, GUARD_QUARANTINE_BYTES / (os_page_size() << k));
}

/* Returns a record for a new slot. If slots are used once and many are remembered, this is the
 * record of the object that was freed first. */
static struct guarded *take_record_locked(void)
{
	struct guarded *g;

	if (!always_fresh() || guard.freed[0].n < GUARD_REMEMBERED)
		return fixalloc_alloc(&guard.records, NULL);
	g = queue_pop(&guard.freed[0]);
	guardspace_map(g->start, g->nbytes, &guard.forgotten);
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
	g->start = guardspace_take_locked(nbytes, align, &g->fenced);
	if (g->start == 0) {
		fixalloc_free(&guard.records, g);
		return NULL;
	}
	guardspace_use_locked(g->start, nbytes, always_fresh());
	guardspace_map(g->start, nbytes, g);
	return g;
}

/* Returns a slot for an object of whole pages, or NULL. The caller alone has the slot. */
static struct guarded *take_slot_locked(size_t nbytes, size_t align)
{
	struct guarded *g = NULL;
	unsigned k;

	if (always_fresh())
		return fresh_slot_locked(nbytes, align, 0);
	/* The object is aligned inside of its slot. */
	k = slot_size_for(nbytes + (align > os_page_size() ? align - os_page_size() : 0));
	if (k == GUARD_SLOT_SIZES ||
	    atomic_load_explicit(&guard.live, memory_order_relaxed) >= GUARD_SAMPLED_MAX)
		return NULL;
	if (guard.freed[k].n <= quarantine(k))
		g = fresh_slot_locked(os_page_size() << k, 1, k);
	return g != NULL ? g : queue_pop(&guard.freed[k]);
}

static void give_slot_locked(struct guarded *g)
{
	if (always_fresh())
		guardspace_leave_locked(g->start, g->nbytes);
	queue_push(&guard.freed[g->slot_size], g);
}

/* --- an object's pages --- */

/* Returns the first of the object's pages, and sets *nbytes to their length. */
static uintptr_t pages_of(const struct guarded *g, size_t *nbytes)
{
	uintptr_t first = align_down(g->addr, os_page_size());

	*nbytes = g->size == 0 ? 0 : align_up(g->addr + g->size, os_page_size()) - first;
	return first;
}

/* Opens the object's pages. Returns false if there are too many mappings or there is no memory. */
static bool open_pages(struct guarded *g)
{
	size_t nbytes;
	uintptr_t first = pages_of(g, &nbytes);

	g->mapped = false;
	if (nbytes == 0)
		return true;
	if (g->fenced)
		return os_unfence((void *)first, nbytes);
	g->mapped = guardspace_open(first, nbytes);
	return g->mapped;
}

/* Clears pages that could not be closed, because they must read as zero for the next object. */
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
	(void)os_drop((void *)first, nbytes);
	if (g->mapped)
		guardspace_uncount();
	if (!g->fenced) {
		if (!guardspace_close(first, nbytes))
			wipe(first, nbytes);
	} else if (!os_fence((void *)first, nbytes)) {
		/* Memory that the program has locked cannot be fenced. The whole slot is closed,
		 * because the next object may use other pages of it. */
		g->fenced = !guardspace_close(g->start, g->nbytes);
		if (g->fenced)
			wipe(first, nbytes);
	}
}

/* Calls act for the bytes of the object's pages behind it, then for those before it. Returns the
 * first result that is not 0, or 0. */
static uintptr_t each_rest(const struct guarded *g,
			   uintptr_t (*act)(uintptr_t start, size_t nbytes))
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

/* Returns the first byte that has not the value it was filled with, or 0. */
static uintptr_t find_change(uintptr_t start, size_t nbytes)
{
	for (uintptr_t at = start; at < start + nbytes; at++)
		if (*(const unsigned char *)at != GUARD_FILL)
			return at;
	return 0;
}

/* --- objects --- */

/* Returns the alignment of an object for which none was asked. Small objects without pointers are
 * aligned by their size alone, so that they end nearer to the guard. */
static size_t natural_align(size_t size, enum scan scan)
{
	size_t align = 1;

	if (scan == SCAN || size >= 16)
		return sizeclass_malloc_align(size);
	while (align * 2 <= size)
		align *= 2;
	return align;
}

/* Sets the object's address, at the left or the right end of its slot. */
static void place_object(struct guarded *g, size_t size, size_t align, bool left)
{
	uintptr_t end = g->start + g->nbytes;

	g->size = size;
	g->addr = left || size == 0 ? align_up(g->start, align) : align_down(end - size, align);
}

/* Says once that an object is not guarded. With guardrate=N this only means fewer guarded objects,
 * and a very large object may be refused by the heap, too. Returns NULL. */
static void *refuse(size_t nbytes)
{
	static _Atomic bool said;

	/* Relaxed: one thread says it. */
	if (options.efence && nbytes <= GUARD_RESERVE &&
	    !atomic_exchange_explicit(&said, true, memory_order_relaxed))
		report_line(2, "efence=1: the system gives no more guarded pages; from now on some "
			       "objects are without");
	return NULL;
}

void *guard_alloc(size_t size, size_t align, enum scan scan)
{
	size_t page = os_page_size();
	struct guarded *g;
	uintptr_t addr;
	size_t nbytes;
	bool left;

	if (align == 0)
		align = options.guardexact ? 1 : natural_align(size, scan);
	/* Address space that is passed over for the alignment costs page tables. */
	if (size > PTRDIFF_MAX / 4 || align > GUARD_RESERVE)
		return NULL;
	nbytes = align_up(max_size(size, 1), page);
	lock_acquire(&guard.lock);
	g = take_slot_locked(nbytes, align);
	guard.ends += UINT64_C(0x9e3779b97f4a7c15);
	left = !options.guardexact &&
	       (guard.ends >> 32) % (options.efence ? EFENCE_LEFT : 2) == 0;
	lock_release(&guard.lock);
	if (g == NULL)
		return refuse(nbytes);
	place_object(g, size, align, left);
	g->scan = scan;
	if (!open_pages(g)) {
		lock_acquire(&guard.lock);
		set_state(g, GUARDED_FREED);
		give_slot_locked(g);
		lock_release(&guard.lock);
		return refuse(nbytes);
	}
	(void)each_rest(g, fill);
	guard_stack_here(&g->allocated);
	g->freed.n = 0;
	/* Relaxed: the state follows. */
	atomic_store_explicit(&g->ignored, false, memory_order_relaxed);
	atomic_fetch_add_explicit(&guard.live, 1, memory_order_relaxed);
	addr = g->addr;
	HOLD_ADDRESS(addr);
	set_state(g, GUARDED_LIVE);
	return (void *)addr;
}

/* Returns the record of the live object that starts at p, or NULL. */
static struct guarded *live_at(const void *p)
{
	struct guarded *g = guardspace_slot_of((uintptr_t)p);

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

/* Relaxed, here and below: the object is the caller's. */
bool guard_ignore(const void *p)
{
	struct guarded *g = live_at(p);

	if (g != NULL)
		atomic_store_explicit(&g->ignored, true, memory_order_relaxed);
	return g != NULL;
}

bool guard_is_ignored(const void *p)
{
	const struct guarded *g = live_at(p);

	return g != NULL && atomic_load_explicit(&g->ignored, memory_order_relaxed);
}

/* Makes the caller the thread that frees the object. Returns false if another thread does. */
static bool claim_object(struct guarded *g)
{
	uint32_t live = GUARDED_LIVE;

	/* Acquire and release: the record. Pairs with state_of() and set_state(). */
	return atomic_compare_exchange_strong_explicit(&g->state, &live, GUARDED_FREEING,
						       memory_order_acq_rel, memory_order_relaxed);
}

bool guard_free(void *p, struct guard_finding *finding)
{
	struct guarded *g = live_at(p);
	uintptr_t at;

	if (g == NULL || !claim_object(g)) {
		*finding = guard_judge(p);
		return false;
	}
	at = each_rest(g, find_change);
	if (at != 0) {
		finding->fault = at < g->addr ? "heap underflow" : "heap overflow";
		finding->object = g;
		finding->at = at;
		return false;
	}
	guard_stack_here(&g->freed);
	atomic_fetch_sub_explicit(&guard.live, 1, memory_order_relaxed);
	close_pages(g);
	lock_acquire(&guard.lock);
	set_state(g, GUARDED_FREED);
	give_slot_locked(g);
	lock_release(&guard.lock);
	return true;
}

struct guard_finding guard_judge(const void *p)
{
	const struct guarded *g = guard_nearest((uintptr_t)p);
	bool start = g != NULL && (g->addr == (uintptr_t)p || state_of(g) == GUARDED_FORGOTTEN);
	const char *other = (uintptr_t)p % 8 != 0 ? "misaligned pointer" : "invalid pointer";

	return (struct guard_finding){ .fault = start ? "double free" : other, .object = g };
}

/* --- questions --- */

/* Returns the distance of addr from the object's nearer end, 0 inside. */
static size_t distance_to(const struct guarded *g, uintptr_t addr)
{
	if (addr < g->addr)
		return g->addr - addr;
	return addr < g->addr + g->size ? 0 : addr - (g->addr + g->size) + 1;
}

const struct guarded *guard_nearest(uintptr_t addr)
{
	size_t page = os_page_size();
	const struct guarded *g = guardspace_slot_of(addr), *before, *behind;

	if (g != NULL)
		return state_of(g) == GUARDED_UNUSED ? NULL : g;
	before = guardspace_slot_of(addr - page);
	behind = guardspace_slot_of(addr + page);
	if (before == NULL || behind == NULL)
		return before != NULL ? before : behind;
	/* A live object is a more likely target than a freed one. */
	if ((state_of(before) == GUARDED_LIVE) != (state_of(behind) == GUARDED_LIVE))
		return state_of(before) == GUARDED_LIVE ? before : behind;
	return distance_to(before, addr) <= distance_to(behind, addr) ? before : behind;
}

const struct guarded *guard_object_of(uintptr_t addr)
{
	const struct guarded *g = guardspace_slot_of(addr);

	return g != NULL && state_of(g) == GUARDED_LIVE && distance_to(g, addr) == 0 ? g : NULL;
}

/* The arguments of guard_each(). */
struct visit_objects {
	void (*visit)(const struct guarded *g, void *arg);
	void *arg;
};

static void visit_object_at(struct guarded *g, uintptr_t page, void *arg)
{
	const struct visit_objects *v = arg;

	if (state_of(g) == GUARDED_LIVE && g->start == page)
		v->visit(g, v->arg);
}

void guard_each(void (*visit)(const struct guarded *g, void *arg), void *arg)
{
	struct visit_objects v = { visit, arg };

	guardspace_each_page(visit_object_at, &v);
}

/* --- call stacks, start, fork --- */

SLOW_PATH void guard_stack_here(struct guard_stack *stack)
{
	stack->thread = (uint32_t)os_thread();
	stack->n = unwind_callers(stack->pcs, GUARD_FRAMES);
}

void guard_init(void)
{
	fixalloc_init(&guard.records, sizeof(struct guarded), offsetof(struct guarded, next));
	guardspace_init();
	set_state(&guard.forgotten, GUARDED_FORGOTTEN);
	guard.ends = os_random();
}

void guard_after_fork(void)
{
	(void)lock_reset_orphan(&guard.lock);
}
