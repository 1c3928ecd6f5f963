/* SPDX-License-Identifier: MIT */
/*
 * metakey.h - a protection key (pkeys(7)) that keeps metadata out of the program's reach.
 *
 * With hardened=2, on processors and kernels that have keys, code that is not ours can neither read
 * nor write records. An attempt gets SIGSEGV. A thread opens the key while it is in the heap. The
 * kernel closes all keys for a signal handler, so the rule holds in handlers, too.
 *
 * Fast paths do not open the key, so they must not reach a record: with a key thread_cache() is
 * MCACHE_NONE and the window of arenas is empty. The library's own data, with the heads of lists,
 * are not behind the key.
 *
 * A function that the face calls and that looks at a record does so between metakey_open() and
 * metakey_close(). So do functions that libc calls: at the end of a thread, and in the child of a
 * fork. The calls nest. Because metakey_open() is the way into the heap, it also looks whether the
 * process is a forked child whose heap is not in order yet.
 */
#ifndef GOALLOC_METAKEY_H
#define GOALLOC_METAKEY_H

#include "os/forked.h"

/* The result of metakey_open() where there is no key. */
#define METAKEY_NONE UINT32_MAX

/* Returns the rights that the key takes away, 0 if there is no key. Relaxed: a thread that asks
 * before the key is made asks again in start_enter(). */
static inline uint32_t metakey_rights(void)
{
	return atomic_load_explicit(&os_key_rights, memory_order_relaxed);
}

/* Lets the calling thread access records. Returns the rights that it had, for metakey_close(). */
static inline uint32_t metakey_open(void)
{
	uint32_t before;

	forked_look();
	if (LIKELY(metakey_rights() == 0))
		return METAKEY_NONE;
	before = cpu_read_rights();
	cpu_write_rights(before & ~metakey_rights());
	return before;
}

/* Gives the calling thread the rights back that it had before metakey_open(). */
static inline void metakey_close(uint32_t before)
{
	if (LIKELY(metakey_rights() == 0))
		return;
	/* METAKEY_NONE comes from the first call of all, which made the key. */
	cpu_write_rights(before == METAKEY_NONE ? cpu_read_rights() | metakey_rights() : before);
}

#endif
