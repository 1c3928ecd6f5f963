/* SPDX-License-Identifier: MIT */
/*
 * test_service.c - a running program is asked by a signal (signal=USR1) for what it was to write at
 * its end.
 *
 * GOALLOC_STATS and GOALLOC_PROFILE name the files, with %p for the process. Each file is removed
 * after it was looked at. Nothing waits for a fixed time: a case waits for what is to come, until
 * the alarm.
 *
 * Usage: test_service CASE.
 */
#include "face.h"
#include "hidden.h"

#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Returns the name of the file that a variable holds, with its %p replaced. */
static const char *file_of(const char *variable)
{
	static char path[PATH_MAX];
	const char *value = getenv(variable), *at;

	CHECK(value != NULL && (at = strstr(value, "%p")) != NULL);
	(void)snprintf(path, sizeof(path), "%.*s%d%s", (int)(at - value), value, (int)getpid(),
		       at + 2);
	return path;
}

static size_t size_of(const char *variable)
{
	struct stat st;

	return stat(file_of(variable), &st) == 0 ? (size_t)st.st_size : 0;
}

static void wait_until_larger(const char *variable, size_t nbytes)
{
	while (size_of(variable) <= nbytes)
		(void)usleep(1000);
}

static void clean_up(void)
{
	(void)unlink(file_of("GOALLOC_STATS"));
	(void)unlink(file_of("GOALLOC_PROFILE"));
}

static _Atomic bool stop;

static void *churn(void *arg)
{
	enum { LIVE = 500 };
	static _Thread_local void *p[LIVE];
	uint64_t rng = (uint64_t)(uintptr_t)arg;

	while (!stop) {
		size_t k = rng_next(&rng) % LIVE, n = rng_mixed_size(&rng) + 1;

		free(p[k]);
		p[k] = malloc(n);
		CHECK(p[k] != NULL);
		memset(p[k], 1, n);
	}
	for (size_t k = 0; k < LIVE; k++)
		free(p[k]);
	return NULL;
}

/* Signals that find threads in the middle of malloc and free. */
static void while_threads_allocate(void)
{
	pthread_t threads[3];

	for (uintptr_t i = 0; i < 3; i++)
		CHECK(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)) == 0);
	for (int i = 0; i < 3000; i++) {
		CHECK(pthread_kill(threads[i % 3], SIGUSR1) == 0);
		if (i % 30 == 0)
			(void)usleep(1000);
	}
	for (int i = 0; i < 3; i++) {
		size_t before = size_of("GOALLOC_STATS");

		CHECK(pthread_kill(threads[i], SIGUSR1) == 0);
		wait_until_larger("GOALLOC_STATS", before);
		CHECK(unlink(file_of("GOALLOC_PROFILE")) == 0 || i > 0);
		CHECK(pthread_kill(threads[i], SIGUSR1) == 0);
		wait_until_larger("GOALLOC_PROFILE", 0);
	}
	stop = true;
	for (int i = 0; i < 3; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static volatile sig_atomic_t own_signals;

static void own_handler(int signal)
{
	(void)signal;
	own_signals++;
}

/* A handler or default action that the program installs later wins. */
static void own_handlers_win(void)
{
	struct sigaction before, action = {.sa_handler = own_handler};
	size_t size = size_of("GOALLOC_STATS");

	CHECK(sigaction(SIGUSR1, &action, &before) == 0 && before.sa_handler != SIG_DFL);
	CHECK(raise(SIGUSR1) == 0 && own_signals == 1);
	/* As it was: then it is ours again. */
	CHECK(sigaction(SIGUSR1, &before, NULL) == 0 && size_of("GOALLOC_STATS") == size);
	CHECK(raise(SIGUSR1) == 0 && own_signals == 1);
	wait_until_larger("GOALLOC_STATS", size);
}

/* Children have files of their own, by signal and at exit. */
static void children_write_their_own(void)
{
	size_t size = size_of("GOALLOC_STATS");
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		CHECK(size_of("GOALLOC_STATS") == 0);
		CHECK(raise(SIGUSR1) == 0);
		wait_until_larger("GOALLOC_STATS", 0);
		wait_until_larger("GOALLOC_PROFILE", 0);
		clean_up();
		_exit(0);
	}
	CHECK(child_wait(child) == 0);
	CHECK(size_of("GOALLOC_STATS") == size);
}

/* The exit handler of another, which looks after the library is done, is not to be had: a child is
 * looked at. */
static void at_exit_as_well(void)
{
	pid_t child = fork();
	char path[PATH_MAX];
	struct stat st;
	int status;

	CHECK(child >= 0);
	if (child == 0)
		exit(3);
	status = child_wait(child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	for (int i = 0; i < 2; i++) {
		const char *value = getenv(i == 0 ? "GOALLOC_STATS" : "GOALLOC_PROFILE"),
			   *at = strstr(value, "%p");

		CHECK(at != NULL);
		(void)snprintf(path, sizeof(path), "%.*s%d%s", (int)(at - value), value, (int)child,
			       at + 2);
		CHECK(stat(path, &st) == 0 && st.st_size > 20);
		CHECK(unlink(path) == 0);
	}
}

static void lose(void)
{
	char *volatile p = malloc(1000);

	CHECK(p != NULL);
	memset(p, 1, 1000);
	p = NULL;
}

/* Ends a child by the signal and looks at its status and at what it had not flushed. */
static int exit_of_child(bool loses, char *text, size_t size)
{
	int ends[2], status;
	ssize_t n;
	pid_t child;

	CHECK(pipe(ends) == 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		if (loses)
			lose();
		CHECK(dup2(ends[1], 1) == 1 && printf("buffered") > 0);
		hidden_scrub();
		exit(3);
	}
	CHECK(close(ends[1]) == 0);
	status = child_wait(child);
	CHECK(WIFEXITED(status));
	n = read(ends[0], text, size - 1);
	CHECK(n >= 0 && close(ends[0]) == 0);
	text[n] = 0;
	return WEXITSTATUS(status);
}

/* GOALLOC has leakcheck=2,leakexit=77. */
static void leaks_change_the_status(void)
{
	char text[100];

	CHECK(exit_of_child(true, text, sizeof(text)) == 77);
	CHECK(strncmp(text, "buffered", 8) == 0);
	CHECK(exit_of_child(false, text, sizeof(text)) == 3);
	CHECK(strncmp(text, "buffered", 8) == 0);
}

int main(int argc, char **argv)
{
	static const struct face_case cases[] = {
		{"threads", while_threads_allocate},
		{"handler", own_handlers_win},
		{"children", children_write_their_own},
		{"exit", at_exit_as_well},
		{"leaks", leaks_change_the_status},
	};

	(void)alarm(50);
	(void)face_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
	if (getenv("GOALLOC_STATS") != NULL)
		clean_up();
	_exit(0);
}
