/* SPDX-License-Identifier: MIT */
/*
 * program.h - runs one program with a chosen environment and keeps all that it says.
 *
 * A child that says nothing for PROGRAM_PATIENCE_MS is killed, and the result says so. The drivers
 * that include this run on glibc's malloc: LD_PRELOAD is set in the child only. One child runs at a
 * time.
 */
#ifndef TESTS_PROGRAM_H
#define TESTS_PROGRAM_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM_PATIENCE_MS 30000
#define PROGRAM_TEXT_MAX 65536

struct program_result {
	int status;               /* as waitpid() gives it */
	bool timed_out;           /* killed for silence */
	pid_t pid;
	char out[PROGRAM_TEXT_MAX]; /* stdout, ended with 0, cut at the size */
	char err[PROGRAM_TEXT_MAX]; /* stderr, likewise */
};

static inline bool program_exited_0(const struct program_result *r)
{
	return !r->timed_out && WIFEXITED(r->status) && WEXITSTATUS(r->status) == 0;
}

/* Becomes the program, in the child. env has "NAME=value", or "NAME" to unset a variable. A
 * crash leaves no core file. */
__attribute__((noreturn)) static inline void program_exec(char *const argv[],
							 const char *const env[])
{
	struct rlimit no_core = {0, 0};
	(void)setrlimit(RLIMIT_CORE, &no_core);
	for (; env != NULL && *env != NULL; env++) {
		if (strchr(*env, '=') != NULL)
			(void)putenv((char *)(size_t)*env);
		else
			(void)unsetenv(*env);
	}
	(void)execv(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

/* Reads both pipes to their ends; false when nothing came for PROGRAM_PATIENCE_MS. */
static inline bool program_collect(int out, int err, struct program_result *r)
{
	struct pollfd fds[2] = {{out, POLLIN, 0}, {err, POLLIN, 0}};
	char *text[2] = {r->out, r->err};
	size_t have[2] = {0, 0};
	char spill[4096];
	int open_ends = 2;

	while (open_ends > 0) {
		int ready = poll(fds, 2, PROGRAM_PATIENCE_MS);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return false;
		for (int i = 0; i < 2; i++) {
			size_t room = PROGRAM_TEXT_MAX - 1 - have[i];
			ssize_t n;
			if (fds[i].fd < 0 || fds[i].revents == 0)
				continue;
			n = room > 0 ? read(fds[i].fd, text[i] + have[i], room)
				     : read(fds[i].fd, spill, sizeof(spill));
			if (n <= 0) {
				fds[i].fd = -1;
				open_ends--;
			} else if (room > 0) {
				have[i] += (size_t)n;
				text[i][have[i]] = 0;
			}
		}
	}
	return true;
}

/* Runs argv[0] with the environment of the caller changed by env; fills *r. Never fails
 * quietly: what cannot be started ends the driver. */
static inline void program_run(char *const argv[], const char *const env[],
					      struct program_result *r)
{
	int out[2], err[2];

	memset(r, 0, sizeof(*r));
	(void)fflush(NULL);
	if (pipe(out) != 0 || pipe(err) != 0 || (r->pid = fork()) < 0) {
		perror("program_run");
		exit(2);
	}
	if (r->pid == 0) {
		(void)dup2(out[1], 1);
		(void)dup2(err[1], 2);
		(void)close(out[0]);
		(void)close(out[1]);
		(void)close(err[0]);
		(void)close(err[1]);
		program_exec(argv, env);
	}
	(void)close(out[1]);
	(void)close(err[1]);
	if (!program_collect(out[0], err[0], r)) {
		r->timed_out = true;
		(void)kill(r->pid, SIGKILL);
	}
	while (waitpid(r->pid, &r->status, 0) < 0 && errno == EINTR)
		;
	(void)close(out[0]);
	(void)close(err[0]);
}

#endif
