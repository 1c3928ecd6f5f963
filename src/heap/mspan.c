/* SPDX-License-Identifier: MIT */
/*
 * mspan.c - the slots of one span, and the ownership protocol.
 * See malloc.c for the overview, mspan.h for the table of states.
 *
 * Owns     struct mspan and the bytes behind it: states, remote_bits, free_bits.
 * Locks    none. Plain fields belong to the owner; the others are atomic.
 * Holds    mspan_check() tests: nfree counts free_bits; a slot that is free is not live; no slot
 *          has both its remote bit and its free bit set.
 *
 * The protocol, in three rules (tests/model/span.pml checks them):
 *   1. A remote free sets the remote bit, then reads the owner word. An owner that lets go of a
 *      span stores the owner word, then reads the remote bits. All four are seq_cst, so one of the
 *      two sees the other, and no free slot is forgotten.
 *   2. A span that was let go carries a credit: the number of remote frees after which it is worth
 *      owning. Every remote free that sees the owner word counts it down. The thread that lets go
 *      counts down by the bits that it finds. A free may be counted twice but is never missed. The
 *      thread that brings the credit to zero or below claims the span.
 *   3. A claim is a compare-and-swap from the full owner word, or is made under mcentral.lock, so
 *      that one of several claimants wins. A record that was freed and used again meanwhile is
 *      again a span: a late claim of it is a claim like any other, and a late free counts its
 *      credit down a little early.
 */
#include "heap/mspan.h"
#include "os/fatal.h"

struct mspan mspan_dead = { .kind = SPAN_DEAD };

/* Relaxed: a figure. */
static _Atomic size_t released_npages;

/* The most slots of each shape, and its state bytes. There is a state byte for one slot more,
 * which is never live: addresses behind the last slot of a span lead to it. */
static const struct {
	uint16_t slots;
	uint16_t state_bytes;
} shapes[SPAN_SHAPES] = {
	{ 1, 8 },     { 40, 48 },   { 64, 72 },     { 128, 136 },
	{ 256, 264 }, { 512, 520 }, { 1024, 1032 }, { 512, 512 * TINY_SIZE },
};

unsigned mspan_shape(spanclass_t sc, unsigned nelems)
{
	unsigned shape = SPAN_SHAPE_BIG + 1;

	if (sc == SPANCLASS_TINY)
		return SPAN_SHAPE_TINY;
	while (shapes[shape].slots < nelems)
		shape++;
	return shape;
}

size_t mspan_shape_bytes(unsigned shape)
{
	size_t words = (shapes[shape].slots + 63u) / 64;

	return sizeof(struct mspan) + shapes[shape].state_bytes + 2 * words * sizeof(uint64_t);
}

void mspan_init_record(struct mspan *s, unsigned shape)
{
	s->shape = (uint8_t)shape;
	s->state_bytes = shapes[shape].state_bytes;
	s->words = (uint8_t)((shapes[shape].slots + 63u) / 64);
}

static void init_common(struct mspan *s, uintptr_t base, size_t npages, spanclass_t sc, bool zeroed)
{
	s->base = base;
	s->npages = (uint32_t)npages;
	s->spanclass = sc;
	s->next = NULL;
	s->prev = NULL;
	s->fresh_word = 0;
	s->zeroed = zeroed;
	s->moved = false;    /* or released */
	s->grown = false;    /* or list */
	s->seen_nfree = 0;
	/* Relaxed: published by the release in map_pages(). */
	atomic_store_explicit(&s->owner, 0, memory_order_relaxed);
}

/* Returns the bits of word w that stand for slots. */
static uint64_t slots_mask(const struct mspan *s, unsigned w)
{
	return w * 64u >= s->nelems ? 0 : low_mask64(s->nelems - w * 64u);
}

void mspan_init_small(struct mspan *s, uintptr_t base, spanclass_t sc, size_t npages,
		      bool zeroed)
{
	const struct sizeclass *info = spanclass_info(sc);
	bool tiny = sc == SPANCLASS_TINY;

	init_common(s, base, npages, sc, zeroed);
	s->kind = tiny ? SPAN_TINY : SPAN_SMALL;
	s->elemsize = info->elemsize;
	s->divmul = tiny ? 0 : info->divmul;
	s->nelems = (uint16_t)spanclass_nelems(sc, npages);
	s->nfree = s->nelems;
	for (unsigned w = 0; w < s->words; w++) {
		mspan_free_bits(s)[w] = slots_mask(s, w);
		atomic_store_explicit(&mspan_remote_bits(s)[w], 0, memory_order_relaxed);
	}
	zero_bytes((void *)s->state, s->state_bytes);
}

