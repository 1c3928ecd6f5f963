/* SPDX-License-Identifier: MIT */
/*
 * mcache.c - refills and empties the bins of a thread's cache.
 * See malloc.c for the overview.
 *
 * Owns     the bins of a thread: current and partial spans, free stacks.
 * Locks    none. Takes mcentral.lock and mheap.lock through those modules, never both.
 * Holds    mcache_check() tests what holds: current and partial spans have this cache as owner.
 *          A partial span has a free slot. An entry of a stack is a free slot of the class that no
 *          bitmap shows. What a cache keeps is bounded (cachecap.c). A cache that frees more than
 *          it takes gives all that up (note_given()). Lists change by one store at a time, so that
 *          a forked child can walk them.
 */
#include "heap/mcache.h"
#include "heap/mcentral.h"
#include "os/fatal.h"
#include "os/forked.h"
#include "heap/limit.h"
#include "base/options.h"
#include "os/os.h"

/* The least number of milliseconds between two polls. */
#define POLL_MS 2

/* How often in a decay time a thread that takes spans gives back what it does not use. */
#define IDLE_PER_TICK 16

/* First spans make a thread give back what it does not use, but no more often than in so many
 * milliseconds. */
#define FIRST_MS 4

_Atomic uint32_t mcaches_made;
void (*mcache_flush_others)(struct mcache *c);
void (*mcache_release_pooled)(uint32_t age_ms);

/* --- partial spans --- */

static bool claim(struct mcache *c, struct mspan *s)
{
	return mspan_claim_full(s, mcache_owner(c)) || mcentral_claim(s, mcache_owner(c));
}

/* Makes sure that a span of ours, on no list and absorbed, has a free slot. Returns false if it is
 * full; then it is no longer ours. The span may be of another class afterwards: see
 * mspan_set_full(). */
static bool keep_if_free(struct mcache *c, struct mspan *s)
{
	while (s->nfree == 0) {
		if (!mspan_set_full(s, mcache_owner(c)) || !claim(c, s))
			return false;
		mspan_absorb(s);
	}
	return true;
}

static void give_unused(struct mcache *c);

void mcache_give_all_unused(struct mcache *c)
{
	c->giving = true;
	bigcache_flush(&c->big, &c->pages);
	give_unused(c);
	c->giving = false;
	c->given_npages = c->first_npages = 0;
}

/* Notes that pages of an empty span or of a big object went to the heap. When the cache has given
 * many more than it took, it gives up what it keeps, too: perhaps the thread has freed all it had
 * and will not come by again. */
static void note_given(struct mcache *c, size_t npages)
{
	if (c->giving)
		return;
	c->given_npages += (uint32_t)npages;
	if (c->given_npages >= mcache_share(GIVEN_PAGES_ALONE, GIVEN_PAGES_ALL, GIVEN_PAGES_MIN))
		mcache_give_all_unused(c);
}

/* Notes that the cache has taken pages of the heap. */
static void note_taken(struct mcache *c, size_t npages)
{
	c->given_npages -= (uint32_t)min_size(npages, c->given_npages);
}

/* Frees an empty span of ours, or a big object, that is on no list. */
static void give_empty(struct mcache *c, struct mspan *s)
{
	size_t npages = s->npages;

	mheap_free_span(&c->pages, s);
	note_given(c, npages);
}

/* Keeps an empty span of ours that is on no list as a spare, or frees it. One that is shorter than
 * the next of its class would be is not worth keeping. */
static void keep_spare(struct mcache *c, struct mspan *s)
{
	if (s->npages < spanclass_info(s->spanclass)->npages[c->bins[s->spanclass].span_length]) {
		give_empty(c, s);
		return;
	}
	spares_put(&c->spares, s);
	while (c->spares.npages > mcache_max_spare(c) && (s = spares_evict(&c->spares)) != NULL)
		give_empty(c, s);
}

