/* SPDX-License-Identifier: MIT */
/*
 * big.cc - the home of a big object, in the orders of src/heap/bigcache.h and src/big.c:
 * bigcache_unlink(), bigcache_take_home(), bigcache_free_home() and bigcache_push() of one thread
 * against those and set_big_free() of another. All of these are relaxed. See litmus.h.
 *
 * A thread takes an object that it keeps, and hands it to another thread, by the program's own
 * synchronisation. That thread frees it, takes it again, and hands it back. Whoever has it last
 * frees it. In the runs of an erroneous program, an object that was freed is handed on and freed
 * again.
 *
 * Asserts  a free of a live object is never taken for a second one; a second free that comes after
 *          the first is found, by the owner word or by the state; plain fields of the record pass
 *          from thread to thread with the object.
 */
#include "litmus.h"

#define FREE 0
#define LIVE 1
#define HOME 4
#define KEPT 8
#define CACHE(t) (16 * ((int)(t) + 1))

struct big : rl::test_suite<big, 2> {
	rl::atomic<int> owner, state;
	rl::atomic<int> handed[2];     /* the program's: the thread has got the object */
	rl::var<int> link, memory;     /* kept; what the program writes */
	bool again;                    /* the thread that hands the object on has freed it */

	void before()
	{
		STORE(handed[0], 0, mo_relaxed);
		STORE(handed[1], 0, mo_relaxed);
		SET(link, 0);
		STORE(state, FREE, mo_relaxed);
		STORE(owner, CACHE(0) | KEPT, mo_relaxed);
		again = false;
	}

	void take_home(unsigned t)
	{
		CHECK(LOAD(owner, mo_relaxed) == (CACHE(t) | KEPT));
		GET(link);
		STORE(owner, CACHE(t) | HOME, mo_relaxed);
		STORE(state, LIVE, mo_relaxed);
		SET(memory, (int)t);
	}

	void push(unsigned t)
	{
		if (!is_mutant("push_leaves_owner"))
			STORE(owner, CACHE(t) | KEPT, mo_relaxed);
		SET(link, 1);
	}

	bool free_home(unsigned t)
	{
		if (LOAD(owner, mo_relaxed) != (CACHE(t) | HOME))
			return false;
		if (!is_mutant("free_home_leaves_state"))
			STORE(state, FREE, mo_relaxed);
		push(t);
		return true;
	}

	/* Returns false for a second free. */
	bool free_big(unsigned t)
	{
		if (free_home(t))
			return true;
		if (is_mutant("free_big_leaves_state")) {
			if (LOAD(state, mo_relaxed) == FREE)
				return false;
		} else if (EXCHANGE(state, FREE, mo_relaxed) == FREE) {
			return false;
		}
		push(t);
		return true;
	}

	void hand_to(unsigned t)
	{
		STORE(handed[t], 1, order("program_hands_on", mo_release, mo_relaxed));
	}

	bool has_got(unsigned t)
	{
		return LOAD(handed[t], order("program_gets", mo_acquire, mo_relaxed)) != 0;
	}

	void thread(unsigned t)
	{
		if (t == 0) {
			take_home(0);
			if (rl::rand(2) == 0) {
				again = true;
				CHECK(free_big(0));
			}
			hand_to(1);
			if (has_got(0))
				CHECK(free_big(0) != again);
		} else if (has_got(1)) {
			if (again) {
				CHECK(!free_big(1));
				return;
			}
			SET(memory, 1);
			CHECK(free_big(1));
			if (rl::rand(2) == 0)
				again = true;
			else
				take_home(1);
			hand_to(0);
		}
	}
};

int main()
{
	return litmus::run_all<big>("big", 0, 5);
}
