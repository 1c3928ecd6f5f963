/* SPDX-License-Identifier: MIT */
/*
 * limit.h - how much memory the process may have through this heap. See limit.c.
 */
#ifndef GOALLOC_LIMIT_H
#define GOALLOC_LIMIT_H

#include "base/base.h"
#include "base/options.h"

/*
 * LIMIT_FAR has no effect. LIMIT_NEAR: caches keep less, and free pages are released after 1/16 of
 * the decay time. LIMIT_OVER: the live objects do not fit. Releasing all the time would not change
 * that, so it has no effect either, but for an attempt now and then.
 */
enum limit_state { LIMIT_FAR, LIMIT_NEAR, LIMIT_OVER };

/*
 * Access: [a] atomic, loaded by any thread  [h] mheap.lock
 */
struct limit {
	_Atomic size_t bytes;          /* [a] the limit; 0 for none */
	_Atomic uint8_t state;         /* [a] enum limit_state */
	_Atomic uint32_t calls;        /* [a] how often all threads were asked to flush */
	_Atomic uint64_t next_round;   /* [a] milliseconds: no round begins before then */
	size_t near_at;                /* [h] bytes in use from which on LIMIT_NEAR holds */
};

extern struct limit limit;

/* Relaxed, in all three: the values only steer how much is kept and when free pages are released.
 * The stores are made under mheap.lock, so a thread that holds the lock reads the latest value. */
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

/* Returns for how many milliseconds free pages and the contents of caches may stay unused. */
static inline uint32_t limit_decay_ms(void)
{
	return UNLIKELY(limit_get_state() == LIMIT_NEAR) ? options.scavenge_ms / 16 :
							   options.scavenge_ms;
}

/* Returns the limit that the options ask for, or 0 for none. A share of the system's memory is read
 * from files below root, which is "" in a process. Reports when that memory cannot be read. */
size_t limit_of_options(const char *root);

/* Sets the limit, 0 for none, and returns the former one. mheap.lock is held, if there is a
 * heap. */
size_t limit_set(size_t bytes, uint64_t now_ms);

/* The figures that a decision is made on. The heap computes them under mheap.lock. */
struct limit_figures {
	size_t used;          /* bytes that count against the limit */
	size_t dirty;         /* of these, bytes in free pages */
	size_t need;          /* bytes by which the request would increase `used` */
	uint64_t now_ms;      /* the time */
	bool nothing_left;    /* LIMIT_RELEASE was tried and released nothing */
};

/*
 * What the heap does with a request. With LIMIT_RELEASE it releases nbytes of free pages and asks
 * again. With LIMIT_FLUSH it fails the request as if there were no memory: the thread flushes its
 * cache and makes the request again. LIMIT_REFUSE fails the request for good.
 */
enum limit_verdict { LIMIT_ADMIT, LIMIT_RELEASE, LIMIT_FLUSH, LIMIT_REFUSE };

struct limit_answer {
	enum limit_verdict verdict;
	size_t nbytes;        /* for LIMIT_RELEASE */
};

/* Returns true when the request stays below the limit. */
static inline bool limit_fits(const struct limit_figures *f)
{
	return f->need == 0 || f->used + f->need <= limit_bytes();
}

/* Returns true when the request may be served without further work, and adjusts the state. `need`
 * may be more than will be needed. mheap.lock is held, and there is a limit. */
bool limit_has_room(const struct limit_figures *f);

/* Decides about a request that has no room. mheap.lock is held, and there is a limit. */
struct limit_answer limit_decide(const struct limit_figures *f);

/* Returns true when the calling thread's last request was answered with LIMIT_FLUSH. */
bool limit_wants_flush(void);

/* Ends a request that was answered with LIMIT_FLUSH: the next one is a new request. Every thread
 * that has flushed its cache calls this, whether or not it asked the heap again. */
void limit_end_request(void);

#endif