/* Finds the place for a span of ours that is on no list and is absorbed. */
static void place_span(struct mcache *c, struct mspan *s)
{
	struct bin *b;

	if (!keep_if_free(c, s))
		return;
	b = &c->bins[s->spanclass];
	if (mspan_is_empty(s))
		keep_spare(c, s);
	else if (b->npartial == 0 || c->partial_npages + s->npages <= mcache_max_partial())
		mcache_push_partial(c, b, s);
	else
		mcentral_put(s);
}

/* Returns the slots of the current word that were not handed out to their span. */
static void return_word(struct bin *b)
{
	if (b->alloc_cache == 0)
		return;
	mspan_put_word(b->span, b->cache_word, b->alloc_cache);
	b->alloc_cache = 0;
}

/* Takes the current span out of its bin if all its slots are free and there are many caches. Many
 * threads may wait for long, and each would keep a current span for every class that it ever used.
 * Returns false if the span stays. */
static bool leave_current(struct bin *b, struct mspan *s)
{
	if (mcaches_count() <= STACK_DEEP_CACHES ||
	    s->nfree + popcount64(b->alloc_cache) != s->nelems)
		return false;
	return_word(b);
	b->span = NULL;
	return true;
}

SLOW_PATH void mcache_span_freed(struct mcache *c, struct mspan *s)
{
	struct bin *b = &c->bins[s->spanclass];

	if (s != b->span)
		mcache_remove_partial(c, b, s);
	else if (!leave_current(b, s))
		return;
	keep_spare(c, s);
	mcache_poll(c);
}

void mcache_claim(struct mcache *c, struct mspan *s)
{
	if (!claim(c, s))
		return;
	mspan_absorb(s);
	place_span(c, s);
}

/* --- allocation --- */

/* Takes a word of a span as current word of the bin: the next one with free slots, or with random
 * from some word on. */
static bool load_word(struct bin *b, struct mspan *s, uint64_t random)
{
	unsigned from = random == 0 ? 0 : (unsigned)(random / 64 % s->words);
	unsigned word;
	size_t first;

	if (!mspan_take_word(s, from, &word, &b->alloc_cache, &b->cache_fresh))
		return false;
	first = (size_t)word * 64;
	b->cache_word = (uint8_t)word;
	b->cache_base = s->base + first * s->elemsize;
	b->cache_state = &s->state[first];
	return true;
}

/* A request to the heap: a big object of npages, or if npages is 0, a span of the class sc. */
struct span_request {
	spanclass_t sc;
	size_t npages, align_pages;
	enum content content;
};

/* Asks for a span for a bin. The first one is short and each is longer than the one before, unless
 * shorten_others() came by: few objects take little memory, and many objects take few spans. */
static struct mspan *ask_for_small(struct mcache *c, spanclass_t sc, enum effort effort)
{
	struct bin *b = &c->bins[sc];
	const uint8_t *npages = spanclass_info(sc)->npages;
	uint8_t length = options.hardened ? b->span_length :
					    pcache_fit(&c->pages, npages, b->span_length);
	struct mspan *s = mheap_alloc_small(&c->pages, sc, npages[length], effort);

	if (s == NULL)
		return NULL;
	mspan_set_owner(s, mcache_owner(c));
	if (b->span_length < SPAN_LENGTHS / 2)
		c->first_npages += npages[length];
	if (length == b->span_length && length < SPAN_LENGTHS - 1)
		b->span_length++;
	return s;
}

static struct mspan *ask_heap(struct mcache *c, const struct span_request *w, enum effort effort)
{
	if (w->npages == 0)
		return ask_for_small(c, w->sc, effort);
	return (w->content == ZERO ? mheap_alloc_zeroed : mheap_alloc_big)(
		&c->pages, w->npages, w->align_pages, spanclass_scan(w->sc), effort);
}

/* Asks for a span without growth of the heap. If no free run is as long as the next span of the
 * class would be, the span is shorter: free runs are left by spans of other classes, and may be
 * too short for those that a program needs now. */
static struct mspan *ask_for_hole(struct mcache *c, spanclass_t sc)
{
	const uint8_t *npages = spanclass_info(sc)->npages;
	struct mspan *s = ask_for_small(c, sc, EFFORT_REUSE);

