/* SPDX-License-Identifier: MIT */
/*
 * limit.c - the memory limit: what counts, when what is free is given back at once, when a request is refused.
 * See malloc.c for the overview.
 *
 * What counts is what the process has through us, as Go's limit counts: pages of the heap that are in spans, in a thread's word, or free
 * with memory behind them; and the memory of records. A request that would cross the limit is answered in three steps:
 *   - free pages are released, if that makes room for some time;
 *   - it is refused once, as if there were no memory: the thread gives back all it keeps and asks again (mcache_refill() and others do
 *     so for want of memory, too). All other threads are asked to do so at their next slow path;
 *   - it is refused for good with hard=1, else the heap grows beyond the limit.
 * The first two are work for every page while what is live hardly fits. Without hard=1 they are done only when they pay: the first when
 * there is some share of the limit to release, and room afterwards; the second as long as it takes 1/ROUND_SHARE of the time.
 *
 * Owns     limit; whether and when the calling thread was refused a first time.
 * Callers  mheap.c before it takes pages; mcache.c and scavenge.c for how much and how long to keep; thread.c, malloc.c. Calls
 *          mheap.h, scavenge.h, cgroup.h.
 * Locks    mheap.lock covers the [h] fields; it is dropped while pages are released.
 * Holds    with hard=1 what counts is at most the limit, but for records: those a request needs are there before its pages are
 *          asked for, and small beside them.
 */
#include "heap/limit.h"
#include "os/cgroup.h"
#include "os/fatal.h"
#include "heap/mheap.h"
#include "os/os.h"
#include "heap/scavenge.h"

struct limit limit;

/* The calling thread's request was refused once, and the thread is giving back what it keeps. Ends
 * with the request, see limit_end_request(). */
THREAD_LOCAL bool asked;
THREAD_LOCAL uint32_t asked_at;    /* milliseconds, the lower bits */

/* What lies between where the limit is near and the limit. */
#define MARGIN_SHIFT 4
#define MARGIN_MIN MiB(1)

/* Giving back caches takes this part of the time, where it does not help. */
#define ROUND_SHARE 64

/* A round that takes longer than this counts as no longer: the thread was stopped meanwhile. */
#define ROUND_MOST_MS 100

static size_t margin(void)
{
	return limit_bytes() - limit.near_at;
}

/* The least that is worth releasing. */
static size_t batch(void)
{
	return margin() / 4;
}

static void set_state_locked(enum limit_state state)
{
	enum limit_state before = limit_get_state();

	if (state == before)
		return;
	atomic_store_explicit(&limit.state, (uint8_t)state, memory_order_relaxed);
	if (before == LIMIT_FAR)
		atomic_fetch_add_explicit(&limit.calls, 1, memory_order_relaxed);
}

static size_t set_locked(size_t bytes)
{
	size_t before = limit_bytes();

	limit.near_at = bytes - min_size(max_size(bytes >> MARGIN_SHIFT, MARGIN_MIN), bytes / 2);
	limit.next_round = os_now_ms();
	atomic_store_explicit(&limit.bytes, bytes, memory_order_relaxed);
	atomic_store_explicit(&limit.state, LIMIT_FAR, memory_order_relaxed);
	return before;
}

size_t limit_set(size_t bytes)
{
	size_t before;

	lock_acquire(&mheap.lock);
	before = set_locked(bytes);
	lock_release(&mheap.lock);
	return before;
}

void limit_init(const char *root)
{
	size_t bytes = options.memlimit, whole;
	struct report r;

	if (options.memlimit_percent != 0) {
		whole = cgroup_memory(root);
		bytes = whole / 100 * options.memlimit_percent;
		if (whole == 0) {
			report_init(&r);
			report_str(&r, "memlimit: how much memory there is cannot be read; no limit");
			report_write(&r, 2);
		}
	}
	if (mheap.ready)
		(void)limit_set(bytes);
	else
		(void)set_locked(bytes);
}

/* Pages that are being released count as if they were already: others need not fail for them. */
size_t limit_used_locked(void)
{
	return (mheap.pages.ntotal - mheap.pages.nclean - mheap.nreleasing) * PAGE_SIZE + fixalloc_used_bytes();
}

size_t limit_used(void)
{
	size_t nbytes;

	lock_acquire(&mheap.lock);
	nbytes = limit_used_locked();
	lock_release(&mheap.lock);
	return nbytes;
}

