/* SPDX-License-Identifier: MIT */
/*
 * profile.c - records which code allocated how much: a sample of the allocations, by call stack.
 *
 * Owns     three tables and their records: a bucket for each stack and slot size, an object for
 *          each live sampled object, and a place for each return address in a bucket. Also the
 *          sampled objects that were freed last. Records are cut from chunks of metadata memory.
 *          They are forgotten together, when a profile begins.
 * Locks    profiled.lock (LOCK_PROFILE) covers all [p] fields. A stack is unwound before it is
 *          taken. profiled.use_lock (LOCK_PROFILE_USE) is outside of it. It is held while a profile
 *          begins or is written, so that records stay while they are written without the inner
 *          lock.
 * Holds    the allocs of a bucket are its frees plus the objects that lead to it. Stores are in
 *          such an order that this is also true, but for one sample, in a child forked at any
 *          moment. If a table was growing or being emptied at that moment, the child's profile is
 *          empty. A thread in here does not enter again. A sample of a signal handler in between is
 *          dropped, and the record of an object that the handler frees stays until the address is
 *          sampled again.
 */
#include "tools/profile_table.h"
#include "tools/profile.h"
#include "base/chance.h"
#include "base/config.h"
#include "heap/fixalloc.h"
#include "heap/hashtable.h"
#include "os/lock.h"
#include "os/metakey.h"
#include "heap/mheap.h"
#include "os/os.h"
#include "base/text.h"
#include "tools/heading.h"
#include "tools/laststack.h"
#include "tools/pprof.h"
#include "base/probe.h"

#include <errno.h>

_Atomic size_t profile_rate;

/* How long a report waits for the lock, in milliseconds: its thread may hold others. */
#define HISTORY_PATIENCE_MS 100

/* Samples this near to each other are taken with what the last walk has found. */
#define LAST_STACK_RATE KiB(16)

/* How many sampled objects that were freed are remembered. */
#define FREED_KEPT 64

/* A sampled object that was freed. */
struct profile_freed {
	uintptr_t addr;                /* [p] 0: none yet */
	struct profile_bucket *bucket;         /* [p] of its allocation */
	struct guard_stack by;         /* [p] the free */
};

struct profile_tables profiled = { .use_lock = LOCK_INITIALIZER(LOCK_PROFILE_USE),
					 .lock = LOCK_INITIALIZER(LOCK_PROFILE) };

/* This thread holds the lock, or is taking or releasing it. */
THREAD_LOCAL bool inside;

/* --- memory for records --- */

static void enter_chunk_locked(struct profile_chunk *c)
{
	profiled.current = c;
	profiled.next = (uintptr_t)(c + 1);
	profiled.end = (uintptr_t)c + PROFILE_CHUNK;
}

static SLOW_PATH bool next_chunk_locked(void)
{
	struct profile_chunk *c =
		profiled.current != NULL ? profiled.current->next : profiled.first;

	if (c == NULL) {
		c = fixalloc_table(PROFILE_CHUNK);
		if (c == NULL)
			return false;
		order_stores();
		if (profiled.current != NULL)
			profiled.current->next = c;
		else
			profiled.first = c;
	}
	enter_chunk_locked(c);
	return true;
}

/* Cuts a record, which is not zeroed. A child that is forked in between has lost it. */
static void *cut_locked(size_t nbytes)
{
	uintptr_t at = profiled.next;

	_Static_assert(sizeof(struct profile_bucket) + PROFILE_MAX_FRAMES * sizeof(uintptr_t) +
				       sizeof(struct profile_chunk) <=
			       PROFILE_CHUNK,
		       "the largest record has room in a chunk");
	if (profiled.end - at < nbytes) {
		if (!next_chunk_locked())
			return NULL;
		at = profiled.next;
	}
	profiled.next = at + nbytes;
	order_stores();
	return (void *)at;
}

/* --- what samples stand for --- */

/* Returns the allocated bytes that a sample of nbytes stands for. */
static uint64_t weight_of(size_t nbytes, size_t rate)
{
	return rate == 0 ? nbytes : (uint64_t)((double)nbytes / chance_of(nbytes, rate));
}

