/* SPDX-License-Identifier: MIT */
/*
 * test_fork.c - forks of a process whose other threads are inside malloc. The children go on
 * allocating, free what the parent's threads made, start threads and fork again.
 *
 * One of the four threads lives in stdio, because a malloc lock that is held from an atfork handler
 * deadlocks with libio's (glibc bug 19431). A child that hangs is ended by its alarm, and the
 * parent fails.
 *
 * Usage: test_fork CASE.
 */
#include "load.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { PLACES = 512, CHILD_SECONDS = 30 };

static _Atomic bool stop;

/* --- the load --- */

static void churn(uint64_t *rng, int rounds)
{
	enum { LIVE = 64 };
	void *live[LIVE] = {NULL};

	for (int i = 0; i < rounds; i++) {
		size_t k = rng_next(rng) % LIVE;
		load_free(live[k]);
		live[k] = load_make(rng, rng_mixed_size(rng));
		if (i % 4 == 0)
			load_leave(load_make(rng, rng_mixed_size(rng)), rng, PLACES);
		if (i % 16 == 0) {
			size_t n = 16 + rng_mixed_size(rng);
			live[k] = realloc(live[k], n);
			CHECK(live[k] != NULL);
			face_object_fill(live[k], n, LOAD_TAG);
		}
	}
	for (size_t k = 0; k < LIVE; k++)
		load_free(live[k]);
}

static void *churning_thread(void *arg)
{
	uint64_t rng = (uint64_t)(uintptr_t)arg * 7919 + 1;
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		churn(&rng, 100);
	return NULL;
}

static void *stdio_thread(void *arg)
{
	uint64_t rng = 3;
	char *line = NULL;
	size_t room = 0;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		FILE *f = fopen("/proc/self/stat", "r"), *g = fopen("/dev/null", "w");
		CHECK(f != NULL && g != NULL);
		CHECK(getline(&line, &room, f) > 0);
		CHECK(fprintf(g, "%s %.100f", line, 1.0) > 0);
		(void)fflush(NULL);
		(void)fclose(f);
		(void)fclose(g);
		churn(&rng, 10);
	}
	free(line);
	return arg;
}

static pthread_t load[4];

static void start_load(void)
{
	atomic_store_explicit(&stop, false, memory_order_relaxed);
	for (size_t i = 0; i < 4; i++)
		CHECK(pthread_create(&load[i], NULL, i == 3 ? stdio_thread : churning_thread,
				     (void *)(i + 1)) == 0);
}

static void stop_load(void)
{
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	for (size_t i = 0; i < 4; i++)
		CHECK(pthread_join(load[i], NULL) == 0);
	load_empty();
}

/* --- forks from a thread --- */

static void *childs_thread(void *arg)
{
	uint64_t rng = 11;
	churn(&rng, 100);
	return arg;
}

static void live_on_as_child(uint64_t seed)
{
	pthread_t thread;
	pid_t grandchild;

	(void)alarm(CHILD_SECONDS);
	load_empty();
	churn(&seed, 100);
	CHECK(pthread_create(&thread, NULL, childs_thread, NULL) == 0);
	churn(&seed, 100);
	grandchild = fork();
	if (grandchild == 0) {
		(void)alarm(CHILD_SECONDS);
		churn(&seed, 50);
		CHECK(pthread_create(&thread, NULL, childs_thread, NULL) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
		_exit(0);
	}
	CHECK(pthread_join(thread, NULL) == 0);
	face_child_ends_well(grandchild);
}

static _Atomic int atfork_runs;

static void allocate_in_atfork(void)
{
	uint64_t rng = 77;
	churn(&rng, 20);
	atfork_runs++;
}

/* Ends a child, with exit handlers and destructors if asked. musl's exit() would wait for the lock
 * of a stream that another thread held in the parent, which no fork of musl's opens. */
static _Noreturn void end_child(bool handlers)
{
#if defined(__GLIBC__)
	if (handlers)
		exit(0);
#endif
	(void)handlers;
	_exit(0);
}

static void children_of_a_threaded_parent_live_on(void)
{
	uint64_t rng = 5;

	/* the program's own handlers allocate, as some do */
	CHECK(pthread_atfork(allocate_in_atfork, allocate_in_atfork, allocate_in_atfork) == 0);
	start_load();
	for (int i = 0; i < 300; i++) {
		pid_t child = fork();
		if (child == 0) {
			live_on_as_child((uint64_t)i + 1);
			end_child(i % 10 == 0);
		}
		churn(&rng, 20);
		face_child_ends_well(child);
	}
	stop_load();
	CHECK(atfork_runs >= 600);
}

/* Each generation is forked by a thread of the one before. */
static void *fork_from_here(void *arg)
{
	int generation = *(int *)arg - 1;
	uint64_t rng = (uint64_t)generation + 100;
	pid_t child;

	churn(&rng, 200);
	if (generation == 0)
		return NULL;
	child = fork();
	if (child == 0) {
		pthread_t thread;
		(void)alarm(CHILD_SECONDS);
		churn(&rng, 200);
		CHECK(pthread_create(&thread, NULL, fork_from_here, &generation) == 0);
		churn(&rng, 200);
		CHECK(pthread_join(thread, NULL) == 0);
		_exit(0);
	}
	face_child_ends_well(child);
	return NULL;
}

static void a_thread_may_fork_and_its_child_again(void)
{
	int generations = 8;
	pthread_t thread[4];

	start_load();
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&thread[i], NULL, fork_from_here, &generations) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	stop_load();
}

