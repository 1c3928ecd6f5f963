/* SPDX-License-Identifier: MIT */
/*
 * limit.h - how much memory the process may have through this heap. See limit.c.
 */
#ifndef GOALLOC_LIMIT_H
#define GOALLOC_LIMIT_H

#include "base/base.h"
#include "base/options.h"

/*
 * LIMIT_FAR has no effect. LIMIT_NEAR: caches keep less, free pages are released after 1/16 of the
 * decay time, and requests take dirty pages first. LIMIT_OVER: the live objects do not fit. In
 * addition caches keep no big objects, and few dirty pages stay.
 */
enum limit_state { LIMIT_FAR, LIMIT_NEAR, LIMIT_OVER };

/*
 * Access: [a] atomic, loaded by any thread  [h] mheap.lock
 */
struct limit {
	_Atomic size_t bytes;          /* [a] the limit; 0 for none */
	_Atomic uint8_t state;         /* [a] enum limit_state */
	_Atomic uint32_t calls;        /* [a] how often all threads were asked to flush */
	_Atomic uint64_t next_round;   /* [a] milliseconds: a round is due from then on */
	size_t near_at;                /* [h] bytes in use from which on LIMIT_NEAR holds */
	size_t round_used;             /* [h] bytes in use for which the last round was made */
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
	/* Relaxed: a time on its own. */
	uint32_t ms = atomic_load_explicit(&options.scavenge_ms, memory_order_relaxed);

	return UNLIKELY(limit_get_state() != LIMIT_FAR) ? ms / 16 : ms;
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
	bool flushed;         /* the thread has flushed its cache for this request */
	bool nothing_left;    /* LIMIT_RELEASE was tried and released nothing */
};

/*
 * What the heap does with a request. With LIMIT_RELEASE it releases nbytes of free pages and asks
 * again. With LIMIT_FLUSH it fails the request: the thread flushes its cache and makes the request
 * again. LIMIT_REFUSE fails the request for good.
 */
enum limit_verdict { LIMIT_ADMIT, LIMIT_RELEASE, LIMIT_FLUSH, LIMIT_REFUSE };

struct limit_answer {
	enum limit_verdict verdict;
	enum limit_state state;       /* what the state becomes */
	size_t nbytes;                /* for LIMIT_RELEASE */
};

/* Decides about a request and changes nothing. mheap.lock is held, and there is a limit. */
struct limit_answer limit_decide(const struct limit_figures *f);

/* Records an answer that the heap acts on: changes the state, and with LIMIT_FLUSH begins a round.
 * mheap.lock is held. */
void limit_note(const struct limit_answer *answer, const struct limit_figures *f);

/* Asks all threads to flush their caches at their next slow path. */
void limit_call(void);

/* Ends a round of the calling thread, which began at begun_ms and was answered again by now_ms. The
 * next one begins the later the longer this one took. */
void limit_end_round(uint64_t begun_ms, uint64_t now_ms);

#endif
