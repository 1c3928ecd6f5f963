/* SPDX-License-Identifier: MIT */
/*
 * test_os.c - what is asked of the kernel for names of mappings, the identity of descriptors, the
 * ends of threads, and how a forked child is known.
 *
 * Many kernels have no names of mappings (CONFIG_ANON_VMA_NAME), so that what is asked is looked
 * at, not what comes of it: a seccomp filter turns the calls into signals.
 */
#include "module.h"

#include "os/os.h"
#include "os/os_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static struct {
	unsigned calls;
	uintptr_t addr;
	size_t nbytes;
	char name[80];
} named;

static bool refuse_names;

/* In the words of the kernel's record of registers: what the call is asked, and where its result
 * goes. */
#if defined(__x86_64__)
#define ARGUMENT(context, n)            \
	((context)->uc_mcontext.gregs[( \
		(const int[]){ REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8 })[n]])
#define RESULT(context) ((context)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
#define ARGUMENT(context, n) ((context)->uc_mcontext.regs[n])
#define RESULT(context) ((context)->uc_mcontext.regs[0])
#elif defined(__riscv)
#define ARGUMENT(context, n) ((context)->uc_mcontext.__gregs[10 + (n)])
#define RESULT(context) ((context)->uc_mcontext.__gregs[10])
#endif

/* Answers a call for a name in place of the kernel. */
static void on_name(int number, siginfo_t *info, void *arg)
{
	ucontext_t *context = arg;

	(void)number;
	(void)info;
	named.calls++;
	named.addr = (uintptr_t)ARGUMENT(context, 2);
	named.nbytes = (size_t)ARGUMENT(context, 3);
	snprintf(named.name, sizeof(named.name), "%.79s", (const char *)ARGUMENT(context, 4));
	RESULT(context) = (__typeof__(RESULT(context)))(refuse_names ? -EINVAL : 0);
}

/* Sends calls of prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME) to on_name() from now on. */
static void catch_names(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x53564d41, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { .len = sizeof(code) / sizeof(code[0]), .filter = code };
	struct sigaction action = { .sa_sigaction = on_name, .sa_flags = SA_SIGINFO };

	CHECK(sigaction(SIGSYS, &action, NULL) == 0);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

static void expect_named(const void *p, size_t nbytes, const char *name)
{
	CHECK(named.calls == 1);
	CHECK(named.addr == (uintptr_t)p && named.nbytes == nbytes);
	CHECK(strcmp(named.name, name) == 0);
	/* No longer than the kernel takes, and no character that it refuses. */
	CHECK(strlen(name) < 80 && strpbrk(name, "[]\\$`") == NULL);
	named.calls = 0;
}

TEST_IN_CHILD(without_being_asked_no_mapping_is_named)
{
	catch_names();
	CHECK(os_reserve(NULL, MiB(1)) != NULL && os_alloc_metadata(KiB(64)) != NULL);
	CHECK(named.calls == 0);
}

TEST_IN_CHILD(every_mapping_is_named_after_its_use)
{
	char *p, *q;

	catch_names();
	os_name_mappings();
	errno = 77;
	p = os_reserve(NULL, MiB(1));
	expect_named(p, MiB(1), "goalloc: heap");
	CHECK(os_commit(p, MiB(1)) && named.calls == 0);
	/* What is mapped anew would be another mapping than its neighbours. */
	CHECK(os_remap(p + KiB(64), KiB(64)));
	expect_named(p + KiB(64), KiB(64), "goalloc: heap");
	q = os_alloc_metadata(KiB(64));
	expect_named(q - os_page_size(), KiB(64) + 2 * os_page_size(), "goalloc: metadata");
	q[0] = q[KiB(64) - 1] = 1;
	CHECK(errno == 77);
}

TEST_IN_CHILD(a_kernel_without_names_changes_nothing)
{
	char *p;

	refuse_names = true;
	catch_names();
	os_name_mappings();
	errno = 77;
	p = os_reserve(NULL, MiB(1));
	CHECK(p != NULL && os_commit(p, MiB(1)));
	p[0] = 1;
	CHECK(errno == 77);
}

static void a_descriptor_is_known_by_its_file(void **state)
{
	int a = open("/dev/null", O_RDONLY | O_CLOEXEC),
	    b = open("/dev/zero", O_RDONLY | O_CLOEXEC), c = dup(a);
	uint64_t id = os_file_id(a);

	(void)state;
	errno = 77;
	assert_true(id != 0);
	assert_true(os_file_id(c) == id);
	assert_true(os_file_id(b) != id && os_file_id(b) != 0);
	close(c);
	errno = 77;
	assert_true(os_file_id(c) == 0);
	assert_true(os_file_id(-1) == 0);
	assert_int_equal(errno, 77);
	close(a);
	close(b);
}

/* --- forks --- */

static void expect_good(pid_t child)
{
	int status;

	CHECK(child > 0);
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

/* Returns the number of a child that shares memory, as one of vfork(2) does, and exits with what
 * body returns. The caller waits. ThreadSanitizer makes a fork of vfork(3). */
static pid_t share(int (*body)(void *arg))
{
	static ALIGNED(16) char stack[64 << 10];

	return (pid_t)cpu_start_process(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD,
					stack + sizeof(stack), body, NULL);
}

static uint32_t read_mark(void)
{
	return atomic_load(os_fork_mark());
}

static int has_other_mark(void *arg)
{
	(void)arg;
	return read_mark() != 4711;
}

TEST_IN_CHILD(a_child_finds_its_mark_wiped_and_one_that_shares_memory_does_not)
{
	pid_t child;

	CHECK(read_mark() == OS_MARK_NEVER);
	os_watch_forks();
	CHECK(read_mark() == OS_MARK_NEVER);
	atomic_store(os_fork_mark(), 4711);
	child = (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L);
	if (child == 0)
		_exit(read_mark() != 0 || os_find_fork());
	expect_good(child);
	expect_good(share(has_other_mark));
	CHECK(read_mark() == 4711 && !os_find_fork());
}

/* Refuses the call, as kernels before 4.14 do. */
static void refuse_to_wipe(void)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 18, 0, 1), /* MADV_WIPEONFORK */
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(code) / sizeof(code[0]), code };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