/* Adds to the live bytes. Relaxed: a figure, changed under the lock. */
static void add_live_locked(uint64_t nbytes)
{
	atomic_store_explicit(&profiled.live_bytes,
			      atomic_load_explicit(&profiled.live_bytes, memory_order_relaxed) +
				      nbytes,
			      memory_order_relaxed);
}

uint64_t profile_live_bytes(void)
{
	return atomic_load_explicit(&profiled.live_bytes, memory_order_relaxed);
}

/* --- the tables --- */

static void forget_locked(void)
{
	profiled.forgetting = true;
	order_stores();
	hashtable_clear(&profiled.objects);
	hashtable_clear(&profiled.buckets);
	hashtable_clear(&profiled.places);
	profiled.newest_bucket = NULL;
	profiled.newest_place = NULL;
	profiled.free = NULL;
	profiled.freed = NULL;
	profiled.samples = 0;
	/* Relaxed: a figure. */
	atomic_store_explicit(&profiled.dropped, 0, memory_order_relaxed);
	atomic_store_explicit(&profiled.live_bytes, 0, memory_order_relaxed);
	if (profiled.first != NULL)
		enter_chunk_locked(profiled.first);
	order_stores();
	profiled.forgetting = false;
}

static bool make_tables_locked(void)
{
	return profiled.places.bits != 0 ||
	       (hashtable_init(&profiled.objects) && hashtable_init(&profiled.buckets) &&
		hashtable_init(&profiled.places));
}

static bool add_place_locked(uintptr_t pc)
{
	uint64_t hash = hashtable_of_addr(pc);
	struct profile_place *place;

	if (hashtable_match(hashtable_chain(&profiled.places, hash), hash) != NULL)
		return true;
	place = cut_locked(sizeof(*place));
	if (place == NULL)
		return false;
	place->node.hash = hash;
	place->written = (struct pprof_place){ pc, 0 };
	place->older = profiled.newest_place;
	order_stores();
	profiled.newest_place = place;
	hashtable_insert(&profiled.places, &place->node);
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
	b->older = profiled.newest_bucket;
	order_stores();
	profiled.newest_bucket = b;
	hashtable_insert(&profiled.buckets, &b->node);
	return b;
}

static struct profile_bucket *bucket_of_locked(uint64_t hash, const uintptr_t *pcs, unsigned npcs,
				       size_t nbytes)
{
	struct hashtable_node *n = hashtable_chain(&profiled.buckets, hash);

	for (n = hashtable_match(n, hash); n != NULL; n = hashtable_match(n->next, hash))
		if (is_bucket_of((struct profile_bucket *)n, pcs, npcs, nbytes))
			return (struct profile_bucket *)n;
	return make_bucket_locked(hash, pcs, npcs, nbytes);
}

static struct profile_object *take_object_locked(void)
{
	struct profile_object *o = profiled.free;

	if (o == NULL)
		return cut_locked(sizeof(*o));
	profiled.free = (struct profile_object *)o->node.next;
	order_stores();
	return o;
}

/* Takes an object's record away. Returns its bucket, or NULL if it has no record. */
static struct profile_bucket *forget_object_locked(uint64_t hash)
{
	struct profile_object *o =
		(struct profile_object *)hashtable_remove(&profiled.objects, hash);

	if (o == NULL)
		return NULL;
	order_stores();
	o->bucket->frees++;
	add_live_locked(-weight_of(o->bucket->nbytes, profiled.rate));
	o->node.next = (struct hashtable_node *)profiled.free;
	order_stores();
	profiled.free = o;
	return o->bucket;
}

/* Remembers a free in place of the oldest. The address comes last, so that a record in a forked
 * child is whole or unused. */
