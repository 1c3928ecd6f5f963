/* SPDX-License-Identifier: MIT */
/*
 * malloc.c - the heap as the face sees it: size policy, realloc, alignment. THE OVERVIEW.
 *
 * The heap has the shape of the Go runtime's, with what Go does not need: free(p), of one object, at once,
 * from any thread. Six nouns:
 *
 *   arena     64 MB of address space, aligned. Most arenas lie in one window, in which one comparison and one load
 *             lead from an address to its page; a table knows all of them. [arena.c, os_linux.c]
 *   page      8 KiB. A bitmap under a tree of summaries finds the lowest free run. [pagealloc.c]
 *   mspan     a run of pages cut into slots of one size class, or one big object. What is known of a slot is
 *             a state byte and two bits, far from the slot. [mspan.c, sizeclass.c]
 *   mheap     makes spans of pages and pages of spans; knows the span of every page. [mheap.c]
 *   mcentral  136 of them: the spans of one class that no thread holds. [mcentral.c]
 *   mcache    one a thread: for each class a free stack, a current span and a few partial
 *             ones; a word of pages; some freed big objects; a tiny block. [mcache.c, tiny.c]
 *
 * malloc(100): class 112, span class 18 (scan). The mcache slot of span class 18 pops its free stack, or takes the
 * lowest bit of its current word (mcache_alloc_fast()). When both are empty mcache_refill() takes the next word of
 * the span; then what other threads freed there; then a partial span; then one of mcentral's; then a fresh one from
 * mheap, whose pages come from the thread's page word, or under mheap.lock from the page allocator, which
 * grows the heap by committing more of an arena.
 *
 * free(p): the window of arenas and its page map give the span and its class, one multiply gives the slot and proves that p is
 * its start, the state byte says whether it is live. The span itself is not read for that: its record and the state byte are
 * fetched side by side. If the span is this thread's, the slot goes on the free
 * stack. That is all, and there is no lock, no atomic read-modify-write and no call on it. If the stack is
 * full, the bit is set in the span. If the span is another thread's, the bit is set atomically in its remote_bits, and a
 * free that makes a span worth having takes it over (mspan.h has the states, mspan.c the protocol).
 *
 * What looks into the heap is off by default, and no instruction of the fast paths asks for it. While allocations are counted or sampled,
 * the table that malloc finds its slot by leads to the counted slots of the cache: stacks that are refilled up to the next sample, so that the
 * slow path comes at just that object. A sampled object has a flag in its state byte: the fast free does not take it for
 * live, and the slow one forgets its record. [sample.c; profile.c with unwind.c, pprof.c]
 * Statistics and map walk the pages without stopping anyone [heapwalk.c, stat.c, metric.c, heapmap.c]; the leak finder marks in a copy of the
 * process [snapshot.c, roots.c, mark.c, leak.c]; the memory limit answers where pages are taken [limit.c]; guarded objects lie outside the
 * arenas, where the fast paths find nothing [guard.c, fault.c]. At exit and on a signal service.c has written what was asked for.
 *
 * Where the design page was departed from, because it measured or reasoned better:
 *   - remote frees count down a credit instead of counting bits: it is exact for spans of any length and for
 *     those in mcentral, so an empty span is noticed by the free that empties it, wherever it is.
 *   - a tiny object's state is the byte at its own offset, holding its size, so that no thread's free
 *     needs a read-modify-write; it costs 16 bytes a block.
 *   - every tick of the decay time a thread's stacks are emptied into their spans: that is how they shrink. A stack has
 *     a small place beside the others and a deep one of its own, so that depth costs memory only where it is used.
 *   - malloc below 8 bytes has slots of 8: as small as two in a tiny block, on the path of all other sizes. The tiny
 *     allocator serves noscan calls, and malloc with tiny_align below 8.
 *   - malloc(0) has an object in pages that cannot be touched: what a program reads or writes there is a fault of its own, and
 *     stops it there.
 *   - how many partial spans and freed big objects a thread keeps depends on whether it ever had company: alone it keeps
 *     them all, and uses them before the heap grows; beside others a share of 2 MiB of each.
 *   - an object that realloc made grow is freed to the heap, not kept by the thread: the next one to grow finds room there.
 *   - a thread takes its own full span back at the first free that overflows its stack, by one swap: two atomic
 *     operations for each of the first 1/8 of the slots cost more (bench row "bulk 64 B x 10000").
 *   - spans have 16 slots at least up to 128 KiB, not 32 up to 256 KiB: what an idle thread strands is half.
 *   - huge pages are asked for region by region, where small objects begin one (mheap.c): given to all of a large heap they
 *     multiplied the memory of programs that allocate and do not touch.
 *   - dlopen and dlmopen are interposed: it is the one moment in which RTLD_DEEPBIND can be answered.
 *   - names that libc does not have call the program's malloc and free, where there are such (replaced.c).
 *
 * At scale next: per-CPU caches by rseq would replace thread_cache(), and NUMA-local arenas arena_space_move();
 * nothing else asks who or where the caller is.
 *
 * Owns     the policy: which requests are small, tiny or big; when realloc stays in place.
 * Callers  interpose.c and its sisters. Calls every module below.
 * Locks    none of its own; enters the thread's cache through thread.h.
 * Holds    an object that malloc(n) made is in the slot that heap_good_size(n, 0) tells, unless its state
 *          is SLOT_RESIZED: sized frees are checked against that.
 */
#include "heap.h"
#include "os/fatal.h"
#include "os/foreign.h"
#include "safe/fault.h"
#include "safe/hardened.h"
#include "heap/limit.h"
#include "heap/mcentral.h"
#include "base/options.h"
#include "os/os.h"
#include "tools/profile.h"
#include "safe/no_reuse.h"
#include "os/metakey.h"
#include "tools/sample.h"
#include "start.h"
#include "heap/tiny.h"

