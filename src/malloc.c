/* SPDX-License-Identifier: MIT */
/*
 * malloc.c - size policy, allocation and free. This comment is the overview of the heap.
 *
 * The heap has the architecture of the Go runtime's. Go's collector frees whole spans at a time;
 * here any thread frees one object at once. The glossary in src/README.md has the words of this
 * comment. The parts, from the system to the thread:
 *
 *   1. arena      64 MiB of address space, aligned. Most arenas lie in one window, in which one
 *                 comparison and one load lead from an address to its span. [arena.c, pagemap.c]
 *   2. pagealloc  finds the lowest free run of pages of 8 KiB: a bitmap under a tree of sums.
 *   3. mspan      a run of pages cut into slots of one span class, or one big object. A span class
 *                 is a slot size, with pointers in the objects (scan) or without (noscan). A slot
 *                 has a state byte, a free bit and a remote bit, far from the slot itself. An owner
 *                 word names the thread that may change the span. [mspan.h, mspan.c, sizeclass.c]
 *   4. mheap      makes spans of pages. [mheap.c, growth.c, limit.c, scavenge.c, pcache.c]
 *   5. mcentral   for each span class, spans with free slots that no thread has. [mcentral.c,
 *                 drain.c]
 *   6. mcache     what one thread has: for each span class a bin with a stack of freed slots, a
 *                 current span and a current word of 64 slots of it, partial spans; spare spans of
 *                 any class; pages; big objects. thread.c gives each thread its cache. [mcache.c,
 *                 spares.c, bigcache.c, ...]
 *
 * The records of all parts have memory of their own, far from objects. [fixalloc.c, partalloc.c]
 *
 * malloc(100) comes from face/interpose.c. Its object gets a slot of 112 bytes of a scan span.
 *   1. heap_malloc() [heap.h] finds the bin by a table. mcache_alloc_fast() [mcache.h] pops the
 *      bin's stack, or takes the lowest bit of its current word.
 *   2. If both are empty heap_malloc_slow() leads to request_alloc(), and that calls start_enter(),
 *      alloc_small() and mcache_alloc_slow(). A thread that has no cache comes here, too, because
 *      MCACHE_NONE stands for its cache and is always empty. start_enter() gives it a cache, and
 *      in the first call of the process it sets the heap up. [start.c, thread.c]
 *   3. mcache_refill() [mcache.c] takes the next word of the current span (load_word()).
 *   4. A current span without a free bit becomes full: it has no owner and is on no list. Then
 *      next_span() takes a partial span of the bin, a spare span of the class, or a span that
 *      mcentral_take() has. mspan_absorb() adds the slots that other threads freed there.
 *   5. Otherwise spare spans of other classes give their pages back, and mheap_alloc_small()
 *      [mheap.c] makes a span. Its pages come from the thread's page word: up to 64 neighbouring
 *      pages that the thread has taken in advance [pcache.c].
 *   6. If the word has no such run, refill_word() exchanges it for another, under mheap.lock. The
 *      other word comes from pagealloc. When that has none, growth_extend_locked() commits memory,
 *      after arena.c has reserved address space by os_reserve(), which is an mmap(2).
 *
 * free(p) of the owner: heap_free_fast() [heap.h] finds span and class of p by the window, and the
 * slot by one multiplication, which also proves that p is the start of a slot. The slot's state
 * byte says that the object is live. If this thread owns the span, or was the last owner of a span
 * that is full, mcache_free_fast() pushes the slot on the bin's stack. That takes no lock, no
 * atomic read-modify-write and no call. If the stack is full, heap_free_slot() and
 * mcache_free_slot() return the slot to the span (mspan_free_local()), or in a large heap a part of
 * the stack to its spans (mcache_spill()). A span that has become empty becomes a spare span of
 * the thread, or its pages go back to the heap (keep_spare()).
 *
 * free(p) of another thread: a thread without a cache gets one in request_free(). Then
 * mcache_free_slot() puts a few slots on the thread's own stack, for its next objects. With the
 * others it comes to mspan_free_remote(), which sets the slot's bit in the span's remote_bits. If a
 * thread owns the span, nothing else happens. A span that is full or in mcentral has a credit: the
 * number of remote frees that make it worth owning. The free counts it down, and if it brings the
 * credit to zero, it takes the span over for its own thread (mcache_claim()).
 *
 * A slot that was freed remotely is used again after mspan_absorb(). A thread calls that when it
 * claims a span or takes it as its next one, and when it looks for spans that it does not use.
 * When a current span becomes full, mspan_set_full() counts its remote bits against the credit. If
 * an eighth of the slots came free, the thread claims the span back at once.
 *
 * Larger objects have pages of their own: big_alloc() and big_free(), with mcache_alloc_big() and
 * mcache_free_big(), which keep some freed ones. Objects of 16 bytes and less that hold no pointers
 * share blocks (tiny.c).
 *
 * The rest of the heap:
 *   - start.c sets the heap up; fork.c mends a forked child; object.c tells what lies at an
 *     address; realloc.c resizes; scavthread.c is a thread that gives memory back.
 *   - While allocations are counted or sampled, malloc's table leads to the counted bins. These are
 *     refilled up to the next sample only, so that the slow path comes at just that object. A
 *     sampled object has a flag in its state byte, which sends its free to the slow path. A tracer
 *     outside of the process may ask for samples. [sample.c, profile.c, tracer.c]
 *   - Guarded objects lie outside of the arenas, where fast paths find nothing. [guard.c, fault.c]
 *   - Statistics and maps walk the pages while threads run (heapwalk.c). The leak finder marks in a
 *     copy of the process (snapshot.c). service.c writes what was asked for, at exit and on a
 *     signal.
 *
 * Decisions, each with its reason:
 *   - Remote frees count down a credit, so that the free that empties a span notices it, wherever
 *     the span is. A count of remote bits would not be exact for long spans and spans in mcentral.
 *   - A tiny object's state is the byte at its own offset and holds its size. So no free needs a
 *     read-modify-write. The price is 16 state bytes a block.
 *   - A tick of a thread is its first look at the clock after the decay time (option scavenge). At
 *     every tick its stacks are emptied into their spans, because nothing else makes a stack
 *     shrink. A deep stack has a place of its own, so that only used depth costs memory. A thread
 *     alone learns which stacks are worth more depth. It flushes these before the heap grows, and
 *     when there is a second thread, because many threads might all idle with deep stacks.
 *   - malloc below 8 bytes gives a slot of 8 by the path of all other sizes. The object's part of a
 *     tiny block would be as large, because malloc aligns to 8. Only noscan calls use tiny blocks.
 *   - malloc(0) gets an address in pages that cannot be touched: an access there is a fault.
 *   - A thread alone keeps all partial spans that it uses, and as many freed big objects as it asks
 *     for again. A thread is alone if the process never had a second one that allocated. Others
 *     keep a share of 2 MiB of spans and of 8 MiB of big objects, because no thread can use what
 *     another keeps.
 *   - The free slots of one class are of no use to another. When the heap has grown by a sixteenth,
 *     the partial spans that were not used meanwhile, or are half free, give back what they can
 *     (partials.c): a program that goes on with other sizes does not keep its old ones in memory.
 *     Before the heap grows, a span may be shorter than usual, to fit where pages are free.
 *   - A thread keeps spare spans for the classes that they are of. How many it keeps it learns from
 *     those that it had to give away and missed later. A thread that frees all it had, and ends or
 *     waits then, has learnt nothing and keeps little.
 *   - A thread takes its own full span back at the first free that finds its stack full, by one
 *     swap. Two atomic operations for every slot cost more (bench row "bulk 64 B x 10000").
 *   - The spans that a thread takes of the heap for one class begin short, with one slot or a page
 *     of them, and each is longer than the one before. Meanwhile those of other classes become
 *     shorter. So few objects cost little memory, also where they are of many classes, and many
 *     objects cost few spans. The longest have 16 slots if that takes at most 128 KiB: more would
 *     strand more memory in idle threads. For the same reason, where there are many threads, a
 *     current span without objects becomes a spare span, a stack gets a place only when its bin has
 *     been refilled twice, and a thread that frees the last object it has gives back all that it
 *     keeps (allfree.c). Where first spans become an eighth of the heap, those that are empty go
 *     back before the next one is taken.
 *   - Huge pages are asked for region by region, where small objects begin one (mheap.c). Huge
 *     pages for all of a large heap multiply the memory of programs that allocate and do not touch.
 *   - The face interposes dlopen, dlsym and their fellows, because they lead past this library to
 *     libc's malloc (RTLD_DEEPBIND, a handle of libc), and can be answered only there.
 *
 * Owns     the policy: which requests are small, tiny or big, and which mode serves them.
 * Locks    none of its own. start_enter() gives a cache, perhaps the shared one, locked.
 * Holds    An object of malloc(n) is in a slot of heap_good_size(n, 0) bytes, unless its state has
 *          SLOT_RESIZED. Sized frees are checked against that.
 */
