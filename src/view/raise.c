/* SPDX-License-Identifier: MIT */
/*
 * raise.c - makes a process sample its allocations for a while.
 *
 * It writes to the words of tools/tracer.h, which the process's next slow path sees. From
 * raise_begin() to raise_end(), the signals that would end this program are blocked, so that the
 * wish is withdrawn. A program that is killed leaves it to the lease.
 */
#include "view/raise.h"
#include "os/os.h"
#include "os/os_process.h"
#include "tools/tracer.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The lease is longer than what was asked for by so many seconds. */
#define GRACE 30

/* Writes a word of the process. Where process_vm_writev(2) is refused, /proc/PID/mem may not be. */
static bool write_word(struct target *t, uintptr_t addr, uint32_t value)
{
	struct iovec from = { &value, sizeof(value) };
	struct iovec to = { (void *)addr, sizeof(value) };
	char path[32];
	bool written;
	int fd;

	if (process_vm_writev(t->pid, &from, 1, &to, 1, 0) == (ssize_t)sizeof(value))
		return true;
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", t->pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	written = pwrite(fd, &value, sizeof(value), (off_t)addr) == (ssize_t)sizeof(value);
	close(fd);
	return written;
}

/* Writes the wish. The rate comes last: from then on the process may answer. */
static bool write_wish(const struct raised *r)
{
	return write_word(r->target, r->tracer + offsetof(struct tracer, lease_ms), r->lease_ms) &&
	       write_word(r->target, r->tracer + offsetof(struct tracer, rate), r->rate);
}

/* Writes the wish again if it is gone: with another one that has ended, or because the process is a
 * forked child that had not begun yet. */
static void raise_again(const struct raised *r)
{
	uint32_t rate = 1;

	if (r->tracer != 0 &&
	    target_read_all(r->target, r->tracer + offsetof(struct tracer, rate), &rate,
			    sizeof(rate)) &&
	    rate == 0)
		(void)write_wish(r);
}

static void block_signals(sigset_t *set)
{
	(void)sigemptyset(set);
	(void)sigaddset(set, SIGINT);
	(void)sigaddset(set, SIGTERM);
	(void)sigaddset(set, SIGHUP);
	(void)sigaddset(set, SIGQUIT);
	(void)sigprocmask(SIG_BLOCK, set, NULL);
}

bool raise_begin(struct raised *r, struct target *t, const struct viewed_root *root, size_t rate,
		 unsigned seconds)
{
	sigset_t set;

	*r = (struct raised){ .target = t, .rate = (uint32_t)min_size(rate, UINT32_MAX),
			      .lease_ms = (seconds + GRACE) * 1000 };
	block_signals(&set);
	r->tracer = (uintptr_t)root->tracer;
	if (write_wish(r))
		return true;
	r->tracer = 0;
	return target_fail(t, "its memory cannot be written to, so it cannot be asked to sample");
}

bool raise_wait(const struct raised *r, unsigned seconds)
{
	struct timespec piece = { 0, 100000000 };
	uint64_t end = os_now_ms() + (uint64_t)seconds * 1000;
	sigset_t set;
	char state;

	block_signals(&set);
	while (os_now_ms() < end) {
		if (sigtimedwait(&set, NULL, &piece) > 0)
			return true;
		raise_again(r);
		/* It may have ended and wait for its parent. */
		state = os_thread_state(r->target->pid, r->target->pid);
		if (state == 0 || state == 'Z' || state == 'X')
			return false;
	}
	return true;
}

void raise_end(struct raised *r)
{
	if (r->tracer != 0)
		(void)write_word(r->target, r->tracer + offsetof(struct tracer, rate), 0);
	r->tracer = 0;
}
