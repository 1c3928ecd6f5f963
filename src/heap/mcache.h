/* SPDX-License-Identifier: MIT */
/*
 * mcache.h - a thread's bins, one for each span class, and its caches of pages and big objects.
 * See mcache.c.
 *
 * No call here takes a lock on the paths marked FAST_PATH; the others may take mcentral.lock, then
 * mheap.lock. A cache is used by one thread at a time.
 */
#ifndef GOALLOC_MCACHE_H
#define GOALLOC_MCACHE_H

#include "heap/bigcache.h"
#include "heap/spares.h"

/* A freed slot that is handed out soon, with its state byte so that malloc need not find it. */
struct free_entry {
	uintptr_t addr;
	_Atomic uint8_t *state;
};

#define ENTRY_NBYTES ((uint32_t)sizeof(struct free_entry))

/* What becomes of a stack that is full, or has no place. From STACK_BEGINS on, a free that finds no
 * room makes some. */
enum stack_growth {
	STACK_STAYS = 0,    /* it stays where it is until it is reset */
	STACK_WAITS,        /* it stays, and grows when it was emptied and is full again */
	STACK_RESTS_LONG,   /* it gets its first place after two refills of the bin */
	STACK_RESTS,        /* it does so after one */
	STACK_BEGINS,       /* it does so at the next free */
	STACK_GROWS,        /* it moves to a larger place */
	STACK_SPILLS,       /* like STACK_WAITS, and meanwhile it is spilled: see spill.c */
};

/*
 * Where a thread allocates objects of one span class. Objects come from the free stack, then from
 * alloc_cache: a word of the current span, bit i being the slot at cache_base + i * elemsize.
 * Offsets of the stack are bytes from the start of the cache. Below its bottom lies an entry of
 * address 0, so that a pop looks at the entry alone. stack_top alone leads to all entries: see
 * freestack.c.
 * Access: the thread that owns the cache
 */
struct bin {
	uint32_t stack_top;               /* end of the last entry */
	uint32_t stack_limit;             /* the highest that stack_top may be */
	uint32_t stack_bottom;            /* stack_top when there is none */
	uint32_t elemsize;                /* const: bytes of a slot */
	uint64_t alloc_cache;             /* slots to hand out, lowest first */
	uintptr_t cache_base;             /* address of the slot of bit 0 */
	_Atomic uint8_t *cache_state;     /* its state byte */
	uint8_t cache_word;               /* which word of the span alloc_cache is */
	bool cache_fresh;                 /* its slots were never handed out and read as zero */
	uint8_t stack_growth;             /* enum stack_growth */
	uint8_t span_length;              /* which length the next new span has */
	uint32_t npartial;                /* spans on the list */
	struct mspan *span;               /* current span; NULL */
	struct mspan *partial;            /* spans of ours with a free slot, last come first */
};

_Static_assert(sizeof(struct bin) == CACHE_LINE, "one cache line a span class");

/* The block that tiny objects are put in; see tiny.c. */
struct tiny_cache {
	uintptr_t block;                  /* its address; 0 */
	uint32_t offset;                  /* bytes in use */
	struct mspan *span;               /* the span it is in: the current one of SPANCLASS_TINY */
};

/* Freed objects that are not handed out yet; see hardened.c. */
struct quarantine {
	uint64_t calls;                   /* of the generator that chooses places */
	uint64_t spare;                   /* what the next call returns if calls is odd */
	uintptr_t small[QUARANTINE_SMALL];    /* addresses; 0 */
	struct mspan *big[QUARANTINE_BIG];    /* NULL */
};

/* Allocations since counting began, by span class. Of SPANCLASS_BIG and SPANCLASS_BIG_NOSCAN bytes,
 * too. */
struct alloc_counts {
	uint64_t mallocs[NUM_SPAN_CLASSES];
	uint64_t big_bytes[2];
};

