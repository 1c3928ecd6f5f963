/* SPDX-License-Identifier: MIT */
/*
 * rights.h - the heap's records out of the program's reach: a protection key (pkeys(7)) that a thread opens while it is in the heap.
 *
 * With hardened=2, where processor and kernel have such keys, records can neither be read nor written by code that is not ours; what
 * tries gets SIGSEGV. That holds in signal handlers, too, for which the kernel closes all keys. So fast paths, which do not open, must
 * not come to any record: thread_cache() is MCACHE_NONE and the window of arenas is empty then.
 * Not behind the key: what lies in the library's own data, the heads of lists among it.
 *
 * Every function that the face calls and that looks at a record is between rights_open() and rights_close(); they nest. So is what
 * libc calls: the ends of threads, children of a fork. As this is the way into the heap,
 * rights_open() also looks whether the process is a forked child whose heap is not in order yet.
 */
#ifndef GOALLOC_RIGHTS_H
#define GOALLOC_RIGHTS_H

#include "os/forked.h"

/* What a thread that has no key to open gets from rights_open(). */
#define RIGHTS_NO_KEY UINT32_MAX

/* The rights that the key takes away; 0: there is none. Relaxed: who asks before the key is made asks again, in start_enter(). */
static inline uint32_t rights_of_key(void)
{
	return atomic_load_explicit(&os_key_rights, memory_order_relaxed);
}

/* The calling thread may touch records from now on. Returns what it might before, for rights_close(). */
static inline uint32_t rights_open(void)
{
	uint32_t before;

	forked_look();
	if (LIKELY(rights_of_key() == 0))
		return RIGHTS_NO_KEY;
	before = cpu_read_rights();
	cpu_write_rights(before & ~rights_of_key());
	return before;
}

/* The calling thread may what it might before the rights_open() that returned this. */
static inline void rights_close(uint32_t before)
{
	if (LIKELY(rights_of_key() == 0))
		return;
	/* The first call of all made the key. */
	cpu_write_rights(before == RIGHTS_NO_KEY ? cpu_read_rights() | rights_of_key() : before);
}

#endif