#include "big.h"
#include "base/options.h"
#include "heap.h"
#include "heap/mcentral.h"
#include "heap/tiny.h"
#include "os/fatal.h"
#include "os/foreign.h"
#include "os/metakey.h"
#include "os/os.h"
#include "safe/fault.h"
#include "safe/hardened.h"
#include "safe/no_reuse.h"
#include "scavthread.h"
#include "start.h"
#include "tools/profile.h"
#include "tools/sample.h"
#include "tools/service.h"
#include "tools/tracer.h"

#include <errno.h>

void *request_refuse(void)
{
	errno = ENOMEM;
	return NULL;
}

/* Returns the calling thread's cache for slow paths that begin without metakey_open(), which opens
 * records and mends a forked child. In a child that is not mended yet it returns MCACHE_NONE. The
 * path then goes on to a function that calls metakey_open(). */
FAST_PATH struct mcache *cache_for_slow_path(void)
{
	return forked() ? MCACHE_NONE : thread_cache();
}

/* --- size policy --- */

/* Returns the size class for a size and an alignment, 0 if only a big object is so aligned. */
static unsigned class_for(size_t size, size_t align)
{
	return sizeclass_for(size, align == 0 ? sizeclass_malloc_align(size) : align);
}

/* Returns a span class without tiny blocks and untouchable pages: for objects that need a slot. */
static spanclass_t slot_spanclass(spanclass_t sc)
{
	return sc == SPANCLASS_TINY || sc == SPANCLASS_ZERO ?
		       make_spanclass(sizeclass_for(2 * TINY_SIZE, TINY_SIZE), NOSCAN) :
		       sc;
}

