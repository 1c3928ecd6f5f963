/* SPDX-License-Identifier: MIT */
/*
 * mspan.h - a run of heap pages cut into slots, and the thread that may touch it. See mspan.c.
 *
 * The owner word tells which thread may touch the plain fields:
 *
 *   state     owner word               plain fields belong to       where it is found
 *   current   mcache                   the cache's thread           the cache's bin
 *   partial   mcache                   the cache's thread           the bin's list
 *   spare     mcache                   the cache's thread           the cache's list
 *   full      mcache | SPAN_FULL       nobody; the last owner       nowhere
 *                                      is its home
 *   central   mcentral | SPAN_CENTRAL  holder of mcentral.lock      the central list
 *   none      0                        the thread that allocates    -
 *                                      or frees it
 *
 * The span of a big object belongs to the thread that the object belongs to. Its owner word tells
 * whether the thread of a cache, its home, may free it or take it without a look at anything else:
 *
 *   home      mcache | SPAN_HOME       it was kept before, is live and no sample, and realloc did
 *                                      not touch it
 *   kept      mcache | SPAN_KEPT       it is on a list of bigcache.h
 *   other     0                        see its state
 */
#ifndef GOALLOC_MSPAN_H
#define GOALLOC_MSPAN_H

#include "heap/sizeclass.h"

#define SPAN_FULL ((uintptr_t)1)
#define SPAN_CENTRAL ((uintptr_t)2)
#define SPAN_HOME ((uintptr_t)4)
#define SPAN_KEPT ((uintptr_t)8)
#define SPAN_TAGS (SPAN_FULL | SPAN_CENTRAL | SPAN_HOME | SPAN_KEPT)

/* The state of a slot is one byte, so that it is changed by a plain store. Tiny spans have a state
 * byte for each byte of a block: the size of the object that starts there, with SLOT_IGNORED or
 * without, or SLOT_FREE. */
#define SLOT_FREE 0
#define SLOT_LIVE 1
#define SLOT_RESIZED 2    /* live, and its slot has not the size that a new one would have: realloc
			   * left it there, or a kept big object was longer */
#define SLOT_SAMPLED 4    /* flag of a live slot: its allocation was sampled. Not in tiny spans */
#define SLOT_DEAD 24      /* freed for ever. No tiny object has this size, and no mark this value */
#define SLOT_IGNORED 32   /* flag of a live slot or tiny object: the leak finder takes the object as
			   * reached, because of goalloc_ignore() */

/* The last state byte of a tiny block that is in a cache, so that the block does not count as
 * free. No object is that large. */
#define TINY_PIN 0xff

enum span_kind {
	SPAN_DEAD = 0,    /* mspan_dead, or a record that is not in use: its pages are free */
	SPAN_SMALL,
	SPAN_TINY,
	SPAN_BIG,
};

/* A link to a kept big object: its span, or NULL, and its address. */
struct mspan_link {
	struct mspan *span;
	uintptr_t addr;
};

/* Sets a link to where another one leads. Its span comes last, because a forked child looks at
 * that alone. The halves are stored one by one, because they are soon loaded so. */
FAST_PATH void mspan_link_set(struct mspan_link *link, struct mspan *span, uintptr_t addr)
{
	link->addr = addr;
	order_stores();
	link->span = span;
}

/*
 * struct mspan - npages heap pages in a row, cut into nelems slots of elemsize bytes. Behind it in
 * the same record are the state bytes, the words of free_bits and those of remote_bits. Their
 * places depend on the record's shape only, so that a late remote free finds its word.
 * Access: [c] constant while the span is in use  [o] owner only (see the table above)
 *         [r] constant for the life of the record  [a] atomic, any thread
 */
struct mspan {
	union {
		struct {
			struct mspan *next;      /* [o] the next span on its list */
			struct mspan *prev;      /* [o] the one before */
		};
		struct mspan_link kept;          /* [o] the next kept big object: see bigcache.h */
	};
	uint32_t npages;             /* [c] pages; the owner of a big object may change it */
	uint32_t elemsize;           /* [c] bytes in a slot; 0 for a big object */
	union {
		uint16_t seen_nfree; /* [o] nfree when a look for unused spans came by; 0 */
		uint16_t keep_list;  /* [o] home, kept: the list of bigcache.h that it is for */
	};
	uint8_t shape;               /* [r] which pool it is from */
	uint8_t fresh_word;          /* [o] no slot of this word or a later one was handed out */
	bool zeroed;                 /* [o] a slot that was never handed out reads as zero */
	union {
		bool moved;          /* [c] big: its pages are mappings of their own, because they
				      *     were moved here or one is guarded (hardened.c) */
		uint8_t released;    /* [o] small, tiny: kernel pages of free slots that were given
				      *     back since a slot was handed out: see drain.c */
	};
	union {
		bool grown;          /* [o] big: realloc made it or made it longer */
		uint8_t list;        /* [o] central: which of the lists in mcentral.h it is on */
	};
	uint8_t kind;                /* [c] enum span_kind */
	/* What a free reads. It shares a cache line with the first states: see fixalloc.c. */
	uintptr_t base;              /* [c] address of slot 0, page aligned */
	_Atomic uintptr_t owner;     /* [a] see above */
	uint32_t divmul;             /* [c] ceil(2^32 / elemsize); 0 unless SPAN_SMALL, so that
				      *     mspan_slot_of() returns false for other kinds */
	_Atomic int32_t credit;      /* [a] full, central: remote frees until it is worth owning */
	spanclass_t spanclass;       /* [c] */
	uint8_t words;               /* [r] length of free_bits and of remote_bits */
	uint16_t nelems;             /* [c] slots */
	union {
		uint16_t nfree;      /* [o] bits set in free_bits: slots neither live nor cached */
		uint16_t slack;      /* [o] big, with hardened=1: unused bytes before its guard */
	};
	uint16_t state_bytes;        /* [r] length of state */
	_Atomic uint8_t state[] ALIGNED(8);  /* [a] SLOT_...; stored by the owner of the object */
};

