/* SPDX-License-Identifier: MIT */
/*
 * mspan.h - a run of heap pages cut into slots, and who may touch it. See mspan.c.
 *
 * mspan.owner says who may touch the plain fields:
 *
 *   state     owner word            plain fields belong to      listed
 *   current   mcache                that thread                 in its slot
 *   partial   mcache                that thread                 on its list of the class
 *   full      mcache | SPAN_FULL    nobody (home: last owner)   nowhere
 *   central   mcentral | SPAN_CENTRAL  holder of mcentral.lock  mcentral's list
 *   none      0                     who allocates or frees it   -
 *
 * A big object's span has no owner: it belongs to whoever the object belongs to.
 */
#ifndef GOALLOC_MSPAN_H
#define GOALLOC_MSPAN_H

#include "heap/sizeclass.h"

#define SPAN_FULL ((uintptr_t)1)
#define SPAN_CENTRAL ((uintptr_t)2)
#define SPAN_TAGS (SPAN_FULL | SPAN_CENTRAL)

/* State of a slot: one byte, so that setting it is a plain store. In tiny spans a byte of the block
 * has one each: the size of the object that starts there, or SLOT_FREE. */
#define SLOT_FREE 0
#define SLOT_LIVE 1
#define SLOT_RESIZED 2    /* live, and realloc left it in a slot that malloc would not give it */
#define SLOT_SAMPLED 4    /* a flag beside the two: its allocation was sampled; see sample.h. Not in tiny spans */
#define SLOT_ONCE 8       /* the same: its object is the last one there; see no_reuse.c */
#define SLOT_DEAD 24      /* freed for ever. No size of a tiny object, nor a mark (mark.h) */

/* In the last byte of a tiny block that is in a cache, empty or not: keeps it from being taken for free.
 * No object is that large. */
#define TINY_PIN 0xff

enum span_kind {
	SPAN_DEAD = 0,    /* its pages are free: mspan_dead, or a record waiting for reuse */
	SPAN_SMALL,
	SPAN_TINY,
	SPAN_BIG,
};

/*
 * struct mspan - npages heap pages in a row, cut into nelems slots of elemsize bytes.
 * Behind it, in the same record: state bytes, then the words of remote_bits, then those of free_bits;
 * where they are does not depend on what the record is used for, so that a late freer finds its word.
 * Access: [c] constant while the span is in use  [o] owner only (see the table above)
 *         [a] atomic, any thread; the order is justified at each access
 */
struct mspan {
	uintptr_t base;              /* [c] address of slot 0, page aligned */
	_Atomic uintptr_t owner;     /* [a] see above */
	uint32_t divmul;             /* [c] ceil(2^32 / elemsize); 0 unless SPAN_SMALL, so that
				      *     mspan_slot_of() fails for all other kinds */
	uint32_t elemsize;           /* [c] bytes in a slot; 0 for a big object */
	uint32_t npages;             /* [c] heap pages; a big object's owner may change it */
	uint16_t nelems;             /* [c] slots */
	spanclass_t spanclass;       /* [c] */
	uint8_t kind;                /* [c] enum span_kind */
	struct mspan *next;          /* [o] on the list that holds it */
	struct mspan *prev;          /* [o] */
	union {
		uint16_t nfree;      /* [o] bits set in free_bits: slots neither live nor cached */
		uint16_t slack;      /* [o] big, with hardened=1: bytes before its guard that were not asked for */
	};
	uint8_t fresh_word;          /* [o] no slot of this word or a later one was ever handed out */
	bool zeroed;                 /* [o] what was never handed out reads as zero */
	_Atomic int32_t credit;      /* [a] full, central: remote frees until it is worth taking */
	uint16_t state_bytes;        /* [c] for the life of the record: room for state */
	uint8_t shape;               /* [c] for the life of the record: which pool it is from */
	uint8_t words;               /* [c] for the life of the record: of free_bits and remote_bits */
	bool moved;                  /* [c] big: its pages were moved here, or one is guarded (hardened.c):
				      *     mappings of its own */
	bool grown;                  /* [c] big: realloc made it, or made it longer; then its owner sets it */
	_Atomic uint8_t state[] ALIGNED(8);  /* [a] SLOT_ as above; stored by who holds the object */
};

_Static_assert(sizeof(struct mspan) == CACHE_LINE, "what every free reads is one cache line");

/* The span that pages of freed spans point to: any free there is a double free. */
extern struct mspan mspan_dead;

/* Records come in shapes: by slots, as the pools are type-stable. */
#define SPAN_SHAPES 8
#define SPAN_SHAPE_BIG 0
#define SPAN_SHAPE_TINY (SPAN_SHAPES - 1)
unsigned mspan_shape(spanclass_t sc);          /* for a small span of this class */
size_t mspan_shape_bytes(unsigned shape);      /* size of the record */

/* Makes a record of memory for this shape. Once for each record. */
void mspan_init_record(struct mspan *s, unsigned shape);

/* A fresh span: every slot free, owner none. zeroed: its pages read as zero. */
void mspan_init_small(struct mspan *s, uintptr_t base, spanclass_t sc, bool zeroed);
void mspan_init_big(struct mspan *s, uintptr_t base, size_t npages, bool noscan, bool zeroed);

static inline _Atomic uint64_t *mspan_remote_bits(struct mspan *s)
{
	return (_Atomic uint64_t *)(void *)((char *)s->state + s->state_bytes);
}

