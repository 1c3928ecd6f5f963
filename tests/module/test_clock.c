/* SPDX-License-Identifier: MIT */
/*
 * test_clock.c - the time is read without a system call where the kernel maps a vDSO, and by one
 * where it does not.
 *
 * os_auxiliary() is wrapped: a process has a vDSO when the test says so.
 */
#include "module.h"

#include "os/os.h"

#include <elf.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

static bool hide_vdso;

uintptr_t __real_os_auxiliary(unsigned long type);
uintptr_t __wrap_os_auxiliary(unsigned long type);
uintptr_t __wrap_os_auxiliary(unsigned long type)
{
	return hide_vdso && type == AT_SYSINFO_EHDR ? 0 : __real_os_auxiliary(type);
}

/* Makes the kernel refuse to tell the time. The clock then reads as 0. */
static void refuse_the_call(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

static uint64_t libcs_ns(clockid_t clock)
{
	struct timespec ts;

	CHECK(clock_gettime(clock, &ts) == 0);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void check_the_time(void)
{
	uint64_t before = libcs_ns(CLOCK_MONOTONIC_COARSE) / 1000000, now = os_now_ms();
	uint64_t after = libcs_ns(CLOCK_MONOTONIC_COARSE) / 1000000;

	CHECK(before <= now && now <= after);
	before = libcs_ns(CLOCK_REALTIME_COARSE);
	now = os_time_ns();
	CHECK(before <= now && now <= libcs_ns(CLOCK_REALTIME_COARSE));
}

TEST_IN_CHILD(the_time_needs_no_system_call)
{
	if (__real_os_auxiliary(AT_SYSINFO_EHDR) == 0)
		return;
	errno = 77;
	refuse_the_call();
	check_the_time();
	CHECK(errno == 77);
}

TEST_IN_CHILD(without_a_vdso_the_kernel_is_asked)
{
	hide_vdso = true;
	check_the_time();
	refuse_the_call();
	errno = 77;
	CHECK(os_now_ms() == 0 && os_time_ns() == 0);
	CHECK(errno == 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_time_needs_no_system_call),
		cmocka_unit_test(without_a_vdso_the_kernel_is_asked),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
