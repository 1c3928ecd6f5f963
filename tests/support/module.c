/* SPDX-License-Identifier: MIT */
/*
 * module.c - helpers of the module tests. See module.h.
 */
#include "module.h"

#include "os/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that dies on purpose leaves no core file, and does not go on in cmocka's handlers. */
static void die_quietly(void)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS };
	struct rlimit none = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		(void)signal(faults[i], SIG_DFL);
}

static pid_t start_child(void (*body)(void))
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		die_quietly();
		body();
		fflush(NULL);
		_exit(0);
	}
	return pid;
}

void run_in_child(void (*body)(void))
{
	int status = child_wait(start_child(body));

	if (WIFSIGNALED(status))
		fail_msg("the child died of signal %d", WTERMSIG(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

struct child_call {
	void (*body)(void);
	int status;
};

static void call_child(void *arg)
{
	struct child_call *c = arg;

	c->status = child_wait(start_child(c->body));
}

int child_status(void (*body)(void), char *text, size_t room)
{
	struct child_call c = { body, 0 };

	capture_stderr(call_child, &c, text, room);
	return c.status;
}

void run_until_abort(void (*body)(void), const char *line)
{
	char text[1024];
	int status = child_status(body, text, sizeof(text));

	assert_string_equal(text, line);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* Takes out the lines of qemu-user about processes that abort. */
static void forget_emulator(char *text)
{
	char *line = text;

	while ((line = strstr(line, "qemu: uncaught target signal")) != NULL) {
		char *end = strchr(line, '\n');

		if (end == NULL) {
			*line = '\0';
			return;
		}
		memmove(line, end + 1, strlen(end + 1) + 1);
	}
}

size_t capture_stderr(void (*call)(void *arg), void *arg, char *text, size_t room)
{
	FILE *file = tmpfile();
	int saved = dup(2);
	ssize_t n;

	assert_non_null(file);
	assert_true(saved >= 0);
	fflush(stderr);
	assert_int_equal(dup2(fileno(file), 2), 2);
	call(arg);
	fflush(stderr);
	assert_int_equal(dup2(saved, 2), 2);
	close(saved);
	n = pread(fileno(file), text, room - 1, 0);
	fclose(file);
	assert_true(n >= 0);
	text[n] = '\0';
	forget_emulator(text);
	return strlen(text);
}

void each_body_aborts(void (*const bodies[])(void), size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++) {
		char text[512];
		int status = child_status(bodies[i], text, sizeof(text));

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
		assert_non_null(strstr(text, word));
	}
}

/* The thread of lock_holder_start(). The condition tells of both flags. */
static struct {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool held, stop;
} holder = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void *hold_lock(void *arg)
{
	struct lock *l = arg;

	lock_acquire(l);
	pthread_mutex_lock(&holder.mutex);
	holder.held = true;
	pthread_cond_signal(&holder.changed);
	while (!holder.stop)
		pthread_cond_wait(&holder.changed, &holder.mutex);
	pthread_mutex_unlock(&holder.mutex);
	lock_release(l);
	return NULL;
}

void lock_holder_start(struct lock *l)
{
	holder.held = holder.stop = false;
	CHECK(pthread_create(&holder.thread, NULL, hold_lock, l) == 0);
	pthread_mutex_lock(&holder.mutex);
	while (!holder.held)
		pthread_cond_wait(&holder.changed, &holder.mutex);
	pthread_mutex_unlock(&holder.mutex);
}

void lock_holder_stop(void)
{
	pthread_mutex_lock(&holder.mutex);
	holder.stop = true;
	pthread_cond_signal(&holder.changed);
	pthread_mutex_unlock(&holder.mutex);
	CHECK(pthread_join(holder.thread, NULL) == 0);
}
