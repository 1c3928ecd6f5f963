/* SPDX-License-Identifier: MIT */
/*
 * test_thread.c - a thread's cache comes back when the thread ends, whenever the thread began.
 *
 * pthread_key_create() is wrapped: a test runs other threads while start-up has no key yet.
 */
#include "module.h"

#include "heap/heapcheck.h"
#include "heap.h"
#include "tools/stat.h"
#include "heap/thread.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

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
	size_t inuse, made;

	thread_count_caches(&inuse, &made);
	return inuse;
}

/* Enough for slow paths of malloc and of free. */
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

static void *early_user(void *arg)
{
	(void)arg;
	use_heap();
	sem_post(&began);
	while (sem_wait(&key_made) != 0)
		;
	use_heap();
	return NULL;
}

static void run_early_user(void)
{
	CHECK(pthread_create(&early, NULL, early_user, NULL) == 0);
	while (sem_wait(&began) != 0)
		;
}

TEST_IN_CHILD(thread_that_begins_before_the_key)
{
	sem_init(&began, 0, 0);
	sem_init(&key_made, 0, 0);
	before_key = run_early_user;
	use_heap();
	CHECK(before_key == NULL && caches_in_use() == 2);
	sem_post(&key_made);
	CHECK(pthread_join(early, NULL) == 0);
	CHECK(caches_in_use() == 1);
	heap_trim();

	struct stat_snapshot st;

	stat_read(&st);
	CHECK(st.all.span_bytes == 0);
	heapcheck();
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ended_threads_leave_nothing),
		cmocka_unit_test(thread_that_begins_before_the_key),
		cmocka_unit_test(thread_that_cannot_be_watched_keeps_errno_and_is_watched_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
