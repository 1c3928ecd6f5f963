/* SPDX-License-Identifier: MIT */
/*
 * thread.c - a cache for every thread; start-up, thread exit, fork.
 * See malloc.c for the overview.
 *
 * Owns     the TLS pointer to the cache, the list of all caches and the pool of free ones, the shared cache.
 * Callers  malloc.c on its slow paths; libc at thread exit and in forked children. Calls mcache.h,
 *          mcentral.h, mheap.h, options.h, os.h.
 * Locks    init_lock (LOCK_INIT) for start-up; threads.lock (LOCK_THREADS) covers the list and the [t] fields of
 *          caches; shared_lock (LOCK_SHARED) is held while the shared cache is used.
 *          No lock is held while libc is called, and none is taken before a fork: a prepare handler that
 *          locks can deadlock with libio's locks. The child resets instead (mend()).
 * Holds    a cache is used by one thread at a time. A cache on the pool is flushed. Of those in use, at most one is any thread's:
 *          what a thread left behind without a word, the next one with the same thread-local storage takes.
 */
#include "heap/thread.h"
#include "os/fatal.h"
#include "os/forked.h"
#include "safe/guard.h"
#include "safe/hardened.h"
#include "heap/limit.h"
#include "heap/mcentral.h"
#include "base/options.h"
#include "os/os.h"
#include "tools/profile.h"
#include "os/rights.h"
#include "tools/sample.h"
#include "heap/tiny.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

extern char **environ;

/* glibc runs the destructors of thread-specific data up to PTHREAD_DESTRUCTOR_ITERATIONS times while there
 * are new values. Others' destructors may allocate: ours waits for the last round. ThreadSanitizer takes the last
 * round to end the thread's own record. */
#define DESTRUCTOR_ROUNDS (GOALLOC_SANITIZED ? 2 : 4)

/* Chains of caches by who has them: a thread that begins looks through one. */
#define USER_CHAINS 256

struct mcache_nobody mcache_nobody;
static struct mcache shared_cache;
static struct lock shared_lock = LOCK_INITIALIZER(LOCK_SHARED);
static bool shared_made;     /* under shared_lock: it was used; most programs never do */

THREAD_LOCAL_DEFINE struct mcache *thread_mcache = MCACHE_NONE;

/* The same, for slow paths; and where caches are behind a key, which fast paths may not touch. */
THREAD_LOCAL struct mcache *own_cache;

/* The thread's cache, while the thread is in a hook that libc's madvise() may be. */
THREAD_LOCAL struct mcache *hidden_cache;

/* The thread's cache was given back, or is hidden: what it does goes through the shared one. */
THREAD_LOCAL bool thread_is_gone;

/* The thread is the scavenger, which has no cache. */
THREAD_LOCAL bool is_scavenger;

/* Access: [t] lock  [a] atomic  [c] constant once ready */
static struct {
	struct lock lock;
	struct mcache *all;          /* [t] every record, by next_all */
	struct mcache *free;         /* [t] those no thread uses, by next_free */
	struct mcache *used[USER_CHAINS];    /* [t] those in use, by next_used, each in the chain of its user */
	size_t inuse;                /* [t] */
	size_t made;                 /* [t] */
	struct fixalloc pool;        /* [c] */
	bool counts;                 /* [t] counted slots are ready in every cache */
	pthread_key_t key;           /* [c] once late_state is LATE_DONE */
} threads = { .lock = LOCK_INITIALIZER(LOCK_THREADS) };

static struct lock init_lock = LOCK_INITIALIZER(LOCK_INIT);
static _Atomic bool heap_ready;

enum { LATE_NOT_YET, LATE_RUNNING, LATE_DONE };
static _Atomic int late_state;

_Atomic bool thread_attention = true;

/* In a forked child of a threaded parent, until the first slow path: the caches of threads that are gone wait to
 * be adopted, and the forking thread's own cache is put aside. */
static _Atomic bool orphans;
static struct mcache *parked;
static uintptr_t parked_for;

static bool heap_is_ready(void)
{
	/* Acquire: the heap is set up. Pairs with the release in heap_init(). */
	return atomic_load_explicit(&heap_ready, memory_order_acquire);
}

