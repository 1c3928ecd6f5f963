/* SPDX-License-Identifier: MIT */
/*
 * test_one_thread.c - a process of one thread stays one until there is work for another.
 *
 * Callers  CTest, linked with the library and preloaded, with signal=USR1 and scavthread=1 in
 *          GOALLOC.
 */
#include "face.h"
#include "proc.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#define N 4000
#define OBJECT (16 * KiB)

/* A child enters a user namespace, which a process of several threads may not (EINVAL). */
static void check_namespace(void)
{
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (child == 0)
		_exit(unshare(CLONE_NEWUSER) == 0 || errno != EINVAL ? 0 : 1);
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	static void *objects[N];
	size_t most;

	CHECK(face_malloc_is_goalloc());
	(void)alarm(20);
	free(malloc(100));
	CHECK(proc_threads() == 1);
	CHECK(unshare(CLONE_NEWUSER) == 0 || errno != EINVAL);
	/* The signal is answered by the thread that gets it. */
	for (int i = 0; i < 10; i++)
		CHECK(raise(SIGUSR1) == 0 && proc_threads() == 1);
	check_namespace();
	/* A large heap is worth a thread, which gives it back while the program sleeps. */
	for (int i = 0; i < N; i++) {
		objects[i] = malloc(OBJECT);
		CHECK(objects[i] != NULL);
		memset(objects[i], 1, OBJECT);
	}
	CHECK(proc_threads() == 2);
	most = proc_rss();
	for (int i = 0; i < N; i++)
		free(objects[i]);
	while (proc_rss() > most - N * OBJECT / 2)
		(void)usleep(10000);
	/* A child begins with one thread again. */
	check_namespace();
	return 0;
}
