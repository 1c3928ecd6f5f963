/* SPDX-License-Identifier: MIT */
/*
 * test_thread.c - a thread's cache comes back when the thread ends, whenever the thread began, and
 * its memory goes back when no other thread needs it.
 *
 * pthread_key_create() is wrapped: a test runs other threads while start-up has no key yet.
 */
#include "child.h"
#include "module.h"

#include "heap/heapcheck.h"
#include "heap.h"
#include "tools/stat.h"
#include "heap/thread.h"
#include "os/forked.h"
#include "base/options.h"
#include "fork.h"
#include "heap/limit.h"
#include "os/os.h"
#include "os_fail.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

static void (*before_key)(void);

int __real_pthread_key_create(pthread_key_t *key, void (*destructor)(void *));
int __wrap_pthread_key_create(pthread_key_t *key, void (*destructor)(void *));

int __wrap_pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
	void (*call)(void) = before_key;

	before_key = NULL;
	if (call != NULL)
		call();
	return __real_pthread_key_create(key, destructor);
}

static bool refuse_values;

int __real_pthread_setspecific(pthread_key_t key, const void *value);
int __wrap_pthread_setspecific(pthread_key_t key, const void *value);

/* As libc does when it has no memory for the value. */
int __wrap_pthread_setspecific(pthread_key_t key, const void *value)
{
	if (!refuse_values)
		return __real_pthread_setspecific(key, value);
	errno = ENOMEM;
	return ENOMEM;
}

static size_t caches_in_use(void)
{
	return thread_count_caches().inuse;
}

/* Allocates and frees enough for the slow paths of both. */
static void use_heap(void)
{
	void *p[200];

	for (int i = 0; i < 200; i++)
		CHECK((p[i] = heap_malloc(32768)) != NULL);
	for (int i = 0; i < 200; i++)
		heap_free(p[i], "free");
}

static void *user(void *arg)
{
	(void)arg;
	use_heap();
	return NULL;
}

TEST_IN_CHILD(ended_threads_leave_nothing)
{
	struct stat_snapshot st;
	pthread_t t;

	use_heap();
	for (int i = 0; i < 20; i++) {
		CHECK(pthread_create(&t, NULL, user, NULL) == 0);
		CHECK(pthread_join(t, NULL) == 0);
		CHECK(caches_in_use() == 1);
	}
	heap_trim();
	stat_read(&st);
	CHECK(st.all.span_bytes == 0);
}

/* --- a thread whose first request comes while another thread makes the key --- */

static sem_t began, key_made;
static pthread_t early;

static void *late_free[8];
static bool only_frees;

static void *early_user(void *arg)
{
	(void)arg;
	use_heap();
	CHECK(thread_self.cache == NULL);
	sem_post(&began);
	while (sem_wait(&key_made) != 0)
		;
	if (!only_frees)
		use_heap();
	for (size_t i = 0; i < 8; i++)
		heap_free(late_free[i], "free");
	CHECK(thread_self.cache != NULL);
	return NULL;
}

static void run_early_user(void)
{
	CHECK(pthread_create(&early, NULL, early_user, NULL) == 0);
	while (sem_wait(&began) != 0)
		;
}

/* Runs a thread whose first request comes while there is no key yet. */
static void begin_early(void)
{
	struct stat_snapshot st;

	sem_init(&began, 0, 0);
	sem_init(&key_made, 0, 0);
	before_key = run_early_user;
	for (size_t i = 0; i < 8; i++)
		CHECK((late_free[i] = heap_malloc(100)) != NULL);
	CHECK(before_key == NULL && caches_in_use() == 1);
	sem_post(&key_made);
	CHECK(pthread_join(early, NULL) == 0);
	CHECK(caches_in_use() == 1);
	heap_trim();
	stat_read(&st);
	CHECK(st.all.span_bytes == 0);
	heapcheck();
}

TEST_IN_CHILD(thread_that_begins_before_the_key)
{
	begin_early();
}

TEST_IN_CHILD(thread_that_begins_before_the_key_and_then_only_frees)
{
	only_frees = true;
	begin_early();
}

static void has_a_cache(void)
{
	use_heap();
	CHECK(thread_self.cache != NULL && caches_in_use() == 1);
	heapcheck();
}

static void *early_forker(void *arg)
{
	run_in_child(has_a_cache);
	return arg;
}

static void run_early_forker(void)
{
	CHECK(pthread_create(&early, NULL, early_forker, NULL) == 0);
	CHECK(pthread_join(early, NULL) == 0);
}

TEST_IN_CHILD(a_child_that_another_thread_forks_before_the_key_makes_the_key)
{
	before_key = run_early_forker;
	has_a_cache();
	CHECK(before_key == NULL);
}

/* --- a fork by a signal's handler while the thread changes a list --- */

