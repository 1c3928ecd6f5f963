/* SPDX-License-Identifier: MIT */
/*
 * fixalloc.c - type-stable memory for the allocator's own records, such as spans and caches.
 * See malloc.c for the overview.
 *
 * Small records lie in slabs, so that the memory of an empty slab can go back to the system. Large
 * ones have a list of those that were freed.
 *
 * Owns     the pieces of metadata memory that all pools cut their records from. They are far from
 *          the arenas and from the program's own mappings, between guards, so that no overflow
 *          reaches them. They are never unmapped.
 * Locks    fixalloc_memory.lock (LOCK_METADATA) covers them and all pools.
 * Holds    a record's memory is handed out by its own pool only: a stale pointer to a record still
 *          points to a record of that type, or to zeros. A slab is on its pool's list exactly
 *          while it has a free record, unless the process was forked while a list was changed.
 */
#include "heap/fixalloc.h"
#include "base/config.h"
#include "os/os.h"

/* A slab is aligned to its size, so that a record tells its slab. */
#define SLAB_SIZE KiB(32)
#define SLAB_MAX_RECORD (SLAB_SIZE / 3)

/* Records begin in the middle of a cache line, so that the second half of a span's header shares a
 * line with its first states (mspan.h). */
#define SLAB_FIRST (CACHE_LINE + CACHE_LINE / 2)

/* Bytes asked of the kernel at a time: a quarter of what there is, but METADATA_STEP at least, in
 * which the large records of a small program have room. When the kernel refuses it is asked for
 * less. */
#define METADATA_STEP KiB(256)
#define METADATA_MIN KiB(16)

/*
 * The beginning of a slab; the records follow.
 * Access: [m] metadata lock
 */
struct slab {
	struct slab *next;   /* [m] on the pool's list */
	struct slab *prev;   /* [m] */
	void *free;          /* [m] freed records */
	uint32_t inuse;      /* [m] records handed out */
	uint32_t made;       /* [m] records handed out since the memory was fresh */
	uint32_t epoch;      /* [m] of `listed` */
	bool listed;         /* [m] it is on the pool's list */
};
_Static_assert(sizeof(struct slab) <= SLAB_FIRST, "the records lie behind it");

struct fixalloc_memory fixalloc_memory = { .lock = LOCK_INITIALIZER(LOCK_METADATA) };

void fixalloc_init(struct fixalloc *f, size_t size, size_t link_offset)
{
	DCHECK(link_offset + sizeof(void *) <= size);
	f->size = align_up(size, CACHE_LINE);
	f->link_offset = link_offset;
	f->free = NULL;
	f->avail = NULL;
	f->epoch = 0;
	f->inuse = 0;
	f->total = 0;
	f->bytes = 0;
}

static void **link_of(const struct fixalloc *f, void *record)
{
	return (void **)((char *)record + f->link_offset);
}

/* Makes the reserve the new piece, if it is large enough. */
static bool take_reserve_locked(struct piece *r, size_t least)
{
	if (fixalloc_memory.reserve.end - fixalloc_memory.reserve.next < least)
		return false;
	*r = fixalloc_memory.reserve;
	fixalloc_memory.reserve = (struct piece){ 0, 0 };
	return true;
}

/* Makes a piece longer where it is, or begins another. The rest of the old one is lost then. */
static bool map_piece_locked(struct piece *r, size_t nbytes)
{
	void *p;

	if (r->end == 0 || !os_extend_metadata((void *)r->end, nbytes)) {
		p = os_alloc_long_metadata(nbytes);
		if (p == NULL)
			return false;
		r->next = r->end = (uintptr_t)p;
	}
	r->end += nbytes;
	fixalloc_memory.sys_bytes += nbytes;
	return true;
}

/* Makes room in a piece for nbytes aligned to align. */
static bool grow_piece_locked(struct piece *r, size_t nbytes, size_t align)
{
	size_t least = nbytes + align;
	size_t quarter = align_up(fixalloc_memory.sys_bytes / 4, METADATA_MIN);
	size_t want = max_size(METADATA_STEP, quarter);

	for (want = max_size(want, align_up(least, METADATA_MIN)); want >= least; want /= 2)
		if (map_piece_locked(r, align_up(want, os_page_size())))
			return true;
	return take_reserve_locked(r, least);
}

