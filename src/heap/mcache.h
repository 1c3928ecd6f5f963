/* SPDX-License-Identifier: MIT */
/*
 * mcache.h - a thread's slots, one per span class, and its caches of pages and big objects.
 * See mcache.c.
 *
 * No call here takes a lock on the paths marked FAST_PATH; the others may take mcentral.lock, then
 * mheap.lock. A cache is used by one thread at a time.
 */
#ifndef GOALLOC_MCACHE_H
#define GOALLOC_MCACHE_H

#include "heap/mheap.h"

/* A freed object that is handed out next, with its state byte so that malloc need not find it. */
struct free_entry {
	uintptr_t addr;
	_Atomic uint8_t *state;
};

/*
 * Where a thread allocates objects of one span class. Objects come from the free stack, then from
 * alloc_cache: a word of the current span, bit i being the slot at cache_base + i * elemsize.
 * Where the stack is, is told in bytes from the start of the cache. Below its bottom is an entry of address 0, so that who
 * pops looks at the entry alone. stack_top alone says which of its two places the stack is in.
 * Access: the thread that owns the cache
 */
struct mcache_slot {
	uint32_t stack_top;               /* end of the last entry */
	uint32_t stack_limit;             /* the highest that stack_top may be */
	uint32_t stack_bottom;            /* stack_top when there is none */
	uint32_t elemsize;                /* const: bytes of a slot */
	uint64_t alloc_cache;             /* slots to hand out, lowest first */
	uintptr_t cache_base;             /* address of the slot of bit 0 */
	_Atomic uint8_t *cache_state;     /* its state byte */
	uint8_t cache_word;               /* which word of the span alloc_cache is */
	bool cache_fresh;                 /* its slots were never handed out and read as zero */
	bool stack_grows;                 /* it is in its first place, and has a deep one */
	uint32_t npartial;                /* spans on the list */
	struct mspan *span;               /* current span; NULL */
	struct mspan *partial;            /* spans of ours with a free slot, last come first */
};

_Static_assert(sizeof(struct mcache_slot) == CACHE_LINE, "one cache line a span class");

/* The block that tiny objects are put in; see tiny.c. */
struct tiny_cache {
	uintptr_t block;                  /* its address; 0 */
	uint32_t offset;                  /* bytes in use */
	struct mspan *span;               /* the span it is in: the current one of SPANCLASS_TINY */
};

/* Freed objects that are not handed out yet; see hardened.c. */
struct quarantine {
	uint64_t calls;                   /* of the generator that chooses places */
	uintptr_t small[QUARANTINE_SMALL];    /* addresses; 0 */
	struct mspan *big[QUARANTINE_BIG];    /* NULL */
};

/* Allocations since counting began, by span class. Of SPANCLASS_BIG and SPANCLASS_BIG_NOSCAN bytes, too. */
struct alloc_counts {
	uint64_t mallocs[NUM_SPAN_CLASSES];
	uint64_t big_bytes[2];
};

/* What a thread has while allocations are counted: see sample.h. Touched only then. Each stack is behind an entry of address 0. */
struct counted {
	struct alloc_counts made;                        /* objects on the counted slots' stacks included */
	uint64_t until_sample[NUM_SPAN_CLASSES];         /* bytes of objects before the next that is sampled */
	uint64_t until_guard[NUM_SPAN_CLASSES];          /* objects before the next that is guarded */
	uint64_t random;                                 /* state of the generator that says how many */
	uint32_t epoch;                                  /* of sampling, for which these were drawn */
	struct free_entry stacks[COUNTED_TOTAL];         /* of the counted slots, side by side */
};

/*
 * struct mcache - all that a thread has of the heap.
 * Access: the thread that owns the cache; [t] threads lock, see thread.c; [a] atomic
 */
