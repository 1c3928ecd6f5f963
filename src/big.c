/* SPDX-License-Identifier: MIT */
/*
 * big.c - allocates and frees objects that have pages of their own.
 * See malloc.c for the overview.
 *
 * Locks    none of its own.
 * Holds    The state of a big object is its one state byte. If two threads free the same object by
 *          big_free(), one of them sees that it is free already. Most frees do not come here,
 *          because the thread is the object's home: see bigcache.c.
 */
#include "big.h"
#include "base/options.h"
#include "moves.h"
#include "os/fatal.h"
#include "os/libc.h"
#include "os/os.h"
#include "safe/hardened.h"
#include "safe/no_reuse.h"
#include "tools/profile.h"

void *big_alloc(struct mcache *c, const struct request *r)
{
	size_t align_pages = r->align > PAGE_SIZE ? r->align / PAGE_SIZE : 1;
	struct mspan *s;
	bool fresh;

	if (r->size > PTRDIFF_MAX - r->align || r->align > PTRDIFF_MAX / 2)
		return NULL;
	if (r->content == ZERO)
		s = mcache_alloc_zeroed(c, max_size(r->size, 1), align_pages, r->scan);
	else
		s = mcache_alloc_big(c, pages_for(max_size(r->size, 1)), align_pages, r->scan,
				     &fresh);
	return s == NULL ? NULL : mspan_set_big_live(s);
}

/* Frees a big object. Returns its state before. */
static uint8_t set_big_free(struct mspan *s)
{
	if (os_single_threaded()) {
		uint8_t before = slot_state(&s->state[0]);

		slot_set(&s->state[0], SLOT_FREE);
		return before;
	}
	/* Exchange: of two threads that free the same object one is told. Relaxed: the program
	 * itself synchronises the thread that frees with the thread that allocated. */
	return atomic_exchange_explicit(&s->state[0], SLOT_FREE, memory_order_relaxed);
}

/* Returns true if an object with this state was live and is no sample. */
static bool is_usual(uint8_t state)
{
	return state == SLOT_LIVE || state == SLOT_RESIZED;
}

/* Looks at the state that a freed big object had before, which was not a usual one. */
static SLOW_PATH void freed_unusual(struct mspan *s, uint8_t before, const char *func)
{
	if (before == SLOT_FREE || before == SLOT_DEAD)
		fatal_pointer(func, (void *)s->base, "double free");
	if ((before & SLOT_SAMPLED) != 0)
		profile_free(s->base);
}

static SLOW_PATH void free_big_hardened(struct mcache *c, struct mspan *s, const char *func)
{
	uint8_t before;

	if (slot_is_live(&s->state[0]))
		(void)hardened_big_size(s, func);
	before = set_big_free(s);
	if (!is_usual(before))
		freed_unusual(s, before, func);
	if (options.sbrk)
		no_reuse_free(s, 0, func);
	else
		hardened_free_big(c, s);
}

/* Frees a big object that was sampled, moved or freed before, or with an option that has work at
 * every free. */
static SLOW_PATH void free_big_unusual(struct mspan *s, uint8_t before, const char *func,
				       struct mcache *c)
{
	if (!is_usual(before))
		freed_unusual(s, before, func);
	if (options.sbrk) {
		no_reuse_free(s, 0, func);
		return;
	}
	if (s->moved)
		moves_note_freed(mspan_nbytes(s));
	if (options.clobberfree)
		fill_bytes((void *)s->base, 0xdf, mspan_nbytes(s));
	mcache_free_big(c, s);
}

void big_free(void *p, struct mspan *s, const char *func, struct mcache *c)
{
	uint8_t before;

	if (UNLIKELY(options.hardened)) {
		free_big_hardened(c, s, func);
		HOLD_ADDRESS(p);
		return;
	}
	before = set_big_free(s);
	/* Up to here: a leak check finds the live object by it. */
	HOLD_ADDRESS(p);
	if (UNLIKELY(!is_usual(before) || s->moved || options.clobberfree || options.sbrk))
		free_big_unusual(s, before, func, c);
	else
		mcache_free_big(c, s);
}