void mspan_init_big(struct mspan *s, uintptr_t base, size_t npages, enum scan scan, bool zeroed)
{
	init_common(s, base, npages, make_spanclass(0, scan), zeroed);
	s->kind = SPAN_BIG;
	s->elemsize = 0;
	s->divmul = 0;
	s->nelems = 1;
	s->nfree = 0;
	slot_set(&s->state[0], SLOT_FREE);
}

/* Sets the last state byte of each of these blocks. */
static void pin_blocks(struct mspan *s, unsigned word, uint64_t bits, uint8_t value)
{
	for (; bits != 0; bits &= bits - 1)
		slot_set(&s->state[(word * 64 + ctz64(bits)) * TINY_SIZE + TINY_SIZE - 1], value);
}

bool mspan_take_word(struct mspan *s, unsigned from, unsigned *word, uint64_t *bits, bool *fresh)
{
	uint64_t *free_bits = mspan_free_bits(s);

	DCHECK(s->released == 0);
	if (s->nfree == 0)
		return false;
	for (unsigned i = 0, w = from;; i++, w = w + 1 < s->words ? w + 1 : 0) {
		uint64_t b = free_bits[w];

		DCHECK(i < s->words);
		if (b == 0)
			continue;
		free_bits[w] = 0;
		s->nfree = (uint16_t)(s->nfree - popcount64(b));
		*word = w;
		*bits = b;
		*fresh = s->zeroed && w >= s->fresh_word;
		if (w >= s->fresh_word)
			s->fresh_word = (uint8_t)(w + 1);
		if (s->kind == SPAN_TINY)
			pin_blocks(s, w, b, TINY_PIN);
		return true;
	}
}

void mspan_put_word(struct mspan *s, unsigned word, uint64_t bits)
{
	DCHECK((mspan_free_bits(s)[word] & bits) == 0);
	if (s->kind == SPAN_TINY)
		pin_blocks(s, word, bits, SLOT_FREE);
	mspan_free_bits(s)[word] |= bits;
	s->nfree = (uint16_t)(s->nfree + popcount64(bits));
}

/* Returns true when no byte of a tiny block starts a live object, and no cache has it. */
static bool tiny_block_is_free(const struct mspan *s, uint32_t slot)
{
	for (unsigned i = 0; i < TINY_SIZE; i++)
		if (tiny_byte(&s->state[slot * TINY_SIZE + i]) != SLOT_FREE)
			return false;
	return true;
}

/* Returns which of the slots whose remote bits were set are free now. In a tiny span the bit says
 * only that an object in the block was freed. Others may be live, and the owner may have freed the
 * block. */
static uint64_t freed_slots(struct mspan *s, unsigned w, uint64_t marked)
{
	uint64_t freed = marked & ~mspan_free_bits(s)[w];

	if (s->kind != SPAN_TINY && freed != marked)
		fatal_pointer("free", (void *)mspan_slot_addr(s, w * 64 + ctz64(marked & ~freed)),
			      "double free");
	for (uint64_t left = freed; left != 0; left &= left - 1) {
		uint32_t slot = w * 64 + ctz64(left);

		if (s->kind == SPAN_TINY) {
			if (!tiny_block_is_free(s, slot))
				freed &= ~((uint64_t)1 << slot % 64);
		} else if (slot_state(&s->state[slot]) != SLOT_FREE) {
			/* Two threads have freed it at the same moment, and it was handed out
			 * since. */
			fatal_pointer("free", (void *)mspan_slot_addr(s, slot),
				      "double free");
		}
	}
	return freed;
}

