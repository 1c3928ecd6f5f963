/* SPDX-License-Identifier: MIT */
/*
 * start.c - sets the heap up, reads the options, begins sampling, ends threads.
 *
 * The first request of a process may come from ld.so, before libc is up and before there is an
 * environment. So start-up has two parts. heap_init() makes a heap that works; start_late_init()
 * reads the options if they could not be read before, and asks libc to be told of forks and ends of
 * threads.
 *
 * Owns     what of start-up is done, the key by which libc tells of ends of threads.
 * Locks    start_lock (LOCK_INIT) is held by heap_init(). No lock is held while libc is called.
 */
#include "start.h"
#include "base/options.h"
#include "fork.h"
#include "heap/limit.h"
#include "heap/mcentral.h"
#include "heap/tiny.h"
#include "os/fatal.h"
#include "os/metakey.h"
#include "os/os_process.h"
#include "safe/guard.h"
#include "safe/hardened.h"
#include "scavthread.h"
#include "tools/profile.h"
#include "tools/sample.h"
#include "tools/suppressed.h"
#include "tools/tracer.h"

#include <errno.h>
#include <pthread.h>

extern char **environ;

/* glibc runs destructors of thread-specific data up to four times while they set new values. Other
 * destructors may allocate, so ours waits for the last round. ThreadSanitizer takes the last round
 * to end the thread's own record. */
#define DESTRUCTOR_ROUNDS (GOALLOC_SANITIZED ? 2 : 4)

/* LATE_NO_KEY: all is done, but libc has no key for the ends of threads yet. While a thread is at
 * work, the state is late_at_work(). */
enum { LATE_NOT_YET, LATE_NO_KEY, LATE_DONE };
static _Atomic int late_state;

_Atomic bool start_attention = true;

static pthread_key_t exit_key;    /* constant once late_state is LATE_DONE */

/* --- the heap --- */

/* Sets the memory limit that the options ask for. */
static void read_limit(void)
{
	size_t bytes = limit_of_options("");

	(void)mheap_set_limit(bytes);
	if (bytes != 0 || options.scavthread == SCAVTHREAD_ON)
		scavthread_note_stderr();
	if (options.hard && options.memlimit == 0 && options.memlimit_percent == 0)
		report_line(2, "hard=1 has no effect as long as no memlimit is set");
}

/* Reads the options before the first object; or, where ld.so makes objects before there is an
 * environment, as soon as there is one. One thread at a time calls it. What it writes is constant
 * once it was called with an environment. */
