/* SPDX-License-Identifier: MIT */
/*
 * scavthread.c - the thread that gives memory back while the program does not.
 * See malloc.c for the overview.
 *
 * The allocator works when the program calls it. A program that frees much and then sleeps keeps
 * what it has freed. The thread is made late, and only if somebody asks for less memory: by
 * scavthread=1, or by a memory limit that comes near. It looks now and then, releases the pages
 * that are old enough, and if more is in use than the limit, releases all and asks the other
 * threads to flush their caches at their next slow path.
 *
 * Owns     the thread, and whether the limit was reported as too low.
 * Locks    none. No lock is held while libc is called.
 * Holds    there is at most one such thread in a process. It takes no signals, and it does not keep
 *          the process alive when all other threads have ended.
 */
#include "scavthread.h"
#include "heap/limit.h"
#include "heap/mcentral.h"
#include "heap/thread.h"
#include "os/fatal.h"
#include "os/metakey.h"
#include "os/os.h"
#include "os/os_process.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/* With scavthread=1, a heap below this size has little to give back and gets no thread. A process
 * with a second thread cannot enter a user namespace, for one. */
#define SCAVTHREAD_HEAP MiB(4)

/* The thread looks no more often than each LEAST_MS, and no less often than each MOST_MS. */
#define LEAST_MS 100
#define MOST_MS 1000

/* The stack is this large. If the program's thread-local storage needs more of it, a larger one is
 * tried, up to STACK_MOST. */
#define STACK_LEAST KiB(256)
#define STACK_MOST MiB(16)

static _Atomic bool allowed;     /* [a] libc is up */
static _Atomic bool made;        /* [a] the thread was made, or could not be made */
static _Atomic bool reported;    /* [a] the limit was reported as too low */

/* The file that standard error was open on when the limit was set, or 0. */
static _Atomic uint64_t stderr_id;

THREAD_LOCAL bool is_self;

bool scavthread_is_self(void)
{
	return is_self;
}

void scavthread_allow(void)
{
	/* Release: forks are watched. Pairs with the acquire in make_thread(). */
	atomic_store_explicit(&allowed, true, memory_order_release);
}

void scavthread_note_stderr(void)
{
	/* Relaxed: a number on its own. */
	atomic_store_explicit(&stderr_id, os_file_id(2), memory_order_relaxed);
}

void scavthread_after_fork(void)
{
	/* Relaxed: the only thread. */
	atomic_store_explicit(&made, false, memory_order_relaxed);
}

/* --- in the thread --- */

static uint32_t pause_ms(void)
{
	uint32_t decay_ms = limit_decay_ms();

	return decay_ms < LEAST_MS ? LEAST_MS : decay_ms > MOST_MS ? MOST_MS : decay_ms;
}

/* Returns true if all other threads have ended, which only happens after the first one ended by
 * pthread_exit(3). libc would end the process then, but it counts this thread. */
static bool is_last_thread(void)
{
	int tids[2];

	/* The files are read only if no thread has a cache. */
	return thread_count_caches().inuse == 0 && os_thread_state(os_pid(), os_pid()) == 'Z' &&
	       os_list_threads(os_pid(), tids, 2) == 2;
}

static void *body(void *arg)
{
	uint32_t rights;
	bool last;

	(void)arg;
	is_self = true;
	do {
		os_sleep_ms(pause_ms());
		rights = metakey_open();
		while (mcentral_drain_poll(os_now_ms(), limit_decay_ms()))
			;
		while (mheap_scavenge_poll(os_now_ms()))
			;
		thread_release_caches(limit_decay_ms());
		mheap_keep_limit();
		last = is_last_thread();
		metakey_close(rights);
	} while (!last);
	exit(0);
}

/* --- in other threads --- */

static void say(struct report *r)
{
	/* After the start, a program may have opened a file of its own as descriptor 2. Relaxed: a
	 * number on its own. */
	uint64_t id = atomic_load_explicit(&stderr_id, memory_order_relaxed);

	if (id != 0 && os_file_id(2) == id)
		(void)report_write(r, 2);
}

/* Makes a detached thread that takes no signals. A forked child does not have it. The size of the
 * stack is given, because libc would take a lock for its default. */
static bool start_thread(void)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int error = EINVAL;

	if (pthread_attr_init(&attr) != 0)
		return false;
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	for (size_t size = STACK_LEAST; error == EINVAL && size <= STACK_MOST; size *= 4) {
		(void)pthread_attr_setstacksize(&attr, size);
		error = pthread_create(&thread, &attr, body, NULL);
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
	return error == 0;
}

static void make_thread(void)
{
	struct report r;

	/* Relaxed: a flag that one thread sets first. Acquire: forks are watched.
	 * Pairs with the release in scavthread_allow(). */
	if (options.scavthread == SCAVTHREAD_OFF ||
	    (limit_get_state() == LIMIT_FAR &&
	     growth_bytes(&mheap.growth) < SCAVTHREAD_HEAP) ||
	    !atomic_load_explicit(&allowed, memory_order_acquire) ||
	    atomic_exchange_explicit(&made, true, memory_order_relaxed))
		return;
	if (start_thread())
		return;
	report_init(&r, "scavthread: the thread could not be made");
	say(&r);
}

/* Says once that the heap is beyond the limit although all was given back. */
static void report_limit(void)
{
	struct report r;

	/* Relaxed: a flag on its own, which one thread sets first. */
	if (atomic_exchange_explicit(&reported, true, memory_order_relaxed))
		return;
	report_init(&r, "memlimit: more than %zu bytes are in use; the limit is not kept",
		    limit_bytes());
	say(&r);
}

void scavthread_attend_slow(void)
{
	int saved_errno = errno;

	/* Relaxed, both: those who come late look again, with an exchange. */
	if (limit_get_state() == LIMIT_OVER &&
	    !atomic_load_explicit(&reported, memory_order_relaxed))
		report_limit();
	if (!atomic_load_explicit(&made, memory_order_relaxed))
		make_thread();
	errno = saved_errno;
}