	if (options.hardened)
		return s;
	for (unsigned i = c->bins[sc].span_length; s == NULL && i-- > 0;) {
		if (npages[i] == npages[i + 1])
			continue;
		s = mheap_alloc_small(&c->pages, sc, npages[i], EFFORT_REUSE);
		if (s != NULL)
			mspan_set_owner(s, mcache_owner(c));
	}
	return s;
}

/* Gives back all that the thread keeps elsewhere and asks again. A small span may be in mcentral
 * after that. */
static struct mspan *flush_and_ask(struct mcache *c, const struct span_request *w)
{
	uint64_t begun_ms = os_now_ms();
	struct mspan *s;

	mcache_flush(c);
	/* With hard=1 draining does not help: its pages still count as used (mheap.c). */
	if (limit_bytes() != 0 && !options.hard)
		(void)mcentral_drain_all();
	s = w->npages == 0 ? mcentral_take(w->sc, mcache_owner(c)) : NULL;
	if (s == NULL)
		s = ask_heap(c, w, EFFORT_AGAIN);
	if (limit_bytes() != 0)
		limit_end_round(begun_ms, os_now_ms());
	return s;
}

/* Gives back what the cache does not use if first spans have become a large part of the heap. The
 * next spans are then made of that memory. */
static void give_idle(struct mcache *c)
{
	size_t part = growth_bytes(&mheap.growth) / PAGE_SIZE / FIRST_PAGES_PART;
	uint64_t now_ms;

	if (c->first_npages < max_size(part, FIRST_PAGES_MIN))
		return;
	now_ms = os_now_ms();
	if (now_ms - c->first_ms < FIRST_MS)
		return;
	c->first_ms = now_ms;
	mcache_give_all_unused(c);
}

/* Makes the next spans of some bins shorter, because a request of class sc needs pages. */
static void shorten_others(struct mcache *c, spanclass_t sc)
{
	unsigned first = make_spanclass(sizeclass_for(SHORTEN_SIZE, 1), SCAN);
	unsigned other = (unsigned)max_size(c->shorten_sc, first);
	uint8_t least = mcache_first_length();

	for (unsigned n = SHORTEN_BINS; n > 0; n--) {
		struct bin *b = &c->bins[other];

		if (other != sc && b->span_length > least)
			b->span_length--;
		if (++other == NUM_SPAN_CLASSES)
			other = first;
	}
	c->shorten_sc = other;
}

/* Returns a span from the heap, or NULL. The thread itself may keep many pages, in freed big
 * objects, in spare spans and on stacks. Then it gives these to the heap before the heap grows.
 * With a memory limit it does so if it keeps any. */
static struct mspan *new_span(struct mcache *c, const struct span_request *w)
{
	bool many = c->learnt_nbytes != 0 ||
		    bigcache_npages(&c->big) + c->spares.npages >
			    (limit_bytes() == 0 ? BIG_PAGES_GROWING : 0);
	struct mspan *s;

	give_idle(c);
	mcache_review_growth(c, w->npages == 0 ? spanclass_max_npages(w->sc) : w->npages);
	shorten_others(c, w->sc);
	s = many ? ask_heap(c, w, EFFORT_REUSE) : NULL;
	if (s == NULL && many) {
		mcache_flush_stacks(c);
		bigcache_flush(&c->big, &c->pages);
		spares_shrink(&c->spares, &c->pages, 0);
	}
	if (s == NULL && w->npages == 0)
		s = ask_for_hole(c, w->sc);
	if (s == NULL)
		s = ask_heap(c, w, EFFORT_GROW);
	if (s == NULL)
		s = flush_and_ask(c, w);
	if (s != NULL)
		note_taken(c, s->npages);
	return s;
}

/* Gives pages of spare spans to the page word or the heap, for a span of npages that is made next
 * for a class that has no spare span. */
static void give_spares_for(struct mcache *c, size_t npages)
{
	uint32_t most = c->spares.npages;

	spares_missed(&c->spares, npages);
	spares_shrink(&c->spares, &c->pages, most - (uint32_t)min_size(npages, most));
}

