/* SPDX-License-Identifier: MIT */
/*
 * test_leak.c - the leak finder's counts, its report and its errors. What counts as reached is in
 * test_roots.c; whole programs are in tests/face.
 */
#include "module.h"

#include "hidden.h"
#include "tools/leak.h"
#include "heap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static char text[65536];

/* Returns an object that nothing in the process leads to. */
__attribute__((noinline)) static hidden make_lost(size_t size)
{
	return hide(heap_calloc(size));
}

/* Writes the address of one object into another. */
__attribute__((noinline)) static void lead(hidden from, hidden to)
{
	*(void **)show(from) = show(to);
}

/* Runs a check whose report goes to `text`. */
static struct leak_result check(void)
{
	struct leak_result result;
	int fd = memfd_create("report", MFD_CLOEXEC);
	ssize_t n;

	CHECK(fd >= 0);
	hidden_scrub();
	leak_check(fd, &result, 0);
	n = pread(fd, text, sizeof(text) - 1, 0);
	CHECK(n >= 0);
	text[n] = '\0';
	(void)close(fd);
	return result;
}

TEST_IN_CHILD(a_heap_without_objects_has_no_leak)
{
	struct leak_result result = check();
	char heading[100];

	CHECK(result.error == 0 && result.write_error == 0);
	CHECK(result.nobjects == 0 && result.nbytes == 0);
	CHECK(strstr(text, "\ngoalloc: leaked: 0 objects, 0 bytes; live: 0 objects, 0 bytes\n") !=
	      NULL);
	(void)snprintf(heading, sizeof(heading), "goalloc: leak check of test_leak, pid %d, 20",
		       (int)getpid());
	CHECK(strncmp(text, heading, strlen(heading)) == 0);
	CHECK(strchr(text, '\n') == strstr(text, "\ngoalloc: leaked: "));
}

static void *volatile kept;

TEST_IN_CHILD(lost_objects_are_counted_with_the_bytes_of_their_slots)
{
	struct leak_result result;

	kept = heap_malloc(500);
	for (int i = 0; i < 7; i++)
		(void)make_lost(100);
	(void)make_lost(KiB(100));
	result = check();
	CHECK(result.error == 0 && result.nobjects == 8);
	CHECK(result.nbytes == 7 * 112 + KiB(104));
	CHECK(strstr(text, "goalloc: leak: 7 objects, 784 bytes, 112 bytes each, the first at "));
	CHECK(strstr(text, "goalloc: leak: 1 object, 106496 bytes, 106496 bytes each"));
	CHECK(strstr(text, "; live: 9 objects, "));
	/* The larger group comes first. */
	CHECK(strstr(text, "106496 bytes each") < strstr(text, "112 bytes each"));
	CHECK(count_lines(text) == 4);
}

TEST_IN_CHILD(what_a_lost_object_leads_to_is_lost_indirectly)
{
	hidden first, second, third;

	first = make_lost(64);
	second = make_lost(64);
	third = make_lost(64);
	lead(first, second);
	lead(second, third);
	CHECK(check().nobjects == 3);
	CHECK(strstr(text, "3 objects, 192 bytes, of these 1 object, 64 bytes direct, "));
	/* Of a ring one object is direct. */
	lead(third, first);
	CHECK(check().nobjects == 3);
	CHECK(strstr(text, "3 objects, 192 bytes, of these 1 object, 64 bytes direct, "));
	kept = show(third);
	CHECK(check().nobjects == 0);
	kept = NULL;
}

TEST_IN_CHILD(a_check_changes_nothing_and_gives_the_same_answer_again)
{
	hidden lost = make_lost(48);

	CHECK(check().nobjects == 1);
	CHECK(check().nobjects == 1);
	heap_free(show(lost), "free");
	CHECK(check().nobjects == 0);
}

TEST_IN_CHILD(without_a_descriptor_there_are_counts_and_no_report)
{
	struct leak_result result;

	(void)make_lost(48);
	hidden_scrub();
	leak_check(-1, &result, 0);
	CHECK(result.error == 0 && result.write_error == 0 && result.nobjects == 1);
}

TEST_IN_CHILD(a_report_that_cannot_be_written_is_an_error_beside_the_counts)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct leak_result result;

	if (full < 0)
		return;
	(void)make_lost(48);
	hidden_scrub();
	leak_check(full, &result, 0);
	CHECK(result.error == 0 && result.write_error == ENOSPC && result.nobjects == 1);
}

TEST_IN_CHILD(a_check_that_is_forbidden_says_so_in_one_line)
{
	struct leak_result result;

	(void)make_lost(48);
	CHECK(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
	result = check();
	CHECK(result.error == EPERM && result.nobjects == 0);
	CHECK(strncmp(text, "goalloc: leak check failed: the program forbids", 47) == 0);
	CHECK(count_lines(text) == 1);
}

/* A child has its parent's lost objects, and may look for them itself. */
TEST_IN_CHILD(a_forked_child_checks_for_itself)
{
	pid_t pid;

	(void)make_lost(48);
	pid = fork();
	if (pid == 0) {
		(void)make_lost(48);
		CHECK(check().nobjects == 2);
		_exit(0);
	}
	CHECK(child_wait(pid) == 0);
	CHECK(check().nobjects == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_heap_without_objects_has_no_leak),
		cmocka_unit_test(lost_objects_are_counted_with_the_bytes_of_their_slots),
		cmocka_unit_test(what_a_lost_object_leads_to_is_lost_indirectly),
		cmocka_unit_test(a_check_changes_nothing_and_gives_the_same_answer_again),
		cmocka_unit_test(without_a_descriptor_there_are_counts_and_no_report),
		cmocka_unit_test(a_report_that_cannot_be_written_is_an_error_beside_the_counts),
		cmocka_unit_test(a_check_that_is_forbidden_says_so_in_one_line),
		cmocka_unit_test(a_forked_child_checks_for_itself),
	};

	return cmocka_run_group_tests_name("leak", tests, NULL, NULL);
}