static void remember_freed_locked(uintptr_t addr, struct profile_bucket *b,
				  const struct guard_stack *by)
{
	struct profile_freed *f;

	if (profiled.freed == NULL) {
		f = cut_locked(FREED_KEPT * sizeof(*f));
		if (f == NULL)
			return;
		zero_bytes(f, FREED_KEPT * sizeof(*f));
		order_stores();
		profiled.freed = f;
	}
	f = &profiled.freed[profiled.nfreed++ % FREED_KEPT];
	f->addr = 0;
	order_stores();
	f->bucket = b;
	f->by = *by;
	order_stores();
	f->addr = addr;
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
	add_live_locked(weight_of(b->nbytes, profiled.rate));
	order_stores();
	hashtable_insert(&profiled.objects, &o->node);
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
	lock_acquire(&profiled.lock);
	return true;
}

static void drop_lock(void)
{
	lock_release(&profiled.lock);
	order_stores();
	inside = false;
	lock_leave();
}

static void count_dropped(void)
{
	/* Relaxed: a figure. */
	atomic_fetch_add_explicit(&profiled.dropped, 1, memory_order_relaxed);
}

/* Returns the span class of the object at addr, for the probes. */
static unsigned spanclass_at(uintptr_t addr)
{
	const struct mspan *s = span_of(addr);

	return s != NULL ? s->spanclass : 0;
}

uint64_t profile_serial(void)
{
	/* Relaxed: see profile.h. */
	return atomic_load_explicit(&profiled.serial, memory_order_relaxed);
}

void profile_alloc(uintptr_t addr, size_t nbytes)
{
	/* Relaxed: it is compared with the value under the lock. */
	uint64_t serial = atomic_load_explicit(&profiled.serial, memory_order_relaxed);
	uintptr_t pcs[PROFILE_MAX_FRAMES];
	unsigned npcs;
	uint64_t hash;

	if (!profile_is_on())
		return;
	PROBE_SAMPLED_ALLOC(addr, nbytes, spanclass_at(addr));
	PROBE_OTEL_ALLOC(addr, nbytes,
			 weight_of(nbytes, atomic_load_explicit(&profile_rate,
								memory_order_relaxed)));
	npcs = laststack_find(pcs, PROFILE_MAX_FRAMES);
	hash = hashtable_of_stack(pcs, npcs, nbytes);
	if (!take_lock()) {
		count_dropped();
		return;
	}
	if (profile_is_on() &&
	    serial == atomic_load_explicit(&profiled.serial, memory_order_relaxed)) {
		profiled.samples++;
		if (!record_locked(hashtable_of_addr(addr),
				   bucket_of_locked(hash, pcs, npcs, nbytes)))
			count_dropped();
	}
	drop_lock();
}

void profile_free(uintptr_t addr)
{
	struct profile_bucket *b = NULL;
	struct guard_stack by = { .n = 0 };
	size_t nbytes = 0;

	/* Where every object is a sample, a second stack for each would double the price. */
	if (options.leakcheck < 2 && profile_is_on())
		guard_stack_here(&by);
	if (!take_lock())
		return;
	if (profiled.rate != 0)
		b = forget_object_locked(hashtable_of_addr(addr));
	if (b != NULL && by.n != 0)
		remember_freed_locked(addr, b, &by);
	/* Under the lock, because a profile that begins forgets the record. */
	if (b != NULL)
		nbytes = b->nbytes;
	drop_lock();
	if (b != NULL) {
		PROBE_SAMPLED_FREE(addr, nbytes, spanclass_at(addr));
		PROBE_OTEL_FREE(addr);
	}
}

unsigned profile_stack_of(uintptr_t addr, uintptr_t *pcs, unsigned max)
{
	uint64_t hash = hashtable_of_addr(addr);
	const struct profile_object *o = NULL;
	unsigned n = 0;

	if (!take_lock())
		return 0;
	if (profiled.rate != 0)
		o = (const struct profile_object *)hashtable_match(
			hashtable_chain(&profiled.objects, hash), hash);
	if (o != NULL) {
		n = (unsigned)min_size(o->bucket->npcs, max);
		copy_bytes(pcs, o->bucket->pcs, n * sizeof(pcs[0]));
	}
	drop_lock();
	return n;
}