/* Before the first object, or where ld.so makes objects before there is an environment, as soon as there is one. Called by
 * one thread at a time; what it writes to is constant once it was called with an environment. */
static void read_options(void)
{
	static bool had_objects, done;
	struct report r;

	if (environ == NULL) {
		had_objects = true;
		return;
	}
	if (done)
		return;
	done = true;
	options_init();
	if (options.decoratemappings)
		os_name_mappings();
	(void)mheap_set_limit(limit_of_options(""));
	if (options.tiny_align < sizeof(void *))
		sizeclass_divert_least();
	if (options.sbrk || options.efence)
		sizeclass_divert_all();
	if (options.hardened && had_objects) {
		/* These have no tail, and what they leave behind is not clear. */
		options.hardened = false;
		report_init(&r);
		report_str(&r, "hardened=1 comes too late: there are objects already; it is off");
		report_write(&r, 2);
	}
	if (options.hardened) {
		hardened_init();
		sizeclass_divert_all();
		if (options.keyed && os_make_key())
			pagemap_hide();
	}
	if (guards_on() && !options.off)
		guard_init();
}

/* What options ask to be counted from the first object on, or from where there are options. */
static void begin_sampling(void)
{
	bool stacks = options.profile[0] != '\0' || options.leakcheck != 0;
	size_t rate = !stacks ? 0 : options.leakcheck == 2 ? 1 : options.memprofilerate;
	struct report r;

	if (sample_counts() || (!stacks && options.stats[0] == '\0' && options.guardrate == 0))
		return;
	if (rate != 0 && !profile_start(rate)) {
		rate = 0;
		report_init(&r);
		report_str(&r, "profile: there is no memory for its tables; none is taken");
		(void)report_write(&r, 2);
	}
	sample_begin(rate, options.guardrate);
}

/* c is the calling thread's; NULL: it has none. */
static void set_cache(struct mcache *c)
{
	own_cache = c;
	thread_mcache = c == NULL || rights_of_key() != 0 ? MCACHE_NONE : c;
}

/*
 * A hook on libc's madvise() may allocate while this thread is in the middle of an allocation. Its own cache is hidden from the hook,
 * whose requests go through the shared cache. A thread that uses the shared cache, adopts or has left the heap calls no hook.
 */
static bool begin_call_out(void)
{
	if (own_cache == NULL && (!is_scavenger || thread_is_gone))
		return false;
	if (lock_held(&shared_lock) || lock_held(&init_lock))
		return false;
	hidden_cache = own_cache;
	thread_is_gone = true;
	set_cache(NULL);
	return true;
}

static void end_call_out(void)
{
	thread_is_gone = false;
	if (hidden_cache != NULL)
		set_cache(hidden_cache);
	hidden_cache = NULL;
}

static void mend(bool by_forker);

static void heap_init(void)
{
	lock_acquire(&init_lock);
	/* Relaxed: under the lock. */
	if (!atomic_load_explicit(&heap_ready, memory_order_relaxed)) {
		os_seed_random();
		read_options();
		forked_watch(mend);
		mheap_init();
		mcentral_init();
		fixalloc_init(&threads.pool, sizeof(struct mcache),
			      offsetof(struct mcache, next_free));
		begin_sampling();
		os_set_call_out(begin_call_out, end_call_out);
		/* Release: the heap is set up. Pairs with the acquire in heap_is_ready(). */
		atomic_store_explicit(&heap_ready, true, memory_order_release);
	}
	lock_release(&init_lock);
}

/* --- caches --- */

static struct mcache **chain_of(uintptr_t user)
{
	/* Users are in thread-local storage: apart by pages at least. */
	return &threads.used[(user >> 12 ^ user >> 20) % USER_CHAINS];
}

static void set_user_locked(struct mcache *c)
{
	struct mcache **chain;

	c->user = lock_self();
	chain = chain_of(c->user);
	c->next_used = *chain;
	*chain = c;
	c->in_use = true;
	threads.inuse++;
}

static void clear_user_locked(struct mcache *c)
{
	struct mcache **link = chain_of(c->user);

	/* In no chain, in a child that was forked by a signal's handler while the cache was put there. */
	while (*link != NULL && *link != c)
		link = &(*link)->next_used;
	if (*link == c)
		*link = c->next_used;
	c->in_use = false;
	threads.inuse--;
}