/* Returns the span class from which hardened=1 serves a request. */
static spanclass_t spanclass_of_hardened(const struct request *r)
{
	size_t room = max_size(r->size, 1) + HARDENED_TAIL;
	unsigned class = 0;
	spanclass_t sc;

	if (room <= MAX_SMALL_SIZE && r->align <= PAGE_SIZE)
		class = sizeclass_for(room,
				      r->align == 0 ? sizeclass_malloc_align(r->size) : r->align);
	sc = make_spanclass(class, r->scan);
	return sc == SPANCLASS_TINY ? slot_spanclass(sc) : sc;
}

/* Returns the span class from which a request is served. */
static spanclass_t spanclass_of(const struct request *r)
{
	unsigned class = 0;

	if (r->size == 0 && r->align == 0)
		return SPANCLASS_ZERO;
	/* Noscan objects are aligned by their size alone unless the caller asks for more. With
	 * sbrk=1 there are no tiny blocks, because a block is used again as a whole. */
	if (!options.sbrk && r->scan == NOSCAN && r->size <= TINY_SIZE && r->align <= TINY_SIZE)
		return SPANCLASS_TINY;
	if (r->size <= MAX_SMALL_SIZE && r->align <= PAGE_SIZE)
		class = class_for(max_size(r->size, 1), r->align);
	return slot_spanclass(make_spanclass(class, r->scan));
}

