/* SPDX-License-Identifier: MIT */
/*
 * thread.c - whose cache is whose: the caches of threads, the pool of free ones, the shared cache.
 * See malloc.c for the overview.
 *
 * Owns     the thread-local pointer to the cache, the records of all caches, the pool of free ones
 *          and the shared cache.
 * Locks    thread_list.lock (LOCK_THREADS) covers the lists and the [t] fields of caches.
 *          thread_shared_lock (LOCK_SHARED) is held while the shared cache is used. No lock is held
 *          while libc is called, and none is taken before a fork, because a prepare handler that
 *          locks can deadlock with the locks of libio. The child resets the locks instead (fork.c).
 * Holds    A cache is used by one thread at a time, and a thread uses at most one. If a thread
 *          ended and kept its cache, the next thread with the same thread-local storage takes it.
 *          A cache in the pool is flushed. Its memory goes back to the system when no thread has
 *          taken it for the decay time. Caches beyond half of all, and beyond POOL_MIN, go back at
 *          once, because the process may never call the allocator again.
 */
#include "heap/thread.h"
#include "os/metakey.h"
#include "os/os.h"

/* The pool keeps so many caches in any case, because making one takes system calls. */
#define POOL_MIN 64

struct mcache_nobody mcache_nobody;
struct thread_list thread_list = { .lock = LOCK_INITIALIZER(LOCK_THREADS) };
struct shared_cache thread_shared;
struct lock thread_shared_lock = LOCK_INITIALIZER(LOCK_SHARED);

THREAD_LOCAL_DEFINE struct mcache *thread_mcache = MCACHE_NONE;
THREAD_LOCAL_DEFINE struct thread_self thread_self;

void thread_set_ready(void)
{
	partalloc_init(&thread_list.records, sizeof(struct mcache), sizeof(struct mcache_rest));
	mcache_release_pooled = thread_release_caches;
	/* Release: the heap is set up. Pairs with the acquire in thread_is_ready(). */
	atomic_store_explicit(&thread_list.ready, true, memory_order_release);
}

void thread_set_cache(struct mcache *c)
{
	thread_self.cache = c;
	thread_mcache = c == NULL || metakey_rights() != 0 ? MCACHE_NONE : c;
}

static struct mcache **chain_of(uintptr_t user)
{
	/* The users of two threads are addresses in their thread-local storage, pages apart at
	 * least. */
	return &thread_list.used[(user >> 12 ^ user >> 20) % USER_CHAINS];
}

void thread_set_user_locked(struct mcache *c)
{
	struct mcache **chain;

	c->user = lock_self();
	chain = chain_of(c->user);
	c->next_used = *chain;
	*chain = c;
	c->in_use = true;
}

static void clear_user_locked(struct mcache *c)
{
	struct mcache **link = chain_of(c->user);

	/* The cache is in no chain if a signal's handler forked this child while the parent put it
	 * there. */
	while (*link != NULL && *link != c)
		link = &(*link)->next_used;
	if (*link == c)
		*link = c->next_used;
	c->in_use = false;
}

/* Returns the cache that the caller left in a forked child (fork.c), or that an ended thread with
 * the caller's thread-local storage left behind. Returns NULL if there is none. A thread leaves its
 * cache behind if its first request came from a destructor, too late to be told of the thread's
 * end. */
static struct mcache *find_left_behind_locked(void)
{
	struct mcache *c = *chain_of(lock_self());

	while (c != NULL && c->user != lock_self())
		c = c->next_used;
	return c;
}

static struct mcache *make_cache(void)
{
	struct mcache *c;
	void *rest;

	lock_acquire(&thread_list.lock);
	c = partalloc_take_locked(&thread_list.records, &rest);
	lock_release(&thread_list.lock);
	if (c == NULL)
		return NULL;
	if (!partalloc_commit(c, sizeof(*c))) {
		lock_acquire(&thread_list.lock);
		partalloc_give_locked(&thread_list.records, c);
		lock_release(&thread_list.lock);
		return NULL;
	}
	mcache_init(c, rest);
	lock_acquire(&thread_list.lock);
	thread_set_user_locked(c);
	partalloc_show_locked(&thread_list.records, c, true);
	/* Relaxed: a hint; see mcache.h. */
	atomic_fetch_add_explicit(&mcaches_made, 1, memory_order_relaxed);
	lock_release(&thread_list.lock);
	return c;
}