struct mcache {
	struct mcache_slot slots[NUM_SLOTS];             /* by span class; then the counted ones, stacks only, by size class */
	struct pcache pages;
	struct tiny_cache tiny;
	uint64_t poll_ms;                                /* time of the last poll */
	uint64_t tick_ms;                                /* time of the last tick */
	uint32_t partial_npages;                         /* pages of all spans on the partial lists */
	uint32_t big_frees;                              /* counts */
	uint32_t limit_calls;                            /* limit.calls when it was answered */
	uint32_t big_npages;                             /* pages of the spans in big[] */
	struct mspan *big[BIG_CACHE_MAX_RUN + 1];        /* freed big spans by length, linked by next */
	struct mcache *next_all;                         /* [t] constant once set */
	struct mcache *next_free;                        /* [t] link of the pool */
	struct mcache *next_used;                        /* [t] link of a chain of those in use */
	uintptr_t user;                                  /* [t] lock_self() of the thread that has it */
	bool in_use;                                     /* [t] a thread has it */
	bool orphan;                                     /* in a forked child: its thread is gone */
	bool watched;                                    /* libc tells when its thread ends */
	_Atomic bool counts;                             /* [a] the counted slots are ready */
	/* Each stack is behind an entry of address 0. Scan classes, then noscan ones; these have no deep stacks. */
	struct free_entry first_stacks[NUM_SPAN_CLASSES][1 + STACK_FIRST_ENTRIES];
	union {
		struct free_entry deep_stacks[STACK_TOTAL_ENTRIES];
		struct quarantine quarantine;            /* with hardened=1, where there are no stacks */
	};
	struct counted counted;
};

_Static_assert(sizeof(struct mcache) < KiB(256), "as README.md says");

/* Caches that threads had at the same time, at most. Relaxed: a hint, what one cache may keep depends on it. */
extern _Atomic uint32_t mcaches_made;

/* A cache without anything in it. Once for a record; a flushed cache is as good as new. */
void mcache_init(struct mcache *c);

/* What stands in the owner word of this cache's spans. */
static inline uintptr_t mcache_owner(const struct mcache *c)
{
	return (uintptr_t)c;
}

/* The entry at an offset that a slot tells. */
static inline struct free_entry *stack_entry(struct mcache *c, uint32_t offset)
{
	return (struct free_entry *)(void *)((char *)c + offset);
}

/* Entries on a stack. */
static inline uint32_t stack_depth(const struct mcache_slot *t)
{
	return (t->stack_top - t->stack_bottom) / (uint32_t)sizeof(struct free_entry);
}

/* An object of a slot, which is its span class or a counted one, or NULL: then ask mcache_alloc_slow(). Not for SPANCLASS_TINY.
 * *fresh: it reads as zero. */
FAST_PATH void *mcache_alloc_fast(struct mcache *c, unsigned slot, bool *fresh)
{
	struct mcache_slot *t = &c->slots[slot];
	const struct free_entry *e = stack_entry(c, t->stack_top) - 1;
	uintptr_t addr = e->addr;

	if (LIKELY(addr != 0)) {
		t->stack_top -= (uint32_t)sizeof(struct free_entry);
		slot_set(e->state, SLOT_LIVE);
		*fresh = false;
		return (void *)addr;
	}
	if (LIKELY(t->alloc_cache != 0)) {
		unsigned i = ctz64(t->alloc_cache);
		_Atomic uint8_t *state = &t->cache_state[i];

		addr = t->cache_base + i * t->elemsize;
		t->alloc_cache &= t->alloc_cache - 1;
		HOLD_ADDRESS(addr);
		ASSUME(addr != 0);
		slot_set(state, SLOT_LIVE);
		*fresh = t->cache_fresh;
		return (void *)addr;
	}
	return NULL;
}

/* Puts a live object on the free stack of its class if its span is the caller's and there is room. The
 * span's plain fields are not looked at: a full span of which the thread is the home will do. */
FAST_PATH bool mcache_free_fast(struct mcache *c, const struct mspan *s, spanclass_t sc, uintptr_t addr,
				_Atomic uint8_t *state)
{
	struct mcache_slot *t = &c->slots[sc];
	uint32_t top = t->stack_top;
	struct free_entry *e;

	if (UNLIKELY((mspan_owner_relaxed(s) & ~SPAN_FULL) != mcache_owner(c)))
		return false;
	if (UNLIKELY(top == t->stack_limit))
		return false;
	slot_set(state, SLOT_FREE);
	e = stack_entry(c, top);
	e->addr = addr;
	e->state = state;
	/* A child forked here finds the entry whole, or not on the stack. */
	order_stores();
	t->stack_top = top + (uint32_t)sizeof(struct free_entry);
	return true;
}

/* An object of the class when the fast path had none; NULL when there is no memory. */
void *mcache_alloc_slow(struct mcache *c, spanclass_t sc, bool *fresh);