static void go_on_in_child(void)
{
	CHECK(forked());
	lock_release(&thread_list.lock);
	use_heap();
	CHECK(!forked() && caches_in_use() == 1);
	heapcheck();
}

TEST_IN_CHILD(a_thread_that_forks_under_its_own_lock_mends_the_heap_later)
{
	use_heap();
	lock_acquire(&thread_list.lock);
	run_in_child(go_on_in_child);
	lock_release(&thread_list.lock);
	use_heap();
}

static void allocate_without_key(void)
{
	use_heap();
	CHECK(thread_self.cache != NULL);
}

TEST_IN_CHILD(thread_that_makes_the_key_has_a_cache_meanwhile)
{
	before_key = allocate_without_key;
	use_heap();
	CHECK(before_key == NULL && !thread_shared.made && caches_in_use() == 1);
}

/* --- a thread that libc has no memory to watch --- */

static void *unwatched_user(void *arg)
{
	errno = 0;
	use_heap();
	CHECK(errno == 0);
	refuse_values = false;
	use_heap();
	return arg;
}

TEST_IN_CHILD(thread_that_cannot_be_watched_keeps_errno_and_is_watched_later)
{
	pthread_t t;

	use_heap();
	refuse_values = true;
	CHECK(pthread_create(&t, NULL, unwatched_user, NULL) == 0);
	CHECK(pthread_join(t, NULL) == 0);
	CHECK(!refuse_values && caches_in_use() == 1);
}

/* --- the memory of caches that no thread has --- */

/* NMANY: many more threads than the pool keeps caches for. */
enum { NTHREADS = 20, NMANY = 300 };
static sem_t all_began, may_end;

static void *waiting_user(void *arg)
{
	use_heap();
	sem_post(&all_began);
	while (sem_wait(&may_end) != 0)
		;
	return arg;
}

