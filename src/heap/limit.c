/* SPDX-License-Identifier: MIT */
/*
 * limit.c - the memory limit: what is done with a request that would cross it.
 * See malloc.c for the overview.
 *
 * What counts against the limit is what the process has through this heap, as with Go's limit: the
 * memory of records, and pages that are in spans, in page words, or dirty. A request that would
 * cross the limit is answered in three steps:
 *   1. Free pages are released, if that makes room for some time (LIMIT_RELEASE).
 *   2. The request fails once (LIMIT_FLUSH). The thread flushes its cache and makes the request
 *      again. All other threads are asked to flush their caches at their next slow path. This is
 *      called a round.
 *   3. With hard=1 the request fails (LIMIT_REFUSE). Otherwise the heap grows beyond the limit.
 * Where the live objects hardly fit, steps 1 and 2 would be work for every page. Without hard=1
 * they are made only when they pay: step 1 when a good part of the margin can be released and the
 * request fits afterwards, step 2 as long as rounds take at most 1/ROUND_SHARE of the time.
 *
 * Owns     limit; whether and when the calling thread was told to flush.
 * Locks    none of its own. mheap.lock covers the decisions.
 * Holds    with hard=1 what counts is at most the limit, except for records. The records that a
 *          request needs are made before its pages are asked for, and are small beside them.
 */
#include "heap/limit.h"
#include "os/cgroup.h"
#include "os/fatal.h"
#include "os/os.h"

struct limit limit;

/* The calling thread was answered LIMIT_FLUSH, and its request has not ended. */
THREAD_LOCAL bool asked;
THREAD_LOCAL uint32_t asked_at;    /* milliseconds, the lower bits */

/* The margin, in which LIMIT_NEAR holds, is this part of the limit, but MARGIN_MIN at least. */
#define MARGIN_SHIFT 4
#define MARGIN_MIN MiB(1)

/* Rounds that do not help take at most this part of the time. */
#define ROUND_SHARE 64

/* A round counts as no longer than this: a thread that took longer was stopped meanwhile. */
#define ROUND_MOST_MS 100

static size_t margin(void)
{
	return limit_bytes() - limit.near_at;
}

/* Returns the least number of bytes that is worth releasing. */
static size_t batch(void)
{
	return margin() / 4;
}

static void set_state(enum limit_state state)
{
	enum limit_state before = limit_get_state();

	if (state == before)
		return;
	atomic_store_explicit(&limit.state, (uint8_t)state, memory_order_relaxed);
	if (before == LIMIT_FAR)
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

/* Returns by how many bytes the request would cross the limit. */
static size_t overshoot(const struct limit_figures *f)
{
	return limit_fits(f) ? 0 : f->used + f->need - limit_bytes();
}

/* Returns true when releasing free pages is worth it. With hard=1, and after a flush, it always
 * is. */
static bool release_pays(const struct limit_figures *f)
{
	return options.hard || asked || (f->dirty >= overshoot(f) && f->dirty >= batch());
}

static bool round_is_due(uint64_t now_ms)
{
	return options.hard ||
	       now_ms >= atomic_load_explicit(&limit.next_round, memory_order_relaxed);
}

static void begin_round(uint64_t now_ms)
{
	asked = true;
	asked_at = (uint32_t)now_ms;
	atomic_fetch_add_explicit(&limit.calls, 1, memory_order_relaxed);
}

static void end_round(uint64_t now_ms)
{
	size_t took = min_size((uint32_t)now_ms - asked_at, ROUND_MOST_MS);

	asked = false;
	/* The clock is coarse: a round that is shorter than its step counts as 0, and a round
	 * during which it steps counts as a step. */
	set_next_round(now_ms + 1 + took * ROUND_SHARE);
}

bool limit_has_room(const struct limit_figures *f)
{
	if (f->used + f->need <= limit.near_at) {
		/* Only well below, so that the state does not change to and fro. */
		if (f->used + batch() <= limit.near_at)
			set_state(LIMIT_FAR);
		return true;
	}
	/* Beyond the limit the heap grows while neither step is worth another attempt. */
	if (!limit_fits(f))
		return limit_get_state() == LIMIT_OVER && !release_pays(f) &&
		       !round_is_due(f->now_ms);
	set_state(LIMIT_NEAR);
	return true;
}

struct limit_answer limit_decide(const struct limit_figures *f)
{
	bool fits = limit_fits(f);

	if (!fits && !f->nothing_left && release_pays(f))
		return (struct limit_answer){ LIMIT_RELEASE, overshoot(f) + margin() / 2 };
	if (!fits && !asked && round_is_due(f->now_ms)) {
		begin_round(f->now_ms);
		return (struct limit_answer){ .verdict = LIMIT_FLUSH };
	}
	if (asked)
		end_round(f->now_ms);
	if (!fits && options.hard)
		return (struct limit_answer){ .verdict = LIMIT_REFUSE };
	if (!fits)
		set_state(LIMIT_OVER);
	else if (f->used <= limit_bytes())
		set_state(LIMIT_NEAR);
	return (struct limit_answer){ .verdict = LIMIT_ADMIT };
}

bool limit_wants_flush(void)
{
	return asked;
}

void limit_end_request(void)
{
	if (UNLIKELY(asked))
		end_round(os_now_ms());
}
