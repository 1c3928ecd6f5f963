/* SPDX-License-Identifier: MIT */
/*
 * test_lock.c - one thread at a time, a rank order, and locks of threads that a fork left behind.
 */
#include "module.h"

#include "os/lock.h"
#include "os/os.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct lock lock_a = LOCK_INITIALIZER(LOCK_MHEAP);

static void a_lock_is_held_by_who_took_it_until_it_is_released(void **state)
{
	struct lock l;

	(void)state;
	lock_init(&l, LOCK_MHEAP);
	assert_false(lock_held(&l));
	lock_acquire(&l);
	assert_true(lock_held(&l));
	lock_release(&l);
	assert_false(lock_held(&l));
	lock_acquire(&l);
	assert_true(lock_held(&l));
	lock_release(&l);
}

enum { THREADS = 4, TURNS = 20000 };

/* Plain variables: only the lock keeps the sum right. */
static struct {
	uint64_t sum;
	unsigned inside;
	unsigned most_inside;
} shared;

static void *count_up(void *arg)
{
	(void)arg;
	for (int i = 0; i < TURNS; i++) {
		lock_acquire(&lock_a);
		if (++shared.inside > shared.most_inside)
			shared.most_inside = shared.inside;
		shared.sum++;
		/* Long enough now and then that others go to sleep. */
		if (i % 1000 == 0)
			os_sleep_ms(1);
		shared.inside--;
		lock_release(&lock_a);
	}
	return NULL;
}

static void one_thread_at_a_time_is_inside_and_no_wake_is_lost(void **state)
{
	pthread_t t[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, count_up, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	assert_int_equal(shared.sum, THREADS * TURNS);
	assert_int_equal(shared.most_inside, 1);
	assert_int_equal(atomic_load(&lock_a.word), 0);
}

static void *get_self(void *arg)
{
	*(uintptr_t *)arg = lock_self();
	return NULL;
}

static void live_threads_have_different_identities(void **state)
{
	uintptr_t other = 0;
	pthread_t t;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, get_self, &other), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_true(other != 0);
	assert_true(lock_self() != 0);
	assert_true(other != lock_self());
}

static uintptr_t parent_self;

static void child_is_the_same(void)
{
	CHECK(lock_self() == parent_self);
}

static void the_identity_stays_the_same_in_a_forked_child(void **state)
{
	(void)state;
	parent_self = lock_self();
	run_in_child(child_is_the_same);
}

/* --- a thread that holds the lock while another one forks --- */

static void child_frees_orphan(void)
{
	CHECK(!lock_held(&lock_a));
	CHECK(lock_reset_orphan(&lock_a));
	CHECK(!lock_reset_orphan(&lock_a));
	lock_acquire(&lock_a);
	CHECK(lock_held(&lock_a));
	lock_release(&lock_a);
}

static void a_lock_whose_holder_is_gone_is_free_after_reset_orphan(void **state)
{
	(void)state;
	lock_holder_start(&lock_a);
	run_in_child(child_frees_orphan);
	/* In the parent the thread still has it. */
	assert_int_not_equal(atomic_load(&lock_a.word), 0);

	lock_holder_stop();
	lock_acquire(&lock_a);
	lock_release(&lock_a);
}

static void child_keeps_own(void)
{
	CHECK(!lock_reset_orphan(&lock_a));
	CHECK(lock_held(&lock_a));
	lock_release(&lock_a);
	CHECK(!lock_reset_orphan(&lock_a));
}

static void a_lock_that_the_forking_thread_holds_is_not_an_orphan(void **state)
{
	(void)state;
	lock_acquire(&lock_a);
	run_in_child(child_keeps_own);
	lock_release(&lock_a);
}

static void child_between_word_and_holder(void)
{
	/* The edge of a critical section: taken, holder not stored yet. */
	atomic_store(&lock_a.word, 2);
	atomic_store(&lock_a.holder, 0);
	CHECK(lock_reset_orphan(&lock_a));
	lock_acquire(&lock_a);
	lock_release(&lock_a);
}

static void a_word_that_is_set_without_a_holder_is_an_orphan(void **state)
{
	(void)state;
	run_in_child(child_between_word_and_holder);
}

/* --- ranks, in debug builds --- */

static struct lock lock_outer = LOCK_INITIALIZER(LOCK_MCENTRAL);
static struct lock lock_inner = LOCK_INITIALIZER(LOCK_METADATA);

TEST_IN_CHILD(locks_are_taken_in_rank_order)
{
	lock_acquire(&lock_outer);
	lock_acquire(&lock_a);
	lock_acquire(&lock_inner);
	lock_release(&lock_a);
	lock_release(&lock_inner);
	lock_release(&lock_outer);
	/* Nothing is remembered of ranks let go. */
	lock_acquire(&lock_outer);
	lock_release(&lock_outer);
}

static void take_lower_rank(void)
{
	lock_acquire(&lock_inner);
	lock_acquire(&lock_a);
}

static void take_same_rank(void)
{
	static struct lock twin = LOCK_INITIALIZER(LOCK_MHEAP);

	lock_acquire(&lock_a);
	lock_acquire(&twin);
}

static void release_unheld(void)
{
	lock_release(&lock_a);
}

static void a_debug_build_aborts_on_a_broken_order(void **state)
{
	static void (*const breaches[])(void) = { take_lower_rank, take_same_rank, release_unheld };

	(void)state;
	if (!GOALLOC_DEBUG)
		skip();
	each_body_aborts(breaches, sizeof(breaches) / sizeof(breaches[0]), "lock.c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lock_is_held_by_who_took_it_until_it_is_released),
		cmocka_unit_test(one_thread_at_a_time_is_inside_and_no_wake_is_lost),
		cmocka_unit_test(live_threads_have_different_identities),
		cmocka_unit_test(the_identity_stays_the_same_in_a_forked_child),
		cmocka_unit_test(a_lock_whose_holder_is_gone_is_free_after_reset_orphan),
		cmocka_unit_test(a_lock_that_the_forking_thread_holds_is_not_an_orphan),
		cmocka_unit_test(a_word_that_is_set_without_a_holder_is_an_orphan),
		cmocka_unit_test(locks_are_taken_in_rank_order),
		cmocka_unit_test(a_debug_build_aborts_on_a_broken_order),
	};

	return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}