/* Runs n threads that have caches at the same time and end. */
static void run_threads(int n)
{
	static pthread_t t[NMANY];

	sem_init(&all_began, 0, 0);
	sem_init(&may_end, 0, 0);
	for (int i = 0; i < n; i++)
		CHECK(pthread_create(&t[i], NULL, waiting_user, NULL) == 0);
	for (int i = 0; i < n; i++)
		while (sem_wait(&all_began) != 0)
			;
	CHECK(caches_in_use() == (size_t)n + 1);
	heapcheck();
	for (int i = 0; i < n; i++)
		sem_post(&may_end);
	for (int i = 0; i < n; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	CHECK(caches_in_use() == 1);
}

static bool pool_has_memory(void)
{
	struct cache_count n = thread_count_caches();

	CHECK(n.bytes >= n.inuse_bytes);
	return n.bytes != n.inuse_bytes;
}

TEST_IN_CHILD(a_trim_releases_the_caches_of_ended_threads)
{
	size_t used;

	use_heap();
	(void)heap_trim();
	used = fixalloc_used_bytes();
	for (int i = 0; i < 3; i++) {
		run_threads(NTHREADS);
		CHECK(pool_has_memory());
		(void)heap_trim();
		CHECK(!pool_has_memory());
		/* Slabs of span records keep a kernel page each. */
		CHECK(fixalloc_used_bytes() < used + KiB(256));
		heapcheck();
	}
}

TEST_IN_CHILD(a_tick_releases_caches_that_no_thread_took_for_the_decay_time)
{
	use_heap();
	options.scavenge_ms = 1000000;
	run_threads(NTHREADS);
	thread_release_caches(limit_decay_ms());
	CHECK(pool_has_memory());
	options.scavenge_ms = 1;
	os_sleep_ms(50);
	thread_cache()->poll_ms = 0;
	mcache_poll(thread_cache());
	CHECK(!pool_has_memory());
	run_threads(NTHREADS);
	heapcheck();
}

TEST_IN_CHILD(the_pool_of_a_process_whose_threads_ended_is_small)
{
	struct cache_count n;

	options.scavenge_ms = 1000000;
	use_heap();
	for (int i = 0; i < 3; i++) {
		run_threads(NMANY);
		n = thread_count_caches();
		CHECK(n.inuse == 1);
		CHECK(n.bytes < n.inuse_bytes + NMANY / 4 * n.inuse_bytes);
		CHECK(mcaches_count() < NMANY / 4);
		heapcheck();
	}
	(void)heap_trim();
	CHECK(!pool_has_memory());
}

TEST_IN_CHILD(threads_that_come_and_go_share_one_cache)
{
	struct cache_count n;
	pthread_t t;

	use_heap();
	n = thread_count_caches();
	for (int i = 0; i < 200; i++) {
		CHECK(pthread_create(&t, NULL, user, NULL) == 0);
		CHECK(pthread_join(t, NULL) == 0);
		CHECK(thread_count_caches().bytes <= n.bytes + sizeof(struct mcache) +
							     sizeof(struct mcache_rest));
	}
}

static void use_in_child(void)
{
	run_threads(NTHREADS);
	(void)heap_trim();
	CHECK(!pool_has_memory());
	heapcheck();
}

TEST_IN_CHILD(a_forked_child_has_released_caches_and_those_of_the_pool)
{
	use_heap();
	run_threads(NTHREADS);
	run_in_child(use_in_child);
	(void)heap_trim();
	run_in_child(use_in_child);
	run_threads(NTHREADS);
}

static void *refused_user(void *arg)
{
	os_fail_from(OS_COMMIT_METADATA, 1);
	use_heap();
	CHECK(os_fail_failed() != 0 && thread_self.cache == NULL);
	os_fail_stop();
	use_heap();
	CHECK(thread_self.cache != NULL);
	return arg;
}

TEST_IN_CHILD(a_thread_without_memory_for_a_cache_has_one_later)
{
	pthread_t t;

	use_heap();
	CHECK(pthread_create(&t, NULL, refused_user, NULL) == 0);
	CHECK(pthread_join(t, NULL) == 0);
	CHECK(caches_in_use() == 1);
	heapcheck();
}

/* --- a signal's handler forks while a thread without a cache waits for a lock --- */

static _Atomic bool may_begin;
static _Atomic pid_t forked_pid;

static void fork_in_handler(int signal)
{
	(void)signal;
	atomic_store(&forked_pid, fork());
}

/* Makes its first request, and in the child of the handler looks at what it left. If arg is not
 * NULL it has given its cache back before. */
static void *wait_and_fork(void *arg)
{
	bool gone = arg != NULL;
	void *p;

	thread_self.gone = gone;
	while (!atomic_load(&may_begin))
		sched_yield();
	p = heap_malloc(100);
	if (atomic_load(&forked_pid) == 0) {
		CHECK(!fork_has_orphans() && !thread_shared.cache.orphan);
		CHECK((thread_self.cache == NULL) == gone);
		heap_free(p, "free");
		use_heap();
		heapcheck();
		_exit(0);
	}
	heap_free(p, "free");
	return NULL;
}

static void fork_in_wait_for(struct lock *l, void *gone)
{
	pthread_t t;

	atomic_store(&may_begin, false);
	atomic_store(&forked_pid, -1);
	CHECK(signal(SIGUSR1, fork_in_handler) != SIG_ERR);
	use_heap();
	CHECK(pthread_create(&t, NULL, wait_and_fork, gone) == 0);
	lock_holder_start(l);
	atomic_store(&may_begin, true);
	/* 2: a thread waits for it. */
	while (atomic_load(&l->word) != 2)
		sched_yield();
	CHECK(pthread_kill(t, SIGUSR1) == 0);
	while (atomic_load(&forked_pid) == -1)
		sched_yield();
	lock_holder_stop();
	CHECK(pthread_join(t, NULL) == 0);
	CHECK(child_wait(atomic_load(&forked_pid)) == 0);
	heapcheck();
}

TEST_IN_CHILD(a_child_forked_in_the_wait_for_a_cache_adopts_before_it_uses_one)
{
	fork_in_wait_for(&thread_list.lock, NULL);
}

TEST_IN_CHILD(a_child_forked_in_the_wait_for_the_shared_cache_adopts_it_first)
{
	static char gone;

	fork_in_wait_for(&thread_shared_lock, &gone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ended_threads_leave_nothing),
		cmocka_unit_test(thread_that_begins_before_the_key),
		cmocka_unit_test(
			thread_that_begins_before_the_key_and_then_only_frees),
		cmocka_unit_test(thread_that_makes_the_key_has_a_cache_meanwhile),
		cmocka_unit_test(a_child_that_another_thread_forks_before_the_key_makes_the_key),
		cmocka_unit_test(a_thread_that_forks_under_its_own_lock_mends_the_heap_later),
		cmocka_unit_test(thread_that_cannot_be_watched_keeps_errno_and_is_watched_later),
		cmocka_unit_test(a_trim_releases_the_caches_of_ended_threads),
		cmocka_unit_test(
			a_tick_releases_caches_that_no_thread_took_for_the_decay_time),
		cmocka_unit_test(the_pool_of_a_process_whose_threads_ended_is_small),
		cmocka_unit_test(threads_that_come_and_go_share_one_cache),
		cmocka_unit_test(a_forked_child_has_released_caches_and_those_of_the_pool),
		cmocka_unit_test(
			a_thread_without_memory_for_a_cache_has_one_later),
		cmocka_unit_test(
			a_child_forked_in_the_wait_for_a_cache_adopts_before_it_uses_one),
		cmocka_unit_test(
			a_child_forked_in_the_wait_for_the_shared_cache_adopts_it_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
