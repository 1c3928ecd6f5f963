/* SPDX-License-Identifier: MIT */
/*
 * span.cc - rules 1 to 3 of src/heap/mspan.c in the orders of the source: mspan_free_remote()
 * against let_go(), count_remote(), mspan_claim_full() and mspan_absorb(). See litmus.h.
 *
 * The owner lets go of a span whose slots are all live, while other threads free one of them each.
 * Whoever is told that the span is worth owning claims it, absorbs it, hands the free slots out and
 * lets go of it again.
 *
 * Asserts  at the end no free slot is forgotten: the span is let go, and has no remote bit; a slot
 *          whose bit is absorbed reads as free by its relaxed state byte; plain fields and the
 *          memory of objects pass from thread to thread in order.
 * Left out central spans, which are claimed under a lock.
 */
#include "litmus.h"

#define FREE 0
#define LIVE 1
#define FULL 8
#define CACHE(t) ((int)(t) + 1)

template <unsigned NFREERS> struct span : rl::test_suite<span<NFREERS>, NFREERS + 1> {
	rl::atomic<int> owner, credit, remote, state[NFREERS];
	rl::var<int> free_bits, object[NFREERS];

	void before()
	{
		STORE(owner, CACHE(0), mo_relaxed);
		STORE(credit, 0, mo_relaxed);
		STORE(remote, 0, mo_relaxed);
		SET(free_bits, 0);
		for (unsigned slot = 0; slot < NFREERS; slot++)
			hand_out(slot);
	}

	/* The program writes what it has got. */
	void hand_out(unsigned slot)
	{
		STORE(state[slot], LIVE, mo_relaxed);
		SET(object[slot], 1);
	}

	bool let_go(unsigned t)
	{
		int n;

		STORE(credit, 1, mo_relaxed);
		STORE(owner, CACHE(t) | FULL, order("let_go_store", mo_seq_cst, mo_release));
		/* count_remote() */
		n = __builtin_popcount(
			LOAD(remote, order("count_remote_load", mo_seq_cst, mo_acquire)));
		return n != 0 && FETCH_SUB(credit, n, mo_relaxed) <= n;
	}

	bool claim_full(unsigned t)
	{
		int seen = LOAD(owner, mo_relaxed);

		return (seen & FULL) != 0 &&
		       SWAP(owner, seen, CACHE(t), order("claim_swap", mo_acquire, mo_relaxed));
	}

	/* mspan_absorb(), and all slots that came free are handed out. */
	void absorb()
	{
		int marked;

		if (LOAD(remote, mo_relaxed) == 0)
			return;
		marked = EXCHANGE(remote, 0, order("absorb_exchange", mo_acquire, mo_relaxed));
		SET(free_bits, GET(free_bits) | marked);
		for (unsigned slot = 0; slot < NFREERS; slot++)
			if (((unsigned)marked >> slot & 1) != 0) {
				CHECK(LOAD(state[slot], mo_relaxed) == FREE);
				hand_out(slot);
			}
		SET(free_bits, 0);
	}

	bool free_remote(unsigned slot)
	{
		STORE(state[slot], FREE, mo_relaxed);
		FETCH_OR(remote, 1 << slot, order("free_remote_bit", mo_seq_cst, mo_acq_rel));
		if ((LOAD(owner, order("free_remote_owner", mo_seq_cst, mo_acquire)) & FULL) == 0)
			return false;
		return FETCH_SUB(credit, 1, mo_relaxed) <= 1;
	}

	void thread(unsigned t)
	{
		bool worth;

		if (t == 0) {
			SET(free_bits, 0);
			worth = let_go(t);
		} else {
			SET(object[t - 1], 2);
			worth = free_remote(t - 1);
		}
		while (worth && claim_full(t)) {
			absorb();
			worth = let_go(t);
		}
	}

	void after()
	{
		CHECK((LOAD(owner, mo_relaxed) & FULL) != 0);
		CHECK(LOAD(remote, mo_relaxed) == 0);
	}
};

int main()
{
	return litmus::run<span<1> >("span, one freer", 0) +
	       litmus::run_all<span<2> >("span, two freers", 4, 6);
}