static int finds_fork(void *arg)
{
	(void)arg;
	return os_find_fork();
}

TEST_IN_CHILD(where_the_mark_is_not_wiped_a_child_and_its_child_find_the_fork_once_each)
{
	pid_t child;

	refuse_to_wipe();
	os_watch_forks();
	CHECK(read_mark() == OS_MARK_NEVER && !os_find_fork());
	child = fork();
	if (child == 0) {
		CHECK(read_mark() == OS_MARK_NEVER);
		CHECK(os_find_fork() && !os_find_fork());
		child = fork();
		if (child == 0)
			_exit(!os_find_fork() || os_find_fork());
		expect_good(child);
		_exit(os_find_fork());
	}
	expect_good(child);
	expect_good(share(finds_fork));
	CHECK(!os_find_fork());
}

TEST_IN_CHILD(a_thread_whose_state_cannot_be_read_has_not_ended)
{
	const struct rlimit no_files = { 0, 0 };
	int pid = getpid();

	CHECK(os_thread_state(pid, pid) != 0 && !os_thread_ended(pid, pid));
	CHECK(os_thread_ended(pid, INT_MAX));
	CHECK(setrlimit(RLIMIT_NOFILE, &no_files) == 0);
	CHECK(os_thread_state(pid, pid) == 0 && !os_thread_ended(pid, pid));
	CHECK(os_thread_ended(pid, INT_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_finds_its_mark_wiped_and_one_that_shares_memory_does_not),
		cmocka_unit_test(
			where_the_mark_is_not_wiped_a_child_and_its_child_find_the_fork_once_each),
		cmocka_unit_test(without_being_asked_no_mapping_is_named),
		cmocka_unit_test(every_mapping_is_named_after_its_use),
		cmocka_unit_test(a_kernel_without_names_changes_nothing),
		cmocka_unit_test(a_descriptor_is_known_by_its_file),
		cmocka_unit_test(a_thread_whose_state_cannot_be_read_has_not_ended),
	};

	return cmocka_run_group_tests_name("os", tests, NULL, NULL);
}
