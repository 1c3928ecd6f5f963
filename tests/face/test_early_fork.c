/* SPDX-License-Identifier: MIT */
/*
 * test_early_fork.c - children that use the heap before its fork handler ran, or without it: in
 * handlers that were registered earlier, and in children of _Fork() and of the system calls
 * themselves. Other threads are inside malloc when the process forks.
 *
 * Owns     `known`: objects that the parent made and every child frees.
 * Callers  CTest, linked with the library and preloaded. argv[1] is the case.
 * Locks    none. A child that hangs is ended by its alarm, and the parent fails.
 * Holds    a child uses neither stdio nor fork(): libc resets its own locks in fork() alone.
 */
#include "face.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { THREADS = 3, KNOWN = 400, CHILD_SECONDS = 20, FORKS = 100 };

static _Atomic bool stop;
static void *known[KNOWN];

/* --- the load: short of none of the locks --- */

static void churn(uint64_t seed, int rounds)
{
	enum { LIVE = 64 };
	void *live[LIVE] = {NULL};

	for (int i = 0; i < rounds; i++) {
		size_t k = rng_next(&seed) % LIVE;
		size_t n = rng_below(&seed, 8) == 0 ? rng_below(&seed, 300 * KiB) :
						      rng_mixed_size(&seed);

		if (live[k] != NULL)
			CHECK(face_object_intact(live[k], ((struct face_object *)live[k])->size,
						 7));
		free(live[k]);
		live[k] = malloc(n + sizeof(struct face_object));
		CHECK(live[k] != NULL);
		face_object_fill(live[k], n + sizeof(struct face_object), 7);
	}
	for (size_t k = 0; k < LIVE; k++)
		free(live[k]);
}

static void *churning_thread(void *arg)
{
	uint64_t seed = (uint64_t)(uintptr_t)arg * 7919 + 1;

	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		churn(rng_next(&seed), 100);
	return NULL;
}

static pthread_t load[THREADS];

static void start_load(void)
{
	uint64_t rng = 5;

	for (size_t i = 0; i < KNOWN; i++) {
		size_t n = sizeof(struct face_object) + rng_mixed_size(&rng);

		known[i] = malloc(n);
		CHECK(known[i] != NULL);
		face_object_fill(known[i], n, i);
	}
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&load[i], NULL, churning_thread, (void *)(i + 1)) == 0);
}

static void stop_load(void)
{
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(load[i], NULL) == 0);
}

static void free_known(void)
{
	for (size_t i = 0; i < KNOWN; i++) {
		CHECK(face_object_intact(known[i], ((struct face_object *)known[i])->size, i));
		free(known[i]);
	}
}

static void wait_for(pid_t child)
{
	int status;
	pid_t got;

	CHECK(child > 0);
	do
		got = waitpid(child, &status, __WALL);
	while (got < 0 && errno == EINTR);
	CHECK(got == child);
	if (WIFSIGNALED(status))
		CHECK_LE(WTERMSIG(status), 0); /* shows the signal; SIGALRM is a hang */
	CHECK(WEXITSTATUS(status) == 0);
}

static void *childs_thread(void *arg)
{
	churn((uint64_t)(uintptr_t)arg, 200);
	return NULL;
}

static void start_threads(pthread_t *thread, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++)
		CHECK(pthread_create(&thread[i], NULL, childs_thread,
				     (void *)(uintptr_t)(seed + i)) == 0);
}

