/* SPDX-License-Identifier: MIT */
/*
 * profile.c - records which code allocated how much: a sample of the allocations, by call stack.
 *
 * Owns     three tables and their records: a bucket for each stack and slot size, an object for
 *          each live sampled object, and a place for each return address in a bucket. Records are
 *          cut from chunks of metadata memory. They are forgotten together, when a profile begins.
 * Locks    profile_tables.lock (LOCK_PROFILE) covers all [p] fields. A stack is unwound before it
 *          is taken. profile_tables.use_lock (LOCK_PROFILE_USE) is outside of it. It is held while
 *          a profile begins or is written, so that records stay while they are written without the
 *          inner lock.
 * Holds    the allocs of a bucket are its frees plus the objects that lead to it. Stores are in
 *          such an order that this is also true, but for one sample, in a child forked at any
 *          moment. If a table was growing or being emptied at that moment, the child's profile is
 *          empty. A thread in here does not enter again. A sample of a signal handler in between is
 *          dropped, and the record of an object that the handler frees stays until the address is
 *          sampled again.
 */
#include "tools/profile_table.h"
#include "tools/profile.h"
#include "base/config.h"
#include "heap/fixalloc.h"
#include "heap/hashtable.h"
#include "os/lock.h"
#include "os/metakey.h"
#include "heap/mheap.h"
#include "os/os.h"
#include "base/text.h"
#include "tools/pprof.h"
#include "base/probe.h"
#include "stack/unwind.h"

#include <errno.h>

_Atomic size_t profile_rate;

struct profile_tables profile_tables = { .use_lock = LOCK_INITIALIZER(LOCK_PROFILE_USE),
			   .lock = LOCK_INITIALIZER(LOCK_PROFILE) };

/* This thread holds the lock, or is taking or releasing it. */
THREAD_LOCAL bool inside;

/* --- memory for records --- */

static void enter_chunk_locked(struct profile_chunk *c)
{
	profile_tables.current = c;
	profile_tables.next = (uintptr_t)(c + 1);
	profile_tables.end = (uintptr_t)c + PROFILE_CHUNK;
}

static SLOW_PATH bool next_chunk_locked(void)
{
	struct profile_chunk *c = profile_tables.current != NULL ? profile_tables.current->next :
								    profile_tables.first;

	if (c == NULL) {
		c = fixalloc_table(PROFILE_CHUNK);
		if (c == NULL)
			return false;
		order_stores();
		if (profile_tables.current != NULL)
			profile_tables.current->next = c;
		else
			profile_tables.first = c;
	}
	enter_chunk_locked(c);
	return true;
}

/* Cuts a record, which is not zeroed. A child that is forked in between has lost it. */
static void *cut_locked(size_t nbytes)
{
	uintptr_t at = profile_tables.next;

	_Static_assert(sizeof(struct profile_bucket) + PROFILE_MAX_FRAMES * sizeof(uintptr_t) +
				       sizeof(struct profile_chunk) <=
			       PROFILE_CHUNK,
		       "the largest record has room in a chunk");
	if (profile_tables.end - at < nbytes) {
		if (!next_chunk_locked())
			return NULL;
		at = profile_tables.next;
	}
	profile_tables.next = at + nbytes;
	order_stores();
	return (void *)at;
}

/* --- the tables --- */

static void forget_locked(void)
{
	profile_tables.forgetting = true;
	order_stores();
	hashtable_clear(&profile_tables.objects);
	hashtable_clear(&profile_tables.buckets);
	hashtable_clear(&profile_tables.places);
	profile_tables.newest_bucket = NULL;
	profile_tables.newest_place = NULL;
	profile_tables.free = NULL;
	profile_tables.samples = 0;
	/* Relaxed: a figure. */
	atomic_store_explicit(&profile_tables.dropped, 0, memory_order_relaxed);
	if (profile_tables.first != NULL)
		enter_chunk_locked(profile_tables.first);
	order_stores();
	profile_tables.forgetting = false;
}

static bool make_tables_locked(void)
{
	return profile_tables.places.bits != 0 ||
	       (hashtable_init(&profile_tables.objects) &&
		hashtable_init(&profile_tables.buckets) &&
		hashtable_init(&profile_tables.places));
}

static bool add_place_locked(uintptr_t pc)
{
	uint64_t hash = hashtable_of_addr(pc);
	struct profile_place *place;

	if (hashtable_match(hashtable_chain(&profile_tables.places, hash), hash) != NULL)
		return true;
	place = cut_locked(sizeof(*place));
	if (place == NULL)
		return false;
	place->node.hash = hash;
	place->written = (struct pprof_place){ pc, 0 };
	place->older = profile_tables.newest_place;
	order_stores();
	profile_tables.newest_place = place;
	hashtable_insert(&profile_tables.places, &place->node);
	return true;
}

