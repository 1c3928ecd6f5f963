/* SPDX-License-Identifier: MIT */
/*
 * sample.c - which allocations are counted, which of them are sampled, which get guards.
 * See malloc.c for the overview.
 *
 * A sample is the object in which the bytes allocated reach a random mark; the marks are exponentially far from each other, so an object
 * of n bytes is sampled with probability 1 - exp(-n / rate), and as such a distance does not remember where it began, every span class of
 * every thread has marks of its own. The same goes for guarded objects, with objects in place of bytes.
 *
 * Owns     sampling, and what was counted before counting was last switched.
 * Callers  malloc.c on slow paths, thread.c at start-up, profile.c; stat.c for the counts. Calls thread.h, mcache.h, heapwalk.h, profile.h.
 * Locks    sample_lock (LOCK_SAMPLE) covers switching; threads lock is taken under it.
 * Holds    an allocation is counted once, when it is made or when its slot goes to a counted slot's stack; and what flows back from there
 *          is taken off. Allocations less what is live is what was freed: the counts never say less than is live.
 */
#include "tools/sample.h"
#include "os/chance.h"
#include "tools/heapwalk.h"
#include "tools/profile.h"

struct sampling sampling;

/* Access: [l] sample_lock */
static struct {
	struct lock lock;
	struct alloc_counts base;     /* [l] to be added to what caches counted, while counting */
	struct alloc_counts freed;    /* [l] what had been freed when counting was last switched off */
	bool wanted;                  /* [l] by sample_count(), also when nothing is sampled */
} counts = { .lock = LOCK_INITIALIZER(LOCK_SAMPLE) };

/* --- marks --- */

/* A distance to the next mark, in units of which rate are the mean; far away when rate is 0. */
static uint64_t draw(struct mcache *c, uint64_t rate)
{
	return rate == 0 ? UINT64_MAX / 2 : chance_gap(&c->counted.random, rate);
}

static uint64_t draw_sample(struct mcache *c)
{
	/* Relaxed: a value of before or after the change, see meet_epoch(). */
	return draw(c, atomic_load_explicit(&sampling.rate, memory_order_relaxed));
}

static uint64_t draw_guard(struct mcache *c)
{
	return draw(c, atomic_load_explicit(&sampling.guardrate, memory_order_relaxed));
}

/* New marks for a cache that has those of other rates. */
static void meet_epoch(struct mcache *c)
{
	/* Acquire: the rates. Pairs with the release in switch_locked(). */
	uint32_t epoch = atomic_load_explicit(&sampling.epoch, memory_order_acquire);

	if (LIKELY(c->counted.epoch == epoch))
		return;
	c->counted.epoch = epoch;
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++) {
		c->counted.until_sample[sc] = draw_sample(c);
		c->counted.until_guard[sc] = draw_guard(c);
	}
}

unsigned sample_one(struct mcache *c, spanclass_t sc, size_t nbytes)
{
	unsigned what = 0;

	meet_epoch(c);
	c->counted.made.mallocs[sc]++;
	if (sc <= SPANCLASS_BIG_NOSCAN)
		c->counted.made.big_bytes[sc] += nbytes;
	if (c->counted.until_sample[sc] >= nbytes) {
		c->counted.until_sample[sc] -= nbytes;
	} else {
		c->counted.until_sample[sc] = draw_sample(c);
		what |= SAMPLE_STACK;
	}
	if (c->counted.until_guard[sc] != 0) {
		c->counted.until_guard[sc]--;
	} else {
		c->counted.until_guard[sc] = draw_guard(c);
		what |= SAMPLE_GUARD;
	}
	return what;
}

void sample_undo(struct mcache *c, spanclass_t sc, size_t nbytes)
{
	c->counted.made.mallocs[sc]--;
	if (sc <= SPANCLASS_BIG_NOSCAN)
		c->counted.made.big_bytes[sc] -= nbytes;
}

void *sample_plain(struct mcache *c, spanclass_t sc)
{
	unsigned slot = COUNTED_SLOT(sc >> 1);
	size_t elemsize = spanclass_info(sc)->elemsize;
	uint64_t n = COUNTED_MOST;
	bool fresh;
	void *p = mcache_alloc_fast(c, slot, &fresh);

	if (p != NULL)
		return p;
	meet_epoch(c);
	if (c->counted.until_sample[sc] < n * elemsize)
		n = c->counted.until_sample[sc] / elemsize;
	n = min_size(n, c->counted.until_guard[sc]);
	n = n == 0 ? 0 : mcache_refill_counted(c, sc >> 1, n);
	if (n == 0)
		return NULL;
	c->counted.until_sample[sc] -= n * elemsize;
	c->counted.until_guard[sc] -= n;
	return mcache_alloc_fast(c, slot, &fresh);
}

/* --- counts --- */

/* What switching and reading need, under the lock: too large for a small stack. */
static struct {
	struct heapwalk walk;
	struct live_counts live;
	struct alloc_counts now, made;
} work;

