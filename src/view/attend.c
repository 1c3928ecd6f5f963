/* SPDX-License-Identifier: MIT */
/*
 * attend.c - runs a program, and looks at it in the moment in which it ends.
 *
 * The caller becomes the program. Its grandchild, which nobody waits for, traces it. The program
 * keeps the process id, the parent and the terminal that it would have had. It finds no child that
 * it did not make, and its exit status goes where it always goes. The kernel stops a traced thread
 * in exit(2) while its memory is still there (PTRACE_EVENT_EXIT). The parent of the program learns
 * of the end only when the tracer has let it go on.
 *
 * Only the first thread is traced, which costs the others nothing. If it ends before them, all
 * threads that are left are traced from then on. The moment is the end of the last one, or of the
 * one that ends the process.
 */
#include "view/attend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* Returns whether a thread goes on living. It is no zombie then, and no SIGKILL waits for it: the
 * end of a process sends one to each of its threads. */
static bool lives(pid_t pid, const char *tid)
{
	char path[64], line[256];
	bool alive = true;
	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/status", pid, tid);
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return false;
	while (fgets(line, sizeof(line), f) != NULL) {
		unsigned long long pending;
		if (sscanf(line, "State: %1[ZX]", path) == 1)
			alive = false;
		if (sscanf(line, "SigPnd: %llx", &pending) == 1 && pending >> (SIGKILL - 1) & 1)
			alive = false;
	}
	fclose(f);
	return alive;
}

/* Calls visit for each living thread of the process but `except`. Returns how many there are. */
static int other_threads(pid_t pid, pid_t except, void (*visit)(pid_t tid))
{
	char path[64];
	int n = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *d = opendir(path);
	struct dirent *e;
	while (d != NULL && (e = readdir(d)) != NULL) {
		pid_t tid = atoi(e->d_name);
		if (tid <= 0 || tid == except || !lives(pid, e->d_name))
			continue;
		n++;
		if (visit != NULL)
			visit(tid);
	}
	if (d != NULL)
		closedir(d);
	return n;
}

/* Traces one more thread, and those that it makes. One that has just ended is none to trace. */
static void seize_thread(pid_t tid)
{
	ptrace(PTRACE_SEIZE, tid, NULL, (void *)(uintptr_t)(PTRACE_O_TRACEEXIT |
		PTRACE_O_TRACECLONE));
}

/* Follows the program until its end. If it never becomes one, there is nothing to look at. */
static void follow(pid_t pid, void (*look)(void *context, pid_t tid), void *context)
{
	int status;
	pid_t tid;
	bool became = false;
	while ((tid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		if (tid <= 0 || !WIFSTOPPED(status))
			continue;
		int event = status >> 16, sig = WSTOPSIG(status);
		if (event == PTRACE_EVENT_EXEC)
			became = true;
		if (event == PTRACE_EVENT_EXIT && look != NULL && became) {
			if (other_threads(pid, tid, NULL) == 0) {
				look(context, tid);
				look = NULL;
			} else {
				other_threads(pid, tid, seize_thread);
			}
		}
		bool stopped = event == PTRACE_EVENT_STOP && (sig == SIGSTOP || sig == SIGTSTP ||
			sig == SIGTTIN || sig == SIGTTOU);
		ptrace(stopped ? PTRACE_LISTEN : PTRACE_CONT, tid, NULL,
		       (void *)(uintptr_t)(event == 0 ? sig : 0));
	}
}

/* Is the tracer: says over the pipe with which error it could not trace, or 0, and follows. */
static void trace(pid_t pid, int told, void (*look)(void *context, pid_t tid), void *context)
{
	setsid();
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	int error = 0;
	if (ptrace(PTRACE_SEIZE, pid, NULL,
		   (void *)(uintptr_t)(PTRACE_O_TRACEEXIT | PTRACE_O_TRACEEXEC)) != 0)
		error = errno;
	/* A reader of the program's output waits for its end alone. */
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	if (write(told, &error, sizeof(error)) != sizeof(error) || error != 0)
		_exit(0);
	close(told);
	follow(pid, look, context);
	_exit(0);
}

/* Starts the tracer. Returns 0, or the errno that keeps it from tracing us. */
static int start_tracer(void (*look)(void *context, pid_t tid), void *context)
{
	int pipe_fds[2], error = 0;
	if (pipe2(pipe_fds, O_CLOEXEC) != 0)
		return errno;
	pid_t pid = getpid();
	/* Where only ancestors may trace, we allow it until the tracer does. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	pid_t child = fork();
	if (child == 0) {
		pid_t tracer = fork();
		if (tracer == 0) {
			close(pipe_fds[0]);
			trace(pid, pipe_fds[1], look, context);
		}
		error = errno;
		if (tracer < 0 && write(pipe_fds[1], &error, sizeof(error)) < 0)
			_exit(1);
		_exit(0);
	}
	if (child < 0)
		error = errno;
	close(pipe_fds[1]);
	if (child > 0 && read(pipe_fds[0], &error, sizeof(error)) != sizeof(error))
		error = ESRCH;
	close(pipe_fds[0]);
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		continue;
	prctl(PR_SET_PTRACER, 0, 0, 0, 0);
	return error;
}

int attend(char **argv, void (*look)(void *context, pid_t tid), void *context)
{
	int error = start_tracer(look, context);
	if (error != 0) {
		fprintf(stderr, "goalloc-view: cannot trace '%s' until its end: %s%s\n", argv[0],
			strerror(error), error == EPERM ?
			" (is it traced already, or is ptrace refused here, as by seccomp?)" : "");
		return 1;
	}
	execvp(argv[0], argv);
	error = errno;
	fprintf(stderr, "goalloc-view: cannot run '%s': %s\n", argv[0], strerror(error));
	return error == ENOENT ? 127 : 126;
}
