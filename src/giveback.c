/* SPDX-License-Identifier: MIT */
/*
 * giveback.c - what programs ask for about memory that is free: the limit, the decay time, and idle
 * threads. See malloc.c for the overview.
 *
 * Holds    a call takes effect at once for the heap, and for the other threads at their next slow
 *          path.
 */
#include "base/options.h"
#include "fork.h"
#include "heap.h"
#include "heap/limit.h"
#include "os/metakey.h"
#include "scavthread.h"
#include "start.h"

/* Sets the heap up, and so reads the options. If they were read later, they would undo what the
 * program sets now. */
static void read_options_first(void)
{
	thread_leave(start_enter());
}

size_t heap_limit(void)
{
	size_t bytes = limit_bytes();

	return bytes == 0 ? SIZE_MAX : bytes;
}

size_t heap_set_limit(size_t bytes)
{
	uint32_t rights = metakey_open();
	size_t before;

	read_options_first();
	scavthread_note_stderr();
	before = mheap_set_limit(bytes > PTRDIFF_MAX ? 0 : bytes);
	if (mheap_used_bytes() > bytes)
		(void)heap_trim();
	mheap_keep_limit();
	metakey_close(rights);
	scavthread_attend();
	return before == 0 ? SIZE_MAX : before;
}

int heap_scavenge_ms(void)
{
	uint32_t rights = metakey_open();

	read_options_first();
	metakey_close(rights);
	/* Relaxed: a time on its own. */
	return (int)atomic_load_explicit(&options.scavenge_ms, memory_order_relaxed);
}

void heap_set_scavenge_ms(uint32_t ms)
{
	/* Relaxed: a time on its own. */
	atomic_store_explicit(&options.scavenge_ms, ms, memory_order_relaxed);
}

void heap_thread_idle(void)
{
	uint32_t rights = metakey_open();
	struct mcache *c;

	/* In a child that was just forked no thread has its cache before one has adopted. */
	if (thread_self.cache != NULL || fork_has_orphans()) {
		c = start_enter();
		mcache_flush(c);
		mcache_release_rest(c);
		thread_leave(c);
	}
	metakey_close(rights);
}
