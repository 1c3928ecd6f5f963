/* SPDX-License-Identifier: MIT */
/*
 * tracer.cc - how a tracer's wish reaches a slow path, in the orders of src/tools/tracer.c:
 * tracer_allow(), tracer_waits(), tracer_attend_slow(), set_lease_locked() and
 * tracer_look_at_lease(). See litmus.h.
 *
 * goalloc-view writes a lease and then its rate. libc comes up. Threads go through slow paths, and
 * look at the lease after a sample.
 *
 * Asserts  a slow path that sees the rate sees its lease, and the options; what sample_switch
 *          covers is touched in order; at the end a slow path leaves no wish unanswered, and a
 *          profile is on exactly if there is a rate.
 */
#include "litmus.h"

#define RATE 1
#define LEASE 100
#define UNANSWERED 99

template <unsigned NTHREADS> struct tracer : rl::test_suite<tracer<NTHREADS>, NTHREADS + 1> {
	rl::atomic<int> allowed, wish, answered, lease_ms, end_ms;
	rl::var<int> options, granted, on;
	/* sample_switch: lock.cc has its own orders */
	rl::atomic<int> lock;

	void before()
	{
		STORE(allowed, 0, mo_relaxed);
		STORE(wish, 0, mo_relaxed);
		STORE(answered, 0, mo_relaxed);
		STORE(lease_ms, 0, mo_relaxed);
		STORE(end_ms, 0, mo_relaxed);
		STORE(lock, 0, mo_relaxed);
		SET(granted, 0);
		SET(on, 0);
	}

	bool try_lock()
	{
		int is_free = 0;

		return SWAP(lock, is_free, 1, mo_acquire);
	}

	void unlock()
	{
		STORE(lock, 0, mo_release);
	}

	void answer(int rate)
	{
		int lease;

		if (rate != 0 && GET(granted) != rate) {
			lease = LOAD(lease_ms, mo_relaxed);
			CHECK(lease == LEASE);
			SET(granted, 0);
			STORE(end_ms, lease, mo_relaxed);
			SET(granted, rate);
		}
		SET(on, rate != 0);
	}

	void attend()
	{
		int rate;

		if (LOAD(wish, mo_relaxed) == LOAD(answered, mo_relaxed))
			return;
		if (LOAD(allowed, order("attend_allowed", mo_acquire, mo_relaxed)) == 0 ||
		    !try_lock())
			return;
		CHECK(GET(options) == 1);
		rate = LOAD(wish, order("attend_wish", mo_acquire, mo_relaxed));
		answer(rate);
		STORE(answered, rate, mo_relaxed);
		unlock();
	}

	/* The lease is over as soon as there is one. */
	void look_at_lease()
	{
		int rate;

		if (LOAD(end_ms, mo_relaxed) == 0 || !try_lock())
			return;
		if (LOAD(end_ms, mo_relaxed) != 0) {
			rate = GET(granted);
			STORE(answered, UNANSWERED, mo_relaxed);
			if (!is_mutant("lease_leaves_rate"))
				(void)SWAP(wish, rate, 0, mo_relaxed);
			SET(granted, 0);
			STORE(end_ms, 0, mo_relaxed);
		}
		unlock();
	}

	void thread(unsigned t)
	{
		if (t < NTHREADS) {
			if (t == 0) {
				SET(options, 1);
				STORE(allowed, 1, order("tracer_allow", mo_release, mo_relaxed));
			}
			attend();
			look_at_lease();
		} else {
			STORE(lease_ms, LEASE, mo_relaxed);
			STORE(wish, RATE, order("view_writes_rate", mo_release, mo_relaxed));
		}
	}

	void after()
	{
		attend();
		CHECK(LOAD(wish, mo_relaxed) == LOAD(answered, mo_relaxed));
		CHECK(GET(on) == LOAD(wish, mo_relaxed));
		look_at_lease();
		attend();
		CHECK(GET(on) == 0 && LOAD(wish, mo_relaxed) == 0);
	}
};

int main()
{
	return litmus::run<tracer<1> >("tracer, one thread", 0) +
	       litmus::run_all<tracer<2> >("tracer, two threads", 3, 5);
}