/* The cache of a thread that ended and was not watched long enough, as its first request came from a destructor: the caller
 * has none, and is where that thread was. NULL: there is none. */
static struct mcache *find_left_behind_locked(void)
{
	struct mcache *c = *chain_of(lock_self());

	while (c != NULL && c->user != lock_self())
		c = c->next_used;
	return c;
}

static struct mcache *take_cache(void)
{
	struct mcache *c;

	lock_acquire(&threads.lock);
	c = find_left_behind_locked();
	if (c == NULL && threads.free != NULL) {
		c = threads.free;
		threads.free = c->next_free;
		set_user_locked(c);
	}
	lock_release(&threads.lock);
	if (c != NULL)
		return c;
	c = fixalloc_alloc(&threads.pool, NULL);
	if (c == NULL)
		return NULL;
	mcache_init(c);
	lock_acquire(&threads.lock);
	set_user_locked(c);
	c->next_all = threads.all;
	order_stores();
	threads.all = c;
	if (threads.counts)
		mcache_init_counted(c);
	threads.made++;
	/* Relaxed: see mcache.h. */
	atomic_fetch_add_explicit(&mcaches_made, 1, memory_order_relaxed);
	lock_release(&threads.lock);
	return c;
}

static void give_cache(struct mcache *c)
{
	c->watched = false;
	lock_acquire(&threads.lock);
	clear_user_locked(c);
	c->next_free = threads.free;
	threads.free = c;
	lock_release(&threads.lock);
}

static struct mcache *lock_shared(void)
{
	lock_acquire(&shared_lock);
	if (!shared_made) {
		mcache_init(&shared_cache);
		mcache_init_counted(&shared_cache);
	}
	shared_made = true;
	return &shared_cache;
}

/* --- thread exit --- */

/* What the thread still does goes through the shared cache, and no fast path succeeds. */
static void leave_heap(void)
{
	uint32_t rights = rights_open();
	struct mcache *c = own_cache;

	thread_is_gone = true;
	set_cache(NULL);
	if (c != NULL) {
		mcache_flush(c);
		give_cache(c);
	}
	rights_close(rights);
}

/* The value of the key counts the rounds left. */
static void thread_exit(void *value)
{
	uintptr_t rounds_left = (uintptr_t)value;
	uint32_t rights = rights_open();

	/* A child's thread that ends before its first slow path. */
	if (own_cache == NULL && parked_for == lock_self() && parked != NULL)
		(void)thread_enter();
	rights_close(rights);
	if (own_cache == NULL)
		return;
	if (rounds_left > 1 && pthread_setspecific(threads.key, (void *)(rounds_left - 1)) == 0)
		return;
	leave_heap();
}

/* Asks for thread_exit() when the calling thread ends. Where there is no key yet, as another thread is making it, the next slow
 * path asks. */
static SLOW_PATH void watch_exit(struct mcache *c)
{
	int saved_errno = errno;

	/* Acquire: the key. Pairs with the release in thread_late_init(). */
	if (atomic_load_explicit(&late_state, memory_order_acquire) != LATE_DONE)
		return;
	/* First: libc may allocate, and find no memory; free() may be what brought us here. */
	c->watched = true;
	c->watched = pthread_setspecific(threads.key, (void *)(uintptr_t)DESTRUCTOR_ROUNDS) == 0;
	errno = saved_errno;
}

/* --- the optional scavenger thread --- */

static void *scavenger(void *arg)
{
	uint32_t rights;

	(void)arg;
	is_scavenger = true;
	for (;;) {
		os_sleep_ms(options.scavenge_ms < 100 ? 100 : options.scavenge_ms);
		rights = rights_open();
		while (mheap_scavenge_poll(os_now_ms()))
			;
		rights_close(rights);
	}
	return NULL;
}

/* Makes a thread that takes no signals and is nobody's to join. A forked child does not have it. */
static bool start_own(void *(*body)(void *arg))
{
	sigset_t all, before;
	pthread_t thread;
	bool started;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	started = pthread_create(&thread, NULL, body, NULL) == 0;
	if (started)
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started;
}

/* A smaller heap has little to give back. A process that stays below it has no second thread, with
 * which it could not enter a user namespace, for one. */
#define SCAVENGER_HEAP MiB(4)

