/* SPDX-License-Identifier: MIT */
/*
 * fixalloc.c - type-stable memory for our own records: mspan, mcache, heap_arena.
 * See malloc.c for the overview.
 *
 * Owns     the metadata region that all pools cut their records from. It is far from the arenas, so
 *          that an overflow of a user's object does not reach it, and is never given back.
 * Callers  mheap.c, thread.c. Calls os.h.
 * Locks    metadata_lock (LOCK_METADATA) covers the region and all pools.
 * Holds    a record's memory is only ever handed out by its own pool: a stale pointer to a
 *          record still points to a record of that type.
 *          Every change of a list is one store: a child forked in the middle finds a whole list.
 */
#include "fixalloc.h"
#include "config.h"
#include "lock.h"
#include "os.h"

/* Asked of the kernel at a time; less when it refuses. */
#define REGION_MAX MiB(1)
#define REGION_FIRST KiB(256)
#define REGION_MIN KiB(16)

static struct {
	struct lock lock;
	uintptr_t next;    /* [m] first byte not handed out */
	uintptr_t end;     /* [m] end of the current region */
	size_t sys_bytes;  /* [m] of all regions */
} metadata = { .lock = LOCK_INITIALIZER(LOCK_METADATA) };

void fixalloc_init(struct fixalloc *f, size_t size, size_t link_offset)
{
	DCHECK(link_offset + sizeof(void *) <= size);
	f->size = align_up(size, CACHE_LINE);
	f->link_offset = link_offset;
	f->free = NULL;
	f->inuse = 0;
	f->total = 0;
}

static void **link_of(const struct fixalloc *f, void *record)
{
	return (void **)((char *)record + f->link_offset);
}

/* A new region with room for nbytes. The rest of the old one is lost: less than a record. */
static bool region_grow_locked(size_t nbytes)
{
	size_t want = metadata.sys_bytes == 0 ? REGION_FIRST : REGION_MAX;

	for (want = max_size(want, align_up(nbytes, REGION_MIN)); want >= nbytes; want /= 2) {
		void *p = os_alloc_metadata(want);

		if (p != NULL) {
			/* A region that continues the last one is simply more of it. */
			if ((uintptr_t)p != metadata.end)
				metadata.next = (uintptr_t)p;
			metadata.end = (uintptr_t)p + want;
			metadata.sys_bytes += want;
			return true;
		}
		if (want <= REGION_MIN)
			break;
	}
	return false;
}

void *fixalloc_alloc(struct fixalloc *f, bool *fresh)
{
	void *record;

	lock_acquire(&metadata.lock);
	record = f->free;
	if (fresh != NULL)
		*fresh = record == NULL;
	if (record != NULL) {
		f->free = *link_of(f, record);
	} else if (metadata.end - metadata.next >= f->size || region_grow_locked(f->size)) {
		record = (void *)metadata.next;
		metadata.next += f->size;
		f->total++;
	}
	if (record != NULL)
		f->inuse++;
	lock_release(&metadata.lock);
	return record;
}

void fixalloc_free(struct fixalloc *f, void *record)
{
	lock_acquire(&metadata.lock);
	*link_of(f, record) = f->free;
	f->free = record;
	f->inuse--;
	lock_release(&metadata.lock);
}

size_t fixalloc_sys_bytes(void)
{
	size_t n;

	lock_acquire(&metadata.lock);
	n = metadata.sys_bytes;
	lock_release(&metadata.lock);
	return n;
}

void fixalloc_after_fork(void)
{
	(void)lock_reset_orphan(&metadata.lock);
}