/* What a thread has while allocations are counted: see sample.h. Touched only then. */
struct counted {
	struct alloc_counts made;                        /* with those on counted stacks */
	uint64_t until_sample[NUM_SPAN_CLASSES];         /* bytes before the next sample */
	uint64_t until_guard[NUM_SPAN_CLASSES];          /* objects before the next guarded one */
	uint64_t random;                                 /* state of the generator */
	uint32_t epoch;                                  /* of sampling, for these figures */
};

/* What a cache has behind it. Each part is committed when it is first needed, and a cache may do
 * without either. Each stack is behind an entry of address 0. */
struct mcache_rest {
	struct free_entry stack_area[STACK_AREA_ENTRIES];    /* places of deep stacks */
	struct free_entry counted_stacks[COUNTED_TOTAL];  /* of the counted bins, side by side */
};

/*
 * struct mcache - all that a thread has of the heap.
 * Access: the thread that owns the cache; [t] threads lock, see thread.c
 */
struct mcache {
	struct bin bins[NUM_BINS];                       /* by span class; then counted ones */
	struct pcache pages;
	struct tiny_cache tiny;
	uint64_t poll_ms;                                /* time of the last poll */
	uint64_t tick_ms;                                /* time of the last tick */
	uint64_t idle_ms;                                /* when next_span() last gave back */
	uint64_t first_ms;                               /* when give_idle() last did so */
	uint64_t all_free_ms;                            /* when mcache_look_all_free() last gave
							  * back all */
	unsigned live_sc;                                /* a class that had an object then */
	uint32_t partial_npages;                         /* pages of all partial spans */
	uint32_t given_npages;                           /* given to the heap less those taken */
	uint32_t first_npages;                           /* of first spans since give_idle() */
	uint32_t limit_calls;                            /* limit.calls when it was answered */
	struct mspan *review_at;                         /* the partial span to be looked at next */
	unsigned review_sc;                              /* its class; NUM_SPAN_CLASSES: none */
	bool review_grown;                               /* the review is one for growth */
	size_t review_nbytes;                            /* bytes of the heap for the next one; 0:
							  * growth has not been looked at */
	unsigned shorten_sc;                             /* whose next span is made shorter next */
	const struct mspan *overflow_span;               /* of the last mcache_spill(); only
							  * compared */
	bool overflow_wanders;                           /* the one before was in another span */
	struct bigcache big;
	struct mcache *next_free;                        /* [t] link of the pool */
	struct mcache *next_used;                        /* [t] link of a chain of those in use */
	uintptr_t user;                                  /* [t] lock_self() of its thread */
	bool in_use;                                     /* [t] a thread has it */
	bool orphan;                                     /* in a forked child: its thread is gone */
	bool giving;                                     /* in mcache_give_all_unused() */
	bool watched;                                    /* libc tells when its thread ends */
	bool has_area;                                   /* the stack area is committed */
	bool has_counted;                                /* so are the counted bins' stacks */
	uint32_t rest_at;                                /* const: offset of the rest; 0: none */
	uint32_t first_entries;                          /* of first_stacks: taken */
	uint32_t area_entries;                           /* of the stack area: taken */
	uint32_t learnt_nbytes;                          /* by which stacks may be deeper than
							  * those of a thread with company */
	struct spares spares;
	/* The first places of stacks, each behind an entry of address 0, in the order in which they
	 * were taken. */
	struct free_entry first_stacks[NUM_SPAN_CLASSES * (1 + STACK_FIRST_ENTRIES)];
	struct quarantine quarantine;                    /* with hardened=1 */
	struct counted counted;
};

/* The bottom of a stack that has no place: behind the first entry, which stays empty. */
#define STACK_NOWHERE \
	((uint32_t)(offsetof(struct mcache, first_stacks) + ENTRY_NBYTES))

_Static_assert(sizeof(struct mcache) <= KiB(56) &&
		       sizeof(((struct mcache_rest *)0)->stack_area) <= KiB(192) &&
		       sizeof(((struct mcache_rest *)0)->counted_stacks) < KiB(44),
	       "a thread costs what goalloc(7) says");

/* The number of caches made. Relaxed: a hint, on which depends how much one cache may keep. */
extern _Atomic uint32_t mcaches_made;