static bool is_bucket_of(const struct profile_bucket *b, const uintptr_t *pcs, unsigned npcs,
			 size_t nbytes)
{
	return b->npcs == npcs && b->nbytes == nbytes && same_words(b->pcs, pcs, npcs);
}

static SLOW_PATH struct profile_bucket *make_bucket_locked(uint64_t hash, const uintptr_t *pcs,
						   unsigned npcs, size_t nbytes)
{
	struct profile_bucket *b;

	/* Places come first, so that a bucket that is written finds its places. */
	for (unsigned i = 0; i < npcs; i++)
		if (!add_place_locked(pcs[i]))
			return NULL;
	b = cut_locked(sizeof(*b) + npcs * sizeof(pcs[0]));
	if (b == NULL)
		return NULL;
	b->node.hash = hash;
	b->nbytes = nbytes;
	b->allocs = 0;
	b->frees = 0;
	b->npcs = npcs;
	copy_bytes(b->pcs, pcs, npcs * sizeof(pcs[0]));
	b->older = profile_tables.newest_bucket;
	order_stores();
	profile_tables.newest_bucket = b;
	hashtable_insert(&profile_tables.buckets, &b->node);
	return b;
}

static struct profile_bucket *bucket_of_locked(uint64_t hash, const uintptr_t *pcs, unsigned npcs,
				       size_t nbytes)
{
	struct hashtable_node *n = hashtable_chain(&profile_tables.buckets, hash);

	for (n = hashtable_match(n, hash); n != NULL; n = hashtable_match(n->next, hash))
		if (is_bucket_of((struct profile_bucket *)n, pcs, npcs, nbytes))
			return (struct profile_bucket *)n;
	return make_bucket_locked(hash, pcs, npcs, nbytes);
}

static struct profile_object *take_object_locked(void)
{
	struct profile_object *o = profile_tables.free;

	if (o == NULL)
		return cut_locked(sizeof(*o));
	profile_tables.free = (struct profile_object *)o->node.next;
	order_stores();
	return o;
}

/* Takes an object's record away. Returns the bytes of its slot, or 0 if it has no record. */
static size_t forget_object_locked(uint64_t hash)
{
	struct profile_object *o =
		(struct profile_object *)hashtable_remove(&profile_tables.objects, hash);

	if (o == NULL)
		return 0;
	order_stores();
	o->bucket->frees++;
	o->node.next = (struct hashtable_node *)profile_tables.free;
	order_stores();
	profile_tables.free = o;
	return o->bucket->nbytes;
}

static bool record_locked(uint64_t object_hash, struct profile_bucket *b)
{
	struct profile_object *o;

	/* The last object at this address may have been freed while its record could not be
	 * reached. */
	(void)forget_object_locked(object_hash);
	o = b != NULL ? take_object_locked() : NULL;
	if (o == NULL)
		return false;
	o->node.hash = object_hash;
	o->bucket = b;
	b->allocs++;
	order_stores();
	hashtable_insert(&profile_tables.objects, &o->node);
	return true;
}

/* --- the lock --- */

/* Takes the lock. Returns false in a signal handler that interrupted the holder. */
static bool take_lock(void)
{
	if (UNLIKELY(inside))
		return false;
	/* A handler that wants to write a profile waits for lock_leave(). */
	lock_stay();
	inside = true;
	order_stores();
	lock_acquire(&profile_tables.lock);
	return true;
}

static void drop_lock(void)
{
	lock_release(&profile_tables.lock);
	order_stores();
	inside = false;
	lock_leave();
}

static void count_dropped(void)
{
	/* Relaxed: a figure. */
	atomic_fetch_add_explicit(&profile_tables.dropped, 1, memory_order_relaxed);
}

/* Returns the span class of the object at addr, for the probes. */
static unsigned spanclass_at(uintptr_t addr)
{
	const struct mspan *s = span_of(addr);

	return s != NULL ? s->spanclass : 0;
}

void profile_alloc(uintptr_t addr, size_t nbytes)
{
	/* Relaxed: it is compared with the value under the lock. */
	uint64_t serial = atomic_load_explicit(&profile_tables.serial, memory_order_relaxed);
	uintptr_t pcs[PROFILE_MAX_FRAMES];
	unsigned npcs;
	uint64_t hash;

	if (!profile_is_on())
		return;
	PROBE_SAMPLED_ALLOC(addr, nbytes, spanclass_at(addr));
	npcs = unwind_callers(pcs, PROFILE_MAX_FRAMES);
	hash = hashtable_of_stack(pcs, npcs, nbytes);
	if (!take_lock()) {
		count_dropped();
		return;
	}
	if (profile_is_on() &&
	    serial == atomic_load_explicit(&profile_tables.serial, memory_order_relaxed)) {
		profile_tables.samples++;
		if (!record_locked(hashtable_of_addr(addr),
				   bucket_of_locked(hash, pcs, npcs, nbytes)))
			count_dropped();
	}
	drop_lock();
}

