/* SPDX-License-Identifier: MIT */
/*
 * retire.c - sbrk=1: what is freed is never used again.
 * See malloc.c for the overview.
 *
 * A freed object's slot gets the state SLOT_DEAD: no object is there, and yet it is not free. So nothing that hands out free slots, nor
 * a forked child that finds out which are free, has it. Kernel pages whose slots are all dead give their memory back; they read as
 * zero then.
 *
 * Owns     slots in state SLOT_DEAD.
 * Callers  malloc.c. Calls mspan.h, os.h, fatal.h.
 * Locks    none.
 * Holds    a dead slot stays dead, and its span a span. Live objects have the flag SLOT_ONCE (malloc.c), so that no fast free
 *          takes them.
 */
#include "safe/retire.h"
#include "os/fatal.h"
#include "base/options.h"
#include "os/os.h"

static bool is_dead(const struct mspan *s, uint32_t slot)
{
	/* Acquire: who finds the last slot of a page dead is behind all writes to the page. Pairs with the exchange in
	 * retire_slot(). */
	return atomic_load_explicit(&s->state[slot], memory_order_acquire) == SLOT_DEAD;
}

/* Of two threads that free the last two slots of a page one sees both dead; if both do, the page is released twice. */
static void release_page(const struct mspan *s, uintptr_t page)
{
	uint32_t first = page <= s->base ? 0 : (uint32_t)((page - s->base) / s->elemsize);
	uint32_t last = (uint32_t)((page + os_page_size() - 1 - s->base) / s->elemsize);

	if (page < s->base || page + os_page_size() > s->base + mspan_nbytes(s))
		return;
	/* What is behind the last slot is nobody's. */
	for (uint32_t i = first; i <= last && i < s->nelems; i++)
		if (!is_dead(s, i))
			return;
	(void)os_drop((void *)page, os_page_size());
}

static void release_small(const struct mspan *s, uint32_t slot)
{
	uintptr_t addr = mspan_slot_addr(s, slot);

	for (uintptr_t page = align_down(addr, os_page_size()); page < addr + s->elemsize; page += os_page_size())
		release_page(s, page);
}

void retire_slot(struct mspan *s, uint32_t slot, const char *func)
{
	uintptr_t addr = s->kind == SPAN_BIG ? s->base : mspan_slot_addr(s, slot);
	bool has_bytes = s->kind == SPAN_SMALL && s->spanclass != SPANCLASS_NOTHING;

	/* Big ones read as zero at once. */
	if (options.clobberfree && has_bytes)
		fill_bytes((void *)addr, 0xdf, s->elemsize);
	/* Exchange: of two threads that free the same object one is told. Acquire and release: the program's writes come before the
	 * release of the page by whoever finds all its slots dead. Pairs with the load in is_dead(). */
	if (atomic_exchange_explicit(&s->state[slot], SLOT_DEAD, memory_order_acq_rel) == SLOT_DEAD)
		fatal_pointer(func, (void *)addr, "double free");
	if (s->kind == SPAN_BIG)
		(void)os_drop((void *)addr, mspan_nbytes(s));
	else if (has_bytes)
		release_small(s, slot);
}