static inline uint32_t mcaches_count(void)
{
	/* Relaxed: a hint, on which only what is kept depends. Written in thread.c. */
	return atomic_load_explicit(&mcaches_made, memory_order_relaxed);
}

/* Makes an empty cache of a record that reads as zero or was a flushed cache. A flushed cache need
 * not be made again. The rest lies behind the cache and is not committed; NULL: there is none. */
void mcache_init(struct mcache *c, struct mcache_rest *rest);

static inline struct mcache_rest *mcache_rest(struct mcache *c)
{
	return (struct mcache_rest *)(void *)((char *)c + c->rest_at);
}

/* Returns how many bytes of the cache and its rest are committed. The owner may be committing
 * more. */
size_t mcache_nbytes(const struct mcache *c);

/* Gives back the memory of a flushed cache's stack area and counted stacks, which stay ready. */
void mcache_release_rest(struct mcache *c);

/* Gives back the memory of a flushed cache that no thread has: it cannot be accessed then. */
void mcache_uncommit(struct mcache *c);

/* Returns the owner word of this cache's spans. */
static inline uintptr_t mcache_owner(const struct mcache *c)
{
	return (uintptr_t)c;
}

/* Returns the entry at an offset of a bin. Fast paths hide the offset between two accesses by
 * OPAQUE(). So each access adds it to c by itself, and no instruction forms the sum. */
static inline struct free_entry *stack_entry(struct mcache *c, size_t offset)
{
	return (struct free_entry *)(void *)((char *)c + offset);
}

/* Counts the entries on a stack. */
static inline uint32_t stack_depth(const struct bin *b)
{
	return (b->stack_top - b->stack_bottom) / ENTRY_NBYTES;
}

/* Returns an object from a bin, or NULL if the bin's stack and current word are empty: then ask
 * mcache_alloc_slow(). Not for SPANCLASS_TINY. *fresh becomes true if the object reads as zero. */
FAST_PATH void *mcache_alloc_fast(struct mcache *c, unsigned bin, bool *fresh)
{
	struct bin *b = OPAQUE(&c->bins[bin]);
	size_t top = b->stack_top;
	uintptr_t addr = stack_entry(c, top)[-1].addr;

	if (LIKELY(addr != 0)) {
		_Atomic uint8_t *state;

		top = OPAQUE(top);
		state = stack_entry(c, top)[-1].state;
		b->stack_top = (uint32_t)(top - sizeof(struct free_entry));
		slot_set(state, SLOT_LIVE);
		*fresh = false;
		return (void *)addr;
	}
	if (LIKELY(b->alloc_cache != 0)) {
		unsigned i = ctz64(b->alloc_cache);
		_Atomic uint8_t *state = &b->cache_state[i];

		addr = b->cache_base + i * b->elemsize;
		b->alloc_cache &= b->alloc_cache - 1;
		HOLD_ADDRESS(addr);
		ASSUME(addr != 0);
		slot_set(state, SLOT_LIVE);
		*fresh = b->cache_fresh;
		return (void *)addr;
	}
	return NULL;
}

/* Puts a live object on the free stack of a bin, which has room. top is the bin's stack_top. */
FAST_PATH void stack_push(struct mcache *c, struct bin *b, size_t top, uintptr_t addr,
			  _Atomic uint8_t *state)
{
	slot_set(state, SLOT_FREE);
	stack_entry(c, top)->addr = addr;
	top = OPAQUE(top);
	stack_entry(c, top)->state = state;
	/* A child forked here finds the entry whole, or not on the stack. */
	order_stores();
	b->stack_top = (uint32_t)(top + sizeof(struct free_entry));
}

/* Puts a live object on the free stack of its class if its span is the caller's and there is room.
 * The span's plain fields are not looked at, so a full span will do, too, if its last owner (its
 * home) is the caller. Returns false if nothing was done. */
