/* SPDX-License-Identifier: MIT */
/*
 * test_format.c - each conversion of a format, at its bounds; texts from outside; what is read of
 * texts.
 */
#include "module.h"

#include "base/format.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>

#define EXPECT(text, ...) \
	do { \
		char got[512]; \
		errno = 77; \
		assert_int_equal(format_buffer(got, sizeof(got), __VA_ARGS__), strlen(text)); \
		assert_string_equal(got, text); \
		assert_int_equal(errno, 77); \
	} while (0)

static const size_t max = SIZE_MAX;

static void text_between_conversions_stays(void **state)
{
	(void)state;
	EXPECT("", "%s", "");
	EXPECT("plain", "plain");
	EXPECT("a-b-c", "a%sb%sc", "-", "-");
	EXPECT("%", "%%");
	EXPECT("100% of x", "%u%% of %c", 100u, 'x');
}

static void strings_are_padded_and_never_cut(void **state)
{
	(void)state;
	EXPECT("ab|", "%-2s|", "ab");
	EXPECT("ab |", "%-3s|", "ab");
	EXPECT("abc|", "%-2s|", "abc");
	EXPECT("   |", "%-3s|", "");
}

static void numbers_go_from_0_to_the_largest(void **state)
{
	(void)state;
	EXPECT("0 10 18446744073709551615 4294967295", "%zu %zu %zu %u", (size_t)0, (size_t)10, max,
	       UINT32_MAX);
	EXPECT("0x0 0x1f0 0xffffffffffffffff", "%#zx %#zx %#zx", (size_t)0, (size_t)0x1f0, max);
	EXPECT("  712312345", "%3zu%3zu%3zu%u", (size_t)7, (size_t)123, (size_t)1234, 5u);
	EXPECT("12.07 000fff", "%u.%02u %06x", 12u, 7u, 0xfffu);
}

static void sizes_have_a_unit(void **state)
{
	static const struct {
		uint64_t n;
		const char *column, *brief;
	} cases[] = {
		{ 0, "   0   B  ", "0 B" },
		{ 1023, "1023   B  ", "1023 B" },
		{ 1024, "   1.0 KiB", "1.0 KiB" },
		{ 1536, "   1.5 KiB", "1.5 KiB" },
		{ 1024 * 1024 - 1, "1023.9 KiB", "1023.9 KiB" },
		{ UINT64_C(1) << 20, "   1.0 MiB", "1.0 MiB" },
		{ UINT64_C(5) << 30, "   5.0 GiB", "5.0 GiB" },
		{ UINT64_C(3) << 40, "   3.0 TiB", "3.0 TiB" },
		{ UINT64_C(3) << 50, "   3.0 PiB", "3.0 PiB" },
		{ UINT64_MAX, "  15.9 EiB", "15.9 EiB" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		EXPECT(cases[i].column, "%'10zu", cases[i].n);
		EXPECT(cases[i].brief, "%'zu", cases[i].n);
	}
}

static void what_a_terminal_obeys_is_hidden(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{ "plain ~", "plain ~" },
		{ "\x1b[31m\a\n\r\t\x7f", "?[31m?????" },
		{ "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80",
		  "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80" },
		/* C1, as UTF-8 and as a byte; the first and the last; the first that is none. */
		{ "\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0", "??????\xc2\xa0" },
		{ "\x9b"
		  "2J\x90",
		  "?2J?" },
		/* Too long a form, a surrogate, beyond Unicode, cut. */
		{ "\xc0\x9b\xe0\x80\x9b", "?????" },
		{ "\xed\xa0\x80\xf4\x90\x80\x80", "???????" },
		{ "\xe2\x82", "??" },
		{ "\xe2\x82x\xc3", "??x?" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		EXPECT(cases[i].shown, "%.*s", (int)strlen(cases[i].text), cases[i].text);
	EXPECT("[ab]", "[%.*s]", 2, "abc");
	EXPECT("[]", "[%.*s]", 0, "abc");
}

static void a_buffer_is_never_overrun(void **state)
{
	char got[8] = "1234567";

	(void)state;
	assert_int_equal(format_buffer(got, 4, "%s", "abc"), 3);
	assert_memory_equal(got, "abc\0" "567", 8);
	assert_int_equal(format_buffer(got, 4, "ab%u", 12345u), 3);
	assert_memory_equal(got, "ab1\0" "567", 8);
	assert_int_equal(format_buffer(got, 1, "ab"), 0);
	assert_memory_equal(got, "\0" "b1\0" "567", 8);
}

static void numbers_are_read_to_their_end(void **state)
{
	static const struct {
		const char *text, *rest;
		size_t n;
	} cases[] = {
		{ "0", "", 0 },
		{ "007x", "x", 7 },
		{ "12 3", " 3", 12 },
		{ "18446744073709551615", "", SIZE_MAX },
		{ "18446744073709551616", NULL, 0 },
		{ "99999999999999999999", NULL, 0 },
		{ "", NULL, 0 },
		{ "-1", NULL, 0 },
		{ "max", NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t n;
		const char *rest = text_number(cases[i].text, &n);

		assert_int_equal(rest == NULL, cases[i].rest == NULL);
		if (rest == NULL)
			continue;
		assert_string_equal(rest, cases[i].rest);
		assert_true(n == cases[i].n);
	}
}

static void beginnings_and_ends_are_found(void **state)
{
	(void)state;
	assert_string_equal(text_after("/proc/self", "/proc/"), "self");
	assert_string_equal(text_after("same", "same"), "");
	assert_null(text_after("/pro", "/proc/"));
	assert_null(text_after("", "a"));
	assert_true(text_ends("a.txt", ".txt") && text_ends(".txt", ".txt"));
	assert_false(text_ends("txt", ".txt") || text_ends("a.txt.svg", ".txt"));
	assert_false(text_ends("", "x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_between_conversions_stays),
		cmocka_unit_test(strings_are_padded_and_never_cut),
		cmocka_unit_test(numbers_go_from_0_to_the_largest),
		cmocka_unit_test(sizes_have_a_unit),
		cmocka_unit_test(what_a_terminal_obeys_is_hidden),
		cmocka_unit_test(a_buffer_is_never_overrun),
		cmocka_unit_test(numbers_are_read_to_their_end),
		cmocka_unit_test(beginnings_and_ends_are_found),
	};

	return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
