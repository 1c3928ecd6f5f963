/* SPDX-License-Identifier: MIT */
/*
 * test_snapshot.c - the copy of the process: it is of one moment, it knows the threads, nothing of
 * it comes back, and the program goes on.
 *
 * Where tracing is refused, the tests that need stopped threads are skipped.
 */
#include "module.h"

#include "os/os.h"
#include "tools/snapshot.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { THREADS = 3 };

/* What the copy tells: in memory that it shares with the program. */
static struct told {
	int looks, pid, sn_pid, tid;
	size_t nthreads, missed;
	bool refused, unsettled;
	uint64_t first, second;
	uintptr_t stacks[THREADS];
} *told;

static _Atomic uint64_t counter;
static _Atomic bool stop;
static int ordinary = 1;

static void look(struct snapshot *sn, void *arg)
{
	CHECK(arg == told);
	told->looks++;
	told->pid = os_pid();
	told->sn_pid = sn->pid;
	told->tid = sn->tid;
	told->nthreads = sn->nthreads;
	told->missed = snapshot_missed(sn);
	told->refused = sn->refused;
	told->unsettled = sn->unsettled;
	for (size_t i = 0; i < sn->nthreads && i < THREADS; i++)
		told->stacks[i] = sn->threads[i].stack;
	told->first = atomic_load(&counter);
	os_sleep_ms(5);
	told->second = atomic_load(&counter);
	ordinary = 2;
}

static void begin(void)
{
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(told != MAP_FAILED);
}

static struct snapshot_failure take(void (*call)(struct snapshot *sn, void *arg))
{
	return snapshot_take(call, told, cpu_stack_pointer());
}

TEST_IN_CHILD(the_copy_is_another_process_and_what_it_changes_stays_there)
{
	struct snapshot_failure failure;

	begin();
	failure = take(look);
	CHECK(failure.error == 0 && failure.signal == 0);
	CHECK(told->looks == 1);
	CHECK(told->pid != getpid() && told->sn_pid == getpid() && told->tid == getpid());
	CHECK(told->nthreads == 0 && told->missed == 0);
	CHECK(ordinary == 1);
	/* wait(2) of the program sees neither the copy nor the helper. */
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

static char *stack_of[THREADS];

static void *count_up(void *arg)
{
	*(char **)arg = __builtin_frame_address(0);
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		atomic_fetch_add_explicit(&counter, 1, memory_order_relaxed);
	return NULL;
}

static void run_threads(pthread_t threads[THREADS])
{
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, count_up, &stack_of[i]) == 0);
	while (atomic_load(&counter) < 100)
		(void)usleep(100);
	for (size_t i = 0; i < THREADS; i++)
		while (*(char *volatile *)&stack_of[i] == NULL)
			(void)usleep(100);
}

static bool is_near(uintptr_t a, const char *b)
{
	return a - ((uintptr_t)b - KiB(64)) < KiB(128);
}

TEST_IN_CHILD(the_other_threads_are_known_by_their_stacks_and_go_on_afterwards)
{
	pthread_t threads[THREADS];
	uint64_t before;

	begin();
	run_threads(threads);
	for (int round = 0; round < 20; round++) {
		memset(told, 0, sizeof(*told));
		CHECK(take(look).error == 0);
		/* The copy has one thread, so nothing moves there. */
		CHECK(told->looks == 1 && told->first == told->second);
		if (told->refused)
			return;
		CHECK(told->nthreads == THREADS && told->missed == 0 && !told->unsettled);
		for (size_t i = 0; i < THREADS; i++) {
			size_t near = 0;

			for (size_t k = 0; k < THREADS; k++)
				near += is_near(told->stacks[k], stack_of[i]);
			CHECK(near == 1);
		}
	}
	before = atomic_load(&counter);
	while (atomic_load(&counter) < before + 1000)
		(void)usleep(100);
	atomic_store(&stop, true);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static void kill_the_copy(struct snapshot *sn, void *arg)
{
	(void)sn;
	(void)arg;
	(void)kill(os_pid(), SIGKILL);
	for (;;)
		os_sleep_ms(1000);
}

TEST_IN_CHILD(a_copy_that_is_killed_is_a_failure_with_the_signals_number)
{
	struct snapshot_failure failure;

	begin();
	failure = take(kill_the_copy);
	CHECK(failure.error == EIO && failure.signal == SIGKILL && failure.why != NULL);
	/* The next one is taken as if nothing had happened. */
	CHECK(take(look).error == 0 && told->looks == 1);
}

TEST_IN_CHILD(a_program_that_forbids_looking_at_it_is_not_copied)
{
	begin();
	CHECK(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
	CHECK(take(look).error == EPERM && told->looks == 0);
	CHECK(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
	CHECK(take(look).error == 0 && told->looks == 1);
}

static _Atomic int signals;

static void on_signal(int number)
{
	(void)number;
	signals++;
}

static void raise_in_the_copy(struct snapshot *sn, void *arg)
{
	(void)arg;
	(void)kill(sn->pid, SIGUSR1);
	os_sleep_ms(5);
	told->looks = signals;
}

/* The program's handlers run in the program, when the snapshot is over. */
TEST_IN_CHILD(signals_wait_until_the_snapshot_is_over)
{
	begin();
	CHECK(signal(SIGUSR1, on_signal) != SIG_ERR);
	CHECK(take(raise_in_the_copy).error == 0);
	CHECK(told->looks == 0);
	CHECK(signals == 1);
}

static void *take_some(void *arg)
{
	for (int i = 0; i < 10; i++)
		CHECK(take(look).error == 0);
	return arg;
}

TEST_IN_CHILD(threads_that_ask_at_once_are_served_one_after_another)
{
	pthread_t threads[THREADS];

	begin();
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, take_some, NULL) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(told->looks == THREADS * 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_copy_is_another_process_and_what_it_changes_stays_there),
		cmocka_unit_test(the_other_threads_are_known_by_their_stacks_and_go_on_afterwards),
		cmocka_unit_test(a_copy_that_is_killed_is_a_failure_with_the_signals_number),
		cmocka_unit_test(a_program_that_forbids_looking_at_it_is_not_copied),
		cmocka_unit_test(signals_wait_until_the_snapshot_is_over),
		cmocka_unit_test(threads_that_ask_at_once_are_served_one_after_another),
	};

	return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