/* Returns a span of ours with a free slot, or NULL when there is no memory. */
static struct mspan *next_span(struct mcache *c, spanclass_t sc)
{
	struct bin *b = &c->bins[sc];
	struct mspan *s;

	/* First other bins give back what they do not use. So a program that uses many classes in
	 * turn has spans only of those that it uses together. The time of the last poll will do. */
	if (b->partial == NULL && c->poll_ms - c->idle_ms >= limit_decay_ms() / IDLE_PER_TICK) {
		c->idle_ms = c->poll_ms;
		mcache_give_all_unused(c);
	}
	s = b->partial;
	if (s != NULL)
		mcache_remove_partial(c, b, s);
	else
		s = spares_take(&c->spares, sc);
	if (s == NULL)
		s = mcentral_take(sc, mcache_owner(c));
	if (s == NULL) {
		give_spares_for(c, spanclass_info(sc)->npages[b->span_length]);
		s = new_span(c, &(struct span_request){ .sc = sc });
	}
	if (s != NULL) {
		mspan_absorb(s);
		mspan_begin_use(s);
	}
	return s;
}

/* What becomes of a stack when its bin is refilled: the stack was emptied. */
static const uint8_t growth_after_refill[] = {
	[STACK_STAYS] = STACK_STAYS,
	[STACK_WAITS] = STACK_GROWS,
	[STACK_RESTS_LONG] = STACK_RESTS,
	[STACK_RESTS] = STACK_BEGINS,
	[STACK_BEGINS] = STACK_BEGINS,
	[STACK_GROWS] = STACK_GROWS,
	[STACK_SPILLS] = STACK_GROWS,
};

bool mcache_refill(struct mcache *c, spanclass_t sc, uint64_t random)
{
	struct bin *b = &c->bins[sc];
	struct mspan *s = b->span;

	DCHECK(b->alloc_cache == 0);
	b->stack_growth = growth_after_refill[b->stack_growth];
	if (s != NULL && load_word(b, s, random))
		return true;
	/* A poll may empty the stacks into the spans, also into this span. */
	mcache_poll(c);
	s = b->span;
	if (s != NULL && load_word(b, s, random))
		return true;
	if (s != NULL) {
		b->span = NULL;
		/* A span in which other threads freed enough becomes a partial span, and then the
		 * next span. One with fewer remote bits stays full until more frees come. */
		if (mspan_set_full(s, mcache_owner(c)))
			mcache_claim(c, s);
	}
	s = next_span(c, sc);
	if (s == NULL)
		return false;
	b->span = s;
	return load_word(b, s, random);
}

void *mcache_alloc_slow(struct mcache *c, spanclass_t sc, bool *fresh)
{
	if (!mcache_refill(c, sc, 0))
		return NULL;
	return mcache_alloc_fast(c, sc, fresh);
}

void *mcache_alloc_random(struct mcache *c, spanclass_t sc, uint64_t random)
{
	struct bin *b = &c->bins[sc];
	unsigned from = (unsigned)(random % 64), i;
	uintptr_t addr;

	if (b->alloc_cache == 0 && !mcache_refill(c, sc, random))
		return NULL;
	i = ctz64(b->alloc_cache >> from | b->alloc_cache << (64 - from) % 64);
	i = (i + from) % 64;
	addr = b->cache_base + (size_t)i * b->elemsize;
	HOLD_ADDRESS(addr);
	b->alloc_cache &= ~((uint64_t)1 << i);
	slot_set(&b->cache_state[i], SLOT_LIVE);
	return (void *)addr;
}

/* --- free --- */

