/* SPDX-License-Identifier: MIT */
/*
 * mcache_check.c - checks every bin, list and stack of a thread's cache.
 * See malloc.c for the overview.
 *
 * Locks    none: the owner of the cache does not run.
 */
#include "heap/mcache.h"
#include "base/options.h"

void mcache_check_kept(struct mcache *c, uintptr_t addr)
{
	struct mspan *s = span_of(addr);
	uint32_t slot;

	CHECK(s != NULL && mspan_slot_of(s, addr, &slot));
	CHECK(slot_state(&s->state[slot]) == SLOT_FREE);
	CHECK(mspan_owner_relaxed(s) != mcache_owner(c) ||
	      (mspan_free_bits(s)[slot / 64] >> slot % 64 & 1) == 0);
}

static void check_big(struct mcache *c)
{
	size_t npages = 0;

	for (unsigned n = 0; n < BIG_LISTS; n++)
		for (const struct mspan_link *link = &c->big.list[n]; link->span != NULL;
		     link = &link->span->kept) {
			struct mspan *s = link->span;

			CHECK(s->kind == SPAN_BIG && s->base == link->addr && !s->grown);
			CHECK(mspan_owner_relaxed(s) == mcache_owner(c) + SPAN_KEPT);
			CHECK(slot_state(&s->state[0]) == SLOT_FREE);
			CHECK(s->keep_list == n && bigcache_list(s->npages) == n);
			npages += s->npages;
		}
	CHECK(npages == bigcache_npages(&c->big));
}

void mcache_check(struct mcache *c)
{
	size_t partial_npages = 0, spare_npages = 0;

	check_big(c);

	mcache_check_counted(c);
	CHECK(c->tiny.block == 0 || c->tiny.span == c->bins[SPANCLASS_TINY].span);
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		struct bin *b = &c->bins[sc];
		const struct mspan *before = NULL;
		unsigned n = 0;

		CHECK(b->stack_bottom <= b->stack_top && b->stack_top <= b->stack_limit);
		CHECK(stack_entry(c, b->stack_bottom)[-1].addr == 0);
		CHECK(b->span != NULL || b->alloc_cache == 0);
		if (b->span != NULL) {
			CHECK(mspan_owner_relaxed(b->span) == mcache_owner(c));
			mspan_check(b->span);
			CHECK((mspan_free_bits(b->span)[b->cache_word] & b->alloc_cache) == 0);
		}
		for (struct mspan *s = b->partial; s != NULL; s = s->next) {
			CHECK(mspan_owner_relaxed(s) == mcache_owner(c));
			CHECK(s->spanclass == sc && s->prev == before && s->nfree != 0);
			mspan_check(s);
			before = s;
			n++;
			partial_npages += s->npages;
		}
		CHECK(n == b->npartial);
		CHECK((c->spares.list[sc] != NULL) == (c->spares.has[sc / 64] >> sc % 64 & 1));
		for (struct mspan *s = c->spares.list[sc]; s != NULL; s = s->next) {
			CHECK(mspan_owner_relaxed(s) == mcache_owner(c));
			CHECK(s->spanclass == sc && mspan_is_empty(s));
			mspan_check(s);
			spare_npages += s->npages;
		}
		for (uint32_t i = 0; i < stack_depth(b); i++) {
			struct free_entry e = stack_entry(c, b->stack_bottom)[i];
			struct mspan *s = span_of(e.addr);
			uint32_t slot;

			mcache_check_kept(c, e.addr);
			CHECK(s->spanclass == sc && mspan_slot_of(s, e.addr, &slot) &&
			      e.state == &s->state[slot]);
		}
	}
	CHECK(partial_npages == c->partial_npages && spare_npages == c->spares.npages);
	for (unsigned i = 0; options.hardened && i < QUARANTINE_SMALL; i++)
		if (c->quarantine.small[i] != 0)
			mcache_check_kept(c, c->quarantine.small[i]);
	for (unsigned i = 0; options.hardened && i < QUARANTINE_BIG; i++)
		if (c->quarantine.big[i] != NULL)
			CHECK(slot_state(&c->quarantine.big[i]->state[0]) == SLOT_FREE);
}
