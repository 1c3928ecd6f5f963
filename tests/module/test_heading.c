/* SPDX-License-Identifier: MIT */
/*
 * test_heading.c - the time in headings of reports, on both sides of leap days and of years.
 */
#include "module.h"

#include "tools/heading.h"

#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void times_are_those_of_the_calendar(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} times[] = {
		{ 0, "1970-01-01 00:00:00 UTC" },
		{ 951782399, "2000-02-28 23:59:59 UTC" },
		{ 951782400, "2000-02-29 00:00:00 UTC" },
		{ 951868800, "2000-03-01 00:00:00 UTC" },
		{ 1709164800, "2024-02-29 00:00:00 UTC" },
		{ 1735689599, "2024-12-31 23:59:59 UTC" },
		{ 1735689600, "2025-01-01 00:00:00 UTC" },
		{ 1796032625, "2026-11-30 09:57:05 UTC" },
		{ 4107542399, "2100-02-28 23:59:59 UTC" },
		{ 4107542400, "2100-03-01 00:00:00 UTC" },
	};
	char text[HEADING_MAX], want[HEADING_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct heading h = { "name", 12, times[i].seconds, i * 100, "1.2.3" };

		heading_make(text, &h);
		(void)snprintf(want, sizeof(want), "name, pid 12, %s, up %zu s, goalloc 1.2.3",
			       times[i].text, i * 100);
		assert_string_equal(text, want);
	}
}

static void what_is_unknown_or_long_is_left_out_or_cut(void **state)
{
	char text[HEADING_MAX], name[100];

	(void)state;
	heading_make(text, &(struct heading){ "", 1, 0, HEADING_UP_UNKNOWN, "1.2.3" });
	assert_string_equal(text, ", pid 1, 1970-01-01 00:00:00 UTC, goalloc 1.2.3");
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	name[5] = '\033';
	heading_make(text, &(struct heading){ name, UINT32_MAX, UINT64_C(253402300799),
					      HEADING_UP_UNKNOWN - 1, name });
	assert_memory_equal(text, "xxxxx?xxxx", 10);
	assert_non_null(strstr(text, "xx, pid 4294967295, 9999-12-31 23:59:59 UTC, up "));
	assert_true(strlen(text) < HEADING_MAX);
	assert_non_null(strstr(text, "s, goalloc xxxxx?xxxxxx"));
}

static void a_heading_of_self_names_the_program(void **state)
{
	char text[HEADING_MAX];
	char want[100];

	(void)state;
	heading_of_self(text, getpid());
	(void)snprintf(want, sizeof(want), "test_heading, pid %d, 20", (int)getpid());
	assert_memory_equal(text, want, strlen(want));
	assert_non_null(strstr(text, " UTC, up "));
}

/* The snapshot that a thread asks for has the thread's name. */
TEST_IN_CHILD(a_heading_of_a_copy_names_the_program)
{
	char text[HEADING_MAX];
	char want[100];

	CHECK(prctl(PR_SET_NAME, "a thread") == 0);
	heading_of_self(text, getppid());
	(void)snprintf(want, sizeof(want), "test_heading, pid %d, 20", (int)getppid());
	CHECK(memcmp(text, want, strlen(want)) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_those_of_the_calendar),
		cmocka_unit_test(what_is_unknown_or_long_is_left_out_or_cut),
		cmocka_unit_test(a_heading_of_self_names_the_program),
		cmocka_unit_test(a_heading_of_a_copy_names_the_program),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