/* Frees a slot whose state is free already, of a span that the thread does not own. */
static SLOW_PATH void return_slot_elsewhere(struct mcache *c, struct mspan *s, uint32_t slot,
					    const char *func)
{
	uintptr_t owner = mspan_owner_relaxed(s);
	bool twice, worth;

	/* A full span that no thread took from us is taken back by one swap, so that the slots that
	 * follow need no atomic operation. The stack keeps this from happening at every free. */
	if (owner == (mcache_owner(c) | SPAN_FULL) && mspan_claim_full(s, mcache_owner(c))) {
		mspan_absorb(s);
		mspan_free_local(s, slot);
		place_span(c, s);
		return;
	}
	worth = mspan_free_remote(s, slot, &twice);
	if (UNLIKELY(twice))
		fatal_pointer(func, (void *)mspan_slot_addr(s, slot), "double free");
	if (worth)
		mcache_claim(c, s);
}

/* Frees a slot whose state is free already and that is on no stack. */
FAST_PATH void return_slot(struct mcache *c, struct mspan *s, uint32_t slot, const char *func)
{
	if (UNLIKELY(mspan_owner_relaxed(s) != mcache_owner(c))) {
		return_slot_elsewhere(c, s, slot, func);
		return;
	}
	mspan_free_local(s, slot);
	if (UNLIKELY(mspan_is_empty(s)) ||
	    (s == c->bins[s->spanclass].span && UNLIKELY(mcaches_count() > STACK_DEEP_CACHES)))
		mcache_span_freed(c, s);
}

void mcache_return_slot(struct mcache *c, struct mspan *s, uint32_t slot, const char *func)
{
	return_slot(c, s, slot, func);
}

void mcache_return(struct mcache *c, uintptr_t addr, const char *func)
{
	struct mspan *s = span_of(addr);
	uint32_t slot;

	(void)mspan_slot_of(s, addr, &slot);
	return_slot(c, s, slot, func);
}

/* Frees a live slot into its span, or for the span's owner. The caller has addr at hand until the
 * slot is free: a leak check would report an object whose address is nowhere. */
FAST_PATH void free_into_span(uintptr_t addr, struct mspan *s, uint32_t slot, const char *func,
			      struct mcache *c)
{
	slot_set(&s->state[slot], SLOT_FREE);
	HOLD_ADDRESS(addr);
	return_slot(c, s, slot, func);
}

/* Returns true if the object is on its stack now. Where the stack has room the span is another
 * thread's. */
FAST_PATH bool push_for_other(uintptr_t addr, struct mspan *s, uint32_t slot, struct mcache *c,
			      struct bin *b)
{
	if (stack_depth(b) >= STACK_OTHERS_ENTRIES || b->stack_top == b->stack_limit ||
	    b->elemsize < STACK_OTHERS_SIZE)
		return false;
	stack_push(c, b, b->stack_top, addr, &s->state[slot]);
	HOLD_ADDRESS(addr);
	return true;
}

/* A free for another thread moves the stack, too: the stack is full, and the next own free of the
 * class would move it. So no free that comes here needs a test for the owner first. */
static SLOW_PATH void make_room_and_free(uintptr_t addr, struct mspan *s, uint32_t slot,
					 const char *func, struct mcache *c)
{
	spanclass_t sc = s->spanclass;
	struct bin *b = &c->bins[sc];
	bool may_have_room = true;

	if (b->stack_growth == STACK_SPILLS)
		may_have_room = mcache_spill(c, s, func);
	else
		(b->stack_growth == STACK_BEGINS ? mcache_begin_stack : mcache_deepen_stack)(c, sc);
	if (!may_have_room || (!mcache_free_fast(c, s, sc, addr, &s->state[slot]) &&
			       !push_for_other(addr, s, slot, c, b)))
		free_into_span(addr, s, slot, func, c);
}

/* Frees as mcache_free_slot() does, where there are many caches. */
static SLOW_PATH void free_among_many(uintptr_t addr, struct mspan *s, uint32_t slot,
				      const char *func, struct mcache *c)
{
	spanclass_t sc = s->spanclass;
	struct bin *b = &c->bins[sc];
	bool own = (mspan_owner_relaxed(s) & ~SPAN_FULL) == mcache_owner(c);

	if (b->stack_growth == STACK_BEGINS)
		mcache_begin_stack(c, sc);
	if (mcache_free_fast(c, s, sc, addr, &s->state[slot]) ||
	    push_for_other(addr, s, slot, c, b))
		return;
	free_into_span(addr, s, slot, func, c);
	/* A thread that only frees for others would look at each free. */
	if (own || stack_depth(b) != 0)
		mcache_look_all_free(c, sc);
}

