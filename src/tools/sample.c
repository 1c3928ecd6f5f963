/* SPDX-License-Identifier: MIT */
/*
 * sample.c - chooses which allocations are counted, sampled and guarded.
 *
 * Each span class of each thread has a mark: a number of allocated bytes. The object in which the
 * count reaches the mark is a sample, and the next mark is drawn. Distances between marks are
 * exponential, so an object of n bytes is sampled with probability 1 - exp(-n / rate). Such a
 * distance does not depend on where it began, so the marks of classes and threads need not know of
 * each other. Guarded objects are chosen likewise, with objects in place of bytes.
 *
 * Owns     the rates, and what was counted before counting was last switched on or off.
 * Locks    sample_switch (LOCK_SWITCH) covers which profile is taken. It may be waited for while
 *          another thread writes a profile.
 *          sample_lock (LOCK_SAMPLE) covers switching. The threads lock is taken under it.
 * Holds    an allocation is counted once: when it is made, or when its slot goes to the stack of a
 *          counted bin. Slots that flow back from there are subtracted. Frees are allocations minus
 *          live objects, so allocations are never fewer than live objects.
 */
#include "tools/sample.h"
#include "base/chance.h"
#include "base/options.h"
#include "os/os.h"
#include "tools/heapwalk.h"
#include "tools/profile.h"

struct sampling sampling;

struct lock sample_switch = LOCK_INITIALIZER(LOCK_SWITCH);

struct sample_totals sample_totals = { .lock = LOCK_INITIALIZER(LOCK_SAMPLE) };

/* --- marks --- */

/* Draws the distance to the next mark. Its mean is rate. With rate 0 it is out of reach. */
static uint64_t draw(struct mcache *c, uint64_t rate)
{
	if (c->counted.random == 0)
		c->counted.random = os_random();
	return rate == 0 ? UINT64_MAX / 2 : chance_gap(&c->counted.random, rate);
}

static uint64_t draw_sample(struct mcache *c)
{
	/* Relaxed: it does not matter whether the rate is the old or the new one; see
	 * update_marks(). */
	return draw(c, atomic_load_explicit(&sampling.rate, memory_order_relaxed));
}

static uint64_t draw_guard(struct mcache *c)
{
	return draw(c, atomic_load_explicit(&sampling.guardrate, memory_order_relaxed));
}

/* Draws new marks for a cache whose marks belong to other rates. */
static void update_marks(struct mcache *c)
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

	update_marks(c);
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
	unsigned bin = COUNTED_BIN(sc >> 1);
	size_t elemsize = spanclass_info(sc)->elemsize;
	uint64_t n = COUNTED_MOST;
	bool fresh;
	void *p = mcache_alloc_fast(c, bin, &fresh);

	if (p != NULL)
		return p;
	update_marks(c);
	if (c->counted.until_sample[sc] < n * elemsize)
		n = c->counted.until_sample[sc] / elemsize;
	n = min_size(n, c->counted.until_guard[sc]);
	n = n == 0 ? 0 : mcache_refill_counted(c, sc >> 1, n);
	if (n == 0)
		return NULL;
	c->counted.until_sample[sc] -= n * elemsize;
	c->counted.until_guard[sc] -= n;
	return mcache_alloc_fast(c, bin, &fresh);
}

/* --- counts --- */

/* Work space for switching and reading, under the lock: too large for a small stack. */
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

/* Sets sum to a + b - c, count by count. A count that is only added to others may wrap below 0. */
static void combine(struct alloc_counts *sum, const struct alloc_counts *a,
		    const struct alloc_counts *b, const struct alloc_counts *c)
{
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		sum->mallocs[sc] = a->mallocs[sc] + b->mallocs[sc] - c->mallocs[sc];
	for (unsigned noscan = 0; noscan < 2; noscan++)
		sum->big_bytes[noscan] =
			a->big_bytes[noscan] + b->big_bytes[noscan] - c->big_bytes[noscan];
}

static const struct alloc_counts nothing;

static void set_counts(struct alloc_counts *to, const struct live_counts *live)
{
	copy_bytes(to->mallocs, live->objects, sizeof(to->mallocs));
	copy_bytes(to->big_bytes, live->big_bytes, sizeof(to->big_bytes));
}

