/* SPDX-License-Identifier: MIT */
/*
 * forked.cc - the mark of a forked child, in the orders of src/os/forked.c: forked_mend() and
 * begin_and_end() against forked(). See litmus.h.
 *
 * Threads of a child whose mark the kernel has wiped come to a slow path together.
 *
 * Asserts  one thread mends, and whoever goes on has the heap in order; no thread waits for ever.
 */
#include "litmus.h"

#define WIPED 0
#define MENDING (-1)
#define PID 7

struct forked : rl::test_suite<forked, 3> {
	rl::atomic<int> mark;
	rl::var<int> heap;
	int nmended;

	void before()
	{
		STORE(mark, WIPED, mo_relaxed);
		nmended = 0;
	}

	void mend()
	{
		int seen = WIPED;

		if (mark($).compare_exchange_strong(
			    seen, MENDING, mo_acquire,
			    order("forked_mend_swap", mo_acquire, mo_relaxed))) {
			nmended++;
			SET(heap, 1);
			STORE(mark, PID, order("begin_and_end", mo_release, mo_relaxed));
			WAKE(mark);
			return;
		}
		while (seen == MENDING) {
			WAIT(mark, MENDING);
			seen = LOAD(mark, order("forked_mend_load", mo_acquire, mo_relaxed));
		}
	}

	void thread(unsigned)
	{
		if (LOAD(mark, order("forked", mo_acquire, mo_relaxed)) <= 0)
			mend();
		CHECK(GET(heap) == 1);
	}

	void after()
	{
		CHECK(nmended == 1);
	}
};

int main()
{
	return litmus::run_all<forked>("forked", 4, 4);
}