static void count_used_locked(size_t more, size_t less)
{
	/* Relaxed, both: a count, stored under the lock. */
	size_t n = atomic_load_explicit(&fixalloc_memory.used_bytes, memory_order_relaxed);

	atomic_store_explicit(&fixalloc_memory.used_bytes, n + more - less, memory_order_relaxed);
}

static void *take_from_piece_locked(struct piece *r, size_t nbytes, size_t align)
{
	uintptr_t at = align_up(r->next, align);

	if (at + nbytes > r->end) {
		if (!grow_piece_locked(r, nbytes, align))
			return NULL;
		at = align_up(r->next, align);
	}
	r->next = at + nbytes;
	count_used_locked(nbytes, 0);
	return (void *)at;
}

/* --- slabs --- */

static bool in_slabs(const struct fixalloc *f)
{
	return f->size <= SLAB_MAX_RECORD;
}

static uint32_t slab_capacity(const struct fixalloc *f)
{
	return (uint32_t)((SLAB_SIZE - SLAB_FIRST) / f->size);
}

static void list_slab(struct fixalloc *f, struct slab *b)
{
	b->listed = true;
	b->prev = NULL;
	b->next = f->avail;
	if (f->avail != NULL)
		f->avail->prev = b;
	f->avail = b;
}

static void unlist_slab(struct fixalloc *f, struct slab *b)
{
	b->listed = false;
	if (b->prev == NULL)
		f->avail = b->next;
	else
		b->prev->next = b->next;
	if (b->next != NULL)
		b->next->prev = b->prev;
}

/* Forgets the pool's list if a fork has torn it. */
static void begin_epoch(struct fixalloc *f)
{
	if (f->epoch != fixalloc_memory.epoch)
		f->avail = NULL;
	f->epoch = fixalloc_memory.epoch;
}

static void *slab_alloc_locked(struct fixalloc *f, bool *fresh)
{
	struct slab *b;
	void *record;

	begin_epoch(f);
	b = f->avail;
	if (b == NULL) {
		b = take_from_piece_locked(&fixalloc_memory.slabs, SLAB_SIZE, SLAB_SIZE);
		if (b == NULL)
			return NULL;
		f->bytes += SLAB_SIZE;
		b->epoch = fixalloc_memory.epoch;
		list_slab(f, b);
	} else if (b->made == 0) {
		/* The slab was released. */
		count_used_locked(SLAB_SIZE - os_page_size(), 0);
	}
	record = b->free;
	*fresh = record == NULL;
	if (record != NULL)
		b->free = *link_of(f, record);
	else
		record = (char *)b + SLAB_FIRST + b->made++ * f->size;
	b->inuse++;
	if (b->free == NULL && b->made == slab_capacity(f))
		unlist_slab(f, b);
	return record;
}

static void slab_free_locked(struct fixalloc *f, void *record)
{
	struct slab *b = (struct slab *)align_down((uintptr_t)record, SLAB_SIZE);

	*link_of(f, record) = b->free;
	order_stores();
	b->free = record;
	b->inuse--;
	if (b->epoch != fixalloc_memory.epoch) {
		b->epoch = fixalloc_memory.epoch;
		b->listed = false;
	}
	begin_epoch(f);
	if (!b->listed)
		list_slab(f, b);
}

/* Clears memory of free records. Relaxed, but atomic: a late remote free may still look at the
 * header of such a record (mspan.c, rule 3). It finds the old values, or zeros. */
static void clear_records(_Atomic uint64_t *word, size_t nbytes)
{
	for (size_t i = 0; i < nbytes / sizeof(*word); i++)
		atomic_store_explicit(&word[i], 0, memory_order_relaxed);
}

