/* SPDX-License-Identifier: MIT */
/*
 * no_reuse.c - sbrk=1: the memory of a freed object is never used again.
 *
 * A freed object's slot gets the state SLOT_DEAD: it has no object, and yet it is not free. So it
 * is taken neither by code that hands out free slots, nor by a forked child that finds out which
 * slots are free. Kernel pages whose slots are all dead give their memory back and then read as
 * zero.
 *
 * Owns     slots in state SLOT_DEAD.
 * Holds    a dead slot stays dead, and its span stays a span. The free stacks of all caches have no
 *          room, so that no fast path frees an object (mcache_reset_stack()).
 */
#include "safe/no_reuse.h"
#include "base/options.h"
#include "os/fatal.h"
#include "os/os.h"

static bool is_dead(const struct mspan *s, uint32_t slot)
{
	/* Acquire: a thread that finds the last slot of a page dead comes after all writes to the
	 * page. Pairs with the exchange in no_reuse_free(). */
	return atomic_load_explicit(&s->state[slot], memory_order_acquire) == SLOT_DEAD;
}

/* Releases a kernel page if all its slots are dead. Of two threads that free the last two slots, at
 * least one sees both dead. If both do, the page is released twice, which does no harm. */
static void release_page(const struct mspan *s, uintptr_t page)
{
	uintptr_t end = page + os_page_size();
	uint32_t first = page <= s->base ? 0 : (uint32_t)((page - s->base) / s->elemsize);
	uint32_t last = (uint32_t)((end - 1 - s->base) / s->elemsize);

	if (page < s->base || end > s->base + mspan_nbytes(s))
		return;
	/* The rest of a span behind its last slot never has an object. */
	for (uint32_t i = first; i <= last && i < s->nelems; i++)
		if (!is_dead(s, i))
			return;
	(void)os_drop((void *)page, os_page_size());
}

static void release_small(const struct mspan *s, uint32_t slot)
{
	uintptr_t addr = mspan_slot_addr(s, slot);
	uintptr_t page = align_down(addr, os_page_size());

	for (; page < addr + s->elemsize; page += os_page_size())
		release_page(s, page);
}

void no_reuse_free(struct mspan *s, uint32_t slot, const char *func)
{
	uintptr_t addr = s->kind == SPAN_BIG ? s->base : mspan_slot_addr(s, slot);
	bool has_bytes = s->kind == SPAN_SMALL && s->spanclass != SPANCLASS_ZERO;

	/* A big object is not filled, because it reads as zero at once. */
	if (options.clobberfree && has_bytes)
		fill_bytes((void *)addr, 0xdf, s->elemsize);
	/* Exchange: of two threads that free the same object, one is told. Acquire and release: the
	 * program's writes come before the release of the page by the thread that finds all its
	 * slots dead. Pairs with the load in is_dead(). */
	if (atomic_exchange_explicit(&s->state[slot], SLOT_DEAD, memory_order_acq_rel) == SLOT_DEAD)
		fatal_pointer(func, (void *)addr, "double free");
	if (s->kind == SPAN_BIG)
		(void)os_drop((void *)addr, mspan_nbytes(s));
	else if (has_bytes)
		release_small(s, slot);
}
