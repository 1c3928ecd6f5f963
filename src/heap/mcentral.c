/* SPDX-License-Identifier: MIT */
/*
 * mcentral.c - the spans of one span class that no thread holds.
 * See malloc.c for the overview.
 *
 * Owns     the lists of spans that have a free slot. Full spans are on no list: the thread whose
 *          free makes one worth owning claims it (mspan.c).
 * Locks    mcentral.lock (LOCK_MCENTRAL) covers the lists and the [o] fields of the spans on them.
 *          It is dropped before the heap or the kernel is called.
 * Holds    mcentral_check() tests while the lock is free: a span on a list has this mcentral as
 *          owner and this span class, and is not empty. For a child that is forked in the middle,
 *          the forward links are whole at every moment, and the owner of a span changes before it
 *          is unlinked. A child that another thread forks loses the span that is being drained.
 */
#include "heap/mcentral.h"

/* The linker initialises the locks. A function would touch the memory of classes that the program
 * never uses. */
struct mcentral mcentrals[NUM_SPAN_CLASSES] = {
	[0 ... NUM_SPAN_CLASSES - 1] = { .lock = LOCK_INITIALIZER(LOCK_MCENTRAL) },
};

static uintptr_t owner_word(const struct mcentral *mc)
{
	return (uintptr_t)mc | SPAN_CENTRAL;
}

static void insert_locked(struct mcentral *mc, struct mspan *s, unsigned list)
{
	s->list = (uint8_t)list;
	mspan_list_push(&mc->lists[list], s);
	mc->npartial++;
}

static void remove_locked(struct mcentral *mc, struct mspan *s)
{
	mspan_list_remove(&mc->lists[s->list], s);
	mc->npartial--;
}

/* Where a span is put. */
enum place { PUT_YOUNG, PUT_OLD, PUT_DRAINED };

static unsigned list_of_locked(const struct mcentral *mc, enum place place)
{
	if (place == PUT_DRAINED)
		return CENTRAL_DRAINED;
	return place == PUT_YOUNG ? mc->young : 1u - mc->young;
}

static void put_at(struct mspan *s, enum place place)
{
	struct mcentral *mc = &mcentrals[s->spanclass];
	bool empty = false;

	DCHECK(s->nfree != 0 && !mspan_is_empty(s));
	lock_acquire(&mc->lock);
	insert_locked(mc, s, list_of_locked(mc, place));
	/* Frees that came too early to see the new owner may have made the span worth owning
	 * already. No other thread will look. */
	while (mspan_set_central(s, (uintptr_t)mc)) {
		mspan_absorb(s);
		empty = mspan_is_empty(s);
		if (empty) {
			mspan_set_owner(s, 0);
			remove_locked(mc, s);
			break;
		}
	}
	lock_release(&mc->lock);
	if (empty)
		mheap_free_span(NULL, s);
}

void mcentral_put(struct mspan *s)
{
	put_at(s, PUT_YOUNG);
}

void mcentral_put_idle(struct mspan *s)
{
	put_at(s, PUT_OLD);
}

/* Hands a span on a list to owner. */
static void hand_out_locked(struct mcentral *mc, struct mspan *s, uintptr_t owner)
{
	mspan_set_owner(s, owner);
	remove_locked(mc, s);
}

struct mspan *mcentral_take(spanclass_t sc, uintptr_t owner)
{
	struct mcentral *mc = &mcentrals[sc];
	struct mspan *s;

	lock_acquire(&mc->lock);
	s = mc->lists[mc->young];
	if (s == NULL)
		s = mc->lists[1 - mc->young];
	/* Last, because to use a drained span costs memory. */
	if (s == NULL)
		s = mc->lists[CENTRAL_DRAINED];
	if (s != NULL)
		hand_out_locked(mc, s, owner);
	lock_release(&mc->lock);
	return s;
}

bool mcentral_claim(struct mspan *s, uintptr_t owner)
{
	uintptr_t seen = mspan_owner_relaxed(s);
	struct mcentral *mc = (struct mcentral *)(seen & ~SPAN_TAGS);
	bool ok;

	if ((seen & SPAN_CENTRAL) == 0)
		return false;
	lock_acquire(&mc->lock);
	/* Relaxed: a central owner word is stored and replaced under this lock. */
	ok = mspan_owner_relaxed(s) == owner_word(mc);
	if (ok)
		hand_out_locked(mc, s, owner);
	lock_release(&mc->lock);
	return ok;
}

