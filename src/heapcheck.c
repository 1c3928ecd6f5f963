/* SPDX-License-Identifier: MIT */
/*
 * heapcheck.c - walks the whole heap, to check it or to count it.
 * See malloc.c for the overview.
 *
 * Owns     nothing.
 * Callers  tests; malloc.c for statistics. Calls the check functions of the modules below.
 * Locks    takes threads.lock, mcentral.lock and mheap.lock one after the other, through their modules.
 * Holds    counting needs no stop of the world: span records are type-stable and states are
 *          single bytes.
 */
#include "heapcheck.h"
#include "mcentral.h"
#include "rights.h"
#include "thread.h"

static void check_cache(struct mcache *c, void *arg)
{
	(void)arg;
	mcache_check(c);
}

void heapcheck(void)
{
	uint32_t rights = rights_open();

	if (mheap.ready) {
		thread_each_cache(check_cache, NULL);
		mcentral_check();
		mheap_check();
	}
	rights_close(rights);
}

static void count_span(struct mspan *s, void *arg)
{
	struct heap_stats *hs = arg;
	unsigned class = s->spanclass >> 1;
	size_t nbytes = mspan_nbytes(s);
	size_t live_bytes, live;

	if (s->kind == SPAN_BIG) {
		live = slot_is_live(&s->state[0]);
		live_bytes = live * nbytes;
		hs->big_bytes += live_bytes;
		hs->big_objects += live;
	} else if (s->kind == SPAN_TINY) {
		live = mspan_count_live(s);
		live_bytes = mspan_live_blocks(s) * TINY_SIZE;
	} else {
		live = mspan_count_live(s);
		live_bytes = s->spanclass == SPANCLASS_NOTHING ? 0 : live * s->elemsize;
	}
	hs->spans++;
	hs->span_bytes += nbytes;
	hs->live_objects += live;
	hs->live_bytes += live_bytes;
	if (spanclass_noscan(s->spanclass))
		hs->noscan_bytes += live_bytes;
	hs->class_live[class] += live;
	hs->class_spans[class]++;
}

void heap_stats_read(struct heap_stats *hs)
{
	uint32_t rights;
	size_t made;

	*hs = (struct heap_stats){ 0 };
	if (!mheap.ready)
		return;
	rights = rights_open();
	mheap_each_span(count_span, hs);
	lock_acquire(&mheap.lock);
	hs->mapped = atomic_load_explicit(&mheap.committed, memory_order_relaxed);
	hs->free_pages = mheap.pages.nfree * PAGE_SIZE;
	hs->released = mheap.pages.nclean * PAGE_SIZE;
	lock_release(&mheap.lock);
	hs->metadata = fixalloc_sys_bytes();
	thread_count_caches(&hs->threads, &made);
	rights_close(rights);
}
