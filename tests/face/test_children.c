/* SPDX-License-Identifier: MIT */
/*
 * test_children.c - children of every kind while other threads of the parent are inside malloc:
 * many forks, vfork and posix_spawn with exec, clone without libc's handlers, and the two forks of
 * a daemon.
 *
 * The children do what POSIX allows, and also what programs do all the same: they allocate, start
 * threads and fork again. test_fork.c has the parent's objects in the child. A child that hangs is
 * ended by its alarm, and the parent fails.
 *
 * Usage: test_children CASE [CHILDREN]. A child that was exec'ed is this program with the case
 * "child".
 */
#include "face.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;

enum { PATIENCE_SECONDS = 30 };

static size_t count;
static char *self;
static _Atomic bool stop;

/* --- the load --- */

static void churn(uint64_t *rng, int rounds)
{
	enum { LIVE = 64 };
	void *live[LIVE] = { NULL };
	size_t size[LIVE] = { 0 };

	for (int i = 0; i < rounds; i++) {
		size_t k = rng_next(rng) % LIVE;

		if (live[k] != NULL)
			CHECK(face_object_intact(live[k], size[k], 7));
		free(live[k]);
		size[k] = rng_mixed_size(rng);
		live[k] = malloc(size[k]);
		CHECK(live[k] != NULL);
		face_object_fill(live[k], size[k], 7);
	}
	for (size_t k = 0; k < LIVE; k++)
		free(live[k]);
}

static void *churning_thread(void *arg)
{
	uint64_t rng = (uint64_t)(uintptr_t)arg;

	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		churn(&rng, 200);
	return NULL;
}

/* Ends at once: the thread's exit is a moment, too. */
static void *short_thread(void *arg)
{
	uint64_t rng = 3;

	churn(&rng, 20);
	return arg;
}

static void *thread_of_threads(void *arg)
{
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		pthread_t thread;

		CHECK(pthread_create(&thread, NULL, short_thread, NULL) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
	}
	return arg;
}

static pthread_t load[3];

static void start_load(void)
{
	for (uintptr_t i = 0; i < 3; i++)
		CHECK(pthread_create(&load[i], NULL, i == 2 ? thread_of_threads : churning_thread,
				     (void *)(i + 1)) == 0);
}

static void stop_load(void)
{
	stop = true;
	for (size_t i = 0; i < 3; i++)
		CHECK(pthread_join(load[i], NULL) == 0);
}

static void live_as_child(uint64_t seed)
{
	(void)alarm(PATIENCE_SECONDS);
	churn(&seed, 100);
}

static void run_as_child(void)
{
	char *argv[] = { self, (char *)(size_t)"child", NULL };

	(void)execv(self, argv);
	_exit(9);
}

/* --- fork --- */

static void child_in_one_of_five_ways(size_t way)
{
	pthread_t thread;
	pid_t grandchild;

	live_as_child(way + 1);
	switch (way % 5) {
	case 0:
		CHECK(pthread_create(&thread, NULL, short_thread, NULL) == 0);
		live_as_child(way);
		CHECK(pthread_join(thread, NULL) == 0);
		break;
	case 1:
		grandchild = fork();
		if (grandchild == 0) {
			live_as_child(5);
			_exit(0);
		}
		live_as_child(way);
		face_child_ends_well(grandchild);
		break;
	case 2:
		if (way % 4 == 0)
			run_as_child();
		break;
	case 3:
		if (way % 4 == 0)
			exit(0);
		break;
	default:
		break;
	}
	_exit(0);
}

static void forks_in_numbers_do_not_hang(void)
{
	uint64_t rng = 8;

	start_load();
	for (size_t i = 0; i < count; i++) {
		pid_t child = fork();

		if (child == 0)
			child_in_one_of_five_ways(i);
		churn(&rng, 10);
		face_child_ends_well(child);
	}
	stop_load();
}

/* --- vfork --- */

static void vfork_and_exec_under_load(void)
{
	start_load();
	for (size_t i = 0; i < count; i++) {
		char *argv[] = { self, (char *)(size_t)"child", NULL };
		void *volatile p = malloc(100);
		pid_t child = vfork();

		if (child == 0) {
			/* More than POSIX allows: the memory is the parent's. */
			free(p);
			p = malloc(i * 100);
			(void)execv(self, argv);
			_exit(9);
		}
		free(p);
		face_child_ends_well(child);
	}
	stop_load();
}