/* --- forks in signal handlers --- */

static _Atomic int forks;

static void block_in_new_threads(int signal_number)
{
	sigset_t set;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, signal_number);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void unblock(int signal_number)
{
	sigset_t set;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, signal_number);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void fork_and_allocate_in_handler(int signal_number)
{
	int saved = errno;
	pid_t child = fork();

	(void)signal_number;
	if (child == 0) {
		uint64_t rng = 9;
		(void)alarm(CHILD_SECONDS);
		churn(&rng, 200);
		_exit(0);
	}
	face_child_ends_well(child);
	forks++;
	errno = saved;
}

static void handle(int signal_number, void (*handler)(int))
{
	struct sigaction sa;
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = handler;
	sa.sa_flags = SA_RESTART;
	CHECK(sigaction(signal_number, &sa, NULL) == 0);
}

/* The handler interrupts this thread outside of malloc, so the child may allocate. */
static void a_handler_may_fork_while_other_threads_allocate(void)
{
	handle(SIGUSR1, fork_and_allocate_in_handler);
	block_in_new_threads(SIGUSR1);
	start_load();
	unblock(SIGUSR1);
	for (int i = 0; i < 100; i++)
		CHECK(raise(SIGUSR1) == 0);
	stop_load();
	CHECK(forks == 100);
}

static void fork_in_handler(int signal_number)
{
	static const struct itimerval soon = {{0, 0}, {0, 700}};
	int saved = errno;
	pid_t child = fork();

	(void)signal_number;
	if (child == 0)
		_exit(0);
	face_child_ends_well(child);
	/* armed anew only now: this thread gets on between two signals, however slow a fork is */
	if (++forks < 100)
		(void)setitimer(ITIMER_REAL, &soon, NULL);
	errno = saved;
}

/* The handler interrupts this thread anywhere, mostly in malloc or free. The child does nothing.
 * Fork itself must not hang, and the parent goes on. */
static void a_handler_may_fork_in_the_middle_of_malloc(void)
{
	static const struct itimerval soon = {{0, 0}, {0, 700}};
	uint64_t rng = 1;

	handle(SIGALRM, fork_in_handler);
	block_in_new_threads(SIGALRM);
	for (int with_load = 0; with_load < 2; with_load++) {
		forks = 0;
		if (with_load)
			start_load();
		unblock(SIGALRM);
		CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
		while (forks < 100)
			churn(&rng, 100);
		block_in_new_threads(SIGALRM);
		if (with_load)
			stop_load();
	}
}

int main(int argc, char **argv)
{
	static const struct face_case cases[] = {
		{"threaded_parent", children_of_a_threaded_parent_live_on},
		{"generations", a_thread_may_fork_and_its_child_again},
		{"handler", a_handler_may_fork_while_other_threads_allocate},
		{"handler_in_malloc", a_handler_may_fork_in_the_middle_of_malloc},
	};

	return face_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