void fixalloc_release(struct fixalloc *f)
{
	/* The kernel page with the slab's own fields stays. */
	size_t kept = os_page_size();

	if (!in_slabs(f) || kept >= SLAB_SIZE)
		return;
	lock_acquire(&fixalloc_memory.lock);
	begin_epoch(f);
	for (struct slab *b = f->avail; b != NULL; b = b->next) {
		if (b->inuse != 0 || b->made == 0)
			continue;
		if (!os_release((char *)b + kept, SLAB_SIZE - kept))
			continue;
		clear_records((void *)((char *)b + SLAB_FIRST), kept - SLAB_FIRST);
		b->free = NULL;
		b->made = 0;
		count_used_locked(0, SLAB_SIZE - kept);
	}
	lock_release(&fixalloc_memory.lock);
}

/* --- large records --- */

static void *large_alloc_locked(struct fixalloc *f, bool *fresh)
{
	void *record = f->free;

	*fresh = record == NULL;
	if (record != NULL) {
		f->free = *link_of(f, record);
		return record;
	}
	record = take_from_piece_locked(&fixalloc_memory.records, f->size, CACHE_LINE);
	f->bytes += record != NULL ? f->size : 0;
	return record;
}

void *fixalloc_alloc(struct fixalloc *f, bool *fresh)
{
	bool is_fresh = false;
	void *record;

	lock_acquire(&fixalloc_memory.lock);
	record = in_slabs(f) ? slab_alloc_locked(f, &is_fresh) : large_alloc_locked(f, &is_fresh);
	if (record != NULL) {
		f->inuse++;
		f->total += is_fresh;
	}
	lock_release(&fixalloc_memory.lock);
	if (fresh != NULL)
		*fresh = is_fresh;
	return record;
}

void fixalloc_free(struct fixalloc *f, void *record)
{
	lock_acquire(&fixalloc_memory.lock);
	if (in_slabs(f)) {
		slab_free_locked(f, record);
	} else {
		*link_of(f, record) = f->free;
		order_stores();
		f->free = record;
	}
	f->inuse--;
	lock_release(&fixalloc_memory.lock);
}

void fixalloc_keep_reserve(size_t nbytes)
{
	lock_acquire(&fixalloc_memory.lock);
	if (fixalloc_memory.reserve.end == 0) {
		void *p = os_alloc_metadata(nbytes);

		if (p != NULL) {
			fixalloc_memory.reserve =
				(struct piece){ (uintptr_t)p, (uintptr_t)p + nbytes };
			fixalloc_memory.sys_bytes += nbytes;
		}
	}
	lock_release(&fixalloc_memory.lock);
}

void fixalloc_count_reserved(size_t nbytes)
{
	lock_acquire(&fixalloc_memory.lock);
	fixalloc_memory.sys_bytes += nbytes;
	lock_release(&fixalloc_memory.lock);
}

void fixalloc_count_used(size_t more, size_t less)
{
	lock_acquire(&fixalloc_memory.lock);
	count_used_locked(more, less);
	lock_release(&fixalloc_memory.lock);
}

void *fixalloc_table(size_t nbytes)
{
	void *p = os_alloc_metadata(nbytes);

	fixalloc_count_reserved(p != NULL ? nbytes : 0);
	return p;
}

void *fixalloc_long_table(size_t nbytes)
{
	void *p = os_alloc_long_metadata(nbytes);

	fixalloc_count_reserved(p != NULL ? nbytes : 0);
	return p;
}

bool fixalloc_extend_table(void *end, size_t nbytes)
{
	bool extended = os_extend_metadata(end, nbytes);

	fixalloc_count_reserved(extended ? nbytes : 0);
	return extended;
}

void fixalloc_count(const struct fixalloc *f, size_t *inuse, size_t *bytes)
{
	lock_acquire(&fixalloc_memory.lock);
	*inuse = f->inuse;
	*bytes = f->bytes;
	lock_release(&fixalloc_memory.lock);
}

size_t fixalloc_sys_bytes(void)
{
	size_t n;

	lock_acquire(&fixalloc_memory.lock);
	n = fixalloc_memory.sys_bytes;
	lock_release(&fixalloc_memory.lock);
	return n;
}

size_t fixalloc_used_bytes(void)
{
	return atomic_load_explicit(&fixalloc_memory.used_bytes, memory_order_relaxed);
}

void fixalloc_after_fork(void)
{
	if (lock_reset_orphan(&fixalloc_memory.lock))
		fixalloc_memory.epoch++;
}