static inline uint64_t *mspan_free_bits(struct mspan *s)
{
	return (uint64_t *)(void *)((char *)s->state + s->state_bytes) + s->words;
}

static inline size_t mspan_nbytes(const struct mspan *s)
{
	return (size_t)s->npages << PAGE_SHIFT;
}

/* Slot of an address in a small span, and whether the address is its start: one multiply. The slot
 * index can be nelems, behind the last slot; its state byte is there and never live. */
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

/* State bytes are accessed relaxed: an object passes from thread to thread by the program's own
 * synchronisation, and its state byte with it; a free slot by free_bits and remote_bits. Only in tiny
 * blocks does a byte hand anything over; see tiny_set_free(). */
static inline uint8_t slot_state(const _Atomic uint8_t *state)
{
	return atomic_load_explicit(state, memory_order_relaxed);
}

/* There is an object. Not for tiny spans. */
static inline bool slot_is_live(const _Atomic uint8_t *state)
{
	return (slot_state(state) & (SLOT_LIVE | SLOT_RESIZED)) != 0;
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

/* The object that starts at this byte of a tiny block is free. Release: what was done to it happens before
 * the block is used again by who finds all its bytes free. Pairs with the acquire in tiny_byte(). */
static inline void tiny_set_free(_Atomic uint8_t *state)
{
	atomic_store_explicit(state, SLOT_FREE, memory_order_release);
}

/* A state byte of a tiny block, for who may use the block if it is free. Acquire: pairs with the release in
 * tiny_set_free(). */
static inline uint8_t tiny_byte(const _Atomic uint8_t *state)
{
	return atomic_load_explicit(state, memory_order_acquire);
}

/* Relaxed: a thread compares it with its own cache, a value that only it stores. */
static inline uintptr_t mspan_owner_relaxed(const struct mspan *s)
{
	return atomic_load_explicit(&s->owner, memory_order_relaxed);
}

/* --- the owner's calls: current or partial span of owner, or the lock that goes with the state --- */

/* The slot, whose state is SLOT_FREE already, can be handed out again. */
FAST_PATH void mspan_free_local(struct mspan *s, uint32_t slot)
{
	uint64_t *word = &mspan_free_bits(s)[slot / 64];
	uint64_t bit = (uint64_t)1 << slot % 64;

	DCHECK((*word & bit) == 0);
	*word |= bit;
	s->nfree++;
}

/* Takes the lowest word with free slots out of free_bits: slots 64 * *word + bit for each bit set in
 * *bits. *fresh: they were never handed out and read as zero. False when no slot is free. Tiny blocks are
 * pinned. */
bool mspan_take_word(struct mspan *s, unsigned *word, uint64_t *bits, bool *fresh);

/* The same, the first word from this one on, and round. */
bool mspan_take_word_from(struct mspan *s, unsigned from, unsigned *word, uint64_t *bits, bool *fresh);

/* Puts back slots of a word that were taken and not handed out; unpins tiny blocks. */
void mspan_put_word(struct mspan *s, unsigned word, uint64_t bits);

/* Takes over what other threads freed. How many slots came free. */
unsigned mspan_absorb(struct mspan *s);

/* No slot is live or cached. */
static inline bool mspan_is_empty(const struct mspan *s)
{
	return s->nfree == s->nelems;
}

/* current -> full. True when enough came free meanwhile that the caller should claim it again, like anyone
 * who is told so: the span is no longer the caller's, and may even be another one by now. */
bool mspan_set_full(struct mspan *s, uintptr_t owner);

/* partial -> central. Remote frees that come too early to see the new owner are counted. True when
 * the span is worth taking back at once: the caller, who holds mcentral.lock, looks again. */
bool mspan_set_central(struct mspan *s, uintptr_t mcentral);

/* Any state the caller is owner of -> owner's. */
void mspan_set_owner(struct mspan *s, uintptr_t owner);

/* A span of the caller's enters a list that only it uses, or leaves it. One store makes it the first, so that a forked child
 * can walk the list. */
static inline void mspan_list_push(struct mspan **list, struct mspan *s)
{
	s->next = *list;
	s->prev = NULL;
	if (*list != NULL)
		(*list)->prev = s;
	order_stores();
	*list = s;
}

static inline void mspan_list_remove(struct mspan **list, struct mspan *s)
{
	if (s->prev == NULL)
		*list = s->next;
	else
		s->prev->next = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
}

/* --- any thread's calls --- */

/* The slot, whose state the caller set to SLOT_FREE, is free; the span is not the caller's. True when the
 * span is worth claiming. *twice: another thread freed the same slot. */
bool mspan_free_remote(struct mspan *s, uint32_t slot, bool *twice);

/* full -> owner's, if it still is full. The caller then owns the span and has not absorbed yet. */
bool mspan_claim_full(struct mspan *s, uintptr_t owner);

/* --- for a forked child, tests and debug builds --- */

/* Rebuilds free_bits from the states; whoever owned the span, or pinned a block of it, is gone. Owner
 * none. */
void mspan_rebuild(struct mspan *s);

/* What must hold for a span that the caller owns. */
void mspan_check(struct mspan *s);

/* Counts nfree anew: another thread, which is gone, was in the middle of mspan_absorb(). */
void mspan_recount(struct mspan *s);

/* Slots that are live, by their states; for statistics, without any lock. */
unsigned mspan_count_live(const struct mspan *s);

/* Blocks of a tiny span that hold a live object. */
unsigned mspan_live_blocks(const struct mspan *s);

#endif