_Static_assert(sizeof(struct mspan) == CACHE_LINE, "states follow");
_Static_assert(offsetof(struct mspan, base) == CACHE_LINE / 2, "every free reads one cache line");

/* The span that the page map has for pages of freed spans. Any free there is a double free. */
extern struct mspan mspan_dead;

/* Records come in shapes, by number of slots, because the memory of a record is never used for
 * another shape. */
#define SPAN_SHAPES 8
#define SPAN_SHAPE_BIG 0
#define SPAN_SHAPE_TINY (SPAN_SHAPES - 1)

/* Returns the shape for small spans of this class with so many slots. */
unsigned mspan_shape(spanclass_t sc, unsigned nelems);

/* Returns the bytes of a record. */
size_t mspan_shape_bytes(unsigned shape);

/* Makes a record of this shape of zeroed memory. Called once for each record. */
void mspan_init_record(struct mspan *s, unsigned shape);

/* Make the record a span: every slot is free, it has no owner. `zeroed` tells that its pages read
 * as zero. */
void mspan_init_small(struct mspan *s, uintptr_t base, spanclass_t sc, size_t npages,
		      bool zeroed);
void mspan_init_big(struct mspan *s, uintptr_t base, size_t npages, enum scan scan, bool zeroed);

static inline _Atomic uint64_t *mspan_remote_bits(struct mspan *s)
{
	return (_Atomic uint64_t *)(void *)((char *)s->state + s->state_bytes) + s->words;
}

static inline uint64_t *mspan_free_bits(struct mspan *s)
{
	return (uint64_t *)(void *)((char *)s->state + s->state_bytes);
}

static inline size_t mspan_nbytes(const struct mspan *s)
{
	return (size_t)s->npages << PAGE_SHIFT;
}

/* Finds the slot of an address in a small span by one multiplication. Returns true when the
 * address is the slot's start. The slot can be nelems, behind the last one: its state byte exists
 * and is never live. */
static inline bool mspan_slot_of(const struct mspan *s, uintptr_t addr, uint32_t *slot)
{
	uint64_t product = (addr - s->base) * s->divmul;

	*slot = (uint32_t)(product >> 32);
	return (uint32_t)product < s->divmul;
}

static inline uintptr_t mspan_slot_addr(const struct mspan *s, uint32_t slot)
{
	return s->base + (size_t)slot * s->elemsize;
}

/* Returns a state byte. Relaxed: an object and its state byte pass from thread to thread by the
 * program's own synchronisation, and a free slot by free_bits and remote_bits. Only in tiny blocks
 * does a state byte itself hand memory over: see tiny_set_free(). */
static inline uint8_t slot_state(const _Atomic uint8_t *state)
{
	return atomic_load_explicit(state, memory_order_relaxed);
}

/* Returns true when the slot has an object. Not for tiny spans. */
static inline bool slot_is_live(const _Atomic uint8_t *state)
{
	return (slot_state(state) & (SLOT_LIVE | SLOT_RESIZED)) != 0;
}

/* Returns true when the slot has an object whose state has no flag: it was neither resized nor
 * sampled, and is not ignored. */
static inline bool slot_is_plain_live(const _Atomic uint8_t *state)
{
	return GOALLOC_UNCHECKED || slot_state(state) == SLOT_LIVE;
}

/* Returns the bytes of the tiny object that starts at a byte with this state. More than TINY_SIZE:
 * no object starts there, because the state is TINY_PIN. */
static inline uint8_t tiny_size_in(uint8_t state)
{
	return state & (uint8_t)~SLOT_IGNORED;
}

static inline void slot_set(_Atomic uint8_t *state, uint8_t value)
{
	atomic_store_explicit(state, value, memory_order_relaxed);
}

/* Makes the object of a big span live, and returns its address. */
static inline void *mspan_set_big_live(struct mspan *s)
{
	uintptr_t addr = s->base;

	HOLD_ADDRESS(addr);
	slot_set(&s->state[0], SLOT_LIVE);
	return (void *)addr;
}

/* Frees the object that starts at this byte of a tiny block. Release: all use of the object
 * happens before the block is used again by the thread that finds all its bytes free. Pairs with
 * the acquire in tiny_byte(). */
