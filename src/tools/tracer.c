/* SPDX-License-Identifier: MIT */
/*
 * tracer.c - begins and ends sampling when a tracer outside of the process wants it.
 *
 * A tracer raises the semaphore of a probe, as gdb, bpftrace and the kernel do, or writes a rate,
 * as goalloc-view does. Nothing runs in the process at that moment. The next slow path of malloc or
 * realloc sees the wish and begins a profile, if none is taken. When all that was raised is lowered
 * again, a slow path ends it.
 *
 * Owns     the words that tracers write, in the section where tools look for semaphores.
 * Locks    sample_switch (LOCK_SWITCH), with which the program's own beginnings and ends of
 *          profiles wait. Nobody waits for it here: a thread that finds it taken goes on, and looks
 *          again at its next slow path.
 * Holds    only a profile that was begun here ends here. One that the program has asked for, or
 *          has begun meanwhile, is left alone.
 *          A wish that is not answered yet differs from `answered`, so some slow path answers it.
 */
#include "tools/tracer.h"
#include "base/options.h"
#include "os/lock.h"
#include "os/metakey.h"
#include "os/os.h"
#include "tools/profile.h"
#include "tools/sample.h"

_Static_assert(offsetof(struct tracer, alloc_watchers) == 0 &&
		       offsetof(struct tracer, free_watchers) == 2 &&
		       offsetof(struct tracer, rate) == 4,
	       "probe.h names the semaphores, and one load reads all three");

struct tracer tracer IN_SECTION(".probes") = { .allowed = false };

void tracer_allow(void)
{
	/* Release: the options. Pairs with the acquire in tracer_attend_slow(). */
	atomic_store_explicit(&tracer.allowed, true, memory_order_release);
}

/* Returns the mean bytes between samples that a wish asks for; 0 for none. */
static size_t rate_of(uint64_t wish)
{
	return wish >> 32 != 0 ? (size_t)(wish >> 32) : wish != 0 ? options.memprofilerate : 0;
}

/* Grants a wish its time. */
static void set_lease_locked(uint64_t wish)
{
	/* Relaxed: it comes with the wish. */
	uint32_t lease = atomic_load_explicit(&tracer.lease_ms, memory_order_relaxed);
	uint32_t rate = (uint32_t)(wish >> 32);

	/* A child that is forked in between grants it again. */
	tracer.granted = 0;
	order_stores();
	/* Relaxed: whoever finds it over reads it again under the lock. */
	atomic_store_explicit(&tracer.end_ms, rate != 0 && lease != 0 ? os_now_ms() + lease : 0,
			      memory_order_relaxed);
	order_stores();
	tracer.granted = rate;
}

/* Returns false if the profile cannot be begun now. */
static bool begin_locked(uint64_t wish, size_t rate)
{
	set_lease_locked(wish);
	/* Before the profile begins, so that a child that is forked then knows whose it is. */
	tracer.serial = profile_serial() + 1;
	order_stores();
	if (sample_try_profile_locked(rate))
		return true;
	tracer.serial = 0;
	return false;
}

/* Makes the profile what the wish says. Returns false if that cannot be done now. */
static bool answer_locked(uint64_t wish)
{
	size_t rate = rate_of(wish);

	if (!profile_is_on())
		return rate == 0 || begin_locked(wish, rate);
	if (tracer.serial != profile_serial())
		return true;
	if (tracer.granted != (uint32_t)(wish >> 32))
		set_lease_locked(wish);
	if (rate == 0)
		sample_end_profile_locked();
	return true;
}

SLOW_PATH void tracer_attend_slow(void)
{
	uint32_t rights;
	uint64_t wish;

	/* A handler of a signal may have interrupted a thread that holds a lock. Acquire: pairs
	 * with the release in tracer_allow(). */
	if (!atomic_load_explicit(&tracer.allowed, memory_order_acquire) || options.off ||
	    lock_any_held() || !lock_try(&sample_switch))
		return;
	rights = metakey_open();
	/* Acquire: a tracer writes its rate last. Pairs with the write of another process. */
	wish = atomic_load_explicit(&tracer.wish, memory_order_acquire);
	/* Relaxed: it only tells whether to look. */
	if (answer_locked(wish))
		atomic_store_explicit(&tracer.answered, wish, memory_order_relaxed);
	metakey_close(rights);
	lock_release(&sample_switch);
}

/* Returns whether there is a lease, and it is over. */
static bool lease_is_over(void)
{
	/* Relaxed: as in set_lease_locked(). */
	uint64_t end = atomic_load_explicit(&tracer.end_ms, memory_order_relaxed);

	return UNLIKELY(end != 0) && os_now_ms() >= end;
}

void tracer_look_at_lease(void)
{
	/* The next sample looks again if another thread is at it. */
	if (!lease_is_over() || !lock_try(&sample_switch))
		return;
	if (lease_is_over()) {
		uint32_t granted = tracer.granted;

		/* Relaxed, all: the next slow path takes the lock. Whatever it finds it answers,
		 * because another tracer may write the same rate again, which then gets a lease. */
		atomic_store_explicit(&tracer.answered, TRACER_UNANSWERED, memory_order_relaxed);
		order_stores();
		/* A rate that another tracer has written meanwhile stays. */
		(void)atomic_compare_exchange_strong_explicit(&tracer.rate, &granted, 0,
							      memory_order_relaxed,
							      memory_order_relaxed);
		tracer.granted = 0;
		atomic_store_explicit(&tracer.end_ms, 0, memory_order_relaxed);
	}
	lock_release(&sample_switch);
}

void tracer_after_fork(void)
{
	/* Relaxed, both: the only thread. A thread that is gone may have begun or ended a profile,
	 * and not said so. */
	atomic_store_explicit(&tracer.rate, 0, memory_order_relaxed);
	atomic_store_explicit(&tracer.answered, TRACER_UNANSWERED, memory_order_relaxed);
	/* A thread that is gone was about to begin a profile. */
	if (!lock_held(&sample_switch) && tracer.serial > profile_serial())
		tracer.serial = 0;
}
