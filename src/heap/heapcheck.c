/* SPDX-License-Identifier: MIT */
/*
 * heapcheck.c - walks the whole heap, to check it.
 * See malloc.c for the overview.
 *
 * Locks    takes thread_list.lock, mcentral.lock and mheap.lock, one after the other.
 * Holds    the heap is not changed.
 */
#include "heap/heapcheck.h"
#include "heap/mcentral.h"
#include "os/metakey.h"
#include "heap/thread.h"

static void check_cache(struct mcache *c, void *arg)
{
	(void)arg;
	mcache_check(c);
}

void heapcheck(void)
{
	uint32_t rights = metakey_open();

	if (mheap.ready) {
		thread_each_cache(check_cache, NULL);
		mcentral_check();
		mheap_check();
	}
	metakey_close(rights);
}