FAST_PATH bool mcache_free_fast(struct mcache *c, const struct mspan *s, spanclass_t sc,
				uintptr_t addr, _Atomic uint8_t *state)
{
	struct bin *b = &c->bins[sc];
	size_t top = b->stack_top;

	if (UNLIKELY((mspan_owner_relaxed(s) & ~SPAN_FULL) != mcache_owner(c)))
		return false;
	if (UNLIKELY(top == b->stack_limit))
		return false;
	stack_push(c, b, top, addr, state);
	return true;
}

/* Returns an object of the class when the fast path had none; NULL if there is no memory. */
void *mcache_alloc_slow(struct mcache *c, spanclass_t sc, bool *fresh);

/* Moves up to most objects of the class to its counted bin, which is empty. They count as
 * allocated, because malloc takes them unseen. Returns how many; 0 if there is no memory for them
 * or for counted bins. */
unsigned mcache_refill_counted(struct mcache *c, unsigned sizeclass, uint64_t most);

/* Makes the counted bins, which have no room yet. */
void mcache_init_counted(struct mcache *c);

/* Returns the objects on counted stacks to their spans. They were counted but not allocated. */
void mcache_flush_counted(struct mcache *c);

/* Checks the counted bins. The owner does not run. */
void mcache_check_counted(struct mcache *c);

/* Returns one of the slots at hand, chosen by random. For hardened=1, where there are no fast
 * paths. */
void *mcache_alloc_random(struct mcache *c, spanclass_t sc, uint64_t random);

/* Frees a slot whose state is free already and that is on no stack and in no bitmap. */
void mcache_return(struct mcache *c, uintptr_t addr, const char *func);
void mcache_return_slot(struct mcache *c, struct mspan *s, uint32_t slot, const char *func);

/* Makes alloc_cache of the class non-zero. random chooses the word; 0: the lowest is taken. When
 * there is no memory the cache is flushed first. Returns false when there is none then. */
bool mcache_refill(struct mcache *c, spanclass_t sc, uint64_t random);

/* Frees a live slot of a small span, which starts at addr, when the fast path did not: into the
 * span, or for its owner. The parameters are in the order of the registers where free has them. */
void mcache_free_slot(uintptr_t addr, struct mspan *s, uint32_t slot,
		      const char *func, struct mcache *c);

/* Returns entries of the full stack of a class to their spans if frees go from span to span, and a
 * slot of s is being freed. Returns false if it did nothing. */
bool mcache_spill(struct mcache *c, const struct mspan *s, const char *func);

/* Gives back a span of the caller whose last slot was freed. A current span stays, unless there are
 * many caches. */
void mcache_span_freed(struct mcache *c, struct mspan *s);

/* Puts a span of the cache that has a free slot, and is on no list, first on its bin's list. */
void mcache_push_partial(struct mcache *c, struct bin *b, struct mspan *s);

/* Removes a span from its bin's list. */
void mcache_remove_partial(struct mcache *c, struct bin *b, struct mspan *s);

/* Begins a review of the cache's partial spans, unless one is going on. */
void mcache_begin_review(struct mcache *c);

/* The most spans that a review looks at at a time, so that no single malloc pays for all. */
#define REVIEW_SPANS 4096

/* Goes on with a review, if there is one, for some spans. Takes mcentral.lock and mheap.lock. */
void mcache_review(struct mcache *c, size_t nspans);

/* Begins a review for growth if the heap has grown enough since the last, and goes on with it. The
 * caller is about to take npages of the heap. Locks as mcache_review(); calls libc's madvise(3). */
void mcache_review_growth(struct mcache *c, size_t npages);

/* Makes a full or central span the caller's and finds a place for it, after mspan_free_remote() or
 * mspan_set_full() has returned true. Does nothing if another thread was first. */
void mcache_claim(struct mcache *c, struct mspan *s);

/* Returns a big object of npages, its base aligned to align_pages, or NULL when there is no memory.
 * Its state is free: see mspan_set_big_live(). *fresh: it reads as zero. */
struct mspan *mcache_alloc_big(struct mcache *c, size_t npages, size_t align_pages, enum scan scan,
			       bool *fresh);

/* Returns a big object as mcache_alloc_big() does, but none that the cache keeps, because kept
 * objects have no room behind them. */