unsigned mspan_absorb(struct mspan *s)
{
	_Atomic uint64_t *remote = mspan_remote_bits(s);
	unsigned n = 0;

	for (unsigned w = 0; w < s->words; w++) {
		uint64_t marked, freed;

		/* Relaxed: a hint. A bit that is not seen yet is found the next time. */
		if (atomic_load_explicit(&remote[w], memory_order_relaxed) == 0)
			continue;
		/* Acquire: all use of the freed objects happens before their slots are handed out
		 * again. Pairs with the fetch_or in mspan_free_remote(). */
		marked = atomic_exchange_explicit(&remote[w], 0, memory_order_acquire);
		freed = freed_slots(s, w, marked);
		mspan_free_bits(s)[w] |= freed;
		n += popcount64(freed);
	}
	s->nfree = (uint16_t)(s->nfree + n);
	return n;
}

/* Counts the remote bits after the owner word was stored: their frees may not have seen it. */
static int32_t count_remote(struct mspan *s)
{
	unsigned n = 0;

	/* seq_cst: after the owner store. Pairs with the fetch_or in mspan_free_remote(): rule
	 * 1. */
	for (unsigned w = 0; w < s->words; w++)
		n += popcount64(atomic_load_explicit(&mspan_remote_bits(s)[w],
						     memory_order_seq_cst));
	return (int32_t)n;
}

/* Returns how many free slots make a span worth owning. */
static int32_t span_worth(const struct mspan *s)
{
	int32_t n = s->nelems >> SPAN_WORTH_SHIFT;

	return n > 0 ? n : 1;
}

/* Lets go of a span with this owner word and credit, by rules 1 and 2. Returns true when it is
 * worth claiming. After the store of the owner word the record may be another span, so only fields
 * that are constant for its life are read. */
static bool let_go(struct mspan *s, uintptr_t owner, int32_t credit)
{
	int32_t n;

	/* Relaxed: the owner store publishes it. */
	atomic_store_explicit(&s->credit, credit, memory_order_relaxed);
	/* seq_cst: before the bits are read. It also releases the plain fields to the claimant.
	 * Pairs with the load of owner in mspan_free_remote() and the swap in
	 * mspan_claim_full(). */
	atomic_store_explicit(&s->owner, owner, memory_order_seq_cst);
	n = count_remote(s);
	/* Relaxed: a count; the claim itself synchronises. */
	return n != 0 && atomic_fetch_sub_explicit(&s->credit, n, memory_order_relaxed) <= n;
}

bool mspan_set_full(struct mspan *s, uintptr_t owner)
{
	DCHECK(s->nfree == 0);
	return let_go(s, owner | SPAN_FULL, span_worth(s));
}

bool mspan_set_central(struct mspan *s, uintptr_t mcentral)
{
	int32_t live = s->nelems - s->nfree;
	int32_t worth = span_worth(s);

	/* The free of the last live slot always claims, because an empty span goes back to the
	 * heap. */
	return let_go(s, mcentral | SPAN_CENTRAL, live < worth ? live : worth);
}

void mspan_set_owner(struct mspan *s, uintptr_t owner)
{
	/* Release: a thread that claims the span later reads the plain fields. Pairs with the swap
	 * in mspan_claim_full(). */
	atomic_store_explicit(&s->owner, owner, memory_order_release);
}

void mspan_set_released(struct mspan *s, unsigned npages)
{
	DCHECK(s->kind != SPAN_BIG && npages <= UINT8_MAX);
	/* Relaxed: a figure. Unsigned: the difference may be negative. */
	atomic_fetch_add_explicit(&released_npages, (size_t)npages - s->released,
				  memory_order_relaxed);
	s->released = (uint8_t)npages;
}

size_t mspan_count_released(void)
{
	return atomic_load_explicit(&released_npages, memory_order_relaxed);
}

bool mspan_has_remote(struct mspan *s)
{
	/* Relaxed: a hint. */
	for (unsigned w = 0; w < s->words; w++)
		if (atomic_load_explicit(&mspan_remote_bits(s)[w], memory_order_relaxed) != 0)
			return true;
	return false;
}