/* Returns the bytes that a request takes of the heap. */
static size_t nbytes_in(spanclass_t sc, const struct request *r)
{
	if (sc == SPANCLASS_ZERO)
		return 0;
	if (sc == SPANCLASS_TINY)
		return tiny_nbytes(r->size, max_size(r->align, 1));
	if (sc > SPANCLASS_BIG_NOSCAN)
		return spanclass_info(sc)->elemsize;
	if (options.hardened)
		return hardened_big_npages(r->size) * PAGE_SIZE;
	return pages_for(max_size(r->size, 1)) * PAGE_SIZE;
}

/* Returns the bytes of the slot that a request would get. It asks the functions that serve
 * requests, so that both agree. */
static size_t slot_nbytes(size_t size, size_t align, enum scan scan)
{
	struct request r = { .size = size, .align = align, .scan = scan };

	return nbytes_in(spanclass_of(&r), &r);
}

size_t heap_good_size(size_t size, size_t align)
{
	if (size > PTRDIFF_MAX - PAGE_SIZE || (size == 0 && align == 0))
		return 0;
	return options.hardened ? size : slot_nbytes(size, align, false);
}

/* --- allocation: each function returns NULL if there is no memory, and leaves errno to its caller
 * --- */

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

static void *alloc_tiny(struct mcache *c, size_t size, size_t floor, enum content content)
{
	void *p = tiny_alloc(c, size, floor);

	if (p != NULL && content == ZERO)
		zero_bytes(p, tiny_nbytes(size, floor));
	return p;
}

static void *alloc_hardened(struct mcache *c, const struct request *r)
{
	spanclass_t sc = spanclass_of_hardened(r);
	struct mspan *s;

	if (sc > SPANCLASS_BIG_NOSCAN)
		return hardened_alloc_small(c, sc, r->size);
	if (r->size > PTRDIFF_MAX - r->align - 2 * PAGE_SIZE || r->align > PTRDIFF_MAX / 2)
		return NULL;
	s = hardened_alloc_big(c, r->size, max_size(r->align, PAGE_SIZE) / PAGE_SIZE, r->scan);
	return s == NULL ? NULL : mspan_set_big_live(s);
}

static void *alloc_from(struct mcache *c, spanclass_t sc, const struct request *r)
{
	if (UNLIKELY(options.hardened) && sc != SPANCLASS_ZERO)
		return alloc_hardened(c, r);
	if (sc == SPANCLASS_TINY)
		return alloc_tiny(c, r->size, max_size(r->align, 1), r->content);
	if (sc <= SPANCLASS_BIG_NOSCAN)
		return big_alloc(c, r);
	return alloc_small(c, sc, r->content == ZERO ? r->size : 0);
}

/* --- while allocations are counted: see sample.h --- */

/* Marks the live object at p: it has a record of a sample, which goes when the object is freed. */
static void mark_sampled(void *p)
{
	slot_set(object_state(p), slot_state(object_state(p)) | SLOT_SAMPLED);
}

/* Makes a sampled object that would be in a tiny block, where there is no room for the mark, in a
 * slot. */
static void *alloc_tiny_alone(struct mcache *c, size_t size, size_t nbytes, enum content content)
{
	spanclass_t sc = slot_spanclass(SPANCLASS_TINY);
	void *p = alloc_small(c, sc, content == ZERO ? size : 0);

	if (p == NULL)
		return NULL;
	slot_set(object_state(p), SLOT_RESIZED);
	sample_undo(c, SPANCLASS_TINY, nbytes);
	sample_count_small(c, sc);
	return p;
}