struct mspan *mcache_new_big(struct mcache *c, size_t npages, size_t align_pages, enum scan scan,
			     bool *fresh);

/* Returns a big object whose first nbytes (not 0) read as zero. Returns NULL as mcache_alloc_big()
 * does. */
struct mspan *mcache_alloc_zeroed(struct mcache *c, size_t nbytes, size_t align_pages,
				  enum scan scan);

/* Frees the span of a big object whose state is free already. */
void mcache_free_big(struct mcache *c, struct mspan *s);

/* Lets go of what tiny.c and hardened.c keep in a cache; NULL before they keep anything. Constant
 * once the heap is set up. */
extern void (*mcache_flush_others)(struct mcache *c);

/* Gives back the memory of pooled caches: thread_release_caches(). Constant once the heap
 * is set up; NULL before. */
extern void (*mcache_release_pooled)(uint32_t age_ms);

/* Gives everything back: afterwards no span, page or object is the cache's. Calls
 * mcache_flush_others. */
void mcache_flush(struct mcache *c);

/* Returns the slots on the free stack of a class to their spans. The stack keeps its place. */
void mcache_flush_stack(struct mcache *c, spanclass_t sc);

/* Returns the slots on the free stacks to their spans. */
void mcache_flush_stacks(struct mcache *c);

/* Gives back all that the cache keeps and does not use, kept big objects among it. That does not
 * count as given: the counts of given pages and of first spans begin anew. */
void mcache_give_all_unused(struct mcache *c);

/* Gives back what the cache keeps of a class if no object of the class is live, and all that it
 * keeps if no object is. The caller has freed an object that found its stack full. */
void mcache_look_all_free(struct mcache *c, spanclass_t sc);

/* Gives back, now and then, what this cache and the heap have not used for long. Slow paths call
 * this. */
void mcache_poll(struct mcache *c);

/* Returns the length of the first span of a bin: the shortest, but with hardened=1 the longest. */
uint8_t mcache_first_length(void);

/* Returns how many pages one cache may keep: `alone` if the process never had a second cache, else
 * its share of `all`, at least `least`. */
uint32_t mcache_share(uint32_t alone, uint32_t all, uint32_t least);

/* Returns how many pages the partial spans of one cache may have. */
uint32_t mcache_max_partial(void);

/* Returns how many pages the freed big objects of the cache may have. */
uint32_t mcache_max_big(const struct mcache *c);

/* Returns how many pages the spare spans of the cache may have. */
uint32_t mcache_max_spare(const struct mcache *c);

/* Decides how many more pages the thread may keep before its next look, after it has kept an object
 * of npages: none where an option has work at every free, and few where there is a limit. `most` is
 * what its freed big objects may have. */
void mcache_admit_big(struct mcache *c, size_t npages, uint32_t most);

/* Makes a stack that has no entries one without place. */
void mcache_reset_stack(struct bin *b, spanclass_t sc);

/* Makes a stack that has no entries one that rests until its bin is refilled. It keeps its
 * place. */
void mcache_rest_stack(struct bin *b);

/* Gives up all places of stacks. Every stack was reset. */
void mcache_reset_places(struct mcache *c);

/* Gives a stack that rests or has no place room for its first entries. */
void mcache_begin_stack(struct mcache *c, spanclass_t sc);

/* Moves a full stack to a larger place, if there is room and memory for it. Decides what becomes of
 * the stack when it is full again. */
void mcache_deepen_stack(struct mcache *c, spanclass_t sc);

/* Returns true if stacks may be deeper than they should be now: the thread is no longer alone, or a
 * limit is near. They are to be flushed then. */
bool mcache_must_unlearn(const struct mcache *c);

/* Gives a span of ours that is on no list to mcentral; to mheap if it is empty. */
void mcache_give_span(struct mcache *c, struct mspan *s);

/* Checks a slot that a stack or the quarantine has: it is free by its state and in no bitmap of
 * the cache's spans. */
void mcache_check_kept(struct mcache *c, uintptr_t addr);

/* Checks every bin, list and stack. The owner does not run. */
void mcache_check(struct mcache *c);

#endif