/* The thread was made, or could not be. */
static _Atomic bool scavenger_started;

void thread_start_scavenger(void)
{
	int saved_errno = errno;
	struct report r;

	/* Relaxed: a figure, and a flag that one thread sets first. Acquire: see watch_exit(). */
	if (atomic_load_explicit(&scavenger_started, memory_order_relaxed) ||
	    atomic_load_explicit(&mheap.committed, memory_order_relaxed) < SCAVENGER_HEAP ||
	    atomic_load_explicit(&late_state, memory_order_acquire) != LATE_DONE ||
	    atomic_exchange_explicit(&scavenger_started, true, memory_order_relaxed))
		return;
	if (!start_own(scavenger)) {
		report_init(&r);
		report_str(&r, "scavthread: the thread could not be made");
		(void)report_write(&r, 2);
	}
	errno = saved_errno;
}

/* --- fork --- */

/* What a cache keeps could not be told from what others left: it goes back first. */
static void flush_for_adoption(struct mcache *c)
{
	/* One that is an orphan itself, the shared one, is adopted like the others. */
	if (c->orphan)
		return;
	mcache_flush_stacks(c);
	tiny_detach(c);
}

/* The same for the shared cache, which keeps free slots, too, when no thread is in it. */
static void flush_shared_for_adoption(void)
{
	lock_acquire(&shared_lock);
	if (shared_made)
		flush_for_adoption(&shared_cache);
	lock_release(&shared_lock);
}

/* What the threads that are gone had is made free, or this process's. The caller holds init_lock, and no other
 * thread has a cache: what one frees meanwhile could not be told from what the gone left. */
static void adopt_orphans_locked(struct mcache *c)
{
	struct mcache *dead;

	flush_for_adoption(c);
	for (dead = threads.all; dead != NULL; dead = dead->next_all)
		if (dead->orphan)
			mcache_adopt_stacks(c, dead);
	if (shared_cache.orphan)
		mcache_adopt_stacks(c, &shared_cache);
	for (dead = threads.all; dead != NULL; dead = dead->next_all) {
		if (!dead->orphan)
			continue;
		/* The record is not used again: a span that the thread had in hand, on no list, still has it
		 * as owner, and is lost. */
		mcache_adopt_spans(c, dead);
		dead->orphan = false;
	}
	/* This one is. */
	if (shared_cache.orphan)
		mcache_adopt_all_spans(c, &shared_cache);
	shared_cache.orphan = false;
}

/* The first to come adopts, with the cache that the forking thread had; all others wait. */
static void wait_for_adoption(void)
{
	lock_acquire(&init_lock);
	/* Relaxed: under the lock. */
	if (atomic_load_explicit(&orphans, memory_order_relaxed)) {
		if (parked != NULL) {
			flush_shared_for_adoption();
			adopt_orphans_locked(parked);
		} else {
			adopt_orphans_locked(lock_shared());
			lock_release(&shared_lock);
		}
		/* Release: pairs with the acquire in thread_enter(). */
		atomic_store_explicit(&orphans, false, memory_order_release);
	}
	lock_release(&init_lock);
}

/* The caches of other threads are orphans, and the cache `mine` is the caller's; NULL: it has
 * none. */
static bool find_orphans(struct mcache *mine)
{
	bool others = false;

	threads.inuse = 0;
	/* Relaxed: the only thread with a cache. */
	atomic_store_explicit(&mcaches_made, 1, memory_order_relaxed);
	threads.free = NULL;
	for (struct mcache *c = threads.all; c != NULL; c = c->next_all) {
		c->orphan = c->in_use && c != mine;
		others |= c->orphan;
		if (c->orphan) {
			c->user = 0;
		} else if (c->in_use) {
			set_user_locked(c);
		} else {
			c->next_free = threads.free;
			threads.free = c;
		}
	}
	return others;
}

/* A child that only calls exec does not pay for adopting: the first slow path does it. Until then
 * there are no fast paths. The caller may be in the middle of a slow path, and goes on with the
 * cache `mine`. */
static void park(struct mcache *mine)
{
	parked = mine;
	if (mine != NULL)
		mine->watched = false;
	parked_for = lock_self();
	hidden_cache = NULL;
	set_cache(NULL);
	/* Relaxed: the only thread with a cache. */
	atomic_store_explicit(&orphans, true, memory_order_relaxed);
}

