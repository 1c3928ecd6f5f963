/* SPDX-License-Identifier: MIT */
/*
 * lock.cc - the lock of src/os/lock.c in the orders of the source: take_if_free(), lock_wait() and
 * lock_release(). See litmus.h.
 *
 * Asserts  what the lock covers is touched in order; no thread waits for ever.
 */
#include "litmus.h"

template <unsigned NTHREADS> struct lock : rl::test_suite<lock<NTHREADS>, NTHREADS> {
	rl::atomic<int> word;
	rl::var<int> covered;

	void before()
	{
		STORE(word, 0, mo_relaxed);
		SET(covered, 0);
	}

	bool take_if_free()
	{
		int seen = 0;

		return SWAP(word, seen, 1, order("take_if_free", mo_acquire, mo_relaxed));
	}

	void acquire()
	{
		if (take_if_free())
			return;
		/* lock_wait(), with one turn of its loop */
		if (LOAD(word, mo_relaxed) == 0 && take_if_free())
			return;
		while (EXCHANGE(word, is_mutant("wait_takes_1") ? 1 : 2,
				order("lock_wait", mo_acquire, mo_relaxed)) != 0)
			WAIT(word, 2);
	}

	void release()
	{
		if (EXCHANGE(word, 0, order("lock_release", mo_release, mo_relaxed)) == 2)
			WAKE(word);
	}

	void thread(unsigned)
	{
		acquire();
		SET(covered, GET(covered) + 1);
		release();
	}

	void after()
	{
		CHECK(GET(covered) == (int)NTHREADS);
	}
};

int main()
{
	return litmus::run_all<lock<2> >("lock, two threads", 0, 4) +
	       litmus::run<lock<3> >("lock, three threads", 4);
}