/* Returns the count, or least if that is more. The sum of counts that threads were changing may
 * have wrapped below 0. */
static uint64_t not_below(uint64_t count, uint64_t least)
{
	return (int64_t)(count - least) < 0 ? least : count;
}

static void read_counts_locked(const struct live_counts *live, struct alloc_counts *sum)
{
	const struct alloc_counts *now = &work.now;

	set_counts(&work.now, live);
	if (!sample_counts()) {
		combine(sum, now, &sample_totals.freed, &nothing);
		return;
	}
	thread_read_counts(sum);
	combine(sum, sum, &sample_totals.base, &nothing);
	/* While threads run, the walk and the counts belong to different moments. */
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		sum->mallocs[sc] = not_below(sum->mallocs[sc], now->mallocs[sc]);
	for (unsigned noscan = 0; noscan < 2; noscan++)
		sum->big_bytes[noscan] = not_below(sum->big_bytes[noscan], now->big_bytes[noscan]);
}

void sample_read_counts(const struct live_counts *live, struct alloc_counts *sum)
{
	lock_acquire(&sample_totals.lock);
	read_counts_locked(live, sum);
	lock_release(&sample_totals.lock);
}

/* --- switching --- */

static void begin_counting_locked(void)
{
	read_live_locked();
	set_counts(&work.now, &work.live);
	thread_read_counts(&work.made);
	combine(&sample_totals.base, &work.now, &sample_totals.freed, &work.made);
	sizeclass_count(true);
}

static void end_counting_locked(void)
{
	read_live_locked();
	/* This leaves the counts of live objects in work.now. */
	read_counts_locked(&work.live, &work.made);
	combine(&sample_totals.freed, &work.made, &nothing, &work.now);
	sizeclass_count(false);
}

static void switch_locked(bool on, uint64_t rate, uint64_t guardrate)
{
	bool was_on = sample_counts();

	/* Relaxed: a thread that sees the new epoch sees the rates. Before that, either rate will
	 * do. */
	atomic_store_explicit(&sampling.rate, rate, memory_order_relaxed);
	atomic_store_explicit(&sampling.guardrate, guardrate, memory_order_relaxed);
	/* Release: pairs with the acquire in update_marks(). */
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
	lock_acquire(&sample_totals.lock);
	switch_locked(true, rate, guardrate);
	lock_release(&sample_totals.lock);
}

void sample_end(void)
{
	lock_acquire(&sample_totals.lock);
	switch_locked(sample_totals.wanted, 0, 0);
	lock_release(&sample_totals.lock);
}

bool sample_begin_profile(size_t rate)
{
	bool begun;

	/* This is a signal handler that interrupted a switch. */
	if (lock_held(&sample_switch))
		return false;
	lock_acquire(&sample_switch);
	begun = profile_start(rate);
	if (begun)
		sample_begin(rate, options.guardrate);
	lock_release(&sample_switch);
	return begun;
}

void sample_end_profile(void)
{
	lock_acquire(&sample_switch);
	sample_end_profile_locked();
	lock_release(&sample_switch);
}

bool sample_try_profile_locked(size_t rate)
{
	if (!profile_try_start(rate))
		return false;
	sample_begin(rate, options.guardrate);
	return true;
}

void sample_end_profile_locked(void)
{
	profile_stop();
	if (options.guardrate != 0 || options.stats[0] != '\0')
		sample_begin(0, options.guardrate);
	else
		sample_end();
}

void sample_count(bool on)
{
	uint64_t rate, guardrate;

	lock_acquire(&sample_totals.lock);
	sample_totals.wanted = on;
	/* Relaxed: written under the lock. */
	rate = atomic_load_explicit(&sampling.rate, memory_order_relaxed);
	guardrate = atomic_load_explicit(&sampling.guardrate, memory_order_relaxed);
	if (on != sample_counts() && rate == 0 && guardrate == 0)
		switch_locked(on, 0, 0);
	lock_release(&sample_totals.lock);
}

void sample_after_fork(void)
{
	(void)lock_reset_orphan(&sample_switch);
	(void)lock_reset_orphan(&sample_totals.lock);
}
