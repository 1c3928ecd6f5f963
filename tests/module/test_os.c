/* SPDX-License-Identifier: MIT */
/*
 * test_os.c - what is asked of the kernel for names of mappings, and the identity of descriptors.
 *
 * syscall() is wrapped: many kernels have no names of mappings (CONFIG_ANON_VMA_NAME), so that what is asked is looked at, not what
 * comes of it.
 */
#include "module.h"

#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
	unsigned calls;
	uintptr_t addr;
	size_t nbytes;
	char name[80];
} named;

static bool refuse_names;

long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	/* PR_SET_VMA, PR_SET_VMA_ANON_NAME */
	if (number != SYS_prctl || a != 0x53564d41 || b != 0)
		return __real_syscall(number, a, b, c, d, e, f);
	named.calls++;
	named.addr = (uintptr_t)c;
	named.nbytes = (size_t)d;
	snprintf(named.name, sizeof(named.name), "%s", (const char *)e);
	if (refuse_names) {
		errno = EINVAL;
		return -1;
	}
	return 0;
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
	CHECK(os_reserve(NULL, MiB(1)) != NULL && os_alloc_metadata(KiB(64)) != NULL);
	CHECK(named.calls == 0);
}

TEST_IN_CHILD(every_mapping_is_named_after_its_use)
{
	char *p, *q;

	os_name_mappings();
	errno = 77;
	p = os_reserve(NULL, MiB(1));
	expect_named(p, MiB(1), "goalloc: heap");
	CHECK(os_commit(p, MiB(1)) && named.calls == 0);
	/* What is mapped anew would be another mapping than its neighbours. */
	CHECK(os_remap(p + KiB(64), KiB(64)));
	expect_named(p + KiB(64), KiB(64), "goalloc: heap");
	q = os_alloc_metadata(KiB(64));
	expect_named(q, KiB(64), "goalloc: metadata");
	os_guard_metadata();
	q = os_alloc_metadata(KiB(64));
	expect_named(q - os_page_size(), KiB(64) + 2 * os_page_size(), "goalloc: metadata");
	q[0] = q[KiB(64) - 1] = 1;
	CHECK(errno == 77);
}

TEST_IN_CHILD(a_kernel_without_names_changes_nothing)
{
	char *p;

	refuse_names = true;
	os_name_mappings();
	errno = 77;
	p = os_reserve(NULL, MiB(1));
	CHECK(p != NULL && os_commit(p, MiB(1)));
	p[0] = 1;
	CHECK(errno == 77);
}

static void a_descriptor_is_known_by_its_file(void **state)
{
	int a = open("/dev/null", O_RDONLY | O_CLOEXEC), b = open("/dev/zero", O_RDONLY | O_CLOEXEC), c = dup(a);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_being_asked_no_mapping_is_named),
		cmocka_unit_test(every_mapping_is_named_after_its_use),
		cmocka_unit_test(a_kernel_without_names_changes_nothing),
		cmocka_unit_test(a_descriptor_is_known_by_its_file),
	};

	return cmocka_run_group_tests_name("os", tests, NULL, NULL);
}