static struct mcache *take_cache(void)
{
	struct mcache *c;

	lock_acquire(&thread_list.lock);
	c = find_left_behind_locked();
	if (c == NULL && thread_list.free != NULL) {
		c = thread_list.free;
		thread_list.free = c->next_free;
		thread_list.npooled--;
		thread_set_user_locked(c);
	}
	lock_release(&thread_list.lock);
	if (c != NULL)
		return c;
	return make_cache();
}

struct mcache *thread_take_cache(void)
{
	struct mcache *c = thread_self.gone ? NULL : take_cache();

	if (c != NULL)
		thread_set_cache(c);
	return c;
}

/* --- the shared cache --- */

struct mcache *thread_lock_shared(void)
{
	lock_acquire(&thread_shared_lock);
	if (!thread_shared.made)
		mcache_init(&thread_shared.cache, NULL);
	thread_shared.made = true;
	return &thread_shared.cache;
}

void thread_leave(struct mcache *c)
{
	if (UNLIKELY(c == &thread_shared.cache))
		lock_release(&thread_shared_lock);
}

struct address_range thread_shared_place(void)
{
	return (struct address_range){ (uintptr_t)&thread_shared.cache,
				       sizeof(thread_shared.cache) };
}

void thread_flush_shared(void)
{
	lock_acquire(&thread_shared_lock);
	/* An orphan may be in the middle of a change, and is taken apart when it is adopted. */
	if (thread_shared.made && !thread_shared.cache.orphan)
		mcache_flush(&thread_shared.cache);
	lock_release(&thread_shared_lock);
}

/* --- all caches --- */

struct mcache *thread_next_cache(struct part_walk *w)
{
	return partalloc_next_locked(&thread_list.records, w);
}

void thread_each_cache(void (*visit)(struct mcache *c, void *arg), void *arg)
{
	struct part_walk w = { NULL, 0 };
	struct mcache *c;

	lock_acquire(&thread_list.lock);
	while ((c = thread_next_cache(&w)) != NULL)
		if (c->in_use)
			visit(c, arg);
	lock_release(&thread_list.lock);
	lock_acquire(&thread_shared_lock);
	if (thread_shared.made)
		visit(&thread_shared.cache, arg);
	lock_release(&thread_shared_lock);
}

/* Adds what a cache has counted, without the objects on counted stacks, which were not handed out
 * yet. The figures are exact only while the owner of the cache does not run. */
READS_OTHERS static void add_counts(struct alloc_counts *sum, const struct mcache *c)
{
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		sum->mallocs[sc] += PEEK(c->counted.made.mallocs[sc]);
	for (unsigned class = 1; class < NUM_SIZE_CLASSES; class++) {
		const struct bin *b = &c->bins[COUNTED_BIN(class)];
		uint32_t top = PEEK(b->stack_top), bottom = PEEK(b->stack_bottom);

		if (top > bottom)
			sum->mallocs[make_spanclass(class, SCAN)] -=
				(top - bottom) / ENTRY_NBYTES;
	}
	sum->big_bytes[0] += PEEK(c->counted.made.big_bytes[0]);
	sum->big_bytes[1] += PEEK(c->counted.made.big_bytes[1]);
}

void thread_read_counts(struct alloc_counts *sum)
{
	struct part_walk w = { NULL, 0 };
	const struct mcache *c;

	lock_acquire(&thread_list.lock);
	*sum = thread_list.released;
	while ((c = thread_next_cache(&w)) != NULL)
		add_counts(sum, c);
	lock_release(&thread_list.lock);
	lock_acquire(&thread_shared_lock);
	if (thread_shared.made)
		add_counts(sum, &thread_shared.cache);
	lock_release(&thread_shared_lock);
}

struct cache_count thread_count_caches(void)
{
	struct cache_count n = { 0, 0, 0 };
	struct part_walk w = { NULL, 0 };
	const struct mcache *c;