static SLOW_PATH void *alloc_counted(struct mcache *c, spanclass_t sc, const struct request *r,
				     size_t *sampled)
{
	size_t nbytes;
	unsigned what;
	void *p = NULL;

	if (options.hardened && sc != SPANCLASS_ZERO)
		sc = spanclass_of_hardened(r);
	nbytes = nbytes_in(sc, r);
	if (sc > SPANCLASS_BIG_NOSCAN && spanclass_scan(sc) == SCAN && !options.hardened &&
	    !options.sbrk)
		p = sample_plain(c, sc);
	if (p != NULL) {
		if (r->content == ZERO)
			zero_bytes(p, r->size);
		return p;
	}
	what = sample_one(c, sc, nbytes);
	/* A guarded object is not in the heap and is no sample. */
	if (what == SAMPLE_GUARD)
		p = fault_guarded_alloc(r->size, r->align, r->scan);
	if (p != NULL) {
		sample_undo(c, sc, nbytes);
		return p;
	}
	if ((what & SAMPLE_STACK) != 0 && sc == SPANCLASS_TINY && !options.hardened)
		p = alloc_tiny_alone(c, r->size, nbytes, r->content);
	else
		p = alloc_from(c, sc, r);
	if (p == NULL) {
		sample_undo(c, sc, nbytes);
	} else if ((what & SAMPLE_STACK) != 0) {
		mark_sampled(p);
		*sampled = nbytes;
	}
	return p;
}

void request_count_big(struct mcache *c, struct mspan *s, size_t *sampled)
{
	if (LIKELY(!sample_counts()))
		return;
	if ((sample_one(c, s->spanclass, mspan_nbytes(s)) & SAMPLE_STACK) == 0)
		return;
	mark_sampled((void *)s->base);
	*sampled = mspan_nbytes(s);
}

/* Forgets the record of a sampled object. The caller has no cache and no lock. */
static SLOW_PATH void forget_sample(_Atomic uint8_t *state, void *p)
{
	slot_set(state, slot_state(state) & (uint8_t)~SLOT_SAMPLED);
	profile_free((uintptr_t)p);
}

/* --- the slow paths of allocation --- */

/* Serves a request from a cache. *sampled is 0 before. It becomes the bytes for which the caller is
 * to call profile_alloc() when it has left the cache. */
static void *alloc(struct mcache *c, const struct request *r, size_t *sampled)
{
	spanclass_t sc = spanclass_of(r);
	void *p =
		UNLIKELY(options.efence) ? fault_guarded_alloc(r->size, r->align, r->scan) : NULL;

	if (UNLIKELY(p != NULL))
		return p;
	if (UNLIKELY(sample_counts()))
		return alloc_counted(c, sc, r, sampled);
	return alloc_from(c, sc, r);
}

/* Serves a request from libc's malloc, with off=1. */
static SLOW_PATH void *alloc_foreign(const struct request *r)
{
	if (r->content == ZERO)
		return foreign_calloc(1, r->size);
	return r->align > 16 ? foreign_memalign(r->align, r->size) : foreign_malloc(r->size);
}

void *request_alloc(const struct request *r)
{
	size_t sampled = 0;
	uint32_t rights;
	struct mcache *c;
	void *p;

	if (UNLIKELY(r->size > PTRDIFF_MAX))
		return request_refuse();
	rights = metakey_open();
	c = start_enter();
	if (UNLIKELY(options.off && foreign_can_alloc())) {
		thread_leave(c);
		metakey_close(rights);
		return alloc_foreign(r);
	}
	p = alloc(c, r, &sampled);
	thread_leave(c);
	if (UNLIKELY(sampled != 0)) {
		profile_alloc((uintptr_t)p, sampled);
		tracer_look_at_lease();
	}
	metakey_close(rights);
	if (UNLIKELY(sampled != 0))
		service_after_sample();
	scavthread_attend();
	tracer_attend();
	return p != NULL ? p : request_refuse();
}

/* Takes an object that is counted and neither sampled nor guarded, if start-up is done and the
 * thread has a cache. Returns NULL otherwise, and whenever allocations are not counted. */
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

/* Returns true if malloc may take a big object that the thread keeps, without more ado. It is this
 * thread's alone, so even a forked child that is not mended may take it. */
FAST_PATH bool may_take_kept(void)
{
	return !sample_counts() && !tracer_waits();
}

