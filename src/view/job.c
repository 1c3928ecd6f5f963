/* SPDX-License-Identifier: MIT */
/*
 * job.c - makes an answer that takes long in a child process, so that the server goes on.
 *
 * The child sends a head and the text through a pipe. It gets SIGTERM when its answer is not wanted
 * any more, and when the server ends in any way. On SIGTERM a child that takes a profile tells the
 * process to take no more samples: see raise.c. A child that searches for leaks ends at once, and
 * the kernel lets the threads go on that the child has stopped.
 */
#include "view/job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	ROOM_FIRST = 65536,
	END_TRIES = 200,         /* of 10 ms: how long a child may take to end */
};

/* The longest answer, in bytes. */
static const size_t ROOM_MOST = (size_t)256 << 20;

struct head {
	int status;
	char type[64];
	size_t length;           /* of the text */
};

static bool write_all(int fd, const void *bytes, size_t nbytes)
{
	const char *at = bytes;
	while (nbytes > 0) {
		ssize_t n = write(fd, at, nbytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		nbytes -= (size_t)n;
	}
	return true;
}

/* Makes the answer and sends it, in the child, which ends then. */
static _Noreturn void run(int fd, int (*make)(void *context, FILE *out, const char **type),
			  void *context)
{
	struct head head = { .status = 0 };
	const char *type = "text/plain; charset=utf-8";
	char *text = NULL;
	FILE *out = open_memstream(&text, &head.length);
	if (out == NULL)
		_exit(1);
	head.status = make(context, out, &type);
	strncpy(head.type, type, sizeof(head.type) - 1);
	bool whole = ferror(out) == 0;
	if (fclose(out) != 0 || !whole || !write_all(fd, &head, sizeof(head)) ||
	    !write_all(fd, text, head.length))
		_exit(1);
	_exit(0);
}

bool job_start(struct job *j, int (*make)(void *context, FILE *out, const char **type),
	       void *context, const int *closes, size_t ncloses)
{
	int fds[2];
	pid_t parent = getpid();
	if (pipe2(fds, O_CLOEXEC) != 0)
		return false;
	/* Only the reader's end. */
	pid_t pid = fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0 ? fork() : -1;
	if (pid == 0) {
		sigset_t none;
		sigemptyset(&none);
		/* A write to a server that has ended fails, and the child ends by itself. */
		signal(SIGPIPE, SIG_IGN);
		sigprocmask(SIG_SETMASK, &none, NULL);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent)
			_exit(1);
		for (size_t i = 0; i < ncloses; i++)
			close(closes[i]);
		close(fds[0]);
		run(fds[1], make, context);
	}
	int error = errno;
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		errno = error;
		return false;
	}
	*j = (struct job){ .pid = pid, .fd = fds[0] };
	return true;
}

bool job_read(struct job *j)
{
	if (j->nbytes == j->room) {
		size_t room = j->room == 0 ? ROOM_FIRST : 2 * j->room;
		char *bytes = room <= ROOM_MOST ? realloc(j->bytes, room) : NULL;
		if (bytes == NULL)
			return true;
		j->bytes = bytes;
		j->room = room;
	}
	ssize_t n = read(j->fd, j->bytes + j->nbytes, j->room - j->nbytes);
	if (n < 0)
		return errno != EAGAIN && errno != EINTR;
	j->nbytes += (size_t)n;
	return n == 0;
}

/* Waits for the end of a child that was asked to end, but not for long. */
static void await_end(pid_t pid)
{
	struct timespec piece = { 0, 10000000 };
	for (int i = 0; i < END_TRIES; i++) {
		pid_t ended = waitpid(pid, NULL, WNOHANG);
		if (ended != 0)
			return;
		nanosleep(&piece, NULL);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

bool job_end(struct job *j, struct job_answer *answer)
{
	struct head head;
	bool whole = false;
	if (j->nbytes >= sizeof(head)) {
		memcpy(&head, j->bytes, sizeof(head));
		whole = head.length == j->nbytes - sizeof(head);
	}
	close(j->fd);
	if (!whole)
		kill(j->pid, SIGTERM);
	await_end(j->pid);
	if (whole && answer != NULL) {
		answer->status = head.status;
		memcpy(answer->type, head.type, sizeof(head.type));
		answer->length = head.length;
		memmove(j->bytes, j->bytes + sizeof(head), head.length);
		answer->text = j->bytes;
	} else {
		free(j->bytes);
	}
	*j = (struct job){ .pid = 0 };
	return whole;
}
