/* SPDX-License-Identifier: MIT */
/*
 * limit.h - how much memory the process may have through us. See limit.c.
 */
#ifndef GOALLOC_LIMIT_H
#define GOALLOC_LIMIT_H

#include "base/base.h"
#include "base/options.h"

/* FAR: as without one. NEAR: caches keep less, and free pages stay a part of the decay time. OVER: what is live does not fit, and giving
 * back all the time would not change that: as FAR, but for a try now and then. */
enum limit_state { LIMIT_FAR, LIMIT_NEAR, LIMIT_OVER };

/*
 * Access: [a] atomic, any thread; stored under mheap.lock  [h] mheap.lock
 */
struct limit {
	_Atomic size_t bytes;          /* [a] 0: none */
	_Atomic uint8_t state;         /* [a] enum limit_state */
	_Atomic uint32_t calls;        /* [a] counts the times that all threads were asked to give back what they keep */
	size_t near_at;                /* [h] bytes in use from which on it is near */
	uint64_t next_round;           /* [h] milliseconds, from which on caches are given back again */
};

extern struct limit limit;

/* Relaxed, all three: what hangs on them is how much is kept, and when what is free is given back. Under mheap.lock they are exact. */
static inline size_t limit_bytes(void)
{
	return atomic_load_explicit(&limit.bytes, memory_order_relaxed);
}

static inline enum limit_state limit_get_state(void)
{
	return (enum limit_state)atomic_load_explicit(&limit.state, memory_order_relaxed);
}

static inline uint32_t limit_calls(void)
{
	return atomic_load_explicit(&limit.calls, memory_order_relaxed);
}

/* Milliseconds that free pages and what caches keep may stay unused. */
static inline uint32_t limit_decay_ms(void)
{
	return UNLIKELY(limit_get_state() == LIMIT_NEAR) ? options.scavenge_ms / 16 : options.scavenge_ms;
}

/* What the options say; a share of the system's memory is found out below root, "" in a process. Says in one line why there is no
 * limit. Takes mheap.lock if there is a heap. */
void limit_init(const char *root);

/* Another limit from now on; 0 for none. The former. Takes mheap.lock. */
size_t limit_set(size_t bytes);

/* Bytes that count. Takes mheap.lock. */
size_t limit_used(void);
size_t limit_used_locked(void);

/* The heap may take pages with no memory behind them, a word for a cache. mheap.lock held. */
bool limit_has_room_slow(size_t npages);

static inline bool limit_has_room_locked(size_t npages)
{
	return LIKELY(limit_bytes() == 0) || limit_has_room_slow(npages);
}

/* The heap may take these pages (PAGE_NONE: the lowest run of as many). False: the request is to fail. The first time the caller can
 * give back what the thread keeps, and ask again: limit_wants_flush() tells. Not in_earnest: the caller has something else to try
 * first, and nothing is released for it. mheap.lock held; it may be dropped meanwhile. */
bool limit_admits_slow(uint64_t page, size_t npages, bool in_earnest);

static inline bool limit_admits_locked(uint64_t page, size_t npages, bool in_earnest)
{
	return LIKELY(limit_bytes() == 0) || limit_admits_slow(page, npages, in_earnest);
}

bool limit_wants_flush(void);

/* The request has been made again, or will not be: what comes next is another one. Whoever gives
 * back what the thread keeps for a request that was refused calls this afterwards, whether or not
 * the heap was asked again. Takes mheap.lock at times. */
void limit_end_request(void);

#endif
