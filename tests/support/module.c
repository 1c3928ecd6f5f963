/* SPDX-License-Identifier: MIT */
/*
 * module.c - helpers of the module tests. See module.h.
 */
#include "module.h"

#include <errno.h>
#include <fcntl.h>
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

static int wait_child(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return status;
}

void run_in_child(void (*body)(void))
{
	int status = wait_child(start_child(body));

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

	c->status = wait_child(start_child(c->body));
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
	return (size_t)n;
}

unsigned count_lines(const char *text)
{
	unsigned n = 0;

	while (*text != '\0') {
		const char *end = strchr(text, '\n');

		n++;
		text = end != NULL ? end + 1 : text + strlen(text);
	}
	return n;
}

static unsigned char pattern_byte(uint64_t seed, size_t i)
{
	uint64_t x = (seed + i / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15);

	return (unsigned char)(x >> (i % 8 * 8) | 1);
}

void pattern_fill(void *p, size_t nbytes, uint64_t seed)
{
	unsigned char *b = p;

	for (size_t i = 0; i < nbytes; i++)
		b[i] = pattern_byte(seed, i);
}

bool pattern_holds(const void *p, size_t nbytes, uint64_t seed)
{
	const unsigned char *b = p;

	for (size_t i = 0; i < nbytes; i++)
		if (b[i] != pattern_byte(seed, i))
			return false;
	return true;
}

bool all_zero(const void *p, size_t nbytes)
{
	const unsigned char *b = p;

	/* Every byte is like the one before it. */
	return nbytes == 0 || (b[0] == 0 && memcmp(b, b + 1, nbytes - 1) == 0);
}
