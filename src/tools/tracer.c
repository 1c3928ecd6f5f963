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
 * Locks    none. One thread answers at a time; others go on, and look again at their next slow
 *          path.
 * Holds    only a profile that was begun here ends here. One that the program has asked for, or
 *          has begun meanwhile, is left alone.
 */
#include "tools/tracer.h"
#include "base/options.h"
#include "os/lock.h"
#include "os/metakey.h"
#include "os/os.h"
#include "os/os_process.h"
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

static void begin(size_t rate)
{
	/* Acquire: a tracer writes the rate last. It pairs with the write of another process. */
	uint32_t by_view = atomic_load_explicit(&tracer.rate, memory_order_acquire);
	uint32_t lease = atomic_load_explicit(&tracer.lease_ms, memory_order_relaxed);

	if (!sample_begin_profile(rate))
		return;
	/* Relaxed, both: only the thread that answers writes them. */
	atomic_store_explicit(&tracer.serial, profile_serial(), memory_order_relaxed);
	atomic_store_explicit(&tracer.end_ms, by_view != 0 && lease != 0 ? os_now_ms() + lease : 0,
			      memory_order_relaxed);
}

static void answer(uint64_t wish)
{
	size_t rate = rate_of(wish);
	bool ours = atomic_load_explicit(&tracer.serial, memory_order_relaxed) == profile_serial();

	if (rate != 0 && !profile_is_on())
		begin(rate);
	else if (rate == 0 && ours && profile_is_on())
		sample_end_profile();
	/* Relaxed: it only tells whether to look. */
	atomic_store_explicit(&tracer.answered, wish, memory_order_relaxed);
}

SLOW_PATH void tracer_attend_slow(void)
{
	uint32_t nobody = 0, rights;

	/* A handler of a signal may have interrupted a thread that holds a lock. Acquire: pairs
	 * with the release in tracer_allow(). */
	if (!atomic_load_explicit(&tracer.allowed, memory_order_acquire) || options.off ||
	    lock_any_held())
		return;
	/* Acquire: pairs with the release at the end. */
	if (!atomic_compare_exchange_strong_explicit(&tracer.holder, &nobody, (uint32_t)os_pid(),
						     memory_order_acquire, memory_order_relaxed))
		return;
	rights = metakey_open();
	answer(atomic_load_explicit(&tracer.wish, memory_order_relaxed));
	metakey_close(rights);
	atomic_store_explicit(&tracer.holder, 0, memory_order_release);
}

void tracer_look_at_lease(void)
{
	/* Relaxed, all: a tracer that is late asks again. */
	uint64_t end = atomic_load_explicit(&tracer.end_ms, memory_order_relaxed);

	if (LIKELY(end == 0) || os_now_ms() < end)
		return;
	atomic_store_explicit(&tracer.end_ms, 0, memory_order_relaxed);
	atomic_store_explicit(&tracer.rate, 0, memory_order_relaxed);
}

void tracer_after_fork(void)
{
	/* Relaxed: the only thread. */
	atomic_store_explicit(&tracer.holder, 0, memory_order_relaxed);
	atomic_store_explicit(&tracer.rate, 0, memory_order_relaxed);
	atomic_store_explicit(&tracer.end_ms, 0, memory_order_relaxed);
}