/* --- posix_spawn --- */

static void posix_spawn_with_file_actions_under_load(void)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;

	start_load();
	CHECK(sigemptyset(&none) == 0);
	for (size_t i = 0; i < count; i++) {
		char *argv[] = { self, (char *)(size_t)"child", NULL };
		pid_t child;

		CHECK(posix_spawn_file_actions_init(&actions) == 0 &&
		      posix_spawnattr_init(&attr) == 0);
		CHECK(posix_spawn_file_actions_addopen(&actions, 9, "/dev/null", O_RDWR, 0) == 0);
		CHECK(posix_spawn_file_actions_adddup2(&actions, 9, 1) == 0);
		CHECK(posix_spawn_file_actions_addclose(&actions, 9) == 0);
		CHECK(posix_spawnattr_setsigmask(&attr, &none) == 0);
		CHECK(posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK) == 0);
		CHECK(posix_spawn(&child, self, &actions, &attr, argv, environ) == 0);
		CHECK(posix_spawn_file_actions_destroy(&actions) == 0 &&
		      posix_spawnattr_destroy(&attr) == 0);
		face_child_ends_well(child);
	}
	stop_load();
}

/* --- clone --- */

static int child_with_our_memory(void *arg)
{
	uint64_t rng = 6;

	churn(&rng, 100);
	free(*(void **)arg);
	*(void **)arg = malloc(5000);
	return 0;
}

/* Makes a process of one thread by a way that runs no handlers of fork. */
static void clone_by_hand(void)
{
	uint64_t rng = 4;

	for (size_t i = 0; i < count; i++) {
		pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
		char *stack = malloc(64 * KiB);
		void *p = malloc(100);

		CHECK(stack != NULL && p != NULL);
		if (child == 0) {
			pid_t grandchild;

			live_as_child(i + 1);
			grandchild = fork();
			live_as_child(i + 2);
			if (grandchild != 0)
				face_child_ends_well(grandchild);
			_exit(0);
		}
		churn(&rng, 50);
		face_child_ends_well(child);
		/* A child that uses this heap while its parent waits. */
		face_child_ends_well(clone(child_with_our_memory, stack + 64 * KiB,
					   CLONE_VM | CLONE_VFORK | SIGCHLD, &p));
		churn(&rng, 50);
		free(p);
		free(stack);
	}
}

/* --- a daemon --- */

static void check_daemon(int to_parent)
{
	pthread_t thread;
	char word = 'd';

	live_as_child(1);
	CHECK(pthread_create(&thread, NULL, short_thread, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(write(to_parent, &word, 1) == 1);
}

/* The child has none of the parent's threads. The first child ends at once. */
static void a_daemon_forks_twice(void)
{
	start_load();
	for (size_t i = 0; i < count; i++) {
		int ends[2];
		pid_t child;
		char word = 0;

		CHECK(pipe(ends) == 0);
		child = fork();
		if (child == 0) {
			(void)alarm(PATIENCE_SECONDS);
			CHECK(setsid() > 0);
			if (i % 2 == 0) {
				if (fork() != 0)
					_exit(0);
			} else {
				CHECK(daemon(1, 1) == 0);
			}
			check_daemon(ends[1]);
			exit(0);
		}
		CHECK(close(ends[1]) == 0);
		face_child_ends_well(child);
		CHECK(read(ends[0], &word, 1) == 1 && word == 'd');
		CHECK(close(ends[0]) == 0);
	}
	stop_load();
}

int main(int argc, char **argv)
{
	static const struct face_counted_case cases[] = {
		{ "fork", forks_in_numbers_do_not_hang, 150 },
		{ "vfork", vfork_and_exec_under_load, 100 },
		{ "spawn", posix_spawn_with_file_actions_under_load, 100 },
		{ "clone", clone_by_hand, 100 },
		{ "daemon", a_daemon_forks_twice, 20 },
	};

	self = argv[0];
	if (argc == 2 && strcmp(argv[1], "child") == 0) {
		live_as_child(77);
		return 0;
	}
	return face_run_counted_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]), &count);
}
