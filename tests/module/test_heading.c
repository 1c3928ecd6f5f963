/* SPDX-License-Identifier: MIT */
/*
 * test_heading.c - the time in headings of reports, on both sides of leap days and of years.
 */
#include "module.h"

#include "tools/heading.h"

static struct out out;

static void print(void *arg)
{
	out_init(&out, 2);
	heading_print_time(&out, *(const uint64_t *)arg);
	(void)out_flush(&out);
}

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
	char text[100];

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		uint64_t seconds = times[i].seconds;

		(void)capture_stderr(print, &seconds, text, sizeof(text));
		assert_string_equal(text, times[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_those_of_the_calendar),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
