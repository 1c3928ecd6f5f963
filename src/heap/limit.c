/* SPDX-License-Identifier: MIT */
/*
 * limit.c - the memory limit: what is done with a request that would cross it.
 * See malloc.c for the overview.
 *
 * What counts against the limit is what the process has through this heap, as with Go's limit: the
 * memory of records, and pages that are in spans, in page words, or dirty. A request that would
 * cross the limit is answered in three steps:
 *   1. Free pages are released (LIMIT_RELEASE).
 *   2. The request fails once (LIMIT_FLUSH). The thread flushes its cache and makes the request
 *      again. All other threads are asked to flush their caches at their next slow path. This is
 *      called a round.
 *   3. With hard=1 the request fails (LIMIT_REFUSE). Otherwise the heap grows beyond the limit.
 * Where the live objects do not fit, the steps go on, because the process is to be as small as it
 * can be, but they have a price: a page that is released faults when it is used again. So without
 * hard=1 step 1 waits until 1/DIRTY_SHARE of the memory in use is dirty, and leaves a half of that
 * for the next requests. Rounds of step 2 come when the memory in use has grown by 1/ROUND_GROWTH,
 * and otherwise take at most 1/ROUND_SHARE of the time.
 *
 * Owns     limit.
 * Locks    none of its own. mheap.lock covers the decisions.
 * Holds    with hard=1 what counts is at most the limit, except for records. The records that a
 *          request needs are made before its pages are asked for, and are small beside them.
 */
#include "heap/limit.h"
#include "os/cgroup.h"
#include "os/fatal.h"
#include "os/os.h"

struct limit limit;

/* The margin, in which LIMIT_NEAR holds, is this part of the limit, but MARGIN_MIN at least. */
#define MARGIN_SHIFT 4
#define MARGIN_MIN MiB(1)

/* A heap above its limit keeps few free pages that still have memory: at most one for DIRTY_SHARE
 * pages in use. */
#define DIRTY_SHARE 64

/* A round gives memory back because a request would cross the limit. The next round waits for
 * ROUND_SHARE times as long as the last one took. It does not wait if the bytes in use have grown
 * since then by 1/ROUND_GROWTH, and by at least ROUND_LEAST. */
#define ROUND_SHARE 64
#define ROUND_GROWTH 64
#define ROUND_LEAST MiB(1)

/* A round counts as no longer than this: a thread that took longer was stopped meanwhile. */
#define ROUND_MOST_MS 100

static size_t margin(void)
{
	return limit_bytes() - limit.near_at;
}

void limit_call(void)
{
	atomic_fetch_add_explicit(&limit.calls, 1, memory_order_relaxed);
}

static void set_next_round(uint64_t ms)
{
	/* Relaxed: only a time. The last of several threads whose rounds end together wins. */
	atomic_store_explicit(&limit.next_round, ms, memory_order_relaxed);
}

size_t limit_set(size_t bytes, uint64_t now_ms)
{
	size_t before = limit_bytes();

	limit.near_at = bytes - min_size(max_size(bytes >> MARGIN_SHIFT, MARGIN_MIN), bytes / 2);
	limit.round_used = bytes;
	set_next_round(now_ms);
	atomic_store_explicit(&limit.bytes, bytes, memory_order_relaxed);
	atomic_store_explicit(&limit.state, LIMIT_FAR, memory_order_relaxed);
	return before;
}

size_t limit_of_options(const char *root)
{
	size_t whole;

	if (options.memlimit_percent == 0)
		return options.memlimit;
	whole = cgroup_memory(root);
	if (whole == 0)
		report_line(2, "memlimit: how much memory there is cannot be read; no limit");
	return whole / 100 * options.memlimit_percent;
}

/* Returns how many dirty bytes may stay while the request would cross the limit. */
static size_t most_dirty(const struct limit_figures *f)
{
	return options.hard || f->flushed ? 0 : f->used / DIRTY_SHARE;
}

static bool round_is_due(const struct limit_figures *f)
{
	size_t step = max_size(limit.round_used / ROUND_GROWTH, ROUND_LEAST);

	return options.hard || f->used + f->need > limit.round_used + step ||
	       f->now_ms >= atomic_load_explicit(&limit.next_round, memory_order_relaxed);
}

/* Returns the state once `used` bytes count. */
static enum limit_state state_at(const struct limit_figures *f, size_t used)
{
	enum limit_state before = limit_get_state();

	if (f->used > limit_bytes())
		return f->used - f->dirty > limit_bytes() ? LIMIT_OVER : before;
	if (used > limit.near_at)
		return LIMIT_NEAR;
	/* Well below only, so that the state does not change to and fro. */
	if (f->used + margin() / 4 <= limit.near_at)
		return LIMIT_FAR;
	return before == LIMIT_OVER ? LIMIT_NEAR : before;
}

struct limit_answer limit_decide(const struct limit_figures *f)
{
	enum limit_state before = limit_get_state();
	size_t most = most_dirty(f);
	size_t over;

	if (f->need == 0 || f->used + f->need <= limit_bytes())
		return (struct limit_answer){ LIMIT_ADMIT, state_at(f, f->used + f->need), 0 };
	over = f->used + f->need - limit_bytes();
	if (f->dirty > most && !f->nothing_left)
		return (struct limit_answer){ LIMIT_RELEASE, before,
					      min_size(over + margin() / 2, f->dirty - most / 2) };
	if (!f->flushed && round_is_due(f))
		return (struct limit_answer){ LIMIT_FLUSH, before, 0 };
	if (options.hard)
		return (struct limit_answer){ LIMIT_REFUSE, state_at(f, f->used), 0 };
	return (struct limit_answer){ LIMIT_ADMIT, LIMIT_OVER, 0 };
}

void limit_note(const struct limit_answer *answer, const struct limit_figures *f)
{
	enum limit_state before = limit_get_state();

	atomic_store_explicit(&limit.state, (uint8_t)answer->state, memory_order_relaxed);
	if (answer->verdict == LIMIT_FLUSH) {
		set_next_round(f->now_ms + 1);
		limit.round_used = f->used + f->need;
	}
	if (answer->verdict == LIMIT_FLUSH ||
	    (before == LIMIT_FAR && answer->state != LIMIT_FAR))
		limit_call();
}

void limit_end_round(uint64_t begun_ms, uint64_t now_ms)
{
	/* The clock is coarse: a round that is shorter than its step counts as 0, and a round
	 * during which it steps counts as a step. */
	set_next_round(now_ms + 1 + min_size(now_ms - begun_ms, ROUND_MOST_MS) * ROUND_SHARE);
}