	lock_acquire(&thread_list.lock);
	while ((c = thread_next_cache(&w)) != NULL) {
		size_t nbytes = mcache_nbytes(c);

		n.bytes += nbytes;
		n.inuse += c->in_use;
		n.inuse_bytes += c->in_use ? nbytes : 0;
	}
	lock_release(&thread_list.lock);
	return n;
}

/* --- the pool --- */

void thread_clear_pool_locked(void)
{
	thread_list.free = NULL;
	thread_list.npooled = 0;
}

void thread_pool_locked(struct mcache *c)
{
	c->next_free = thread_list.free;
	thread_list.free = c;
	thread_list.npooled++;
}

/* Says that there is one cache less, but never that a thread that had company is alone. */
static void count_released_locked(void)
{
	/* Relaxed, both: a hint, stored under the lock. */
	uint32_t n = atomic_load_explicit(&mcaches_made, memory_order_relaxed);

	if (n > 2)
		atomic_store_explicit(&mcaches_made, n - 1, memory_order_relaxed);
}

/* Puts a cache that is out of the pool on the list of those that release() is to have. A child that
 * is forked meanwhile makes its pool anew of the caches that are shown. */
static void hide_locked(struct mcache *c, struct mcache **list)
{
	partalloc_show_locked(&thread_list.records, c, false);
	add_counts(&thread_list.released, c);
	count_released_locked();
	c->next_free = *list;
	*list = c;
}

/* Takes those caches out of the pool that are to be released. Returns them, linked by next_free. */
static struct mcache *unlink_old_locked(uint64_t now_ms, uint32_t age_ms)
{
	struct mcache *old = NULL, *c = thread_list.free, *next;

	thread_list.free = NULL;
	thread_list.npooled = 0;
	for (; c != NULL; c = next) {
		next = c->next_free;
		/* Signed: a thread that ended meanwhile may have seen a later time. */
		if ((int64_t)(now_ms - c->tick_ms) >= (int64_t)age_ms)
			hide_locked(c, &old);
		else
			thread_pool_locked(c);
	}
	return old;
}

/* Takes caches out of the pool until it has at most POOL_MIN, or half of all caches if that is
 * more. Returns those that it took, linked by next_free. */
static struct mcache *unlink_excess_locked(void)
{
	struct mcache *excess = NULL, *c;

	while (thread_list.free != NULL &&
	       thread_list.npooled > max_size(POOL_MIN, mcaches_count() / 2)) {
		c = thread_list.free;
		thread_list.free = c->next_free;
		thread_list.npooled--;
		hide_locked(c, &excess);
	}
	return excess;
}

/* Gives the memory of hidden caches back. */
static void release(struct mcache *list)
{
	struct mcache *next;

	for (; list != NULL; list = next) {
		next = list->next_free;
		mcache_uncommit(list);
		lock_acquire(&thread_list.lock);
		partalloc_give_locked(&thread_list.records, list);
		lock_release(&thread_list.lock);
	}
}

void thread_release_caches(uint32_t age_ms)
{
	uint64_t now_ms = os_now_ms();
	struct mcache *old = NULL;

	lock_acquire(&thread_list.lock);
	if (now_ms - thread_list.released_ms >= age_ms) {
		thread_list.released_ms = now_ms;
		old = unlink_old_locked(now_ms, age_ms);
	}
	lock_release(&thread_list.lock);
	release(old);
}

static void give_cache(struct mcache *c)
{
	struct mcache *excess;

	c->watched = false;
	/* The next thread does not tick at once. Also the time for thread_release_caches(). */
	c->tick_ms = c->poll_ms = c->idle_ms = os_now_ms();
	lock_acquire(&thread_list.lock);
	clear_user_locked(c);
	thread_pool_locked(c);
	excess = unlink_excess_locked();
	lock_release(&thread_list.lock);
	release(excess);
}

void thread_give_cache(void)
{
	struct mcache *c = thread_self.cache;

	thread_self.gone = true;
	thread_set_cache(NULL);
	if (c == NULL)
		return;
	mcache_flush(c);
	give_cache(c);
}
