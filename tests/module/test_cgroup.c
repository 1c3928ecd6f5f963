/* SPDX-License-Identifier: MIT */
/*
 * test_cgroup.c - the memory a process may have, read from files in a directory of the test's own.
 */
#include "module.h"

#include "os/cgroup.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static int make_root(void **state)
{
	(void)state;
	strcpy(root, "/tmp/goalloc-cgroup-XXXXXX");
	return mkdtemp(root) == NULL;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int remove_root(void **state)
{
	(void)state;
	return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Writes a file below root, and makes its folders. */
static void put(const char *name, const char *text)
{
	char path[2048];
	FILE *f;

	snprintf(path, sizeof(path), "%s%s", root, name);
	for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
		*at = '\0';
		(void)mkdir(path, 0700);
		*at = '/';
	}
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void put_machine(void)
{
	put("/proc/meminfo", "MemTotal:        8000000 kB\nMemFree:           12345 kB\n");
}

static void without_a_group_the_machine_is_the_limit(void **state)
{
	(void)state;
	put_machine();
	assert_int_equal(cgroup_memory(root), (size_t)8000000 * 1024);
	put("/proc/self/cgroup", "0::/\n");
	assert_int_equal(cgroup_memory(root), (size_t)8000000 * 1024);
	put("/sys/fs/cgroup/memory.max", "max\n");
	assert_int_equal(cgroup_memory(root), (size_t)8000000 * 1024);
}

static void what_cannot_be_read_is_no_limit(void **state)
{
	(void)state;
	assert_int_equal(cgroup_memory(root), 0);
	put("/proc/meminfo", "nothing of the kind\n");
	put("/proc/self/cgroup", "0\n::\n:\nx:y\n\n4:memory\n");
	assert_int_equal(cgroup_memory(root), 0);
	put("/proc/meminfo", "MemTotal: many kB\n");
	assert_int_equal(cgroup_memory(root), 0);
}

static void of_version_2_the_lowest_up_to_the_root_counts(void **state)
{
	(void)state;
	put_machine();
	put("/proc/self/cgroup", "0::/a.slice/b/c\n");
	put("/sys/fs/cgroup/a.slice/b/c/memory.max", "max\n");
	assert_int_equal(cgroup_memory(root), (size_t)8000000 * 1024);
	put("/sys/fs/cgroup/a.slice/b/memory.max", "300000000\n");
	assert_int_equal(cgroup_memory(root), 300000000);
	put("/sys/fs/cgroup/a.slice/memory.max", "200000000\n");
	assert_int_equal(cgroup_memory(root), 200000000);
	put("/sys/fs/cgroup/a.slice/b/c/memory.max", "100000000\n");
	assert_int_equal(cgroup_memory(root), 100000000);
	put("/sys/fs/cgroup/memory.max", "50000000\n");
	assert_int_equal(cgroup_memory(root), 50000000);
	/* The process is not in it. */
	put("/sys/fs/cgroup/a.slice/b/other/memory.max", "1000\n");
	put("/sys/fs/cgroup/a.slice/b/memory.high", "1000\n");
	assert_int_equal(cgroup_memory(root), 50000000);
}

/* In a container the path is often the host's, and what can be seen is the container's own. */
static void folders_that_cannot_be_seen_are_passed_over(void **state)
{
	(void)state;
	put_machine();
	put("/proc/self/cgroup", "0::/docker/0123456789abcdef\n");
	put("/sys/fs/cgroup/memory.max", "123456789\n");
	assert_int_equal(cgroup_memory(root), 123456789);
	put("/proc/self/cgroup", "0::/../../elsewhere/\n");
	assert_int_equal(cgroup_memory(root), 123456789);
}

static void of_version_1_the_memory_controller_counts(void **state)
{
	(void)state;
	put_machine();
	put("/proc/self/cgroup",
	    "12:cpu,cpuacct:/x\n9:name=memory:/x\n5:memory_and_more,devices:/x\n"
	    "4:hugetlb,memory:/jobs/7\n1:freezer:/x\n0::/\n");
	put("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "1000\n");
	put("/sys/fs/cgroup/x/memory.max", "1000\n");
	put("/sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes", "9223372036854771712\n");
	assert_int_equal(cgroup_memory(root), (size_t)8000000 * 1024);
	put("/sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "77777777\n");
	assert_int_equal(cgroup_memory(root), 77777777);
	put("/sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes", "66666666\n");
	assert_int_equal(cgroup_memory(root), 66666666);
}

static void numbers_that_are_too_large_are_no_limit(void **state)
{
	(void)state;
	put_machine();
	put("/proc/self/cgroup", "0::/\n");
	put("/sys/fs/cgroup/memory.max", "18446744073709551616\n");
	assert_int_equal(cgroup_memory(root), (size_t)8000000 * 1024);
	put("/sys/fs/cgroup/memory.max", "99999999999999999999999999\n");
	assert_int_equal(cgroup_memory(root), (size_t)8000000 * 1024);
	put("/sys/fs/cgroup/memory.max", "");
	assert_int_equal(cgroup_memory(root), (size_t)8000000 * 1024);
}

static void a_path_that_is_too_long_is_passed_over(void **state)
{
	char line[3000] = "0::/";

	(void)state;
	put_machine();
	memset(line + 4, 'x', 2000);
	strcpy(line + 2004, "/y\n");
	put("/proc/self/cgroup", line);
	put("/sys/fs/cgroup/memory.max", "4000000\n");
	assert_int_equal(cgroup_memory(root), 4000000);
}

static void of_this_process_something_is_read(void **state)
{
	(void)state;
	assert_true(cgroup_memory("") > MiB(1));
	assert_true(cgroup_memory("") <=
		    (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE));
}

#define test(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(without_a_group_the_machine_is_the_limit),
		test(what_cannot_be_read_is_no_limit),
		test(of_version_2_the_lowest_up_to_the_root_counts),
		test(folders_that_cannot_be_seen_are_passed_over),
		test(of_version_1_the_memory_controller_counts),
		test(numbers_that_are_too_large_are_no_limit),
		test(a_path_that_is_too_long_is_passed_over),
		cmocka_unit_test(of_this_process_something_is_read),
	};

	return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