static SLOW_PATH void *malloc_rest(size_t size)
{
	struct mcache *c = cache_for_slow_path();
	void *p = alloc_plain(c, size);

	if (p == NULL && size > BIG_CACHE_MAX_RUN * PAGE_SIZE &&
	    size <= BIG_PAGES_ALONE * PAGE_SIZE && c != MCACHE_NONE && may_take_kept()) {
		p = bigcache_take_long(&c->big, pages_for(size));
		if (p != NULL)
			return p;
	}
	if (p == NULL)
		return request_alloc(&(struct request){ .size = size });
	scavthread_attend();
	tracer_attend();
	return p;
}

/* Serves a big request for which no object of its length is kept. A longer one will do, because
 * buffers of many lengths often miss their own. */
static SLOW_PATH void *malloc_longer(size_t size, struct mcache *c)
{
	void *p = bigcache_take_longer(&c->big, pages_for(size));

	return p != NULL ? p : malloc_rest(size);
}

SLOW_PATH void *heap_malloc_slow(size_t size)
{
	struct mcache *c = thread_cache();

	/* At once, because a program may use one buffer over and over. */
	if (size > MAX_SMALL_SIZE && size <= BIG_CACHE_MAX_RUN * PAGE_SIZE &&
	    LIKELY(may_take_kept())) {
		void *p = bigcache_take_short(&c->big, pages_for(size), mcache_owner(c));

		return LIKELY(p != NULL) ? p : malloc_longer(size, c);
	}
	return malloc_rest(size);
}

SLOW_PATH void *heap_calloc_slow(size_t size)
{
	void *p = alloc_plain(cache_for_slow_path(), size);

	if (p == NULL)
		return request_alloc(&(struct request){ .size = size, .content = ZERO });
	zero_bytes(p, size);
	scavthread_attend();
	tracer_attend();
	return p;
}

/* Returns true if malloc has fast paths for the size: it is small, nothing diverts it, and
 * allocations are not counted. */
FAST_PATH bool size_is_fast(size_t size)
{
	return size <= MAX_SMALL_SIZE &&
	       LIKELY(sizeclass_bin_of_malloc(size) - 1u < NUM_SPAN_CLASSES - 1);
}

/* Returns a slot without a slow path; NULL also where the size needs no slot. */
FAST_PATH void *noscan_slot(size_t size, bool *fresh)
{
	if (size <= TINY_SIZE || !size_is_fast(size))
		return NULL;
	return mcache_alloc_fast(thread_cache(),
				 make_spanclass(sizeclass_of_malloc(size) >> 1, NOSCAN), fresh);
}

static SLOW_PATH void *noscan_slow(size_t size, enum content content)
{
	struct mcache *c = cache_for_slow_path();
	void *p = NULL;

	if (size <= TINY_SIZE && size_is_fast(size) && c != MCACHE_NONE)
		p = alloc_tiny(c, size, 1, content);
	if (LIKELY(p != NULL))
		return p;
	return request_alloc(&(struct request){ .size = size, .scan = NOSCAN, .content = content });
}

void *heap_malloc_noscan(size_t size)
{
	bool fresh;
	void *p = noscan_slot(size, &fresh);

	return LIKELY(p != NULL) ? p : noscan_slow(size, RAW);
}

void *heap_calloc_noscan(size_t size)
{
	bool fresh;
	void *p = noscan_slot(size, &fresh);

	if (UNLIKELY(p == NULL))
		return noscan_slow(size, ZERO);
	zero_object(p, size, fresh);
	return p;
}

void *heap_aligned(size_t align, size_t size, enum scan scan)
{
	if (scan == SCAN && align <= PAGE_SIZE && size_is_fast(size)) {
		unsigned class = sizeclass_for(size, align);
		bool fresh;
		void *p = class == 0 ? NULL
				     : mcache_alloc_fast(thread_cache(),
							 make_spanclass(class, SCAN), &fresh);

		if (LIKELY(p != NULL))
			return p;
	}
	return request_alloc(&(struct request){ .size = size, .align = align, .scan = scan });
}