/* Makes the counted slots ready, all empty. Another thread may be using the rest of the cache. Its
 * malloc finds them by the table of sizeclass_count(), other slow paths by a flag in the cache:
 * both are stored later and order what is stored here. */
void mcache_init_counted(struct mcache *c);

/* Returns true if the counted bins of the cache are ready. */
static inline bool mcache_has_counted(const struct mcache *c)
{
	/* Acquire: the bins, which another thread made ready. Pairs with the release in
	 * mcache_init_counted(). */
	return atomic_load_explicit(&c->counts, memory_order_acquire);
}

/* Moves up to most objects of the class to its counted slot, which is empty: they count as allocated, and malloc takes them without being
 * seen. How many; 0 when there is no memory. */
unsigned mcache_refill_counted(struct mcache *c, unsigned sizeclass, uint64_t most);

/* For hardened=1, where there are no fast paths: one of the slots at hand, which one random says. */
void *mcache_alloc_random(struct mcache *c, spanclass_t sc, uint64_t random);

/* Frees a slot whose state is free already and that is on no stack and in no bitmap. */
void mcache_return(struct mcache *c, uintptr_t addr, const char *func);

/* Makes alloc_cache of the class non-zero. random chooses the word; 0: the lowest is taken. When there is
 * no memory the cache is flushed first. Returns false when there is none then. */
bool mcache_refill(struct mcache *c, spanclass_t sc, uint64_t random);

/* Frees a live slot of a small span, which starts at addr, when the fast path did not: into the
 * span, or for its owner. The parameters are in the order of the registers where free has them. */
void mcache_free_slot(uintptr_t addr, struct mspan *s, uint32_t slot,
		      const char *func, struct mcache *c);

/* After the caller freed the last slot of a span that it owns: it goes, unless it is current. */
void mcache_span_freed(struct mcache *c, struct mspan *s);

/* Takes a span over after mspan_free_remote() said so. */
void mcache_claim(struct mcache *c, struct mspan *s);

/* Returns a freed big object of npages from the cache, not zeroed, or NULL when there is none. Its
 * state is free: see mspan_set_big_live(). */
FAST_PATH struct mspan *mcache_take_big(struct mcache *c, size_t npages, bool noscan)
{
	struct mspan *s;

	if (npages > BIG_CACHE_MAX_RUN)
		return NULL;
	s = c->big[npages];
	if (s == NULL)
		return NULL;
	c->big[npages] = s->next;
	c->big_npages -= (uint32_t)npages;
	s->spanclass = make_spanclass(0, noscan);
	return s;
}

/* Returns a big object of npages, its base aligned to align_pages, or NULL when there is no memory.
 * Its state is free: see mspan_set_big_live(). *fresh: it reads as zero. */
struct mspan *mcache_alloc_big(struct mcache *c, size_t npages, size_t align_pages, bool noscan,
			       bool *fresh);

/* The same, not one that the cache keeps: those have no room behind them. */
struct mspan *mcache_new_big(struct mcache *c, size_t npages, size_t align_pages, bool noscan,
			     bool *fresh);

/* Frees a big object's span; its state is free already. */
void mcache_free_big(struct mcache *c, struct mspan *s);

/* Lets go of what tiny.c and hardened.c keep in a cache; NULL before they keep anything. Constant once
 * the heap is set up. */
extern void (*mcache_flush_others)(struct mcache *c);

/* Gives everything back: afterwards no span, page or object is the cache's. Calls
 * mcache_flush_others. */
void mcache_flush(struct mcache *c);

/* Returns the slots on the free stacks to their spans. */
void mcache_flush_stacks(struct mcache *c);

/* From slow paths: now and then, what this cache and the heap have not used for long is given back. */
void mcache_poll(struct mcache *c);

/* For adopt.c. Returns where the stack of a bin begins, by its top alone; makes the stack empty. */
uint32_t mcache_stack_bottom(const struct mcache_slot *t, spanclass_t sc);
void mcache_reset_stack(struct mcache_slot *t, spanclass_t sc);

/* Gives a span of ours that is on no list to mcentral; to mheap if it is empty. */
void mcache_give_span(struct mcache *c, struct mspan *s);

/* Every slot, list and stack. The owner does not run. */
void mcache_check(struct mcache *c);

#endif