/* Copies the stack of a bucket. */
static void copy_stack(struct guard_stack *to, const struct profile_bucket *b)
{
	to->thread = 0;
	to->n = (uint32_t)min_size(b->npcs, GUARD_FRAMES);
	copy_bytes(to->pcs, b->pcs, to->n * sizeof(to->pcs[0]));
}

bool profile_history(uintptr_t addr, struct guard_stack *allocated, struct guard_stack *freed)
{
	uint64_t hash = hashtable_of_addr(addr);
	const struct profile_object *o;
	bool found = false;

	freed->n = 0;
	if (profiled.rate == 0 || inside || !lock_try_ms(&profiled.lock, HISTORY_PATIENCE_MS))
		return false;
	o = (const struct profile_object *)hashtable_match(hashtable_chain(&profiled.objects, hash),
							   hash);
	if (o != NULL) {
		copy_stack(allocated, o->bucket);
		found = true;
	}
	/* The newest free of the address is the one of its last object. */
	for (uint32_t i = 0; !found && profiled.freed != NULL && i < FREED_KEPT; i++) {
		const struct profile_freed *f =
			&profiled.freed[(profiled.nfreed - 1 - i) % FREED_KEPT];

		if (f->addr != addr)
			continue;
		copy_stack(allocated, f->bucket);
		*freed = f->by;
		found = true;
	}
	lock_release(&profiled.lock);
	return found;
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
		if (rate <= LAST_STACK_RATE)
			laststack_prepare();
		profiled.rate = rate;
		/* Relaxed: the lock orders it. */
		atomic_fetch_add_explicit(&profiled.serial, 1, memory_order_relaxed);
		/* Before the rate, so that a child that is forked between them does not take this
		 * profile for the one before. */
		order_stores();
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
	if (lock_held(&profiled.use_lock))
		return false;
	lock_acquire(&profiled.use_lock);
	started = start_in_use(rate);
	lock_release(&profiled.use_lock);
	return started;
}

bool profile_try_start(size_t rate)
{
	bool started;

	if (!lock_try(&profiled.use_lock))
		return false;
	started = start_in_use(rate);
	lock_release(&profiled.use_lock);
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
		b = profiled.newest_bucket;
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
		place = profiled.newest_place;
		drop_lock();
	}
	for (; place != NULL; place = place->older)
		visit(&place->written, arg);
}

int profile_write_or_errno(int fd, bool text)
{
	char heading[HEADING_MAX];
	struct pprof_source source = { .heading = heading, .each_sample = each_sample,
				       .each_place = each_place };
	struct profile_totals totals;
	uint32_t rights;
	int error;

	if (inside || lock_held(&profiled.use_lock))
		return EDEADLK;
	heading_of_self(heading, os_pid());
	rights = metakey_open();
	lock_acquire(&profiled.use_lock);
	profile_count(&totals);
	source.rate = totals.rate;
	source.dropped = totals.dropped;
	source.number = ++profiled.writes;
	error = text ? pprof_write_text(fd, &source) : pprof_write_proto(fd, &source);
	lock_release(&profiled.use_lock);
	metakey_close(rights);
	return error;
}

bool profile_is_text(const char *file)
{
	return text_ends(file, ".heap");
}

void profile_count(struct profile_totals *totals)
{
	*totals = (struct profile_totals){ .dropped = atomic_load_explicit(&profiled.dropped,
									   memory_order_relaxed) };
	if (!take_lock())
		return;
	totals->rate = profiled.rate;
	totals->nstacks = profiled.buckets.count;
	totals->live = profiled.objects.count;
	totals->samples = profiled.samples;
	drop_lock();
}

void profile_after_fork(void)
{
	(void)lock_reset_orphan(&profiled.use_lock);
	if (!lock_reset_orphan(&profiled.lock) || profiled.rate == 0)
		return;
	/* The rest of the current chunk is lost, because next and end may not belong together. */
	profiled.next = profiled.end = 0;
	if (profiled.forgetting || profiled.objects.moving || profiled.buckets.moving ||
	    profiled.places.moving)
		forget_locked();
}