/* --- draining --- */

/* The owner of spans that are being drained. It is no cache: a thread may have none. */
static char drainer ALIGNED(8);

/* Calls to the kernel, and spans, in one poll, so that no single malloc pays for all. */
#define POLL_CALLS 4096
#define POLL_SPANS 16384

/* How many spans a pass for growth takes at a time. */
#define GROWTH_SPANS 64

/* Most spans that a thread drains at a time. */
#define DRAIN_BATCH 256

/*
 * A pass goes through all classes. It drains the spans that came before the pass before it, and
 * then makes the young spans old ones. So a span is drained after one to two times the decay time,
 * or when the heap has grown by one or two parts. Several threads may work on one pass.
 * Access: [a] atomic. Relaxed: hints, because mcentral.pass decides under the lock.
 */
static struct {
	_Atomic uint64_t began_ms;    /* [a] the time of the pass */
	_Atomic size_t grown_at;      /* [a] bytes of the heap at which the next one begins; 0:
				       *     growth has not been looked at */
	_Atomic uint32_t number;      /* [a] of the pass */
	_Atomic uint32_t class;       /* [a] where it is; NUM_SPAN_CLASSES: it is done */
} pass = { .class = NUM_SPAN_CLASSES };

/* Drains a span in hand, which is on no list, and puts it back. Returns the number of calls to the
 * kernel. */
static unsigned drain_in_hand(struct mspan *s)
{
	unsigned ncalls = 0;

	mspan_absorb(s);
	if (mspan_is_empty(s)) {
		mheap_free_span(NULL, s);
	} else {
		ncalls = drain_span(s);
		put_at(s, PUT_DRAINED);
	}
	return ncalls;
}

/* Takes an old span. Returns NULL if there is none, after which the class is done with this
 * pass. */
static struct mspan *take_old(struct mcentral *mc, uint32_t number)
{
	struct mspan *s = NULL;

	lock_acquire(&mc->lock);
	/* Signed: another thread may be in a later pass. */
	if ((int32_t)(mc->pass - number) < 0) {
		s = mc->lists[1 - mc->young];
		if (s != NULL) {
			hand_out_locked(mc, s, (uintptr_t)&drainer);
		} else {
			mc->young = 1 - mc->young;
			mc->pass = number;
		}
	}
	lock_release(&mc->lock);
	return s;
}

static void begin_pass(void)
{
	atomic_fetch_add_explicit(&pass.number, 1, memory_order_relaxed);
	atomic_store_explicit(&pass.class, 0, memory_order_relaxed);
}

/* Begins a pass if the decay time has passed since the last one. */
static void begin_late_pass(uint64_t now_ms, uint32_t decay_ms)
{
	uint64_t before = atomic_load_explicit(&pass.began_ms, memory_order_relaxed);

	/* Signed: another thread may have seen a later time. */
	if ((int64_t)(now_ms - before) >= (int64_t)decay_ms &&
	    atomic_compare_exchange_strong_explicit(&pass.began_ms, &before, now_ms,
						    memory_order_relaxed, memory_order_relaxed))
		begin_pass();
}

/* Begins a pass if the heap has grown enough since the last such one. */
static void begin_growth_pass(size_t nbytes)
{
	size_t before = atomic_load_explicit(&pass.grown_at, memory_order_relaxed);

	if (nbytes >= before &&
	    atomic_compare_exchange_strong_explicit(&pass.grown_at, &before,
						    growth_next_part(nbytes),
						    memory_order_relaxed, memory_order_relaxed) &&
	    before != 0)
		begin_pass();
}

static bool pass_is_done(void)
{
	return atomic_load_explicit(&pass.class, memory_order_relaxed) == NUM_SPAN_CLASSES;
}

/* Goes on with a pass for up to nspans. Returns true when it may not be done. */
static bool continue_pass(unsigned nspans)
{
	unsigned sc = atomic_load_explicit(&pass.class, memory_order_relaxed);
	uint32_t number = atomic_load_explicit(&pass.number, memory_order_relaxed);
	unsigned ncalls = 0;

	if (sc == NUM_SPAN_CLASSES)
		return false;
	for (; sc < NUM_SPAN_CLASSES; sc++) {
		struct mspan *s;

		while ((s = take_old(&mcentrals[sc], number)) != NULL) {
			ncalls += drain_in_hand(s);
			if (ncalls < POLL_CALLS && --nspans > 0)
				continue;
			atomic_store_explicit(&pass.class, sc, memory_order_relaxed);
			return true;
		}
	}
	atomic_store_explicit(&pass.class, NUM_SPAN_CLASSES, memory_order_relaxed);
	return false;
}