#include <errno.h>

/* Spans whose pages were moved by the kernel have a mapping of their own until they are freed; the kernel
 * allows some 65000 a process. */
#define MAX_MOVED_SPANS 1024
static _Atomic int moved_spans;

static void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

/* The calling thread's cache, for slow paths that begin without metakey_open(). MCACHE_NONE in a
 * forked child whose heap is not in order yet, so that they go on to one that begins with it. */
FAST_PATH struct mcache *cache_for_slow_path(void)
{
	return forked() ? MCACHE_NONE : thread_cache();
}

/* malloc puts them in tiny blocks. Two of 8 bytes would fill one: at the usual floor a slot for each is as small, and faster. */
static bool size_is_tiny(size_t size, size_t align)
{
	return size < sizeof(void *) && align <= options.tiny_align && options.tiny_align < sizeof(void *);
}

/* The class of a small object; 0 when only a big one is so aligned. align 0 for malloc's rule. */
static unsigned class_for(size_t size, size_t align)
{
	return sizeclass_for(size == 0 ? 1 : size, align == 0 ? sizeclass_malloc_align(size) : align);
}

static size_t pages_for(size_t size)
{
	return (size + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

/* --- allocation: each returns NULL for want of memory and leaves errno to its caller --- */

static void *alloc_small(struct mcache *c, spanclass_t sc, size_t zero_nbytes)
{
	bool fresh;
	void *p = mcache_alloc_fast(c, sc, &fresh);

	if (p == NULL)
		p = mcache_alloc_slow(c, sc, &fresh);
	if (p != NULL && zero_nbytes != 0)
		zero_object(p, zero_nbytes, fresh);
	return p;
}

static void *alloc_tiny(struct mcache *c, size_t size, size_t floor, bool zero)
{
	void *p = tiny_alloc(c, size, floor);

	if (p != NULL && zero)
		zero_bytes(p, tiny_nbytes(size, floor));
	return p;
}

static void *alloc_big(struct mcache *c, size_t size, size_t align, bool noscan, bool zero)
{
	size_t align_pages = align > PAGE_SIZE ? align / PAGE_SIZE : 1;
	struct mspan *s;
	bool fresh;

	if (size > PTRDIFF_MAX - align || align > PTRDIFF_MAX / 2)
		return NULL;
	s = mcache_alloc_big(c, size == 0 ? 1 : pages_for(size), align_pages, noscan, &fresh);
	if (s == NULL)
		return NULL;
	if (zero && !fresh)
		zero_bytes((void *)s->base, size);
	return (void *)s->base;
}

/* The span class that hardened=1 serves a request from, one of more than no bytes. */
static spanclass_t spanclass_of_hardened(size_t size, size_t align, bool noscan)
{
	size_t room = max_size(size, 1) + HARDENED_TAIL;
	unsigned class = 0;
	spanclass_t sc;

	if (room <= MAX_SMALL_SIZE && align <= PAGE_SIZE)
		class = sizeclass_for(room, align == 0 ? sizeclass_malloc_align(size) : align);
	sc = make_spanclass(class, noscan);
	return sc == SPANCLASS_TINY ? make_spanclass(sizeclass_for(2 * TINY_SIZE, TINY_SIZE), true) : sc;
}

static void *alloc_hardened(struct mcache *c, size_t size, size_t align, bool noscan)
{
	spanclass_t sc = spanclass_of_hardened(size, align, noscan);
	struct mspan *s;

	if (sc > SPANCLASS_BIG_NOSCAN)
		return hardened_alloc_small(c, sc, size);
	if (size > PTRDIFF_MAX - align - 2 * PAGE_SIZE || align > PTRDIFF_MAX / 2)
		return NULL;
	s = hardened_alloc_big(c, size, align > PAGE_SIZE ? align / PAGE_SIZE : 1, noscan);
	return s == NULL ? NULL : (void *)s->base;
}

/* The span class of a small object. With sbrk=1 none has a place among tiny ones, which are used again together. */
static spanclass_t small_spanclass(unsigned class, bool noscan)
{
	spanclass_t sc = make_spanclass(class, noscan);

	return sc == SPANCLASS_TINY || sc == SPANCLASS_NOTHING ? make_spanclass(sizeclass_for(2 * TINY_SIZE, 1), true) : sc;
}

/* The span class that a request is served from; align 0 for malloc's rule. */
static spanclass_t spanclass_of(size_t size, size_t align, bool noscan)
{
	unsigned class = 0;

	if (size == 0 && align == 0)
		return SPANCLASS_NOTHING;
	/* Noscan objects are aligned by their size alone unless asked otherwise. */
	if (((noscan && size <= TINY_SIZE && align <= TINY_SIZE) || size_is_tiny(size, align)) && !options.sbrk)
		return SPANCLASS_TINY;
	if (size <= MAX_SMALL_SIZE && align <= PAGE_SIZE)
		class = class_for(size, align);
	return small_spanclass(class, noscan);
}

/* The least that tiny objects of a request are aligned to. */
static size_t tiny_floor(size_t align, bool noscan)
{
	return !noscan ? options.tiny_align : align > 1 ? align : 1;
}

static void *alloc_in(struct mcache *c, spanclass_t sc, size_t size, size_t align, bool noscan, bool zero)
{
	if (UNLIKELY(options.hardened) && sc != SPANCLASS_NOTHING)
		return alloc_hardened(c, size, align, noscan);
	if (sc == SPANCLASS_TINY)
		return alloc_tiny(c, size, tiny_floor(align, noscan), zero);
	if (sc <= SPANCLASS_BIG_NOSCAN)
		return alloc_big(c, size, align, noscan, zero);
	return alloc_small(c, sc, zero ? size : 0);
}

/* The state byte of the small or big object at p. */
static _Atomic uint8_t *state_of(void *p)
{
	struct mspan *s = span_of((uintptr_t)p);
	uint32_t slot = 0;

	if (s->kind == SPAN_SMALL)
		(void)mspan_slot_of(s, (uintptr_t)p, &slot);
	return &s->state[slot];
}

static void *alloc_from(struct mcache *c, spanclass_t sc, size_t size, size_t align, bool noscan, bool zero)
{
	void *p = alloc_in(c, sc, size, align, noscan, zero);

	if (UNLIKELY(options.sbrk) && p != NULL)
		slot_set(state_of(p), slot_state(state_of(p)) | SLOT_ONCE);
	return p;
}

/* --- while allocations are counted: see sample.h --- */

/* What a request takes of the heap. */
static size_t nbytes_in(spanclass_t sc, size_t size, size_t align, bool noscan)
{
	if (sc == SPANCLASS_NOTHING)
		return 0;
	if (sc == SPANCLASS_TINY)
		return tiny_nbytes(size, tiny_floor(align, noscan));
	if (sc > SPANCLASS_BIG_NOSCAN)
		return spanclass_info(sc)->elemsize;
	return options.hardened ? hardened_big_npages(size) * PAGE_SIZE : pages_for(max_size(size, 1)) * PAGE_SIZE;
}

/* The live object at p has a sample's record, which goes when it is freed. */
static void mark_sampled(void *p)
{
	slot_set(state_of(p), slot_state(state_of(p)) | SLOT_SAMPLED);
}

/* A sample that would be in a tiny block, where there is no room for the mark. It is counted as what it is. */
static void *alloc_tiny_alone(struct mcache *c, size_t size, size_t nbytes, bool zero)
{
	spanclass_t sc = make_spanclass(sizeclass_for(2 * TINY_SIZE, TINY_SIZE), true);
	void *p = alloc_small(c, sc, zero ? size : 0);

	if (p == NULL)
		return NULL;
	slot_set(state_of(p), SLOT_RESIZED);
	sample_undo(c, SPANCLASS_TINY, nbytes);
	sample_count_small(c, sc);
	return p;
}

static SLOW_PATH void *alloc_counted(struct mcache *c, spanclass_t sc, size_t size, size_t align, bool noscan, bool zero,
				     size_t *sampled)
{
	size_t nbytes;
	unsigned what;
	void *p = NULL;

	if (options.hardened && sc != SPANCLASS_NOTHING)
		sc = spanclass_of_hardened(size, align, noscan);
	nbytes = nbytes_in(sc, size, align, noscan);
	if (sc > SPANCLASS_BIG_NOSCAN && !spanclass_noscan(sc) && !options.hardened && !options.sbrk)
		p = sample_plain(c, sc);
	if (p != NULL) {
		if (zero)
			zero_bytes(p, size);
		return p;
	}
	what = sample_one(c, sc, nbytes);
	/* What the profile has is in the heap. */
	if (what == SAMPLE_GUARD)
		p = fault_guarded_alloc(size, align, noscan);
	if (p != NULL) {
		sample_undo(c, sc, nbytes);
		return p;
	}
	if ((what & SAMPLE_STACK) != 0 && sc == SPANCLASS_TINY && !options.hardened)
		p = alloc_tiny_alone(c, size, nbytes, zero);
	else
		p = alloc_from(c, sc, size, align, noscan, zero);
	if (p == NULL) {
		sample_undo(c, sc, nbytes);
	} else if ((what & SAMPLE_STACK) != 0) {
		mark_sampled(p);
		*sampled = nbytes;
	}
	return p;
}

/* The big object at s is as good as a new one: realloc gave it pages. *sampled as in alloc(). */
static void count_big(struct mcache *c, struct mspan *s, size_t *sampled)
{
	if (LIKELY(!sample_counts()))
		return;
	if ((sample_one(c, s->spanclass, mspan_nbytes(s)) & SAMPLE_STACK) == 0)
		return;
	mark_sampled((void *)s->base);
	*sampled = mspan_nbytes(s);
}

/* The record of an object goes that is sampled; the caller has no cache and no lock. */
static SLOW_PATH void forget_sample(_Atomic uint8_t *state, void *p)
{
	slot_set(state, slot_state(state) & (uint8_t)~SLOT_SAMPLED);
	profile_free((uintptr_t)p);
}

/* Any request; align 0 for malloc's rule. *sampled, 0 before, becomes the bytes for which the caller is to call profile_alloc() when it
 * has left the cache. */
static void *alloc(struct mcache *c, size_t size, size_t align, bool noscan, bool zero, size_t *sampled)
{
	spanclass_t sc = spanclass_of(size, align, noscan);
	void *p = UNLIKELY(options.efence) ? fault_guarded_alloc(size, align, noscan) : NULL;

	if (UNLIKELY(p != NULL))
		return p;
	if (UNLIKELY(sample_counts()))
		return alloc_counted(c, sc, size, align, noscan, zero, sampled);
	return alloc_from(c, sc, size, align, noscan, zero);
}

static void *alloc_or_errno(size_t size, size_t align, bool noscan, bool zero)
{
	size_t sampled = 0;
	uint32_t rights;
	struct mcache *c;
	void *p;

	if (UNLIKELY(size > PTRDIFF_MAX))
		return no_memory();
	rights = metakey_open();
	c = start_enter();
	if (UNLIKELY(options.off && foreign_can_alloc())) {
		thread_leave(c);
		metakey_close(rights);
		return zero ? foreign_calloc(1, size) :
		       align > 16 ? foreign_memalign(align, size) : foreign_malloc(size);
	}
	p = alloc(c, size, align, noscan, zero, &sampled);
	thread_leave(c);
	if (UNLIKELY(sampled != 0))
		profile_alloc((uintptr_t)p, sampled);
	metakey_close(rights);
	if (UNLIKELY(options.scavthread))
		start_scavenger();
	return p != NULL ? p : no_memory();
}

/* While allocations are counted: of a small size, if that is all there is to be done. */
static void *alloc_plain(struct mcache *c, size_t size)
{
	spanclass_t sc;

	/* Relaxed: as in start_enter(). */
	if (!sample_counts() || size > MAX_SMALL_SIZE || c == MCACHE_NONE || !c->watched ||
	    atomic_load_explicit(&start_attention, memory_order_relaxed))
		return NULL;
	sc = sizeclass_of_malloc(size);
	return sc == SPANCLASS_BIG ? NULL : sample_plain(c, sc);
}

static SLOW_PATH void *malloc_rest(size_t size)
{
	void *p = alloc_plain(cache_for_slow_path(), size);

	if (p == NULL)
		return alloc_or_errno(size, 0, false, false);
	if (UNLIKELY(options.scavthread))
		start_scavenger();
	return p;
}

SLOW_PATH void *heap_malloc_slow(size_t size)
{
	struct mcache *c = thread_cache();

	/* One buffer used over and over. */
	if (size > MAX_SMALL_SIZE && size <= BIG_CACHE_MAX_RUN * PAGE_SIZE && c != MCACHE_NONE && !sample_counts()) {
		struct mspan *s = mcache_take_big(c, pages_for(size), false);

		if (s != NULL)
			return (void *)s->base;
	}
	return malloc_rest(size);
}

SLOW_PATH void *heap_calloc_slow(size_t size)
{
	void *p = alloc_plain(cache_for_slow_path(), size);

	if (p == NULL)
		return alloc_or_errno(size, 0, false, true);
	zero_bytes(p, size);
	if (UNLIKELY(options.scavthread))
		start_scavenger();
	return p;
}

/* malloc has fast paths for the size: it is small, there is nothing that diverts it, and allocations are not counted. */
FAST_PATH bool size_is_fast(size_t size)
{
	return size <= MAX_SMALL_SIZE && LIKELY(sizeclass_slot_of_malloc(size) - 1u < NUM_SPAN_CLASSES - 1);
}

/* A slot without going slow; NULL also where it is no matter of slots. */
FAST_PATH void *noscan_slot(size_t size, bool *fresh)
{
	if (size <= TINY_SIZE || !size_is_fast(size))
		return NULL;
	return mcache_alloc_fast(thread_cache(), make_spanclass(sizeclass_of_malloc(size) >> 1, true), fresh);
}

static SLOW_PATH void *noscan_slow(size_t size, bool zero)
{
	struct mcache *c = cache_for_slow_path();
	void *p = NULL;

	if (size <= TINY_SIZE && size_is_fast(size) && c != MCACHE_NONE)
		p = alloc_tiny(c, size, 1, zero);
	return LIKELY(p != NULL) ? p : alloc_or_errno(size, 0, true, zero);
}

void *heap_malloc_noscan(size_t size)
{
	bool fresh;
	void *p = noscan_slot(size, &fresh);

	return LIKELY(p != NULL) ? p : noscan_slow(size, false);
}

void *heap_calloc_noscan(size_t size)
{
	bool fresh;
	void *p = noscan_slot(size, &fresh);

	if (UNLIKELY(p == NULL))
		return noscan_slow(size, true);
	zero_object(p, size, fresh);
	return p;
}

void *heap_aligned(size_t align, size_t size, bool noscan)
{
	if (!noscan && align <= PAGE_SIZE && size_is_fast(size)) {
		unsigned class = sizeclass_for(size, align);
		bool fresh;
		void *p = class == 0 ? NULL :
				       mcache_alloc_fast(thread_cache(), make_spanclass(class, false), &fresh);

		if (LIKELY(p != NULL))
			return p;
	}
	return alloc_or_errno(size, align, noscan, false);
}

/* --- what is at an address --- */

/* A live object. */
struct object {
	struct mspan *span;
	size_t nbytes;      /* that its user may use */
	uint32_t slot;      /* small objects */
};

/* p is no live object of s (NULL: no span there): say why, and stop. */
static _Noreturn void bad_pointer(const void *p, const struct mspan *s, const char *func)
{
	uintptr_t addr = (uintptr_t)p;
	bool start = true;
	uint32_t slot;

	if (s == NULL) {
		start = false;
	} else if (s->kind == SPAN_SMALL) {
		start = mspan_slot_of(s, addr, &slot) && slot < s->nelems;
	} else if (s->kind == SPAN_TINY) {
		start = !tiny_is_interior(s, addr) && addr - s->base < s->nelems * (size_t)TINY_SIZE;
	} else if (s->kind == SPAN_BIG) {
		start = addr == s->base;
	}
	if (start && (addr % 8 == 0 || s->kind == SPAN_TINY))
		fatal_pointer(func, p, "double free");
	fatal_pointer(func, p, addr % 8 != 0 ? "misaligned pointer" : "invalid pointer");
}

/* The live object that starts at p in span s; false when there is none. With hardened=1 fatal when it ran over. */
static bool find_object(void *p, struct mspan *s, struct object *o, const char *func)
{
	uintptr_t addr = (uintptr_t)p;

	o->span = s;
	o->slot = 0;
	switch (s->kind) {
	case SPAN_SMALL:
		if (!mspan_slot_of(s, addr, &o->slot) || !slot_is_live(&s->state[o->slot]))
			return false;
		o->nbytes = s->elemsize;
		if (UNLIKELY(s->spanclass == SPANCLASS_NOTHING))
			o->nbytes = 0;
		else if (UNLIKELY(options.hardened))
			o->nbytes = hardened_small_size(s, o->slot, func);
		return true;
	case SPAN_TINY:
		o->nbytes = tiny_object_size(s, addr);
		return o->nbytes != 0;
	case SPAN_BIG:
		if (addr != s->base || !slot_is_live(&s->state[0]))
			return false;
		o->nbytes = options.hardened ? hardened_big_size(s, func) : mspan_nbytes(s);
		return true;
	default:
		return false;
	}
}

/* The span at p, NULL for a pointer that is foreign or to a guarded object; an address in an arena that no span has is fatal. */
static struct mspan *span_or_foreign(const void *p, const char *func)
{
	struct mspan *s = span_of((uintptr_t)p);

	if (s == NULL && arena_of((uintptr_t)p) != NULL && !guard_owns((uintptr_t)p))
		bad_pointer(p, NULL, func);
	return s;
}

bool heap_owns(const void *p)
{
	uint32_t rights = metakey_open();
	bool owns = span_of((uintptr_t)p) != NULL || arena_of((uintptr_t)p) != NULL || guard_owns((uintptr_t)p);

	metakey_close(rights);
	return owns;
}

/* --- free --- */

/* Its state before. */
static uint8_t set_big_free(struct mspan *s)
{
	if (os_single_threaded()) {
		uint8_t before = slot_state(&s->state[0]);

		slot_set(&s->state[0], SLOT_FREE);
		return before;
	}
	/* Exchange: of two threads that free the same object one is told. Relaxed: a pointer reaches its freer by the
	 * program's own synchronisation. */
	return atomic_exchange_explicit(&s->state[0], SLOT_FREE, memory_order_relaxed);
}

/* A big object's state before it was freed is not SLOT_LIVE. True: that was all. */
static SLOW_PATH bool freed_unusual(struct mspan *s, uint8_t before, const char *func)
{
	if (before == SLOT_FREE || before == SLOT_DEAD)
		fatal_pointer(func, (void *)s->base, "double free");
	if ((before & SLOT_SAMPLED) != 0)
		profile_free(s->base);
	if ((before & SLOT_ONCE) == 0)
		return false;
	no_reuse_free(s, 0, func);
	return true;
}

static SLOW_PATH void free_big_hardened(struct mcache *c, struct mspan *s, const char *func)
{
	uint8_t before;

	if (slot_is_live(&s->state[0]))
		(void)hardened_big_size(s, func);
	before = set_big_free(s);
	if (before != SLOT_LIVE && freed_unusual(s, before, func))
		return;
	hardened_free_big(c, s);
}

static void free_big(struct mcache *c, struct mspan *s, const char *func)
{
	uint8_t before;

	if (UNLIKELY(options.hardened)) {
		free_big_hardened(c, s, func);
		return;
	}
	before = set_big_free(s);
	if (UNLIKELY(before != SLOT_LIVE) && freed_unusual(s, before, func))
		return;
	if (UNLIKELY(s->moved))
		atomic_fetch_sub_explicit(&moved_spans, 1, memory_order_relaxed);
	if (UNLIKELY(options.clobberfree))
		fill_bytes((void *)s->base, 0xdf, mspan_nbytes(s));
	mcache_free_big(c, s);
}

/* Fills a live small object and frees it. */
static SLOW_PATH void clobber_and_free(struct mcache *c, struct mspan *s, uint32_t slot, const char *func)
{
	uintptr_t addr = mspan_slot_addr(s, slot);

	if (s->spanclass != SPANCLASS_NOTHING)
		fill_bytes((void *)addr, 0xdf, s->elemsize);
	slot_set(&s->state[slot], SLOT_FREE);
	mcache_return(c, addr, func);
}

void heap_free_slot(struct mcache *c, struct mspan *s, uint32_t slot, const char *func)
{
	/* The fast path of free leads here. */
	forked_look();
	if (UNLIKELY(options.hardened) && s->spanclass != SPANCLASS_NOTHING)
		hardened_free_small(c, s, slot, func);
	else if (UNLIKELY(options.clobberfree))
		clobber_and_free(c, s, slot, func);
	else
		mcache_free_slot(c, s, slot, func);
}

static void free_object(const struct object *o, void *p, const char *func)
{
	struct mspan *s = o->span;
	struct mcache *c;

	if (UNLIKELY(s->kind != SPAN_TINY && (slot_state(&s->state[o->slot]) & SLOT_SAMPLED) != 0))
		forget_sample(&s->state[o->slot], p);
	if (UNLIKELY(options.sbrk) && s->kind == SPAN_SMALL) {
		no_reuse_free(s, o->slot, func);
		return;
	}
	c = start_enter();
	switch (s->kind) {
	case SPAN_TINY:
		if (options.clobberfree)
			fill_bytes(p, 0xdf, o->nbytes);
		tiny_free(c, s, (uintptr_t)p);
		break;
	case SPAN_BIG:
		free_big(c, s, func);
		break;
	default:
		if (!mcache_free_fast(c, s, s->spanclass, (uintptr_t)p, &s->state[o->slot]))
			heap_free_slot(c, s, o->slot, func);
		break;
	}
	thread_leave(c);
}

/* p is in no span. */
static void free_outside(void *p, uint32_t rights, const char *func)
{
	bool guarded = guard_owns((uintptr_t)p);

	if (guarded)
		fault_guarded_free(p, func);
	metakey_close(rights);
	if (!guarded)
		foreign_free(p, func);
}

static SLOW_PATH void free_rest(void *p, const char *func)
{
	uint32_t rights = metakey_open();
	struct mspan *s = span_or_foreign(p, func);
	struct object o;

	if (s == NULL) {
		free_outside(p, rights, func);
		return;
	}
	if (!find_object(p, s, &o, func))
		bad_pointer(p, s, func);
	free_object(&o, p, func);
	metakey_close(rights);
}

/* Apart from what heap_free_slow() does for big objects, for which that would have registers to save. */
static SLOW_PATH void free_tiny_or_rest(struct mcache *c, void *p, struct mspan *s, const char *func)
{
	if (LIKELY(s != NULL) && s->kind == SPAN_TINY && c != MCACHE_NONE && tiny_object_size(s, (uintptr_t)p) != 0 &&
	    !options.clobberfree)
		tiny_free(c, s, (uintptr_t)p);
	else
		free_rest(p, func);
}

SLOW_PATH void heap_free_slow(void *p, struct mspan *s, const char *func)
{
	struct mcache *c = cache_for_slow_path();

	if (LIKELY(s != NULL) && s->kind == SPAN_BIG && (uintptr_t)p == s->base && c != MCACHE_NONE)
		free_big(c, s, func);
	else if (p != NULL)
		free_tiny_or_rest(c, p, s, func);
}

/* Returns the bytes of the slot that a request of the kind gets. What serves requests is asked, so that both agree. */
static size_t slot_nbytes(size_t size, size_t align, bool noscan)
{
	return nbytes_in(spanclass_of(size, align, noscan), size, align, noscan);
}

size_t heap_good_size(size_t size, size_t align)
{
	if (size > PTRDIFF_MAX - PAGE_SIZE || (size == 0 && align == 0))
		return 0;
	return options.hardened ? size : slot_nbytes(size, align, false);
}

/* An object of size bytes may be where o is. */
static bool size_fits(const struct object *o, size_t size, size_t align)
{
	const struct mspan *s = o->span;
	bool noscan = spanclass_noscan(s->spanclass);

	if (s->kind == SPAN_TINY) /* noscan, or malloc's */
		return o->nbytes == tiny_nbytes(size, max_size(align, 1)) ||
		       o->nbytes == tiny_nbytes(size, options.tiny_align);
	if ((slot_state(&s->state[o->slot]) & SLOT_RESIZED) != 0)
		return size <= o->nbytes;
	if (options.hardened || size > PTRDIFF_MAX - PAGE_SIZE)
		return size == o->nbytes;
	/* malloc aligns to 8, too: whether that was asked for is nothing to insist on. */
	if (align <= sizeof(void *) && slot_nbytes(size, align == 0 ? sizeof(void *) : 0, noscan) == o->nbytes)
		return true;
	return slot_nbytes(size, align, noscan) == o->nbytes;
}

/* Reports that an object is freed by a size that is not its own. It ends the process unless sizemismatch=warn. */
static void wrong_size(const char *func, const void *p, size_t given, size_t slot)
{
	if (!options.sizemismatch_warn)
		fatal_size(func, p, given, slot);
	warn_size(func, p, given, slot, os_now_ms());
}

/* A guarded object may be freed by any size that the heap would have put into the same slot. */
static void check_guarded_size(const void *p, size_t size, size_t align, const char *func)
{
	size_t nbytes;

	if (guard_owns((uintptr_t)p) && guard_size(p, &nbytes) && size != nbytes &&
	    heap_good_size(size, align) != heap_good_size(nbytes, align))
		wrong_size(func, p, size, nbytes);
}

SLOW_PATH void heap_free_sized_slow(void *p, size_t size, size_t align, const char *func)
{
	struct object o;
	struct mspan *s;
	uint32_t rights;

	if (p == NULL)
		return;
	rights = metakey_open();
	s = span_or_foreign(p, func);
	if (s == NULL) {
		check_guarded_size(p, size, align, func);
		free_outside(p, rights, func);
		return;
	}
	if (!find_object(p, s, &o, func))
		bad_pointer(p, s, func);
	if (!size_fits(&o, size, align))
		wrong_size(func, p, size, o.nbytes);
	free_object(&o, p, func);
	metakey_close(rights);
}

/* --- realloc --- */

/* The object at p may stay in its slot: it fits, wastes no more than half of it, and slot and span are of the kind that a
 * new object would go to. */
static bool stays_in_slot(const struct object *o, const void *p, size_t size, bool noscan)
{
	if (size > o->nbytes || size < o->nbytes / 2)
		return false;
	/* What is known of the size is the bytes that it has. */
	if (o->span->kind == SPAN_TINY)
		return size_fits(o, size, 0) &&
		       (noscan || (size < sizeof(void *) && (uintptr_t)p % options.tiny_align == 0));
	/* An object of aligned_alloc(8, 20) may be where malloc(20) may not. */
	return spanclass_noscan(o->span->spanclass) == noscan && (uintptr_t)p % sizeclass_malloc_align(size) == 0;
}

/* The pages of a big object in a span of another length. NULL: copy. */
static void *move_big(struct mcache *c, struct mspan *s, size_t npages, bool noscan)
{
	size_t nbytes = min_size(mspan_nbytes(s), npages * PAGE_SIZE);
	struct mspan *to;
	bool fresh;

	if (nbytes < MOVE_PAGES_MIN ||
	    atomic_load_explicit(&moved_spans, memory_order_relaxed) >= MAX_MOVED_SPANS)
		return NULL;
	to = mcache_alloc_big(c, npages, 1, noscan, &fresh);
	if (to == NULL)
		return NULL;
	/* Where the kernel's pages are larger, not every object has whole ones. */
	if (!os_is_whole_pages((void *)(s->base | to->base), nbytes) ||
	    !os_move_pages((void *)s->base, (void *)to->base, nbytes)) {
		slot_set(&to->state[0], SLOT_FREE);
		mcache_free_big(c, to);
		return NULL;
	}
	to->moved = true;
	to->zeroed = false;
	atomic_fetch_add_explicit(&moved_spans, 1, memory_order_relaxed);
	return (void *)to->base;
}

/* What realloc leaves in a slot: resized, where a new object of the size would have another slot. */
static void set_resized(_Atomic uint8_t *state, bool resized)
{
	slot_set(state, (resized ? SLOT_RESIZED : SLOT_LIVE) | (slot_state(state) & (SLOT_SAMPLED | SLOT_ONCE)));
}

/* A size below a big object's in a span of its own. */
static void mark_resized(struct mspan *s, size_t size)
{
	set_resized(&s->state[0], size <= MAX_SMALL_SIZE);
}

/* A big object that realloc left in its span, longer or shorter: a new allocation, as far as samples go. */
static void *resized_in_place(struct mcache *c, struct mspan *s, size_t size)
{
	bool was_sampled = (slot_state(&s->state[0]) & SLOT_SAMPLED) != 0;
	size_t sampled = 0;

	slot_set(&s->state[0], SLOT_LIVE);
	mark_resized(s, size);
	s->grown = true;
	count_big(c, s, &sampled);
	thread_leave(c);
	if (UNLIKELY(was_sampled))
		profile_free(s->base);
	if (UNLIKELY(sampled != 0))
		profile_alloc(s->base, sampled);
	return (void *)s->base;
}

/* A big object in its place, with other pages. At the memory limit the thread gives back what it keeps, and tries again. */
static bool resize_big(struct mcache *c, struct mspan *s, size_t npages)
{
	bool ok;

	if (mheap_extend_cached(&c->pages, s, npages) || mheap_resize_big(s, npages))
		return true;
	if (!limit_wants_flush())
		return false;
	mcache_flush(c);
	ok = mheap_resize_big(s, npages);
	limit_end_request();
	return ok;
}

bool heap_resize_in_place(void *p, size_t size, const char *func)
{
	uint32_t rights = metakey_open();
	struct mspan *s = span_or_foreign(p, func);
	bool done = false;
	struct object o;

	if (s != NULL && !find_object(p, s, &o, func))
		bad_pointer(p, s, func);
	if (s != NULL && s->kind == SPAN_BIG && !options.hardened && !options.sbrk && size >= REALLOC_PAGES_MIN &&
	    size <= PTRDIFF_MAX) {
		struct mcache *c = start_enter();

		done = pages_for(size) == s->npages || resize_big(c, s, pages_for(size));
		if (done)
			(void)resized_in_place(c, s, size);
		else
			thread_leave(c);
	}
	metakey_close(rights);
	return done;
}

/* Without copying: in its span, longer or shorter, or its pages moved. NULL: copy. */
static void *realloc_big(const struct object *o, size_t size, bool noscan, const char *func)
{
	struct mspan *s = o->span;
	size_t npages = pages_for(size);
	size_t sampled = 0;
	struct mcache *c;
	void *p;

	if (s->kind != SPAN_BIG || size < REALLOC_PAGES_MIN ||
	    spanclass_noscan(s->spanclass) != noscan)
		return NULL;
	if (npages == s->npages) {
		mark_resized(s, size);
		s->grown = true;
		return (void *)s->base;
	}
	c = start_enter();
	if (resize_big(c, s, npages))
		return resized_in_place(c, s, size);
	p = move_big(c, s, npages, noscan);
	if (p != NULL)
		count_big(c, span_of((uintptr_t)p), &sampled);
	thread_leave(c);
	if (p == NULL)
		return NULL;
	if (UNLIKELY(sampled != 0))
		profile_alloc((uintptr_t)p, sampled);
	free_object(o, (void *)s->base, func);
	return p;
}

/* A small object that grows by realloc will grow again: from some size on it gets pages of its own, behind which
 * there may be room. NULL: not that large, or no memory. */
static void *grow_to_pages(const struct object *o, size_t size, bool noscan)
{
	size_t sampled = 0;
	struct mcache *c;
	struct mspan *s;
	bool fresh;

	if (o->span->kind != SPAN_SMALL || size <= o->nbytes || size < REALLOC_PAGES_MIN ||
	    size > MAX_SMALL_SIZE)
		return NULL;
	c = start_enter();
	s = mcache_new_big(c, pages_for(size), 1, noscan, &fresh);
	if (s != NULL) {
		mark_resized(s, size);
		s->grown = true;
		count_big(c, s, &sampled);
	}
	thread_leave(c);
	if (s == NULL)
		return NULL;
	if (UNLIKELY(sampled != 0))
		profile_alloc(s->base, sampled);
	return (void *)s->base;
}

/* Into a new object and out of the old one, with hardened=1 and sbrk=1; NULL when there is no memory. */
static void *move_object(const struct object *o, void *p, size_t size, bool noscan, const char *func)
{
	void *to;

	if (options.hardened && size == o->nbytes && (uintptr_t)p % sizeclass_malloc_align(size) == 0 &&
	    spanclass_noscan(o->span->spanclass) == noscan)
		return p;
	if (!options.hardened && stays_in_slot(o, p, size, noscan)) {
		set_resized(&o->span->state[o->slot], heap_good_size(size, 0) != o->nbytes);
		return p;
	}
	to = alloc_or_errno(size, 0, noscan, false);
	if (to == NULL)
		return NULL;
	copy_bytes(to, p, min_size(o->nbytes, size));
	free_object(o, p, func);
	return to;
}

/* p is in span s. */
static void *realloc_ours(void *p, struct mspan *s, size_t size, bool noscan, const char *func)
{
	struct object o;
	void *to;

	if (!find_object(p, s, &o, func))
		bad_pointer(p, s, func);
	if (size > PTRDIFF_MAX)
		return no_memory();
	if (UNLIKELY(options.hardened || options.sbrk))
		return move_object(&o, p, size, noscan, func);
	if (s->kind != SPAN_BIG && stays_in_slot(&o, p, size, noscan)) {
		if (s->kind == SPAN_SMALL)
			set_resized(&s->state[o.slot], heap_good_size(size, 0) != o.nbytes);
		return p;
	}
	to = realloc_big(&o, size, noscan, func);
	if (to != NULL)
		return to;
	to = grow_to_pages(&o, size, noscan);
	if (to == NULL)
		to = alloc_or_errno(size, 0, noscan, false);
	if (to == NULL)
		return NULL;
	copy_bytes(to, p, min_size(o.nbytes, size));
	free_object(&o, p, func);
	return to;
}

/* p is in no span. */
static void *realloc_outside(void *p, size_t size, bool noscan, const char *func)
{
	size_t nbytes;
	void *to;

	if (!guard_owns((uintptr_t)p))
		return foreign_realloc(p, size, func);
	if (!guard_size(p, &nbytes))
		fault_bad_pointer(p, func, NULL);
	to = alloc_or_errno(size, 0, noscan, false);
	if (to == NULL)
		return NULL;
	copy_bytes(to, p, min_size(nbytes, size));
	fault_guarded_free(p, func);
	return to;
}

void *heap_realloc(void *p, size_t size, bool noscan, const char *func)
{
	struct mspan *s = entry_span(entry_of((uintptr_t)p));
	uint32_t rights, slot;
	void *to;

	/* In the slot where it would be put anew. */
	if (LIKELY(s != NULL) && mspan_slot_of(s, (uintptr_t)p, &slot) && size <= MAX_SMALL_SIZE &&
	    !noscan && s->spanclass == sizeclass_of_malloc(size) && slot_state(&s->state[slot]) == SLOT_LIVE)
		return p;
	if (p == NULL)
		return noscan ? heap_malloc_noscan(size) : heap_malloc(size);
	rights = metakey_open();
	s = span_or_foreign(p, func);
	to = s == NULL ? realloc_outside(p, size, noscan, func) : realloc_ours(p, s, size, noscan, func);
	metakey_close(rights);
	if (UNLIKELY(options.scavthread))
		start_scavenger();
	return to;
}

void *heap_realloc_zero(void *p, bool noscan, const char *func)
{
	switch (options.realloczero) {
	case REALLOC_ZERO_ALLOC:
		return heap_realloc(p, 0, noscan, func);
	case REALLOC_ZERO_ABORT:
		fatal_pointer(func, p, "realloc of size 0");
	default:
		heap_free(p, func);
		return NULL;
	}
}

/* --- the rest --- */

/* p is in no span. */
static size_t usable_size_outside(void *p, const char *func)
{
	size_t nbytes;

	if (!guard_owns((uintptr_t)p))
		return foreign_usable_size(p, func);
	if (!guard_size(p, &nbytes))
		fault_bad_pointer(p, func, (uintptr_t)p % 8 != 0 ? "misaligned pointer" : "invalid pointer");
	return nbytes;
}

static SLOW_PATH size_t usable_size_slow(void *p, const char *func)
{
	struct object o;
	struct mspan *s;
	uint32_t rights;

	if (p == NULL)
		return 0;
	rights = metakey_open();
	s = span_or_foreign(p, func);
	if (s == NULL)
		o.nbytes = usable_size_outside(p, func);
	else if (!find_object(p, s, &o, func))
		fatal_pointer(func, p, (uintptr_t)p % 8 != 0 ? "misaligned pointer" : "invalid pointer");
	metakey_close(rights);
	return o.nbytes;
}

size_t heap_usable_size(void *p, const char *func)
{
	uint64_t entry = entry_of((uintptr_t)p);
	uint32_t slot;

	if (LIKELY(entry_slot_of(entry, (uintptr_t)p, &slot)) && LIKELY(entry_spanclass(entry) != SPANCLASS_NOTHING) &&
	    LIKELY(slot_is_live(&entry_span(entry)->state[slot])) && LIKELY(!options.hardened))
		return spanclass_info(entry_spanclass(entry))->elemsize;
	return usable_size_slow(p, func);
}

size_t heap_usable_size_or_0(void *p, const char *func)
{
	uint32_t rights = metakey_open();
	struct mspan *s = span_of((uintptr_t)p);
	bool guarded = guard_owns((uintptr_t)p);
	struct object o = { .nbytes = 0 };

	if (s != NULL ? !find_object(p, s, &o, func) : guarded && !guard_size(p, &o.nbytes))
		o.nbytes = 0;
	metakey_close(rights);
	return s == NULL && !guarded ? foreign_usable_size_or_0(p) : o.nbytes;
}

size_t heap_limit(void)
{
	size_t bytes = limit_bytes();

	return bytes == 0 ? SIZE_MAX : bytes;
}

size_t heap_set_limit(size_t bytes)
{
	uint32_t rights = metakey_open();
	size_t before;

	/* The options have been read. */
	thread_leave(start_enter());
	before = mheap_set_limit(bytes > PTRDIFF_MAX ? 0 : bytes);
	metakey_close(rights);
	if (mheap_used_bytes() > bytes)
		(void)heap_trim();
	return before == 0 ? SIZE_MAX : before;
}

bool heap_trim(void)
{
	uint32_t rights = metakey_open();
	struct mcache *c = start_enter();
	bool given;

	mcache_flush(c);
	thread_leave(c);
	thread_flush_shared();
	mheap_release_records();
	given = mheap_scavenge_all() != 0;
	metakey_close(rights);
	return given;
}
