/* SPDX-License-Identifier: MIT */
/*
 * test_syscalls.c - the calls that goalloc(7) lists for the allocator are all that it makes.
 *
 * Three threads, one of which has not allocated before, go through every kind of request under a
 * seccomp filter that lets only those calls pass. With the argument "glibc" the filter lets only
 * the calls of glibc's malloc pass, as a sandbox made for that malloc does. It refuses the others
 * with EPERM in one run and with a kill in the next. With the argument "tools" every call of the
 * manual page may pass, and the tools that GOALLOC switches on write on a signal and at exit. Where
 * the system can forbid it, reading the time-stamp counter is a fault, too.
 *
 * The test runs linked with the library and preloaded, with and without hardened=1. The test
 * man.syscalls compares the lists below with the manual page and with the source.
 */
#include "face.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* SYSTEM CALLS of goalloc(7), then the calls that end this program, and the sleep of its own. The
 * time needs no call, because every kernel that has the filter has a vDSO. */
static const int allowed[] = {
	SYS_mmap,           SYS_munmap,       SYS_mprotect,        SYS_madvise,       SYS_mremap,
	SYS_futex,          SYS_pkey_alloc,   SYS_pkey_mprotect,   SYS_write,
	SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_gettid,          SYS_getpid,        SYS_tgkill,
	SYS_exit,           SYS_exit_group,   SYS_clock_nanosleep,
};
#define NALLOWED (sizeof(allowed) / sizeof(allowed[0]))

/* The calls of glibc's malloc, then those that end this program, and the sleep of its own. */
static const int allowed_by_glibc[] = {
	SYS_mmap,  SYS_munmap, SYS_mprotect,   SYS_madvise,	    SYS_mremap, SYS_futex,
	SYS_write, SYS_exit,   SYS_exit_group, SYS_clock_nanosleep,
#ifdef SYS_brk
	SYS_brk,
#endif
};
#define NALLOWED_BY_GLIBC (sizeof(allowed_by_glibc) / sizeof(allowed_by_glibc[0]))

/* SYSTEM CALLS of goalloc(7), all of it. */
static const int allowed_by_tools[] = {
	SYS_mmap,            SYS_munmap,         SYS_mprotect,        SYS_madvise,
	SYS_mremap,          SYS_futex,          SYS_getrandom,       SYS_clock_gettime,
	SYS_getpid,          SYS_gettid,         SYS_pkey_alloc,      SYS_pkey_mprotect,
	SYS_write,           SYS_rt_sigprocmask, SYS_rt_sigaction,    SYS_rt_sigreturn,
	SYS_tgkill,          SYS_openat,         SYS_read,            SYS_close,
	SYS_fcntl,           SYS_newfstatat,     SYS_fstat,           SYS_faccessat,
	SYS_getcwd,          SYS_renameat2,      SYS_unlinkat,        SYS_rt_sigpending,
	SYS_rt_sigtimedwait, SYS_ppoll,          SYS_pread64,         SYS_process_vm_readv,
	SYS_clone,           SYS_wait4,          SYS_exit,            SYS_exit_group,
	SYS_getppid,         SYS_ptrace,         SYS_getdents64,      SYS_close_range,
	SYS_prlimit64,       SYS_mincore,        SYS_prctl,           SYS_clock_nanosleep,
	SYS_rt_tgsigqueueinfo, SYS_restart_syscall, SYS_ioctl,
};
#define NALLOWED_BY_TOOLS (sizeof(allowed_by_tools) / sizeof(allowed_by_tools[0]))

static struct {
	const int *calls;
	unsigned n;
	unsigned otherwise;    /* SECCOMP_RET_... */
} policy = { allowed, NALLOWED, SECCOMP_RET_KILL_PROCESS };

/* Installs the filter for all threads of the process. Any other call is answered as the policy
 * says. */
static void forbid_other_calls(void)
{
	struct sock_filter code[NALLOWED_BY_TOOLS + 3];
	struct sock_fprog program = { .filter = code };
	unsigned n = 0;

	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < policy.n; i++)
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							 (unsigned)policy.calls[i],
							 (unsigned char)(policy.n - i), 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, policy.otherwise);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = (unsigned short)n;
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) ==
	      0);
}

/* Makes reading the time-stamp counter a fault in the calling thread. Where the system cannot do
 * that, nothing changes. */
static void forbid_the_counter(void)
{
	(void)prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
}

