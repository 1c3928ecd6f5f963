/* SPDX-License-Identifier: MIT */
/*
 * tiny.cc - a block of tiny objects in the orders of src/heap/tiny.c and of tiny_set_free() and
 * tiny_byte() in src/heap/mspan.h. See litmus.h.
 *
 * Two objects share a block. The owner of the span frees one, another thread the other. The owner
 * hands the block out again when it finds no object in it: at its own free, or when it absorbs the
 * other thread's mark.
 *
 * Asserts  all use of both objects comes before the block is used again; the block is handed out
 *          once: either the free or the mark finds it, and at the end one of them has.
 * Left out pins: tiny.pml has them.
 */
#include "litmus.h"

#define FREE 0
#define LIVE 1

struct tiny : rl::test_suite<tiny, 2> {
	rl::atomic<int> state[2], remote;
	rl::var<int> object;       /* the one that the other thread frees */
	bool is_free;              /* the block, for its owner */

	void before()
	{
		STORE(state[0], LIVE, mo_relaxed);
		STORE(state[1], LIVE, mo_relaxed);
		STORE(remote, 0, mo_relaxed);
		SET(object, 1);
		is_free = false;
	}

	bool block_has_no_object()
	{
		for (unsigned i = 0; i < 2; i++)
			if (LOAD(state[i], order("tiny_byte", mo_acquire, mo_relaxed)) != FREE)
				return false;
		return true;
	}

	void look()
	{
		if (is_free || !block_has_no_object())
			return;
		is_free = true;
		SET(object, 2);
	}

	void absorb()
	{
		if (LOAD(remote, mo_relaxed) != 0 && EXCHANGE(remote, 0, mo_acquire) != 0)
			look();
	}

	void tiny_free(unsigned i)
	{
		STORE(state[i], FREE, order("tiny_set_free", mo_release, mo_relaxed));
	}

	void thread(unsigned t)
	{
		if (t == 0) {
			tiny_free(0);
			look();
			absorb();
		} else {
			SET(object, 3);
			tiny_free(1);
			FETCH_OR(remote, 1, mo_seq_cst);
		}
	}

	void after()
	{
		absorb();
		CHECK(is_free);
	}
};

int main()
{
	return litmus::run_all<tiny>("tiny", 0, 2);
}