/* --- free --- */

/* Frees a small object with an option that has work at every free, or in a forked child. */
static SLOW_PATH void free_slot_unusual(uintptr_t addr, struct mspan *s, uint32_t slot,
					const char *func, struct mcache *c)
{
	forked_look();
	if (options.sbrk) {
		no_reuse_free(s, slot, func);
		HOLD_ADDRESS(addr);
		return;
	}
	if (options.hardened && s->spanclass != SPANCLASS_ZERO) {
		hardened_free_small(addr, s, slot, func, c);
		return;
	}
	if (options.clobberfree && s->spanclass != SPANCLASS_ZERO)
		fill_bytes((void *)addr, 0xdf, s->elemsize);
	mcache_free_slot(addr, s, slot, func, c);
}

void heap_free_slot(uintptr_t addr, struct mspan *s, uint32_t slot, const char *func,
		    struct mcache *c)
{
	/* The fast path of free leads here. */
	if (UNLIKELY(forked() || options.hardened || options.clobberfree || options.sbrk))
		free_slot_unusual(addr, s, slot, func, c);
	else
		mcache_free_slot(addr, s, slot, func, c);
}

void request_free(const struct object *o, void *p, const char *func)
{
	struct mspan *s = o->span;
	struct mcache *c;

	if (UNLIKELY(s->kind != SPAN_TINY && (slot_state(&s->state[o->slot]) & SLOT_SAMPLED) != 0))
		forget_sample(&s->state[o->slot], p);
	c = start_enter();
	switch (s->kind) {
	case SPAN_TINY:
		if (options.clobberfree)
			fill_bytes(p, 0xdf, o->nbytes);
		tiny_free(c, s, (uintptr_t)p);
		break;
	case SPAN_BIG:
		big_free(p, s, func, c);
		break;
	default:
		if (!mcache_free_fast(c, s, s->spanclass, (uintptr_t)p, &s->state[o->slot]))
			heap_free_slot((uintptr_t)p, s, o->slot, func, c);
		break;
	}
	thread_leave(c);
}

/* Frees an object that lies in no span. */
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
	struct mspan *s = object_span(p, func);
	struct object o;

	if (s == NULL) {
		free_outside(p, rights, func);
		return;
	}
	if (!object_find(p, s, &o, func))
		object_bad_pointer(p, s, func);
	request_free(&o, p, func);
	metakey_close(rights);
}

/* Frees what free_slower() does not. It is a function of its own, because free_slower() would have
 * to save registers for it. */
static SLOW_PATH void free_tiny_or_rest(void *p, struct mspan *s, const char *func,
					struct mcache *c)
{
	if (LIKELY(s != NULL) && s->kind == SPAN_TINY && c != MCACHE_NONE &&
	    tiny_object_size(s, (uintptr_t)p) != 0 && !options.clobberfree)
		tiny_free(c, s, (uintptr_t)p);
	else
		free_rest(p, func);
}

/* Frees what bigcache_free_home() does not. */
static SLOW_PATH void free_slower(void *p, struct mspan *s, const char *func)
{
	struct mcache *c = cache_for_slow_path();

	if (LIKELY(s != NULL) && s->kind == SPAN_BIG && (uintptr_t)p == s->base && c != MCACHE_NONE)
		big_free(p, s, func, c);
	else if (p != NULL)
		free_tiny_or_rest(p, s, func, c);
}

SLOW_PATH void heap_free_slow(void *p, struct mspan *s, const char *func)
{
	struct mcache *c = thread_cache();

	if (UNLIKELY(s == NULL) ||
	    !bigcache_free_home(&c->big, s, (uintptr_t)p, mcache_owner(c)))
		free_slower(p, s, func);
}

/* Returns true if an object of this size may have the pages of a span: it was small before realloc
 * gave it pages, or it has those of a longer object that was kept. */
static bool may_have_pages(const struct mspan *s, size_t size)
{
	return s->npages <= max_size(bigcache_longest(pages_for(size)), pages_for(MAX_SMALL_SIZE));
}