static void read_options(void)
{
	static bool had_objects, done;

	if (environ == NULL) {
		had_objects = true;
		return;
	}
	if (done)
		return;
	done = true;
	options_init();
	/* The stacks that took the first freed objects have room; some options allow none. */
	if (had_objects && thread_self.cache != NULL)
		mcache_flush_stacks(thread_self.cache);
	if (options.decoratemappings)
		os_name_mappings();
	if (options.view)
		(void)os_allow_tracer(OS_ANY_TRACER);
	if (options.suppressions[0] != '\0')
		suppressed_load(options.suppressions);
	read_limit();
	if (options.sbrk || options.efence)
		sizeclass_divert_all();
	if (options.hardened && had_objects) {
		/* The objects have no tail, and the memory that they leave behind is not clear. */
		options.hardened = false;
		report_line(2, "hardened=1 comes too late: there are objects already; it is off");
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

/* Begins to count and sample what the options ask for, once there are options. */
static void begin_sampling(void)
{
	bool stacks = options.profile[0] != '\0' || options.leakcheck != 0;
	size_t rate = !stacks ? 0 : options.leakcheck == 2 ? 1 : options.memprofilerate;

	if (sample_counts() || (!stacks && options.stats[0] == '\0' && options.guardrate == 0))
		return;
	if (rate != 0 && !profile_start(rate)) {
		rate = 0;
		report_line(2, "profile: there is no memory for its tables; none is taken");
	}
	sample_begin(rate, options.guardrate);
}

/* Returns true in a hook that begin_call_out() allowed, and while a thread that could call a hook
 * holds the shared cache. Free pages stay dirty then, because a hook would not learn that they are
 * gone. They are dropped later. */
static bool can_call_out_later(void)
{
	if (thread_self.hidden != NULL || (scavthread_is_self() && thread_self.gone))
		return true;
	return (thread_self.cache != NULL || scavthread_is_self()) &&
	       lock_held(&thread_shared_lock);
}

/* Hides the calling thread's cache from a hook of the program on libc's madvise(), which may
 * allocate while the thread is in the middle of an allocation. The requests of the hook go through
 * the shared cache. Returns false if no hook may be called: the thread uses the shared cache, sets
 * the heap up, adopts, or has left the heap. */
static bool begin_call_out(void)
{
	if (thread_self.cache == NULL && (!scavthread_is_self() || thread_self.gone))
		return false;
	if (lock_held(&thread_shared_lock) || lock_held(&start_lock))
		return false;
	thread_self.hidden = thread_self.cache;
	thread_self.gone = true;
	thread_set_cache(NULL);
	return true;
}

static void end_call_out(void)
{
	thread_self.gone = false;
	if (thread_self.hidden != NULL)
		thread_set_cache(thread_self.hidden);
	thread_self.hidden = NULL;
}

/* Lets go of what a cache keeps in the quarantine and as tiny block. */
static void flush_others(struct mcache *c)
{
	if (options.hardened)
		hardened_flush(c);
	tiny_detach(c);
}

static void heap_init(void)
{
	lock_acquire(&start_lock);
	if (!thread_is_ready()) {
		os_seed_random();
		read_options();
		fork_watch();
		mheap_init();
		mcache_flush_others = flush_others;
		begin_sampling();
		os_set_call_out(can_call_out_later, begin_call_out, end_call_out);
		thread_set_ready();
	}
	lock_release(&start_lock);
}

/* --- the ends of threads --- */

/* Gives the thread's cache back, in the last of the rounds. The value of the key counts the rounds
 * that are left. A thread may be cancelled at any instruction, and musl before 1.2.4 does not align
 * its stack then. */
static ON_ANY_STACK void thread_exit(void *value)
{
	uintptr_t rounds_left = (uintptr_t)value;
	uint32_t rights = metakey_open();

	/* The thread of a child may end before its first slow path. */
	if (thread_self.cache == NULL && !thread_self.gone)
		thread_leave(start_enter());
	metakey_close(rights);
	if (thread_self.cache == NULL)
		return;
	if (rounds_left > 1 && pthread_setspecific(exit_key, (void *)(rounds_left - 1)) == 0)
		return;
	rights = metakey_open();
	thread_give_cache();
	metakey_close(rights);
}

/* Returns a negative number that is another one in each forked child whose heap is in order. */
static int late_at_work(void)
{
	/* Relaxed: it does not change while this process runs. */
	return -(int)atomic_load_explicit(os_fork_mark(), memory_order_relaxed);
}

/* Makes the key. This thread is at work. */
static void make_key(void)
{
	bool made = pthread_key_create(&exit_key, thread_exit) == 0;

	/* Release: the key. Pairs with the acquire in watch_exit(). */
	atomic_store_explicit(&late_state, made ? LATE_DONE : LATE_NO_KEY, memory_order_release);
}

/* Returns true if a thread may have a cache of its own: libc can be asked to tell of the thread's
 * end, or libc is not up yet, or this thread makes the key. Other threads use the shared cache
 * meanwhile. If one of them took a cache and only freed from then on, nobody would give the cache
 * back, because frees do not come by here. In a forked child that lost the thread which was making
 * the key, the caller makes it. */
static bool may_have_cache(void)
{
	/* Relaxed, both: one that is seen too late costs the shared cache once more. The flag is
	 * true here only as long as libc is not up. */
	int state = atomic_load_explicit(&late_state, memory_order_relaxed);

	if (state >= LATE_NO_KEY || thread_self.starts ||
	    atomic_load_explicit(&start_attention, memory_order_relaxed))
		return true;
	/* The thread that was at work may not be in this forked child. Relaxed: one thread goes on,
	 * and what the lost one did was done before the fork. */
	if (state == LATE_NOT_YET || state == late_at_work() ||
	    !atomic_compare_exchange_strong_explicit(&late_state, &state, late_at_work(),
						     memory_order_relaxed, memory_order_relaxed))
		return false;
	thread_self.starts = true;
	make_key();
	thread_self.starts = false;
	return true;
}

/* Asks libc to call thread_exit() when the calling thread ends. If libc has no memory for that, the
 * next slow path of malloc asks again. With glibc before 2.34 a process may load libpthread, which
 * makes the key, after the start. */
static SLOW_PATH void watch_exit(struct mcache *c)
{
	int saved_errno = errno, state = LATE_NO_KEY;

	/* Acquire: one thread makes the key anew. Pairs with the release in make_key(). */
	if (UNLIKELY(atomic_compare_exchange_strong_explicit(&late_state, &state, late_at_work(),
							     memory_order_acquire,
							     memory_order_acquire)))
		make_key();
	/* Acquire: the key. Pairs with the release in make_key(). */
	state = atomic_load_explicit(&late_state, memory_order_acquire);
	/* Without libpthread there is one thread, which need not be watched. */
	if (state == LATE_NO_KEY)
		c->watched = true;
	if (state != LATE_DONE)
		return;
	/* Set first, because libc may allocate. It may also find no memory, and free() may be what
	 * brought us here: so errno is kept. */
	c->watched = true;
	c->watched = pthread_setspecific(exit_key, (void *)(uintptr_t)DESTRUCTOR_ROUNDS) == 0;
	errno = saved_errno;
}

/* --- late start-up --- */

/* Is called by libc in children of fork(). The heap may have been mended already, because other
 * handlers ran before. */
static void after_fork(void)
{
	/* The handler of a signal may have forked while this thread changes a list. Then the heap
	 * is put in order later: at the next slow path, or where the thread waits for a lock. */
	forked_look_in_handler(!lock_any_held());
	/* Yama's permission is not inherited. */
	if (options.view)
		(void)os_allow_tracer(OS_ANY_TRACER);
	scavthread_after_fork();
}

void start_late_init(void)
{
	int state = LATE_NOT_YET;
	uint32_t rights;

	/* libc sets environ when it is initialised. ld.so calls malloc before that. */
	if (environ == NULL)
		return;
	/* Acquire and release: one thread goes on. Pairs with itself. */
	if (!atomic_compare_exchange_strong_explicit(&late_state, &state, late_at_work(),
						     memory_order_acq_rel, memory_order_acquire))
		return;
	thread_self.starts = true;
	rights = metakey_open();
	heap_init();
	read_options();
	begin_sampling();
	metakey_close(rights);
	(void)pthread_atfork(NULL, NULL, after_fork);
	make_key();
	thread_self.starts = false;
	scavthread_allow();
	tracer_allow();
	/* ld.so made the first allocations before the options were read. From now on malloc.c asks
	 * libc. */
	if (options.off) {
		rights = metakey_open();
		thread_give_cache();
		metakey_close(rights);
	}
}

void start_attend(void)
{
	if (environ == NULL)
		return;
	/* Relaxed: one thread takes the flag and does the work. */
	if (atomic_exchange_explicit(&start_attention, false, memory_order_relaxed))
		start_late_init();
}

/* Gives the calling thread a cache, or locks the shared one. */
static struct mcache *take_or_lock_shared(void)
{
	struct mcache *c = may_have_cache() ? thread_take_cache() : NULL;

	return c != NULL ? c : thread_lock_shared();
}

struct mcache *start_enter(void)
{
	struct mcache *c;

	/* Relaxed: a flag to look; start_late_init() decides. */
	if (UNLIKELY(atomic_load_explicit(&start_attention, memory_order_relaxed)))
		start_attend();
	c = thread_self.cache;
	if (LIKELY(c != NULL)) {
		if (UNLIKELY(!c->watched))
			watch_exit(c);
		return c;
	}
	if (!thread_is_ready())
		heap_init();
	/* Another thread may have made the key since this thread began. */
	(void)metakey_open();
	if (fork_has_orphans())
		fork_adopt();
	c = take_or_lock_shared();
	/* Again, if a signal's handler forked while the thread waited for a lock. In the child no
	 * thread may have a cache before one has adopted, and the shared cache may be in the middle
	 * of a change. */
	while (UNLIKELY(fork_has_orphans())) {
		thread_leave(c);
		fork_adopt();
		c = take_or_lock_shared();
	}
	if (c == thread_self.cache)
		watch_exit(c);
	return c;
}