bool mspan_free_remote(struct mspan *s, uint32_t slot, bool *twice)
{
	_Atomic uint64_t *word = &mspan_remote_bits(s)[slot / 64];
	uint64_t bit = (uint64_t)1 << slot % 64;
	uint64_t before;
	uintptr_t owner;

	/* seq_cst: before the owner word is read: rule 1. Its release half pairs with the exchange
	 * in mspan_absorb(). */
	before = atomic_fetch_or_explicit(word, bit, memory_order_seq_cst);
	*twice = (before & bit) != 0;
	/* seq_cst: after the bit. Pairs with the store in let_go(). From here on other threads may
	 * claim, free and reuse the record: only its atomic fields are touched. */
	owner = atomic_load_explicit(&s->owner, memory_order_seq_cst);
	if ((owner & SPAN_TAGS) == 0)
		return false;
	/* Relaxed: a count; the claim itself synchronises. */
	return atomic_fetch_sub_explicit(&s->credit, 1, memory_order_relaxed) <= 1;
}

bool mspan_claim_full(struct mspan *s, uintptr_t owner)
{
	/* Relaxed: checked by the swap. */
	uintptr_t seen = mspan_owner_relaxed(s);

	/* Acquire: the plain fields of the last owner. Pairs with the store in let_go(). */
	return (seen & SPAN_FULL) != 0 &&
	       atomic_compare_exchange_strong_explicit(&s->owner, &seen, owner,
						       memory_order_acquire, memory_order_relaxed);
}

void mspan_rebuild(struct mspan *s)
{
	unsigned nfree = 0;

	for (unsigned w = 0; w < s->words; w++) {
		atomic_store_explicit(&mspan_remote_bits(s)[w], 0, memory_order_relaxed);
		mspan_free_bits(s)[w] = 0;
	}
	for (uint32_t i = TINY_SIZE - 1; s->kind == SPAN_TINY && i < s->nelems * TINY_SIZE;
	     i += TINY_SIZE)
		if (slot_state(&s->state[i]) == TINY_PIN)
			slot_set(&s->state[i], SLOT_FREE);
	for (uint32_t slot = 0; slot < s->nelems; slot++) {
		bool is_free = s->kind == SPAN_TINY ? tiny_block_is_free(s, slot) :
						      slot_state(&s->state[slot]) == SLOT_FREE;

		if (!is_free)
			continue;
		mspan_free_bits(s)[slot / 64] |= (uint64_t)1 << slot % 64;
		nfree++;
	}
	s->nfree = (uint16_t)nfree;
	s->fresh_word = SPAN_MAX_WORDS;
	s->next = NULL;
	s->prev = NULL;
	mspan_begin_use(s);
	mspan_set_owner(s, 0);
}

void mspan_recount(struct mspan *s)
{
	unsigned nfree = 0;

	for (unsigned w = 0; w < s->words; w++)
		nfree += popcount64(mspan_free_bits(s)[w]);
	s->nfree = (uint16_t)nfree;
}

void mspan_check(struct mspan *s)
{
	unsigned nfree = 0;

	CHECK(s->base % PAGE_SIZE == 0 && s->npages != 0);
	if (s->kind == SPAN_BIG)
		return;
	CHECK(s->kind == SPAN_SMALL || s->kind == SPAN_TINY);
	CHECK(s->spanclass >> 1 != 0 && s->spanclass < NUM_SPAN_CLASSES);
	CHECK(s->elemsize == spanclass_info(s->spanclass)->elemsize);
	CHECK(s->npages <= spanclass_max_npages(s->spanclass));
	CHECK(s->nelems == spanclass_nelems(s->spanclass, s->npages) && s->nelems != 0);
	CHECK(s->shape == mspan_shape(s->spanclass, s->nelems));
	for (unsigned w = 0; w < s->words; w++) {
		uint64_t bits = mspan_free_bits(s)[w];
		uint64_t marked = atomic_load_explicit(&mspan_remote_bits(s)[w],
						       memory_order_relaxed);

		CHECK((bits & ~slots_mask(s, w)) == 0);
		CHECK(s->kind == SPAN_TINY || (bits & marked) == 0);
		nfree += popcount64(bits);
		for (; bits != 0; bits &= bits - 1) {
			uint32_t slot = w * 64 + ctz64(bits);

			CHECK(s->kind == SPAN_TINY ? tiny_block_is_free(s, slot) :
						     slot_state(&s->state[slot]) == SLOT_FREE);
		}
	}
	CHECK(nfree == s->nfree);
}