static void join_threads(const pthread_t *thread, size_t n)
{
	for (size_t i = 0; i < n; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
}

/* --- handlers registered before the library's --- */

static void (*in_early_handler)(void);

static void early_handler(void)
{
	if (in_early_handler != NULL)
		in_early_handler();
}

/* Runs before the constructors of all libraries. */
static void register_early(void)
{
	(void)pthread_atfork(NULL, NULL, early_handler);
}
__attribute__((section(".preinit_array"),
	       used)) static void (*register_first)(void) = register_early;

static uint64_t nth;

static void allocate_early(void)
{
	(void)alarm(CHILD_SECONDS);
	churn(nth, 200);
}

/* The handler's threads are the first in the child to use the heap. Their stacks lie where threads
 * of the parent had theirs. */
static void allocate_in_early_threads(void)
{
	pthread_t thread[2];

	(void)alarm(CHILD_SECONDS);
	start_threads(thread, 2, nth);
	join_threads(thread, 2);
}

/* Forks before anything put the heap in order. */
static void fork_early(void)
{
	static bool again;
	pid_t child;

	(void)alarm(CHILD_SECONDS);
	if (again)
		return;
	again = true;
	child = (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L);
	if (child == 0) {
		churn(nth, 200);
		_exit(0);
	}
	churn(nth, 100);
	wait_for(child);
}

static void fork_with(void (*handler)(void))
{
	in_early_handler = handler;
	start_load();
	for (nth = 1; nth <= FORKS; nth++) {
		pid_t child = fork();

		if (child == 0) {
			pthread_t thread[2];

			start_threads(thread, 2, nth + 100);
			free_known();
			churn(nth + 200, 100);
			join_threads(thread, 2);
			_exit(0);
		}
		wait_for(child);
	}
	stop_load();
}

static void early_handler_may_allocate(void)
{
	fork_with(allocate_early);
}

static void early_handler_may_start_threads(void)
{
	fork_with(allocate_in_early_threads);
}

static void early_handler_may_fork(void)
{
	fork_with(fork_early);
}

/* --- children without handlers --- */

__attribute__((weak)) pid_t _Fork(void);

__attribute__((unused)) static pid_t clone_without_stack(void)
{
	return (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L);
}

static pid_t fork_by_libc_alone(void)
{
	return _Fork != NULL ? _Fork() : clone_without_stack();
}

/* musl makes no threads in a child that it does not know of. */
static pid_t bare_fork(void)
{
#if defined(__GLIBC__)
	if (nth % 2 != 0)
		return clone_without_stack();
#endif
	return fork_by_libc_alone();
}

static void live_on(void)
{
	pthread_t thread[2];
	pid_t child;

	churn(nth, 100);
	free_known();
	start_threads(thread, 2, nth);
	churn(nth + 1, 100);
	child = bare_fork();
	if (child == 0) {
		(void)alarm(CHILD_SECONDS);
		churn(nth + 2, 100);
		_exit(0);
	}
	join_threads(thread, 2);
	wait_for(child);
}

static void fork_bare(void (*in_child)(void))
{
	start_load();
	for (nth = 1; nth <= FORKS; nth++) {
		pid_t child = bare_fork();

		if (child == 0) {
			(void)alarm(CHILD_SECONDS);
			in_child();
			_exit(0);
		}
		wait_for(child);
	}
	stop_load();
}

static void bare_children_live_on(void)
{
	fork_bare(live_on);
}

static void begin_with_threads(void)
{
	pthread_t thread[3];

	start_threads(thread, 3, nth);
	/* At the same time as they, by fast paths first. */
	for (int i = 0; i < 50; i++)
		free(malloc(16));
	free_known();
	churn(nth + 3, 200);
	join_threads(thread, 3);
	churn(nth + 4, 50);
}

static void bare_children_may_begin_with_threads(void)
{
	fork_bare(begin_with_threads);
}

/* Nobody allocates between the two forks. */
static void fork_at_once(void)
{
	pid_t child = bare_fork();

	if (child == 0) {
		(void)alarm(CHILD_SECONDS);
		live_on();
		_exit(0);
	}
	live_on();
	wait_for(child);
}

static void bare_children_may_fork_at_once(void)
{
	fork_bare(fork_at_once);
}

/* --- clone(2) with a function and a stack --- */

static int cloned(void *arg)
{
	(void)arg;
	(void)alarm(CHILD_SECONDS);
	churn(nth, 200);
	free_known();
	_exit(0);
}

static void cloned_children_live_on(void)
{
	static _Alignas(64) char stack[256 * 1024];

	start_load();
	for (nth = 1; nth <= FORKS; nth++)
		wait_for(clone(cloned, stack + sizeof(stack), SIGCHLD, NULL));
	stop_load();
}

/* --- a child that shares the memory --- */

static int sharing(void *arg)
{
	(void)arg;
	return 0;
}

/* The child shares the memory, so it is no fork: nothing is mended while the threads run on. */
static void children_that_share_memory_are_no_forks(void)
{
	static _Alignas(64) char stack[64 * 1024];

	start_load();
	for (nth = 1; nth <= FORKS; nth++) {
		pid_t child = vfork();

		if (child == 0)
			_exit(0);
		wait_for(child);
		wait_for(clone(sharing, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL));
		churn(nth, 100);
	}
	stop_load();
	free_known();
}

/* --- _Fork() in a signal's handler --- */

static void fork_in_handler(int number)
{
	pid_t child;

	(void)number;
	child = bare_fork();
	if (child == 0) {
		(void)alarm(CHILD_SECONDS);
		churn(nth, 100);
		_exit(0);
	}
	wait_for(child);
}

/* Forks in handlers that interrupt this thread outside malloc, while the others are inside. */
static void handlers_may_fork_bare(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = fork_in_handler;
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	start_load();
	for (nth = 1; nth <= FORKS; nth++)
		CHECK(raise(SIGUSR1) == 0);
	stop_load();
}

/* The child of a handler returns to what was interrupted, mostly malloc or free, and goes on
 * there. */
static _Atomic bool is_child;

static void fork_and_return(int number)
{
	pid_t child;

	(void)number;
	if (atomic_load(&is_child))
		return;
	child = bare_fork();
	if (child == 0) {
		(void)alarm(CHILD_SECONDS);
		atomic_store(&is_child, true);
		return;
	}
	wait_for(child);
}

static void *interrupting_thread(void *arg)
{
	struct timespec pause = {0, 200000};
	pthread_t whom = *(pthread_t *)arg;

	for (int i = 0; i < FORKS; i++) {
		(void)nanosleep(&pause, NULL);
		CHECK(pthread_kill(whom, SIGUSR1) == 0);
	}
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	return NULL;
}

/* Allocates in a child whose handler has returned, and ends it. */
static _Noreturn void end_child(void)
{
	churn(nth, 300);
	_exit(0);
}

static void children_of_handlers_may_return_into_malloc(void)
{
	struct sigaction action;
	pthread_t self = pthread_self(), thread;

	memset(&action, 0, sizeof(action));
	action.sa_handler = fork_and_return;
	action.sa_flags = SA_RESTART;
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	start_load();
	nth = 1;
	CHECK(pthread_create(&thread, NULL, interrupting_thread, &self) == 0);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		nth++;
		churn(nth, 20);
		if (atomic_load(&is_child))
			end_child();
	}
	/* The last signal may come in pthread_create(3), before the loop, or behind the test. */
	if (atomic_load(&is_child))
		end_child();
	CHECK(pthread_join(thread, NULL) == 0);
	stop_load();
}

int main(int argc, char **argv)
{
	static const struct face_case cases[] = {
		{"handler", early_handler_may_allocate},
		{"handler_threads", early_handler_may_start_threads},
		{"handler_forks", early_handler_may_fork},
		{"bare", bare_children_live_on},
		{"bare_threads", bare_children_may_begin_with_threads},
		{"bare_forks", bare_children_may_fork_at_once},
		{"cloned", cloned_children_live_on},
		{"sharing", children_that_share_memory_are_no_forks},
		{"signal", handlers_may_fork_bare},
		{"signal_in_malloc", children_of_handlers_may_return_into_malloc},
	};

	return face_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