enum { N = 2000 };
static void *handed[N];
/* 1: the other thread has a cache, 2: handed[] is full, 3: it is empty again; never 4 */
static _Atomic int turn;

static void wait_for(int value)
{
	while (atomic_load(&turn) < value)
		usleep(1000);
}

static void *consumer(void *arg)
{
	free(malloc(100));
	forbid_the_counter();
	atomic_store(&turn, 1);
	wait_for(2);
	for (int i = 0; i < N; i++)
		free(handed[i]);
	atomic_store(&turn, 3);
	/* Not to its end: what libc does there is not the subject. */
	wait_for(4);
	return arg;
}

static _Atomic bool late_began, late_is_done;

/* Its first request comes when the filter is there. */
static void *late(void *arg)
{
	void *p;

	/* What libc does at its begin is not the subject. */
	atomic_store(&late_began, true);
	wait_for(2);
	for (size_t size = 1; size < 10 * MiB; size *= 3) {
		p = malloc(size);
		CHECK(p != NULL);
		free(p);
	}
	atomic_store(&late_is_done, true);
	wait_for(4);
	return arg;
}

static void use_everything(void)
{
	static const size_t sizes[] = { 0,     1,     8,      24,      100,     3000,
					30000, 40000, 300000, 3000000, 80 * MiB };
	char *grows = NULL;

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			void *p = malloc(sizes[i]), *q = calloc(1, sizes[i]), *r = NULL;

			CHECK(p != NULL && q != NULL);
			CHECK(posix_memalign(&r, 4096, sizes[i]) == 0);
			CHECK(malloc_usable_size(p) >= sizes[i]);
			free(q);
			p = realloc(p, sizes[i] / 2 + 1);
			free(p);
			free(r);
		}
		for (size_t n = 64; n < 20 * MiB; n += n / 2) {
			grows = realloc(grows, n);
			CHECK(grows != NULL);
			grows[n - 1] = 1;
		}
		free(grows);
		grows = NULL;
		malloc_trim(0);
	}
	CHECK(malloc((size_t)1 << 46) == NULL);
	for (int i = 0; i < N; i++)
		CHECK((handed[i] = malloc((size_t)i * 20)) != NULL);
	CHECK(mallinfo2().uordblks != 0);
}

/* Checks that the filter does forbid a call. */
static void check_the_filter(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		forbid_other_calls();
		(void)syscall(SYS_getuid);
		syscall(SYS_exit_group, 0);
	}
	status = child_wait(pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

/* Does the rest of main() in a process of its own. */
static int run(void)
{
	pthread_t other;

	CHECK(pthread_create(&other, NULL, consumer, NULL) == 0);
	CHECK(pthread_create(&other, NULL, late, NULL) == 0);
	wait_for(1);
	while (!atomic_load(&late_began))
		usleep(1000);
	forbid_the_counter();
	forbid_other_calls();
	use_everything();
	atomic_store(&turn, 2);
	wait_for(3);
	use_everything();
	while (!atomic_load(&late_is_done))
		usleep(1000);
	/* Not by exit: what libc does there is not the subject. */
	syscall(SYS_exit_group, 0);
	return 1;
}

static void run_as_glibc(unsigned otherwise)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	policy.calls = allowed_by_glibc;
	policy.n = NALLOWED_BY_GLIBC;
	policy.otherwise = otherwise;
	if (pid == 0)
		exit(run());
	CHECK(waitpid(pid, &status, 0) == pid);
	if (status != 0)
		fprintf(stderr, "status %#x\n", (unsigned)status);
	CHECK(status == 0);
}

/* Does the rest of main() with tools. What was asked for is written on the signal and by exit(). */
static void run_with_tools(void)
{
	pthread_t other;

	policy.calls = allowed_by_tools;
	policy.n = NALLOWED_BY_TOOLS;
	CHECK(pthread_create(&other, NULL, consumer, NULL) == 0);
	wait_for(1);
	forbid_other_calls();
	use_everything();
	atomic_store(&turn, 2);
	wait_for(3);
	CHECK(raise(SIGUSR1) == 0);
	exit(0);
}

int main(int argc, char **argv)
{
	check_the_filter();
	if (argc > 1 && strcmp(argv[1], "tools") == 0)
		run_with_tools();
	if (argc > 1 && strcmp(argv[1], "glibc") == 0) {
		run_as_glibc(SECCOMP_RET_ERRNO | EPERM);
		run_as_glibc(SECCOMP_RET_KILL_PROCESS);
		return 0;
	}
	return run();
}