bool mcentral_drain_poll(uint64_t now_ms, uint32_t decay_ms)
{
	if (pass_is_done())
		begin_late_pass(now_ms, decay_ms);
	return continue_pass(POLL_SPANS);
}

void mcentral_drain_growth(size_t nbytes)
{
	if (pass_is_done())
		begin_growth_pass(nbytes);
	(void)continue_pass(GROWTH_SPANS);
}

void mcentral_put_drained(struct mspan *s)
{
	mspan_set_owner(s, (uintptr_t)&drainer);
	(void)drain_in_hand(s);
}

/* Takes spans that have changed since they were drained, or were not, from a list; up to a batch,
 * chained by next. Returns NULL when there are none. */
static struct mspan *take_changed(struct mcentral *mc, unsigned list)
{
	struct mspan *taken = NULL, *next;
	unsigned n = 0;

	lock_acquire(&mc->lock);
	for (struct mspan *s = mc->lists[list]; s != NULL && n < DRAIN_BATCH; s = next) {
		next = s->next;
		if (list == CENTRAL_DRAINED && drain_is_done(s))
			continue;
		hand_out_locked(mc, s, (uintptr_t)&drainer);
		s->next = taken;
		taken = s;
		n++;
	}
	lock_release(&mc->lock);
	return taken;
}

/* Drains the spans of a list. Returns the number of calls to the kernel. */
static size_t drain_list(struct mcentral *mc, unsigned list)
{
	struct mspan *s, *next;
	size_t ncalls = 0, nleft;

	lock_acquire(&mc->lock);
	nleft = mc->npartial;
	lock_release(&mc->lock);
	/* Other threads may add spans all the time. Those that are there now are enough. */
	while (nleft > 0 && (s = take_changed(mc, list)) != NULL) {
		for (; s != NULL; s = next) {
			next = s->next;
			ncalls += drain_in_hand(s);
			nleft -= nleft > 0;
		}
	}
	return ncalls;
}

bool mcentral_drain_all(void)
{
	size_t ncalls = 0;

	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		for (unsigned list = 0; list < CENTRAL_LISTS; list++)
			ncalls += drain_list(&mcentrals[sc], list);
	return ncalls != 0;
}

/* --- fork and checks --- */

/* Puts a list in order that a thread that is gone was changing. */
static void mend_list(struct mcentral *mc, unsigned list)
{
	struct mspan *s = mc->lists[list];

	mc->lists[list] = NULL;
	while (s != NULL) {
		struct mspan *next = s->next;

		/* A span that was about to leave or to come may have another owner. It is lost with
		 * the thread that held it. */
		if (mspan_owner_relaxed(s) == owner_word(mc)) {
			mspan_recount(s);
			insert_locked(mc, s, list);
		}
		s = next;
	}
}

void mcentral_after_fork(void)
{
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		struct mcentral *mc = &mcentrals[sc];

		if (!lock_reset_orphan(&mc->lock))
			continue;
		mc->npartial = 0;
		for (unsigned list = 0; list < CENTRAL_LISTS; list++)
			mend_list(mc, list);
	}
}

static size_t check_list_locked(struct mcentral *mc, unsigned list)
{
	const struct mspan *before = NULL;
	size_t n = 0;

	for (struct mspan *s = mc->lists[list]; s != NULL; s = s->next) {
		CHECK(mspan_owner_relaxed(s) == owner_word(mc));
		CHECK(s->spanclass == mc - mcentrals && s->prev == before && s->list == list);
		CHECK(s->nfree != 0);
		mspan_check(s);
		before = s;
		n++;
	}
	return n;
}

void mcentral_check(void)
{
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		struct mcentral *mc = &mcentrals[sc];
		size_t n = 0;

		lock_acquire(&mc->lock);
		for (unsigned list = 0; list < CENTRAL_LISTS; list++)
			n += check_list_locked(mc, list);
		CHECK(n == mc->npartial);
		lock_release(&mc->lock);
	}
}