bool request_fits(const struct object *o, size_t size, size_t align)
{
	const struct mspan *s = o->span;
	enum scan scan = spanclass_scan(s->spanclass);

	if (s->kind == SPAN_TINY)
		return o->nbytes == tiny_nbytes(size, max_size(align, 1));
	if ((slot_state(&s->state[o->slot]) & SLOT_RESIZED) != 0)
		return size <= o->nbytes && (s->kind != SPAN_BIG || may_have_pages(s, size));
	if (options.hardened || size > PTRDIFF_MAX - PAGE_SIZE)
		return size == o->nbytes;
	/* malloc aligns to 8, too. So an alignment of 8 may have been asked for or not. */
	if (align <= sizeof(void *) &&
	    slot_nbytes(size, align == 0 ? sizeof(void *) : 0, scan) == o->nbytes)
		return true;
	return slot_nbytes(size, align, scan) == o->nbytes;
}

/* Reports that an object is freed by a size that is not its own. It ends the process unless
 * sizemismatch=warn. */
static void wrong_size(const char *func, const void *p, size_t given, size_t slot)
{
	if (!options.sizemismatch_warn)
		fatal_size(func, p, given, slot);
	warn_size(func, p, given, slot, os_now_ms());
}

/* Checks the size by which a guarded object is freed. Any size will do that the heap would have
 * put into the same slot. */
static void check_guarded_size(const void *p, size_t size, size_t align, const char *func)
{
	size_t nbytes;

	if (guard_owns((uintptr_t)p) && guard_size(p, &nbytes) && size != nbytes &&
	    heap_good_size(size, align) != heap_good_size(nbytes, align))
		wrong_size(func, p, size, nbytes);
}

bool heap_free_sized_slot(const _Atomic spanclass_t *classes, void *p, size_t size, size_t align,
			  const char *func)
{
	uintptr_t addr = (uintptr_t)p;
	uint64_t entry = entry_of(addr);
	struct mcache *c = thread_cache();
	uint32_t slot;

	/* With hardened=1 the table does not tell the slot of an object. Relaxed: as in
	 * sizeclass_of_malloc(). */
	if (align != 0 || size > MAX_SMALL_SIZE || c == MCACHE_NONE || options.hardened ||
	    entry_spanclass(entry) !=
		    atomic_load_explicit(&classes[(size + 7) / 8], memory_order_relaxed) ||
	    !entry_slot_of(entry, addr, &slot) ||
	    !slot_is_plain_live(&entry_span(entry)->state[slot]))
		return false;
	heap_free_slot(addr, entry_span(entry), slot, func, c);
	return true;
}

SLOW_PATH void heap_free_sized_slow(void *p, size_t size, size_t align, const char *func)
{
	struct object o;
	struct mspan *s;
	uint32_t rights;

	if (p == NULL || heap_free_sized_slot(sizeclass_malloc, p, size, align, func))
		return;
	rights = metakey_open();
	s = object_span(p, func);
	if (s == NULL) {
		check_guarded_size(p, size, align, func);
		free_outside(p, rights, func);
		return;
	}
	if (!object_find(p, s, &o, func))
		object_bad_pointer(p, s, func);
	if (!request_fits(&o, size, align))
		wrong_size(func, p, size, o.nbytes);
	request_free(&o, p, func);
	metakey_close(rights);
}

bool heap_trim(void)
{
	uint32_t rights = metakey_open();
	struct mcache *c = start_enter();
	size_t used = mheap_used_bytes();
	bool given;

	/* The heap itself releases some of what comes to it, if that is more than it may keep. */
	mcache_flush(c);
	mcache_release_rest(c);
	thread_leave(c);
	thread_flush_shared();
	given = mcentral_drain_all();
	thread_release_caches(0);
	mheap_release_records();
	given |= mheap_scavenge_all() != 0;
	given |= mheap_used_bytes() < used;
	metakey_close(rights);
	return given;
}
