/* SPDX-License-Identifier: MIT */
/*
 * start.cc - late_state and exit_key of src/start.c, and the flag of thread_set_ready(), in the
 * orders of the source: start_late_init(), make_key() and watch_exit(). See litmus.h.
 *
 * Threads come to the start together. One sets the heap up and makes the key, unless libc has none
 * yet: then the next that watches its exit makes it.
 *
 * Asserts  a thread that passes thread_is_ready() has the options; one that uses the key has it
 *          whole; the key is made once.
 */
#include "litmus.h"

enum { NOT_YET, RUNNING, NO_KEY, DONE };

template <unsigned NTHREADS> struct start : rl::test_suite<start<NTHREADS>, NTHREADS> {
	rl::atomic<int> late_state, ready;
	rl::var<int> options, exit_key;
	rl::mutex start_lock;
	int nkeys;

	void before()
	{
		STORE(late_state, NOT_YET, mo_relaxed);
		STORE(ready, 0, mo_relaxed);
		nkeys = 0;
	}

	void heap_init()
	{
		start_lock.lock($);
		if (LOAD(ready, mo_acquire) == 0) {
			SET(options, 1);
			STORE(ready, 1, order("thread_set_ready", mo_release, mo_relaxed));
		}
		start_lock.unlock($);
	}

	/* libc may write to the key even if it says no. */
	void make_key(bool made)
	{
		SET(exit_key, 1);
		nkeys += made;
		STORE(late_state, made ? DONE : NO_KEY,
		      order("make_key", mo_release, mo_relaxed));
	}

	void late_init()
	{
		int state = NOT_YET;

		if (!SWAP(late_state, state, RUNNING, mo_acq_rel))
			return;
		heap_init();
		make_key(rl::rand(2) == 0);
	}

	void watch_exit()
	{
		int state = NO_KEY;

		if (SWAP(late_state, state, RUNNING,
			 order("watch_exit_swap", mo_acquire, mo_relaxed)))
			make_key(true);
		if (LOAD(late_state, order("watch_exit_load", mo_acquire, mo_relaxed)) == DONE)
			CHECK(GET(exit_key) == 1);
	}

	void thread(unsigned)
	{
		late_init();
		if (LOAD(ready, order("thread_is_ready", mo_acquire, mo_relaxed)) == 0)
			heap_init();
		CHECK(GET(options) == 1);
		if (LOAD(late_state, mo_relaxed) >= NO_KEY)
			watch_exit();
	}

	void after()
	{
		CHECK(nkeys <= 1);
	}
};

int main()
{
	return litmus::run<start<2> >("start, two threads", 0) +
	       litmus::run_all<start<3> >("start, three threads", 3, 5);
}
