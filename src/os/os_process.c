/* SPDX-License-Identifier: MIT */
/*
 * os_process.c - makes helper processes and copies, and stops the threads of a process.
 *
 * Holds    errno is as the caller left it after every function. A helper uses the thread-local
 *          storage of the thread that made it. That thread waits in the kernel meanwhile.
 */
#include "os/os_process.h"
#include "os/libc.h"
#include "os/os.h"
#include "os/os_call.h"
#include "base/format.h"
#include "base/text.h"

#include <elf.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef NT_X86_XSTATE
#define NT_X86_XSTATE 0x202
#endif
#ifndef NT_ARM_TLS
#define NT_ARM_TLS 0x401
#endif

/* --- processes of ours --- */

int os_start_helper(int (*body)(void *arg), void *stack, void *arg)
{
	/* CLONE_UNTRACED keeps the helper from a debugger of this process. Without a signal number
	 * the process gets no signal when the helper ends. */
	return (int)cpu_start_process(SYS_clone, CLONE_VM | CLONE_UNTRACED, stack, body, arg);
}

int os_copy_process(void)
{
	return (int)SYSCALL(SYS_clone, (long)(CLONE_PARENT | CLONE_UNTRACED), 0L, 0L, 0L, 0L);
}

int os_wait_exit(int pid)
{
	int status = 0;
	long got = RESTARTED(SYSCALL(SYS_wait4, pid, &status, __WALL, NULL));

	if (got != pid)
		return OS_NO_PROCESS;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

_Noreturn void os_exit(int status)
{
	for (;;)
		(void)SYSCALL(SYS_exit_group, status);
}

_Noreturn void os_abort(void)
{
	static const uint64_t by_default[4]; /* what the kernel's struct sigaction has */
	const uint64_t sigabrt = (uint64_t)1 << (SIGABRT - 1);

	if (!libc_mistakes_thread())
		abort();
	(void)SYSCALL(SYS_rt_sigaction, (long)SIGABRT, by_default, NULL, sizeof(sigabrt));
	(void)SYSCALL(SYS_tgkill, os_pid(), os_thread(), (long)SIGABRT);
	(void)SYSCALL(SYS_rt_sigprocmask, (long)SIG_UNBLOCK, &sigabrt, NULL, sizeof(sigabrt));
	os_exit(128 + SIGABRT);
}

_Noreturn void os_exit_again(int status)
{
	/* glibc calls the exit handlers that are left, and flushes streams. musl waits for a lock
	 * that its first exit() holds. Exit handlers of libraries that end after the caller's are
	 * not called then. */
	if (libc_is_glibc())
		exit(status);
	(void)fflush(NULL);
	os_exit(status);
}

bool os_die_with(int parent_pid)
{
	(void)SYSCALL(SYS_prctl, PR_SET_PDEATHSIG, (long)SIGKILL, 0L, 0L, 0L);
	return SYSCALL(SYS_getppid) == parent_pid;
}

void os_close_all_but(int fd)
{
	if (fd < 0) {
		(void)SYSCALL(SYS_close_range, 0U, ~0U, 0U);
		return;
	}
	if (fd > 0)
		(void)SYSCALL(SYS_close_range, 0U, (unsigned)fd - 1, 0U);
	(void)SYSCALL(SYS_close_range, (unsigned)fd + 1, ~0U, 0U);
}

void os_no_core(void)
{
	const uint64_t none[2] = { 0, 0 };

	(void)SYSCALL(SYS_prlimit64, 0L, (long)RLIMIT_CORE, none, NULL);
}

uint64_t os_block_signals(void)
{
	uint64_t all = UINT64_MAX, before = 0;

	/* libc's function would leave out the two signals that libc uses itself. */
	(void)SYSCALL(SYS_rt_sigprocmask, (long)SIG_SETMASK, &all, &before, sizeof(all));
	return before;
}

void os_restore_signals(uint64_t before)
{
	(void)SYSCALL(SYS_rt_sigprocmask, (long)SIG_SETMASK, &before, NULL, sizeof(before));
}

/* --- who may look --- */

int os_get_dumpable(void)
{
	return (int)SYSCALL(SYS_prctl, PR_GET_DUMPABLE, 0L, 0L, 0L, 0L);
}

bool os_allow_tracer(int pid)
{
	return SYSCALL(SYS_prctl, PR_SET_PTRACER, (long)pid, 0L, 0L, 0L) == 0;
}

/* --- /proc --- */

int os_open_process(int pid, const char *file)
{
	char path[64];

	(void)format_buffer(path, sizeof(path), "/proc/%u/%s", (unsigned)pid, file);
	return os_open_read(path);
}

/* An entry of a directory, as getdents64(2) stores it. */
struct directory_entry {
	uint64_t inode;
	int64_t offset;
	uint16_t nbytes;
	uint8_t type;
	char name[];
};

long os_list_threads(int pid, int *tids, size_t max)
{
	uint64_t buffer[128];
	int fd = os_open_process(pid, "task");
	size_t found = 0;
	long n;

	if (fd < 0)
		return fd;
	while ((n = SYSCALL(SYS_getdents64, fd, buffer, sizeof(buffer))) > 0) {
		for (long at = 0; at < n;) {
			const struct directory_entry *e = (const void *)((const char *)buffer + at);
			size_t tid;
			const char *behind = text_number(e->name, &tid);

			at += e->nbytes;
			if (behind == NULL || *behind != '\0')
				continue;
			if (found < max)
				tids[found] = (int)tid;
			found++;
		}
	}
	os_close(fd);
	return n < 0 ? n : (long)found;
}

char os_thread_state(int pid, int tid)
{
	char path[64], text[512];
	size_t n;

	(void)format_buffer(path, sizeof(path), "/proc/%u/task/%u/stat", (unsigned)pid,
			    (unsigned)tid);
	n = os_read_file(path, text, sizeof(text));

	/* "TID (name) S ...". The name may contain any character. */
	while (n > 0 && text[n - 1] != ')')
		n--;
	return n > 0 && text[n] == ' ' ? text[n + 1] : 0;
}

bool os_thread_ended(int pid, int tid)
{
	char state = os_thread_state(pid, tid);

	/* Without a state, the file may not have been opened because too many are open. */
	return state == 'Z' || state == 'X' ||
	       (state == 0 && SYSCALL(SYS_tgkill, pid, tid, 0) == -ESRCH);
}

/* --- tracing --- */

int os_trace_begin(int tid)
{
	long error = SYSCALL(SYS_ptrace, PTRACE_SEIZE, (long)tid, 0L, 0L);

	if (error == 0)
		error = SYSCALL(SYS_ptrace, PTRACE_INTERRUPT, (long)tid, 0L, 0L);
	return (int)error;
}

enum os_trace os_trace_poll(int tid, int *signal)
{
	int status = 0;
	long got = SYSCALL(SYS_wait4, tid, &status, __WALL | WNOHANG, NULL);

	*signal = 0;
	if (got == 0)
		return OS_TRACE_RUNS;
	if (got != tid || !WIFSTOPPED(status))
		return OS_TRACE_GONE;
	/* Only a stop for a signal has no event: the thread was about to get that signal. */
	if (status >> 16 == 0)
		*signal = WSTOPSIG(status);
	return OS_TRACE_STOPPED;
}

size_t os_trace_registers(int tid, enum os_registers which, void *buffer, size_t nbytes)
{
	static const long sets[][2] = {
		{ NT_PRSTATUS, 0 }, { NT_X86_XSTATE, NT_PRFPREG }, { NT_ARM_TLS, 0 }
	};

	for (unsigned i = 0; i < 2 && sets[which][i] != 0; i++) {
		struct iovec place = { buffer, nbytes };

		if (SYSCALL(SYS_ptrace, PTRACE_GETREGSET, (long)tid, sets[which][i], &place) == 0)
			return place.iov_len;
	}
	return 0;
}

void os_trace_end(int tid, int signal)
{
	(void)SYSCALL(SYS_ptrace, PTRACE_DETACH, (long)tid, 0L, (long)signal);
}

uint64_t os_now_us(void)
{
	struct timespec ts = { 0, 0 };

	(void)SYSCALL(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void os_yield(unsigned microseconds)
{
	struct timespec ts = { 0, (long)microseconds * 1000 };

	(void)SYSCALL(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, NULL);
}

long os_read_process(int pid, void *to, uintptr_t from, size_t nbytes)
{
	struct iovec here = { to, nbytes }, there = { (void *)from, nbytes };

	return SYSCALL(SYS_process_vm_readv, pid, &here, 1L, &there, 1L, 0L);
}