static inline void tiny_set_free(_Atomic uint8_t *state)
{
	atomic_store_explicit(state, SLOT_FREE, memory_order_release);
}

/* Returns a state byte of a tiny block, for a thread that uses the block if it is free. Acquire:
 * pairs with the release in tiny_set_free(). */
static inline uint8_t tiny_byte(const _Atomic uint8_t *state)
{
	return atomic_load_explicit(state, memory_order_acquire);
}

/* Returns the owner word. Relaxed: a thread compares it with its own cache, a value that no other
 * thread stores. */
static inline uintptr_t mspan_owner_relaxed(const struct mspan *s)
{
	return atomic_load_explicit(&s->owner, memory_order_relaxed);
}

/* --- for the owner: the thread that the table above names --- */

/* Notes that realloc made a big object or changed it. */
static inline void mspan_set_grown(struct mspan *s)
{
	s->grown = true;
	/* Relaxed: see mspan_owner_relaxed(). */
	atomic_store_explicit(&s->owner, 0, memory_order_relaxed);
}

/* Sets the free bit of a slot whose state is SLOT_FREE already. */
FAST_PATH void mspan_free_local(struct mspan *s, uint32_t slot)
{
	uint64_t *word = &mspan_free_bits(s)[slot / 64];
	uint64_t bit = (uint64_t)1 << slot % 64;

	DCHECK((*word & bit) == 0);
	*word |= bit;
	s->nfree++;
}

/* Takes a word with free slots out of free_bits: slots 64 * *word + bit for each bit set in *bits.
 * It is the first such word from word `from` on; behind the last word the search goes on with the
 * lowest. *fresh tells that the slots were never handed out and read as zero. Tiny blocks are
 * pinned. Returns false when no slot is free. */
bool mspan_take_word(struct mspan *s, unsigned from, unsigned *word, uint64_t *bits, bool *fresh);

/* Puts back slots of a word that were taken and not handed out; unpins tiny blocks. */
void mspan_put_word(struct mspan *s, unsigned word, uint64_t bits);

/* Moves remote bits into free_bits. Returns how many slots came free. */
unsigned mspan_absorb(struct mspan *s);

/* Returns true when no slot is live or in a cache. */
static inline bool mspan_is_empty(const struct mspan *s)
{
	return s->nfree == s->nelems;
}

/* Makes a current span full: it is no longer the caller's. Returns true when so many slots came
 * free remotely that the span is worth owning, as mspan_free_remote() does. The caller then claims
 * it. Another thread may be first, and the record may even be another span by then. */
bool mspan_set_full(struct mspan *s, uintptr_t owner);

/* Makes a partial span central, and counts remote frees that came too early to see the new owner.
 * Returns true when the span is worth taking back at once. The caller holds mcentral.lock. */
bool mspan_set_central(struct mspan *s, uintptr_t mcentral);

/* Hands a span that belongs to the caller to owner, 0 for none. */
void mspan_set_owner(struct mspan *s, uintptr_t owner);

/* Notes that so many kernel pages of the span's free slots have no memory. */
void mspan_set_released(struct mspan *s, unsigned npages);

/* Notes that slots of the span are handed out again: all its pages count as used from now on. */
static inline void mspan_begin_use(struct mspan *s)
{
	s->seen_nfree = 0;
	if (UNLIKELY(s->released != 0))
		mspan_set_released(s, 0);
}

/* Puts a span of the caller at the head of a list of the caller. One store makes it the first, so
 * that a forked child can walk the list. */
static inline void mspan_list_push(struct mspan **list, struct mspan *s)
{
	s->next = *list;
	s->prev = NULL;
	if (*list != NULL)
		(*list)->prev = s;
	order_stores();
	*list = s;
}

/* Removes a span of the caller from such a list. */
static inline void mspan_list_remove(struct mspan **list, struct mspan *s)
{
	if (s->prev == NULL)
		*list = s->next;
	else
		s->prev->next = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
}

/* --- for any thread --- */

/* Returns the sum of `released` over all spans, in kernel pages. */
size_t mspan_count_released(void);

/* Returns true if another thread has freed a slot of the span that is not absorbed. A hint. */
bool mspan_has_remote(struct mspan *s);

/* Frees a slot, whose state the caller has set to SLOT_FREE, of a span that belongs to another
 * thread. Returns true when the span is worth claiming. *twice tells that another thread has freed
 * the slot. */
bool mspan_free_remote(struct mspan *s, uint32_t slot, bool *twice);

/* Hands a span to owner if it still is full, and returns whether it was. The new owner has to
 * absorb it. */
bool mspan_claim_full(struct mspan *s, uintptr_t owner);

/* --- for forked children and checks --- */

/* Rebuilds free_bits from the states and removes the owner, who is gone, and pins of blocks. */
void mspan_rebuild(struct mspan *s);

/* Checks all that must hold for a span that belongs to the caller. */
void mspan_check(struct mspan *s);

/* Counts nfree anew, because a thread that is gone was in the middle of mspan_absorb(). */
void mspan_recount(struct mspan *s);

#endif
