/* SPDX-License-Identifier: MIT */
/*
 * tiny.c - the tiny allocator: noscan objects of at most 16 bytes share 16-byte blocks.
 * See malloc.c for the overview.
 *
 * Owns     the state bytes of tiny spans: one for each byte of a block, the size of the live object
 *          that starts there; and the current block of a cache.
 * Locks    none of its own.
 * Holds    a block is free when no object starts in it. The owner of the span finds that out: when
 *          it frees the last object, or when it absorbs the remote bit of another thread's free.
 *          A remote bit may come late, when a cache has the block again. So a block in a cache is
 *          pinned: its last state byte is TINY_PIN.
 *          The current block of a cache lies in the cache's current tiny span. For that,
 *          new_block() and mcache_flush() let go of the block before the span, and tick() keeps a
 *          span that has a slot in use. So the thread that has the block owns the span. No other
 *          thread looks at the block between the store of its last object and the store that
 *          removes the pin. A later owner synchronises with both stores by the owner word.
 */
#include "heap/tiny.h"

#define TINY_LAST (TINY_SIZE - 1)

static _Atomic uint8_t *block_state(struct mspan *s, uintptr_t block)
{
	return &s->state[block - s->base];
}

/* Returns true if no object starts in the block. The pin is no object. */
static bool block_has_no_object(struct mspan *s, uintptr_t block)
{
	const _Atomic uint8_t *state = block_state(s, block);

	for (unsigned i = 0; i < TINY_LAST; i++)
		if (tiny_byte(&state[i]) != SLOT_FREE)
			return false;
	return tiny_byte(&state[TINY_LAST]) == SLOT_FREE ||
	       slot_state(&state[TINY_LAST]) == TINY_PIN;
}

/* Frees a block, or leaves it to the owner of the span to see whether it is free. */
static void free_block(struct mcache *c, struct mspan *s, uint32_t slot)
{
	bool twice;

	if (mspan_owner_relaxed(s) == mcache_owner(c)) {
		mspan_free_local(s, slot);
		if (mspan_is_empty(s))
			mcache_span_freed(c, s);
	} else if (mspan_free_remote(s, slot, &twice)) {
		mcache_claim(c, s);
	}
}

void tiny_detach(struct mcache *c)
{
	struct mspan *s = c->tiny.span;
	uintptr_t block = c->tiny.block;

	if (block == 0)
		return;
	c->tiny = (struct tiny_cache){ 0, 0, NULL };
	slot_set(&block_state(s, block)[TINY_LAST], SLOT_FREE);
	if (block_has_no_object(s, block))
		free_block(c, s, (uint32_t)((block - s->base) / TINY_SIZE));
}

void tiny_forget(struct mcache *dead)
{
	struct mspan *s = dead->tiny.span;
	uintptr_t block = dead->tiny.block;

	dead->tiny = (struct tiny_cache){ 0, 0, NULL };
	if (block != 0 && s != NULL && slot_state(&block_state(s, block)[TINY_LAST]) == TINY_PIN)
		slot_set(&block_state(s, block)[TINY_LAST], SLOT_FREE);
}

/* Makes a new current block, empty. It is pinned since its word was taken from the span. */
static bool new_block(struct mcache *c)
{
	struct bin *b = &c->bins[SPANCLASS_TINY];
	unsigned bit;

	tiny_detach(c);
	if (b->alloc_cache == 0 && !mcache_refill(c, SPANCLASS_TINY, 0))
		return false;
	bit = ctz64(b->alloc_cache);
	b->alloc_cache &= b->alloc_cache - 1;
	c->tiny.block = b->cache_base + bit * TINY_SIZE;
	c->tiny.offset = 0;
	c->tiny.span = b->span;
	return true;
}

void *tiny_alloc(struct mcache *c, size_t size, size_t floor)
{
	size_t nbytes = tiny_nbytes(size, floor);
	size_t align = floor;
	_Atomic uint8_t *state;
	uint32_t offset;
	uintptr_t addr;

	DCHECK(c->tiny.block == 0 || (c->tiny.span == c->bins[SPANCLASS_TINY].span &&
				      mspan_owner_relaxed(c->tiny.span) == mcache_owner(c)));
	while (align * 2 <= size)
		align *= 2;
	offset = (uint32_t)align_up(c->tiny.offset, align);
	if (c->tiny.block == 0 || offset + nbytes > TINY_SIZE) {
		if (!new_block(c))
			return NULL;
		offset = 0;
	}
	state = block_state(c->tiny.span, c->tiny.block);
	addr = c->tiny.block + offset;
	HOLD_ADDRESS(addr);
	slot_set(&state[offset], (uint8_t)nbytes);
	c->tiny.offset = offset + (uint32_t)nbytes;
	if (c->tiny.offset == TINY_SIZE) {
		/* A full block is let go; the object just made keeps it from being free. Relaxed
		 * stores: see the top of this file. */
		if (offset != TINY_LAST)
			slot_set(&block_state(c->tiny.span, c->tiny.block)[TINY_LAST], SLOT_FREE);
		c->tiny = (struct tiny_cache){ 0, 0, NULL };
	}
	return (void *)addr;
}

size_t tiny_object_size(const struct mspan *s, uintptr_t addr)
{
	size_t offset = addr - s->base;
	uint8_t nbytes;

	if (offset >= (size_t)s->nelems * TINY_SIZE)
		return 0;
	nbytes = tiny_size_in(slot_state(&s->state[offset]));
	return nbytes <= TINY_SIZE ? nbytes : 0;
}

bool tiny_is_interior(const struct mspan *s, uintptr_t addr)
{
	uintptr_t block = align_down(addr, TINY_SIZE);

	for (uintptr_t start = block; start < addr; start++)
		if (tiny_object_size(s, start) > addr - start)
			return true;
	return false;
}

void tiny_free(struct mcache *c, struct mspan *s, uintptr_t addr)
{
	uintptr_t block = align_down(addr, TINY_SIZE);
	uint32_t slot = (uint32_t)((block - s->base) / TINY_SIZE);
	bool twice;

	tiny_set_free(&s->state[addr - s->base]);
	if (block == c->tiny.block) {
		/* Ours, pinned, and nobody else's: it starts anew when it is empty. */
		if (block_has_no_object(s, block))
			c->tiny.offset = 0;
	} else if (mspan_owner_relaxed(s) == mcache_owner(c)) {
		if (block_has_no_object(s, block) &&
		    slot_state(&block_state(s, block)[TINY_LAST]) != TINY_PIN)
			free_block(c, s, slot);
	} else if (mspan_free_remote(s, slot, &twice)) {
		mcache_claim(c, s);
	}
}
