/* SPDX-License-Identifier: MIT */
/*
 * forked.c - a forked child puts the heap in order before it uses it, whatever made the child.
 *
 * libc calls our fork handler in the children of fork(). But handlers that were registered before
 * ours run first and may allocate, and _Fork() and the system calls clone() and fork() run no
 * handlers at all. So the kernel itself marks the child: it wipes a page (MADV_WIPEONFORK). The
 * mark in that page is read at the begin of every slow path, and once more where a lock makes a
 * thread wait.
 *
 * The fast paths do not look. Until the first slow path the child's threads have therefore done
 * nothing but fast paths. These touch the thread's own cache, spans that the cache owns and
 * objects that the thread has: nothing that a thread which is gone was changing. A thread that the
 * child makes has no cache, so that its first request is a slow path.
 *
 * A child of vfork() and the like shares the memory of its parent. Its mark is not wiped, and
 * there is nothing to mend.
 *
 * The mark is
 *   0         in a forked child that nobody has mended;
 *   MENDING   while one thread mends the heap. The others wait;
 *   else      the id of the process whose heap is in order, or MARK_NEVER before the first fork
 *   where there is no page.
 *
 * Owns     what the mark says.
 * Locks    none. The mark is waited for by futex.
 * Holds    one thread mends, and no thread passes forked_look() before it is done.
 */
#include "os/forked.h"

#define MENDING UINT32_MAX

static void (*mend_heap)(bool by_forker);

/* The calling thread mends. What it calls passes forked_look(). */
THREAD_LOCAL bool mending;

static void begin_and_end(_Atomic uint32_t *mark)
{
	mending = true;
	/* The thread that forked is the child's first one. */
	mend_heap(os_thread() == os_pid());
	mending = false;
	/* Release: the heap in order. Pairs with the acquires in forked() and forked_mend(). */
	atomic_store_explicit(mark, (uint32_t)os_pid(), memory_order_release);
	os_futex_wake_all(mark);
}

SLOW_PATH void forked_mend(void)
{
	_Atomic uint32_t *mark = os_fork_mark();
	uint32_t seen = 0;

	if (mending)
		return;
	/* Acquire, success or not: pairs with the release in begin_and_end(). */
	if (atomic_compare_exchange_strong_explicit(mark, &seen, MENDING, memory_order_acquire,
						    memory_order_acquire)) {
		begin_and_end(mark);
		return;
	}
	while (seen == MENDING) {
		os_futex_wait(mark, MENDING);
		seen = atomic_load_explicit(mark, memory_order_acquire);
	}
}

void forked_look_in_wait(void)
{
	/* Relaxed: forked_mend() decides. */
	if (!forked() && os_find_fork())
		atomic_store_explicit(os_fork_mark(), 0, memory_order_relaxed);
	forked_look();
}

void forked_look_in_handler(bool mends)
{
	uint32_t seen = atomic_load_explicit(os_fork_mark(), memory_order_relaxed);

	if (mend_heap == NULL)
		return;
	/* Nobody wiped the mark: it is the parent's. Relaxed: the child has one thread. */
	if ((int32_t)seen > 0 && seen != (uint32_t)os_pid())
		atomic_store_explicit(os_fork_mark(), 0, memory_order_relaxed);
	if (mends)
		forked_look();
}

void forked_watch(void (*mend)(bool by_forker))
{
	mend_heap = mend;
	os_watch_forks();
}

void forked_settle(void)
{
	/* Relaxed: this process has one thread. */
	atomic_store_explicit(os_fork_mark(), (uint32_t)os_pid(), memory_order_relaxed);
}
