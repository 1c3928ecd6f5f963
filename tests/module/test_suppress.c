/* SPDX-License-Identifier: MIT */
/*
 * test_suppress.c - which lines are suppressions, and which names their patterns match.
 */
#include "module.h"

#include "tools/suppress.h"

#include <string.h>

static struct suppression room[100];
static struct suppress_list list = { .at = room };

static void read_text(const char *text)
{
	size_t n = strlen(text);

	assert_in_range(suppress_count_lines(text, n), 1, sizeof(room) / sizeof(room[0]));
	suppress_read(&list, text, n);
}

static void lines_are_suppressions_or_comments(void **state)
{
	(void)state;
	read_text("# a comment\n\nleak:one\n \t leak:t w*o \r\n#leak:three\nleak:four");
	assert_int_equal(list.n, 3);
	assert_int_equal(list.bad_line, 0);
	assert_int_equal(list.at[0].line, 3);
	assert_int_equal(list.at[1].line, 4);
	assert_int_equal(list.at[2].line, 6);
	assert_int_equal(list.at[1].len, 5);
	assert_memory_equal(list.at[1].pattern, "t w*o", 5);
	assert_int_equal(list.at[2].len, 4);
	read_text("");
	assert_int_equal(list.n + list.bad_line, 0);
	read_text("\n\n");
	assert_int_equal(list.n + list.bad_line, 0);
}

static void the_first_bad_line_is_told(void **state)
{
	static const char *const bad[] = { "race:one", "leak:", "leak: ", "leak", "leak :one",
					   "Leak:one", "lea" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[100];

		(void)snprintf(text, sizeof(text), "leak:one\n%s\nleak:two\nnonsense\n", bad[i]);
		read_text(text);
		assert_int_equal(list.n, 2);
		assert_int_equal(list.bad_line, 2);
	}
}

static bool matches(const char *pattern, const char *name)
{
	return suppress_matches(pattern, strlen(pattern), name);
}

static void patterns_match_as_those_of_leak_sanitizer(void **state)
{
	static const struct {
		const char *pattern, *name;
		bool match;
	} cases[] = {
		{ "foo", "foo", true },          { "foo", "a_foo_b", true },
		{ "foo", "fo", false },          { "foo", "", false },
		{ "^foo", "foobar", true },      { "^foo", "a_foo", false },
		{ "foo$", "a_foo", true },       { "foo$", "foobar", false },
		{ "^foo$", "foo", true },        { "^foo$", "foo_foo", false },
		{ "f*o", "fatso", true },        { "f*o", "of", false },
		{ "^f*o$", "foofo", true },      { "^f*o$", "foofox", false },
		{ "a*b*c", "xaxbxcx", true },    { "a*b*c", "xaxcxbx", false },
		{ "ab*bc", "abc", false },       { "ab*bc", "abbc", true },
		{ "^*foo", "bar_foo", true },    { "foo*$", "foo_bar", true },
		{ "*", "anything", true },       { "f*oo$", "foo_oo", true },
		{ "aab", "aaab", true },         { "^aab$", "aaab", false },
		{ "^ab*ab$", "ab", false },      { "^ab*ab$", "abab", true },
		{ "/lib*.so", "/usr/lib/libz.so.1", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (matches(cases[i].pattern, cases[i].name) != cases[i].match)
			fail_msg("%s and %s", cases[i].pattern, cases[i].name);
}

static void symbols_of_cxx_have_plain_names(void **state)
{
	static const char *const cases[][2] = {
		{ "_Z4lostPci", "lost" },
		{ "_ZN3zoo3Cat4purrEi", "zoo::Cat::purr" },
		{ "_ZNK3zoo3Cat4purrEv", "zoo::Cat::purr" },
		{ "_ZL4lostv", "lost" },
		{ "_ZN3zooL4lostEv", "zoo::lost" },
		{ "_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector" },
		{ "_ZSt4sortIPiEvT_S1_", "std::sort" },
		{ "_ZN3zoo3CatC1Ev", "zoo::Cat" },
		{ "_ZN12_GLOBAL__N_14lostEv", "_GLOBAL__N_1::lost" },
		{ "_ZN3zoo99Cat", "zoo" },
		{ "_ZN3zoo99999999999999999999Cat", "zoo" },
	};
	static const char *const others[] = { "lost", "", "_", "_Z", "_ZN", "_ZNK", "_ZplRK3CatS1_",
					      "_Z9lost" };
	char name[100], small[6];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(suppress_plain_name(cases[i][0], name, sizeof(name)));
		assert_string_equal(name, cases[i][1]);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(suppress_plain_name(others[i], name, sizeof(name)));
	assert_true(suppress_plain_name("_ZN3zoo3Cat4purrEi", small, sizeof(small)));
	assert_string_equal(small, "zoo::");
}

static void the_first_line_that_matches_counts(void **state)
{
	(void)state;
	read_text("leak:^zoo::Cat::\nleak:lost\nleak:Cat\n");
	assert_int_equal(suppress_find(&list, "_ZN3zoo3Cat4purrEi")->line, 1);
	assert_int_equal(suppress_find(&list, "_ZN3zoo3Cat4lostEi")->line, 1);
	assert_int_equal(suppress_find(&list, "lost_Cat")->line, 2);
	assert_int_equal(suppress_find(&list, "/home/Cat")->line, 3);
	assert_null(suppress_find(&list, "_ZN3zoo3Dog4barkEi"));
	assert_null(suppress_find(&list, ""));
	/* The mangled name itself may be meant, too. */
	read_text("leak:^_ZN3zoo3CatI\n");
	assert_int_equal(suppress_find(&list, "_ZN3zoo3CatIiE4purrEi")->line, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_suppressions_or_comments),
		cmocka_unit_test(the_first_bad_line_is_told),
		cmocka_unit_test(patterns_match_as_those_of_leak_sanitizer),
		cmocka_unit_test(symbols_of_cxx_have_plain_names),
		cmocka_unit_test(the_first_line_that_matches_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