void mcache_free_slot(uintptr_t addr, struct mspan *s, uint32_t slot, const char *func,
		      struct mcache *c)
{
	struct bin *b = &c->bins[s->spanclass];
	uint8_t growth = b->stack_growth;

	if (UNLIKELY(mcaches_count() > STACK_DEEP_CACHES))
		free_among_many(addr, s, slot, func, c);
	else if (push_for_other(addr, s, slot, c, b))
		return;
	else if (UNLIKELY(growth >= STACK_BEGINS) && b->stack_top == b->stack_limit)
		make_room_and_free(addr, s, slot, func, c);
	else
		free_into_span(addr, s, slot, func, c);
}

/* --- big objects --- */

struct mspan *mcache_alloc_big(struct mcache *c, size_t npages, size_t align_pages, enum scan scan,
			       bool *fresh)
{
	struct mspan *s = bigcache_take(&c->big, npages, align_pages, scan);

	if (s == NULL)
		return mcache_new_big(c, npages, align_pages, scan, fresh);
	*fresh = false;
	return s;
}

struct mspan *mcache_new_big(struct mcache *c, size_t npages, size_t align_pages, enum scan scan,
			     bool *fresh)
{
	struct span_request w = { make_spanclass(0, scan), npages, align_pages, RAW };
	struct mspan *s;

	bigcache_missed(&c->big, npages);
	mcache_poll(c);
	s = new_span(c, &w);
	*fresh = s != NULL && s->zeroed;
	return s;
}

struct mspan *mcache_alloc_zeroed(struct mcache *c, size_t nbytes, size_t align_pages,
				  enum scan scan)
{
	size_t npages = align_up(nbytes, PAGE_SIZE) / PAGE_SIZE;
	struct span_request w = { make_spanclass(0, scan), npages, align_pages, ZERO };
	/* A huge object gets clean pages of the heap: to clear one would touch all of it. */
	struct mspan *s = NULL;

	if (npages < HUGE_PAGES)
		s = bigcache_take(&c->big, npages, align_pages, scan);
	if (s != NULL) {
		zero_bytes((void *)s->base, nbytes);
		return s;
	}
	if (npages < HUGE_PAGES)
		bigcache_missed(&c->big, npages);
	mcache_poll(c);
	return new_span(c, &w);
}

void mcache_free_big(struct mcache *c, struct mspan *s)
{
	uint32_t most;

	if (bigcache_keep_in_room(&c->big, s))
		return;
	/* The thread has taken all that it kept since the tick. Not every free that would show this
	 * comes by here, but one in BIG_FREES_PER_LOOK does. */
	if (bigcache_npages(&c->big) == 0 && c->big.freed)
		c->big.emptied = true;
	/* A program that is served from its caches alone comes by here, if anywhere. What is given
	 * to the heap is as old as the poll. */
	mcache_poll(c);
	most = mcache_max_big(c);
	if (bigcache_may_keep(s) && s->npages <= BIG_PAGES_ALONE &&
	    (bigcache_npages(&c->big) + s->npages <= BIG_PAGES_ALWAYS ||
	     bigcache_make_room(&c->big, &c->pages, s->npages, most))) {
		bigcache_keep(&c->big, s);
		mcache_admit_big(c, s->npages, most);
		return;
	}
	give_empty(c, s);
}

/* --- giving back --- */

void mcache_flush_stack(struct mcache *c, spanclass_t sc)
{
	struct bin *b = &c->bins[sc];

	while (b->stack_top != b->stack_bottom) {
		b->stack_top -= ENTRY_NBYTES;
		mcache_return(c, stack_entry(c, b->stack_top)->addr, "free");
	}
}

void mcache_flush_stacks(struct mcache *c)
{
	mcache_flush_counted(c);
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		mcache_flush_stack(c, (spanclass_t)sc);
		mcache_reset_stack(&c->bins[sc], (spanclass_t)sc);
	}
	mcache_reset_places(c);
}