/* Bytes that would come to count. */
static size_t need_locked(uint64_t page, size_t npages)
{
	if (page == PAGE_NONE)
		page = pagealloc_find(&mheap.pages, npages);
	return (npages - (page == PAGE_NONE ? 0 : pagealloc_count_dirty(&mheap.pages, page, npages))) * PAGE_SIZE;
}

/* Bytes beyond the limit with these pages; 0: they may be taken. */
static size_t overshoot_locked(uint64_t page, size_t npages)
{
	size_t need = need_locked(page, npages);
	size_t total = limit_used_locked() + need;

	return need == 0 || total <= limit_bytes() ? 0 : total - limit_bytes();
}

/* Free pages with memory behind them are what can be had here; with hard=1, and when caches were given back for it, all. */
static bool pays_locked(size_t over)
{
	size_t dirty = (mheap.pages.nfree - mheap.pages.nclean) * PAGE_SIZE;

	return options.hard || asked || (dirty >= over && dirty >= batch());
}

static bool round_is_due_locked(void)
{
	return options.hard || os_now_ms() >= limit.next_round;
}

static void begin_round_locked(void)
{
	asked = true;
	asked_at = (uint32_t)os_now_ms();
	atomic_fetch_add_explicit(&limit.calls, 1, memory_order_relaxed);
}

/* The thread gave back what it kept. */
static void end_round_locked(void)
{
	uint64_t now = os_now_ms();

	asked = false;
	/* The clock is coarse: a round that is shorter than its step counts as 0, and one that it steps in
	 * as a step. */
	limit.next_round = now + 1 + min_size((uint32_t)now - asked_at, ROUND_MOST_MS) * ROUND_SHARE;
}

/* Those of the spans that the thread gave back. The kernel works without mheap.lock. */
static void release_records_locked(void)
{
	lock_release(&mheap.lock);
	mheap_release_records();
	lock_acquire(&mheap.lock);
}

/* Far from the limit also with as many pages more. */
static bool stays_far_locked(size_t npages)
{
	size_t used = limit_used_locked();

	if (used + npages * PAGE_SIZE > limit.near_at)
		return false;
	/* Not to and fro. */
	if (used + batch() <= limit.near_at)
		set_state_locked(LIMIT_FAR);
	return true;
}

/* Beyond the limit without more ado: it was tried not long ago. */
static bool goes_on_locked(size_t over)
{
	return limit_get_state() == LIMIT_OVER && !pays_locked(over) && !round_is_due_locked();
}

bool limit_has_room_slow(size_t npages)
{
	size_t total = limit_used_locked() + npages * PAGE_SIZE;

	if (stays_far_locked(npages))
		return true;
	if (total > limit_bytes())
		return goes_on_locked(total - limit_bytes());
	set_state_locked(LIMIT_NEAR);
	return true;
}

bool limit_admits_slow(uint64_t page, size_t npages, bool in_earnest)
{
	size_t over;

	DCHECK(lock_held(&mheap.lock));
	/* At most so many pages would come to count: before it is looked which they are. */
	if (!asked && limit_has_room_slow(npages))
		return true;
	over = overshoot_locked(page, npages);
	if (!in_earnest)
		return over == 0;
	/* Again where what was released is what would be taken. */
	while (over != 0 && pays_locked(over) && scavenge_locked(over + margin() / 2) != 0)
		over = overshoot_locked(page, npages);
	if (over != 0 && asked) {
		release_records_locked();
		over = overshoot_locked(page, npages);
	}
	if (over != 0 && !asked && round_is_due_locked()) {
		begin_round_locked();
		return false;
	}
	if (asked)
		end_round_locked();
	if (over != 0 && options.hard)
		return false;
	if (over != 0)
		set_state_locked(LIMIT_OVER);
	else if (limit_used_locked() <= limit_bytes())
		set_state_locked(LIMIT_NEAR);
	return true;
}

bool limit_wants_flush(void)
{
	return asked;
}

static SLOW_PATH void end_unanswered_round(void)
{
	lock_acquire(&mheap.lock);
	end_round_locked();
	lock_release(&mheap.lock);
}

void limit_end_request(void)
{
	if (UNLIKELY(asked))
		end_unanswered_round();
}