static void read_live_locked(void)
{
	struct live_counts *live = &work.live;
	struct heapwalk *w = &work.walk;
	struct heap_run r;

	zero_bytes(live, sizeof(*live));
	heapwalk_init(w);
	while (heapwalk_arena(w)) {
		while (heapwalk_run(w, &r)) {
			if (r.use != RUN_SPAN || r.fill.objects == 0)
				continue;
			live->objects[r.spanclass] += r.first ? r.fill.objects : 0;
			if (r.spanclass <= SPANCLASS_BIG_NOSCAN)
				live->big_bytes[r.spanclass] += r.npages * PAGE_SIZE;
		}
	}
}

/* sum = a + b - c, each count by itself; what is only added to others may be below 0 and wrap. */
static void combine(struct alloc_counts *sum, const struct alloc_counts *a, const struct alloc_counts *b,
		    const struct alloc_counts *c)
{
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		sum->mallocs[sc] = a->mallocs[sc] + b->mallocs[sc] - c->mallocs[sc];
	for (unsigned noscan = 0; noscan < 2; noscan++)
		sum->big_bytes[noscan] = a->big_bytes[noscan] + b->big_bytes[noscan] - c->big_bytes[noscan];
}

static const struct alloc_counts nothing;

static void set_counts(struct alloc_counts *to, const struct live_counts *live)
{
	copy_bytes(to->mallocs, live->objects, sizeof(to->mallocs));
	copy_bytes(to->big_bytes, live->big_bytes, sizeof(to->big_bytes));
}

/* A count that is at least the least. It was added up of counts that threads were changing: it may be below 0, and have wrapped. */
static uint64_t not_below(uint64_t count, uint64_t least)
{
	return (int64_t)(count - least) < 0 ? least : count;
}

static void read_counts_locked(const struct live_counts *live, struct alloc_counts *sum)
{
	const struct alloc_counts *now = &work.now;

	set_counts(&work.now, live);
	if (!sample_counts()) {
		combine(sum, now, &counts.freed, &nothing);
		return;
	}
	thread_read_counts(sum);
	combine(sum, sum, &counts.base, &nothing);
	/* The walk and the counts are of different moments while threads run. */
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		sum->mallocs[sc] = not_below(sum->mallocs[sc], now->mallocs[sc]);
	for (unsigned noscan = 0; noscan < 2; noscan++)
		sum->big_bytes[noscan] = not_below(sum->big_bytes[noscan], now->big_bytes[noscan]);
}

void sample_read_counts(const struct live_counts *live, struct alloc_counts *sum)
{
	lock_acquire(&counts.lock);
	read_counts_locked(live, sum);
	lock_release(&counts.lock);
}

/* --- switching --- */

static void begin_counting_locked(void)
{
	read_live_locked();
	set_counts(&work.now, &work.live);
	thread_read_counts(&work.made);
	combine(&counts.base, &work.now, &counts.freed, &work.made);
	thread_count_allocs(true);
}

static void end_counting_locked(void)
{
	read_live_locked();
	/* Leaves the live objects' counts in work.now. */
	read_counts_locked(&work.live, &work.made);
	combine(&counts.freed, &work.made, &nothing, &work.now);
	thread_count_allocs(false);
}

static void switch_locked(bool on, uint64_t rate, uint64_t guardrate)
{
	bool was_on = sample_counts();

	/* Relaxed: who meets the epoch sees them; before that either will do. */
	atomic_store_explicit(&sampling.rate, rate, memory_order_relaxed);
	atomic_store_explicit(&sampling.guardrate, guardrate, memory_order_relaxed);
	/* Release: pairs with the acquire in meet_epoch(). */
	atomic_fetch_add_explicit(&sampling.epoch, 1, memory_order_release);
	if (on && !was_on)
		begin_counting_locked();
	else if (!on && was_on)
		end_counting_locked();
	/* Release: pairs with the acquire in sample_counts(). */
	atomic_store_explicit(&sampling.counts, on, memory_order_release);
}

void sample_begin(uint64_t rate, uint64_t guardrate)
{
	lock_acquire(&counts.lock);
	switch_locked(true, rate, guardrate);
	lock_release(&counts.lock);
}

void sample_end(void)
{
	lock_acquire(&counts.lock);
	switch_locked(counts.wanted, 0, 0);
	lock_release(&counts.lock);
}

void sample_count(bool on)
{
	uint64_t rate, guardrate;

	lock_acquire(&counts.lock);
	counts.wanted = on;
	/* Relaxed: written under the lock. */
	rate = atomic_load_explicit(&sampling.rate, memory_order_relaxed);
	guardrate = atomic_load_explicit(&sampling.guardrate, memory_order_relaxed);
	if (on != sample_counts() && rate == 0 && guardrate == 0)
		switch_locked(on, 0, 0);
	lock_release(&counts.lock);
}

void sample_after_fork(void)
{
	(void)lock_reset_orphan(&counts.lock);
}