void mcache_give_span(struct mcache *c, struct mspan *s)
{
	mspan_absorb(s);
	if (!keep_if_free(c, s))
		return;
	if (mspan_is_empty(s))
		mheap_free_span(&c->pages, s);
	else
		mcentral_put(s);
}

void mcache_flush(struct mcache *c)
{
	mcache_flush_stacks(c);
	if (mcache_flush_others != NULL)
		mcache_flush_others(c);
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		struct bin *b = &c->bins[sc];
		struct mspan *s = b->span;

		return_word(b);
		b->span = NULL;
		if (s != NULL)
			mcache_give_span(c, s);
		while (b->partial != NULL) {
			s = b->partial;
			mcache_remove_partial(c, b, s);
			mcache_give_span(c, s);
		}
		/* A thread that takes the cache over will use its bins as the one before did. */
		if (b->span_length > mcache_first_length())
			b->span_length--;
	}
	bigcache_flush(&c->big, &c->pages);
	spares_shrink(&c->spares, &c->pages, 0);
	mheap_flush_pcache(&c->pages);
}

/* Gives the current span back if it is empty. */
static void give_current(struct mcache *c, struct bin *b)
{
	struct mspan *s = b->span;

	if (s == NULL)
		return;
	mspan_absorb(s);
	if (s->nfree + popcount64(b->alloc_cache) == s->nelems) {
		return_word(b);
		b->span = NULL;
		mheap_free_span(&c->pages, s);
	}
}

/* Gives back free slots on stacks, spans that are empty, and the page word. What the thread needs
 * of them comes back by refills. */
static void give_unused(struct mcache *c)
{
	mcache_flush_stacks(c);
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		struct bin *b = &c->bins[sc];
		struct mspan *s = b->partial;
		/* A bin whose spans are full goes on with long ones. */
		bool had = b->span != NULL || s != NULL;

		if (b->npartial == 1)
			mspan_absorb(s);
		if (b->npartial == 1 && mspan_is_empty(s)) {
			mcache_remove_partial(c, b, s);
			mheap_free_span(&c->pages, s);
		}
		give_current(c, b);
		if (had && b->span == NULL && b->partial == NULL)
			b->span_length = mcache_first_length();
	}
	spares_shrink(&c->spares, &c->pages, 0);
	mheap_flush_pcache(&c->pages);
}

/* Gives back what was not used since the last tick. Partial spans are reviewed: mcentral drains
 * those that it gets. */
static void tick(struct mcache *c)
{
	mcache_flush_stacks(c);
	/* A review of many spans may last longer than from tick to tick. */
	mcache_begin_review(c);
	mcache_review(c, REVIEW_SPANS);
	bigcache_tick(&c->big, &c->pages);
	give_unused(c);
	spares_forget(&c->spares);
}

static SLOW_PATH void poll(struct mcache *c, uint64_t now_ms)
{
	uint32_t calls = limit_calls();
	bool called = c->limit_calls != calls;

	c->limit_calls = calls;
	if (mcache_must_unlearn(c))
		mcache_flush_stacks(c);
	if (called || now_ms - c->tick_ms >= limit_decay_ms()) {
		c->tick_ms = now_ms;
		if (called)
			bigcache_flush(&c->big, &c->pages);
		tick(c);
		mheap_release_records();
		if (mcache_release_pooled != NULL)
			mcache_release_pooled(called ? 0 : limit_decay_ms());
	} else {
		mcache_review(c, REVIEW_SPANS);
	}
	(void)mcentral_drain_poll(now_ms, limit_decay_ms());
	(void)mheap_scavenge_poll(now_ms);
}

void mcache_poll(struct mcache *c)
{
	uint64_t now_ms = os_now_ms();

	if (LIKELY(now_ms - c->poll_ms < POLL_MS) && LIKELY(c->limit_calls == limit_calls()))
		return;
	c->poll_ms = now_ms;
	poll(c, now_ms);
}