void profile_free(uintptr_t addr)
{
	size_t nbytes = 0;

	if (!take_lock())
		return;
	if (profile_tables.rate != 0)
		nbytes = forget_object_locked(hashtable_of_addr(addr));
	drop_lock();
	if (nbytes != 0)
		PROBE_SAMPLED_FREE(addr, nbytes, spanclass_at(addr));
}

unsigned profile_stack_of(uintptr_t addr, uintptr_t *pcs, unsigned max)
{
	uint64_t hash = hashtable_of_addr(addr);
	const struct profile_object *o = NULL;
	unsigned n = 0;

	if (!take_lock())
		return 0;
	if (profile_tables.rate != 0)
		o = (const struct profile_object *)hashtable_match(
			hashtable_chain(&profile_tables.objects, hash), hash);
	if (o != NULL) {
		n = (unsigned)min_size(o->bucket->npcs, max);
		copy_bytes(pcs, o->bucket->pcs, n * sizeof(pcs[0]));
	}
	drop_lock();
	return n;
}

/* --- begin, end, write --- */

static bool start_in_use(size_t rate)
{
	bool made;

	if (!take_lock())
		return false;
	made = make_tables_locked();
	if (made) {
		forget_locked();
		profile_tables.rate = rate;
		/* Relaxed: the lock orders it. */
		atomic_fetch_add_explicit(&profile_tables.serial, 1, memory_order_relaxed);
	}
	/* Relaxed: see profile.h. */
	atomic_store_explicit(&profile_rate, made ? rate : 0, memory_order_relaxed);
	drop_lock();
	return made;
}

bool profile_start(size_t rate)
{
	bool started;

	/* This is a signal handler that interrupted a write. */
	if (lock_held(&profile_tables.use_lock))
		return false;
	lock_acquire(&profile_tables.use_lock);
	started = start_in_use(rate);
	lock_release(&profile_tables.use_lock);
	return started;
}

void profile_stop(void)
{
	/* Relaxed: see profile.h. */
	atomic_store_explicit(&profile_rate, 0, memory_order_relaxed);
}

/* Buckets stay while the use lock is held, and new ones come before the first that is walked
 * here. */
static void each_sample(void (*visit)(const struct pprof_sample *sample, void *arg), void *arg)
{
	struct profile_bucket *b = NULL;

	if (take_lock()) {
		b = profile_tables.newest_bucket;
		drop_lock();
	}
	for (; b != NULL; b = b->older) {
		struct pprof_sample sample = { b->pcs, b->npcs, b->nbytes, 0, 0 };

		if (!take_lock())
			return;
		sample.allocs = b->allocs;
		sample.frees = b->frees;
		drop_lock();
		visit(&sample, arg);
	}
}

static void each_place(void (*visit)(struct pprof_place *place, void *arg), void *arg)
{
	struct profile_place *place = NULL;

	if (take_lock()) {
		place = profile_tables.newest_place;
		drop_lock();
	}
	for (; place != NULL; place = place->older)
		visit(&place->written, arg);
}

int profile_write_or_errno(int fd, bool text)
{
	struct pprof_source source = { .each_sample = each_sample, .each_place = each_place };
	struct profile_totals totals;
	uint32_t rights;
	int error;

	if (inside || lock_held(&profile_tables.use_lock))
		return EDEADLK;
	rights = metakey_open();
	lock_acquire(&profile_tables.use_lock);
	profile_count(&totals);
	source.rate = totals.rate;
	source.dropped = totals.dropped;
	source.number = ++profile_tables.writes;
	error = text ? pprof_write_text(fd, &source) : pprof_write_proto(fd, &source);
	lock_release(&profile_tables.use_lock);
	metakey_close(rights);
	return error;
}

bool profile_is_text(const char *file)
{
	return text_ends(file, ".heap");
}

void profile_count(struct profile_totals *totals)
{
	*totals = (struct profile_totals){ .dropped = atomic_load_explicit(&profile_tables.dropped,
									   memory_order_relaxed) };
	if (!take_lock())
		return;
	totals->rate = profile_tables.rate;
	totals->nstacks = profile_tables.buckets.count;
	totals->live = profile_tables.objects.count;
	totals->samples = profile_tables.samples;
	drop_lock();
}

void profile_after_fork(void)
{
	(void)lock_reset_orphan(&profile_tables.use_lock);
	if (!lock_reset_orphan(&profile_tables.lock) || profile_tables.rate == 0)
		return;
	/* The rest of the current chunk is lost, because next and end may not belong together. */
	profile_tables.next = profile_tables.end = 0;
	if (profile_tables.forgetting || profile_tables.objects.moving ||
	    profile_tables.buckets.moving ||
	    profile_tables.places.moving)
		forget_locked();
}