/* A rebuilt heap counts every page that no span has as free. */
static void forget_pages(void)
{
	for (struct mcache *c = threads.all; c != NULL; c = c->next_all)
		c->pages = (struct pcache){ .began = true };
	shared_cache.pages = (struct pcache){ .began = true };
}

/* All caches are orphans but `mine`; NULL: all are. */
static void mend_for(struct mcache *mine, bool rebuilt, bool in_shared)
{
	if (rebuilt)
		forget_pages();
	shared_cache.orphan |= in_shared;
	if (find_orphans(mine) || shared_cache.orphan)
		park(mine);
}

/* The caller forked. */
static struct mcache *forkers_cache(bool adopting)
{
	struct mcache *mine = own_cache != NULL ? own_cache : hidden_cache;

	/* A child that forks again before it has adopted. */
	if (mine == NULL && parked_for == lock_self() && !adopting)
		return parked;
	return mine;
}

/* A thread that the child made is in the heap before the thread that forked. That one runs on in
 * its fast paths, and which cache is its own cannot be told: so all caches stay as they are. What
 * threads that are gone had is lost to this child, but for the pages under them. */
static void mend_by_other(bool rebuilt, bool in_shared)
{
	if (in_shared) {
		mcache_lose_spans(&shared_cache);
		zero_bytes(&shared_cache, sizeof(shared_cache));
		shared_made = false;
	}
	threads.free = NULL;
	threads.inuse = 0;
	for (struct mcache *c = threads.all; c != NULL; c = c->next_all) {
		/* A new thread may be where one that is gone was, and is not to take its cache. */
		c->user = 0;
		if (c->in_use) {
			threads.inuse++;
			if (rebuilt)
				mheap_keep_pcache(&c->pages);
		} else {
			c->next_free = threads.free;
			threads.free = c;
		}
	}
}

/* In a forked child, once, before any slow path; or in the middle of one that waits for a lock, in
 * a child that a signal's handler forked. Threads of before are gone, perhaps in the middle of
 * something; every change is ordered so that what they left can be put in order. */
static void mend(bool by_forker)
{
	uint32_t rights = rights_open();
	/* Relaxed: as in park(). */
	bool none_has_cache = atomic_load_explicit(&orphans, memory_order_relaxed);
	bool adopting, rebuilt, in_shared;

	lock_count_as_orphans(!by_forker);
	/* Another thread was adopting, with the parked cache: that is in the middle of a change. */
	adopting = lock_reset_orphan(&init_lock) && none_has_cache;
	(void)lock_reset_orphan(&threads.lock);
	if (heap_is_ready()) {
		sample_after_fork();
		profile_after_fork();
		mcentral_after_fork();
		rebuilt = mheap_after_fork();
		in_shared = lock_reset_orphan(&shared_lock);
		for (unsigned i = 0; i < USER_CHAINS; i++)
			threads.used[i] = NULL;
		if (by_forker || none_has_cache)
			mend_for(by_forker ? forkers_cache(adopting) : NULL, rebuilt, in_shared);
		else
			mend_by_other(rebuilt, in_shared);
	}
	guard_after_fork();
	lock_count_as_orphans(false);
	rights_close(rights);
}

/* libc calls it in children of fork(). What ran before may have mended the heap already. */
static void after_fork(void)
{
	forked_look_in_handler();
	/* The child has no such thread until it allocates. Relaxed: the only thread. */
	atomic_store_explicit(&scavenger_started, false, memory_order_relaxed);
}

/* --- start --- */

void thread_late_init(void)
{
	int state = LATE_NOT_YET;
	uint32_t rights;

	/* libc sets environ when it is initialised; ld.so calls malloc before that. */
	if (environ == NULL)
		return;
	/* Acquire and release: one thread does it. Pairs with itself. */
	if (!atomic_compare_exchange_strong_explicit(&late_state, &state, LATE_RUNNING,
						     memory_order_acq_rel, memory_order_acquire))
		return;
	rights = rights_open();
	heap_init();
	read_options();
	begin_sampling();
	rights_close(rights);
	(void)pthread_atfork(NULL, NULL, after_fork);
	if (pthread_key_create(&threads.key, thread_exit) != 0)
		return;
	/* Release: the key. Pairs with the acquire in watch_exit(). */
	atomic_store_explicit(&late_state, LATE_DONE, memory_order_release);
	/* Read after ld.so made the first allocations: from now on malloc.c asks libc. */
	if (options.off)
		leave_heap();
}

