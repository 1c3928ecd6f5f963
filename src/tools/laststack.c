/* SPDX-License-Identifier: MIT */
/*
 * laststack.c - the stack of an allocation, found with what the last one has left.
 *
 * A thread that allocates twice in a row has much the same stack both times. Where many allocations
 * are samples, the frames of the last walk are kept for the next: see unwind.h.
 *
 * Owns     a table of MEMOS memos, which stays once it is made.
 * Locks    none. A memo is used by one walk at a time. A second walk, of another thread or of a
 *          signal handler, goes without.
 */
#include "tools/laststack.h"
#include "heap/fixalloc.h"
#include "heap/hashtable.h"
#include "os/lock.h"
#include "os/os.h"
#include "stack/unwind.h"

/* More threads than these share memos and disturb each other. */
#define MEMOS 16

/* Access: [a] atomic; [b] by the walk that has set busy */
struct memo {
	_Atomic bool busy;             /* [a] */
	uintptr_t thread;              /* [b] lock_self() of the last walk's thread */
	struct unwind_memo last;       /* [b] */
};

static _Atomic(struct memo *) memos;

void laststack_prepare(void)
{
	/* Relaxed: one thread prepares. */
	if (atomic_load_explicit(&memos, memory_order_relaxed) != NULL)
		return;
	/* Release: the table is zeroed. Pairs with the acquire in laststack_find(). */
	atomic_store_explicit(&memos, fixalloc_table(align_up(MEMOS * sizeof(struct memo),
						      os_page_size())),
			      memory_order_release);
}

unsigned laststack_find(uintptr_t *pcs, unsigned max)
{
	/* Acquire: pairs with the release in laststack_prepare(). */
	struct memo *m = atomic_load_explicit(&memos, memory_order_acquire);
	uintptr_t self = lock_self();
	unsigned n;

	if (m == NULL)
		return unwind_callers(pcs, max);
	m += (hashtable_of_addr(self) >> 32) % MEMOS;
	/* Acquire: the memo. Pairs with the release below. In a child that was forked in the middle
	 * of a walk the memo stays busy, and is not used any more. */
	if (atomic_exchange_explicit(&m->busy, true, memory_order_acquire))
		return unwind_callers(pcs, max);
	if (m->thread != self) {
		m->thread = self;
		m->last.n[m->last.current] = 0;
	}
	n = unwind_callers_again(&m->last, pcs, max);
	/* Release: the memo. Pairs with the acquire above. */
	atomic_store_explicit(&m->busy, false, memory_order_release);
	return n;
}