void thread_attend(void)
{
	if (environ == NULL)
		return;
	/* Relaxed: one thread takes the flag and does the work. */
	if (atomic_exchange_explicit(&thread_attention, false, memory_order_relaxed))
		thread_late_init();
}

struct mcache *thread_enter(void)
{
	struct mcache *c = own_cache;

	if (LIKELY(c != NULL)) {
		if (UNLIKELY(!c->watched))
			watch_exit(c);
		return c;
	}
	if (!heap_is_ready())
		heap_init();
	/* The thread may have come before another one made the key. */
	(void)rights_open();
	/* Acquire: the heap in order. Pairs with the release in wait_for_adoption(). */
	if (atomic_load_explicit(&orphans, memory_order_acquire))
		wait_for_adoption();
	/* In this order: no thread but the one it is for looks at parked. */
	if (parked_for == lock_self() && parked != NULL) {
		set_cache(parked);
		parked = NULL;
		return own_cache;
	}
	c = thread_is_gone ? NULL : take_cache();
	if (c != NULL) {
		set_cache(c);
		watch_exit(c);
		return c;
	}
	return lock_shared();
}

void thread_leave(struct mcache *c)
{
	if (UNLIKELY(c == &shared_cache))
		lock_release(&shared_lock);
}

struct address_range thread_shared_place(void)
{
	return (struct address_range){ (uintptr_t)&shared_cache, sizeof(shared_cache) };
}

void thread_flush_shared(void)
{
	lock_acquire(&shared_lock);
	if (shared_made)
		mcache_flush(&shared_cache);
	lock_release(&shared_lock);
}

void thread_each_cache(void (*visit)(struct mcache *c, void *arg), void *arg)
{
	lock_acquire(&threads.lock);
	for (struct mcache *c = threads.all; c != NULL; c = c->next_all)
		if (c->in_use)
			visit(c, arg);
	lock_release(&threads.lock);
	lock_acquire(&shared_lock);
	if (shared_made)
		visit(&shared_cache, arg);
	lock_release(&shared_lock);
}

void thread_count_allocs(bool on)
{
	lock_acquire(&threads.lock);
	if (on && !threads.counts)
		for (struct mcache *c = threads.all; c != NULL; c = c->next_all)
			mcache_init_counted(c);
	threads.counts |= on;
	sizeclass_count(on);
	lock_release(&threads.lock);
}

/* Objects on a counted slot's stack were not handed out yet. Read while their owner runs on: right when it does not. */
READS_OTHERS static void add_counts(struct alloc_counts *sum, const struct mcache *c)
{
	for (unsigned sc = 0; sc < NUM_SPAN_CLASSES; sc++)
		sum->mallocs[sc] += PEEK(c->counted.made.mallocs[sc]);
	for (unsigned class = 1; class < NUM_SIZE_CLASSES; class++) {
		const struct mcache_slot *t = &c->slots[COUNTED_SLOT(class)];

		sum->mallocs[make_spanclass(class, false)] -=
			(PEEK(t->stack_top) - PEEK(t->stack_bottom)) / (uint32_t)sizeof(struct free_entry);
	}
	sum->big_bytes[0] += PEEK(c->counted.made.big_bytes[0]);
	sum->big_bytes[1] += PEEK(c->counted.made.big_bytes[1]);
}

void thread_read_counts(struct alloc_counts *sum)
{
	*sum = (struct alloc_counts){ 0 };
	lock_acquire(&threads.lock);
	for (struct mcache *c = threads.all; c != NULL; c = c->next_all)
		add_counts(sum, c);
	lock_release(&threads.lock);
	lock_acquire(&shared_lock);
	if (shared_made)
		add_counts(sum, &shared_cache);
	lock_release(&shared_lock);
}

void thread_count_caches(size_t *inuse, size_t *made)
{
	lock_acquire(&threads.lock);
	*inuse = threads.inuse;
	*made = threads.made;
	lock_release(&threads.lock);
}
