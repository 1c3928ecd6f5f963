/* SPDX-License-Identifier: MIT */
/*
 * test_options.c - every key takes effect, and everything else is one line on stderr and no effect.
 */
#include "unit.h"

#include "options.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/* The weak symbol a program may define: NULL here until a test sets it. */
extern const char *goalloc_conf;
const char *goalloc_conf;

static bool secure;
bool __wrap_os_is_secure(void);
bool __wrap_os_is_secure(void)
{
	return secure;
}

struct parse {
	struct options o;
	const char *text;
};

static const struct options defaults = {
	.scavenge_ms = 1000,
	.thp = true,
	.tiny_align = 8,
	.memprofilerate = KiB(512),
	.stats_fd = -1,
	.report_fd = -1,
};

static void call_parse(void *arg)
{
	struct parse *p = arg;

	options_parse(&p->o, "GOALLOC", p->text);
}

/* Parses text over the defaults, with exactly these lines on stderr. */
static struct options parse(const char *text, const char *lines)
{
	struct parse p = { defaults, text };
	char written[4096];

	capture_stderr(call_parse, &p, written, sizeof(written));
	assert_string_equal(written, lines);
	return p.o;
}

static void assert_same(struct options a, struct options b)
{
	assert_int_equal(a.off, b.off);
	assert_int_equal(a.thp, b.thp);
	assert_int_equal(a.scavthread, b.scavthread);
	assert_int_equal(a.invalidptr_abort, b.invalidptr_abort);
	assert_int_equal(a.clobberfree, b.clobberfree);
	assert_int_equal(a.hardened, b.hardened);
	assert_int_equal(a.keyed, b.keyed);
	assert_int_equal(a.scavenge_ms, b.scavenge_ms);
	assert_int_equal(a.tiny_align, b.tiny_align);
	assert_string_equal(a.stats, b.stats);
	assert_int_equal(a.stats_fd, b.stats_fd);
}

static void the_defaults_are_the_documented_ones(void **state)
{
	(void)state;
	assert_same(options, defaults);
}

static void flags_take_0_and_1_quietly(void **state)
{
	(void)state;
	assert_true(parse("off=1", "").off);
	assert_false(parse("off=1,off=0", "").off);
	assert_true(parse("thp=1", "").thp);
	assert_false(parse("thp=1,thp=0", "").thp);
	assert_true(parse("scavthread=1", "").scavthread);
	assert_false(parse("scavthread=1,scavthread=0", "").scavthread);
	assert_true(parse("clobberfree=1", "").clobberfree);
	assert_false(parse("clobberfree=1,clobberfree=0", "").clobberfree);
	assert_string_equal(parse("stats=1", "").stats, "-");
	assert_string_equal(parse("stats=1,stats=0", "").stats, "");
}

static void a_flag_that_is_neither_0_nor_1_warns_and_changes_nothing(void **state)
{
	static const char *const keys[] = { "off", "thp", "scavthread", "clobberfree" };
	static const char *const values[] = { "", "2", "00", "01", "10", "yes", "true", "1 ", " 1", "-1" };

	(void)state;
	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
		for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
			char text[64], line[128];

			snprintf(text, sizeof(text), "%s=%s", keys[k], values[v]);
			snprintf(line, sizeof(line), "goalloc: GOALLOC: bad value in '%s', ignored\n", text);
			assert_same(parse(text, line), defaults);
		}
}

static void hardened_has_two_levels(void **state)
{
	static const char *const values[] = { "", "3", "10", "yes", "1 ", "-1" };

	(void)state;
	assert_same(parse("hardened=0", ""), defaults);
	assert_true(parse("hardened=1", "").hardened && !parse("hardened=1", "").keyed);
	assert_true(parse("hardened=2", "").hardened && parse("hardened=2", "").keyed);
	assert_true(parse("hardened", "").hardened && !parse("hardened", "").keyed);
	assert_same(parse("hardened=2,hardened=0", ""), defaults);
	for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
		char text[64], line[128];

		snprintf(text, sizeof(text), "hardened=%s", values[v]);
		snprintf(line, sizeof(line), "goalloc: GOALLOC: bad value in '%s', ignored\n", text);
		assert_same(parse(text, line), defaults);
	}
}

static void scavenge_is_a_number_of_ms_up_to_a_day(void **state)
{
	(void)state;
	assert_int_equal(parse("scavenge=0", "").scavenge_ms, 0);
	assert_int_equal(parse("scavenge=1", "").scavenge_ms, 1);
	assert_int_equal(parse("scavenge=86400000", "").scavenge_ms, 86400000);
	assert_same(parse("scavenge=86400001", "goalloc: GOALLOC: bad value in 'scavenge=86400001', ignored\n"),
		    defaults);
	/* 2^32, 2^32 + 1, 2^64 + 1: no wrap around. */
	assert_same(parse("scavenge=4294967296", "goalloc: GOALLOC: bad value in 'scavenge=4294967296', ignored\n"),
		    defaults);
	assert_same(parse("scavenge=4294967297", "goalloc: GOALLOC: bad value in 'scavenge=4294967297', ignored\n"),
		    defaults);
	assert_same(parse("scavenge=18446744073709551617",
			  "goalloc: GOALLOC: bad value in 'scavenge=18446744073709551617', ignored\n"),
		    defaults);
}

static void scavenge_that_is_no_number_warns(void **state)
{
	static const char *const values[] = { "", "-1", "+1", "1s", "1.5", "0x10", " 5", "ten", ":", "/" };

	(void)state;
	for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
		char text[64], line[128];

		snprintf(text, sizeof(text), "scavenge=%s", values[v]);
		snprintf(line, sizeof(line), "goalloc: GOALLOC: bad value in '%s', ignored\n", text);
		assert_same(parse(text, line), defaults);
	}
}

static void tiny_align_is_1_2_4_or_8(void **state)
{
	(void)state;
	for (unsigned n = 0; n <= 17; n++) {
		char text[64], line[128];
		bool good = n == 1 || n == 2 || n == 4 || n == 8;

		snprintf(text, sizeof(text), "tiny_align=%u", n);
		snprintf(line, sizeof(line), "goalloc: GOALLOC: bad value in '%s', ignored\n", text);
		assert_int_equal(parse(text, good ? "" : line).tiny_align, good ? n : 8);
	}
}

static void invalidptr_is_abort_or_libc(void **state)
{
	(void)state;
	assert_true(parse("invalidptr=abort", "").invalidptr_abort);
	assert_false(parse("invalidptr=abort,invalidptr=libc", "").invalidptr_abort);
	assert_same(parse("invalidptr=abor", "goalloc: GOALLOC: bad value in 'invalidptr=abor', ignored\n"), defaults);
	assert_same(parse("invalidptr=aborts", "goalloc: GOALLOC: bad value in 'invalidptr=aborts', ignored\n"),
		    defaults);
	assert_same(parse("invalidptr=", "goalloc: GOALLOC: bad value in 'invalidptr=', ignored\n"), defaults);
}

static void an_unknown_key_warns_in_one_line_and_changes_nothing(void **state)
{
	(void)state;
	assert_same(parse("frobnicate=1", "goalloc: GOALLOC: unknown option in 'frobnicate=1', ignored\n"),
		    defaults);
	/* A prefix, an extension, another case, none at all. */
	assert_same(parse("of=1", "goalloc: GOALLOC: unknown option in 'of=1', ignored\n"), defaults);
	assert_same(parse("offf=1", "goalloc: GOALLOC: unknown option in 'offf=1', ignored\n"), defaults);
	assert_same(parse("OFF=1", "goalloc: GOALLOC: unknown option in 'OFF=1', ignored\n"), defaults);
	assert_same(parse("=1", "goalloc: GOALLOC: unknown option in '=1', ignored\n"), defaults);
	assert_same(parse("=", "goalloc: GOALLOC: unknown option in '=', ignored\n"), defaults);
	assert_same(parse(" off=1", "goalloc: GOALLOC: unknown option in ' off=1', ignored\n"), defaults);
}

static void a_key_that_stands_alone_has_the_value_1(void **state)
{
	(void)state;
	assert_true(parse("off", "").off);
	assert_true(parse("thp=0,thp", "").thp);
	assert_true(parse("scavthread,stats,clobberfree", "").stats[0] == 45);
	assert_same(parse("invalidptr", "goalloc: GOALLOC: bad value in 'invalidptr', ignored\n"), defaults);
	assert_same(parse("nonsense", "goalloc: GOALLOC: unknown option in 'nonsense', ignored\n"), defaults);
}

static void the_value_goes_up_to_the_comma_and_may_hold_an_equals_sign(void **state)
{
	(void)state;
	assert_same(parse("off=1=1", "goalloc: GOALLOC: bad value in 'off=1=1', ignored\n"), defaults);
}

static void empty_items_are_nothing(void **state)
{
	(void)state;
	assert_same(parse("", ""), defaults);
	assert_same(parse(",", ""), defaults);
	assert_same(parse(",,,", ""), defaults);
	assert_true(parse(",off=1,", "").off);
}

static void a_bad_item_does_not_hide_the_good_ones_around_it(void **state)
{
	struct options o = parse("thp=1,bad=1,scavenge=x,off=1,loose,tiny_align=2",
				 "goalloc: GOALLOC: unknown option in 'bad=1', ignored\n"
				 "goalloc: GOALLOC: bad value in 'scavenge=x', ignored\n"
				 "goalloc: GOALLOC: unknown option in 'loose', ignored\n");

	(void)state;
	assert_true(o.thp);
	assert_true(o.off);
	assert_int_equal(o.tiny_align, 2);
	assert_int_equal(o.scavenge_ms, 1000);
}

static void the_last_setting_of_a_key_holds(void **state)
{
	(void)state;
	assert_int_equal(parse("scavenge=5,scavenge=6,scavenge=7", "").scavenge_ms, 7);
}

static void an_item_longer_than_a_line_is_still_one_line(void **state)
{
	static char text[5000];
	struct parse p = { defaults, text };
	char written[8000];

	(void)state;
	memset(text, 'k', sizeof(text) - 1);
	capture_stderr(call_parse, &p, written, sizeof(written));
	assert_int_equal(count_lines(written), 1);
	assert_int_equal(written[strlen(written) - 1], '\n');
	assert_memory_equal(written, "goalloc: GOALLOC: unknown option in 'kkk", 39);
	assert_same(p.o, defaults);
}

/* --- the environment; options_init() works once in a process --- */

struct environment {
	const char *goalloc, *stats, *conf;
	bool secure;
	void (*then)(void);
};

static const struct environment *env_now;

static void in_environment_body(void)
{
	if (env_now->goalloc != NULL)
		setenv("GOALLOC", env_now->goalloc, 1);
	if (env_now->stats != NULL)
		setenv("GOALLOC_STATS", env_now->stats, 1);
	goalloc_conf = env_now->conf;
	secure = env_now->secure;
	options_init();
	env_now->then();
}

static void in_environment(const struct environment *e, const char *lines)
{
	char written[4096];
	int status;

	env_now = e;
	status = child_status(in_environment_body, written, sizeof(written));
	assert_string_equal(written, lines);
	assert_int_equal(status, 0);
}

static void expect_off(void)
{
	CHECK(options.off && options.scavenge_ms == 7);
}

static void goalloc_in_the_environment_is_read(void **state)
{
	const struct environment e = { .goalloc = "off=1,scavenge=7", .then = expect_off };

	(void)state;
	in_environment(&e, "");
}

static void expect_defaults(void)
{
	CHECK(!options.off && options.thp && options.scavenge_ms == 1000 && options.stats_fd < 0 &&
	      options.stats_fd == -1);
}

static void under_at_secure_the_environment_is_not_read(void **state)
{
	const struct environment e = { .goalloc = "off=1,nonsense", .stats = "1", .secure = true,
				       .then = expect_defaults };

	(void)state;
	in_environment(&e, "");
}

static void the_programs_own_defaults_come_before_the_environment(void **state)
{
	const struct environment e = { .conf = "off=1,scavenge=5", .goalloc = "scavenge=7",
				       .then = expect_off };

	(void)state;
	in_environment(&e, "");
}

static void warnings_name_where_the_text_came_from(void **state)
{
	const struct environment e = { .conf = "a=1", .goalloc = "b=1", .then = expect_defaults };

	(void)state;
	in_environment(&e, "goalloc: goalloc_conf: unknown option in 'a=1', ignored\n"
			   "goalloc: GOALLOC: unknown option in 'b=1', ignored\n");
}

static void expect_second_init_does_nothing(void)
{
	expect_off();
	setenv("GOALLOC", "off=0,nonsense", 1);
	options_init();
	expect_off();
}

static void the_environment_is_read_once(void **state)
{
	const struct environment e = { .goalloc = "off=1,scavenge=7",
				       .then = expect_second_init_does_nothing };

	(void)state;
	in_environment(&e, "");
}

static void expect_ready_when_environ_is(void)
{
	/* in_environment_body() has called it: once is done. */
	CHECK(!options.off);
}

static void init_without_environ_body(void)
{
	char **saved = environ;
	static char setting[] = "GOALLOC=off=1";
	static char *later[] = { setting, NULL };

	environ = NULL;
	options_init();
	CHECK(!options.off);
	environ = later;
	options_init();
	CHECK(options.off);
	environ = saved;
}

static void before_libc_set_environ_nothing_is_read_and_later_it_is(void **state)
{
	const struct environment e = { .then = expect_ready_when_environ_is };

	(void)state;
	in_environment(&e, "");
	run_in_child(init_without_environ_body);
}

static void expect_stats_on_a_copy_of_stderr(void)
{
	CHECK(options.stats[0] != 0 && options.stats_fd > 2);
	close(2);
	CHECK(write(options.stats_fd, "still there\n", 12) == 12);
	CHECK((fcntl(options.stats_fd, F_GETFD) & FD_CLOEXEC) != 0);
}

static void stats_survive_a_program_that_closes_stderr(void **state)
{
	struct environment e = { .stats = "1", .then = expect_stats_on_a_copy_of_stderr };

	(void)state;
	in_environment(&e, "still there\n");
	e.stats = NULL;
	e.goalloc = "stats=1";
	in_environment(&e, "still there\n");
}

static void stats_of_0_or_nothing_are_off(void **state)
{
	struct environment e = { .stats = "0", .then = expect_defaults };

	(void)state;
	in_environment(&e, "");
	e.stats = "";
	in_environment(&e, "");
}

static void not_yet_body(void)
{
	setenv("GOALLOC_MEMLIMIT", "2GiB", 1);
	setenv("GOALLOC_PROFILE", "x", 1);
	options_init();
	expect_defaults();
}

static void variables_that_this_version_does_not_know_are_one_warning_each(void **state)
{
	char written[4096];

	(void)state;
	assert_int_equal(child_status(not_yet_body, written, sizeof(written)), 0);
	assert_string_equal(written,
			    "goalloc: GOALLOC_MEMLIMIT: not supported by this version in '2GiB', ignored\n"
			    "goalloc: GOALLOC_PROFILE: not supported by this version in 'x', ignored\n");
}

static char stats_dir[] = "/tmp/goalloc-unit-XXXXXX";

static void expect_stats_in_the_file_of_this_pid(void)
{
	char path[128];

	CHECK(options.stats[0] != 0 && options.stats_fd > 2);
	CHECK(write(options.stats_fd, "x", 1) == 1);
	snprintf(path, sizeof(path), "%s/s.%d.txt", stats_dir, (int)getpid());
	CHECK(access(path, R_OK) == 0);
	CHECK(unlink(path) == 0);
}

static void a_stats_file_name_may_hold_the_pid(void **state)
{
	char name[128];
	struct environment e = { .stats = name, .then = expect_stats_in_the_file_of_this_pid };

	(void)state;
	assert_non_null(mkdtemp(stats_dir));
	snprintf(name, sizeof(name), "%s/s.%%p.txt", stats_dir);
	in_environment(&e, "");
	assert_int_equal(rmdir(stats_dir), 0);
}

static void a_stats_file_that_cannot_be_opened_warns_and_turns_stats_off(void **state)
{
	const struct environment e = { .stats = "/nonexistent/x", .then = expect_defaults };

	(void)state;
	in_environment(&e, "goalloc: GOALLOC_STATS: cannot open the file in '/nonexistent/x', ignored\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_defaults_are_the_documented_ones),
		cmocka_unit_test(flags_take_0_and_1_quietly),
		cmocka_unit_test(a_flag_that_is_neither_0_nor_1_warns_and_changes_nothing),
		cmocka_unit_test(hardened_has_two_levels),
		cmocka_unit_test(scavenge_is_a_number_of_ms_up_to_a_day),
		cmocka_unit_test(scavenge_that_is_no_number_warns),
		cmocka_unit_test(tiny_align_is_1_2_4_or_8),
		cmocka_unit_test(invalidptr_is_abort_or_libc),
		cmocka_unit_test(an_unknown_key_warns_in_one_line_and_changes_nothing),
		cmocka_unit_test(a_key_that_stands_alone_has_the_value_1),
		cmocka_unit_test(the_value_goes_up_to_the_comma_and_may_hold_an_equals_sign),
		cmocka_unit_test(empty_items_are_nothing),
		cmocka_unit_test(a_bad_item_does_not_hide_the_good_ones_around_it),
		cmocka_unit_test(the_last_setting_of_a_key_holds),
		cmocka_unit_test(an_item_longer_than_a_line_is_still_one_line),
		cmocka_unit_test(goalloc_in_the_environment_is_read),
		cmocka_unit_test(under_at_secure_the_environment_is_not_read),
		cmocka_unit_test(the_programs_own_defaults_come_before_the_environment),
		cmocka_unit_test(warnings_name_where_the_text_came_from),
		cmocka_unit_test(the_environment_is_read_once),
		cmocka_unit_test(before_libc_set_environ_nothing_is_read_and_later_it_is),
		cmocka_unit_test(stats_survive_a_program_that_closes_stderr),
		cmocka_unit_test(stats_of_0_or_nothing_are_off),
		cmocka_unit_test(variables_that_this_version_does_not_know_are_one_warning_each),
		cmocka_unit_test(a_stats_file_name_may_hold_the_pid),
		cmocka_unit_test(a_stats_file_that_cannot_be_opened_warns_and_turns_stats_off),
	};

	unsetenv("GOALLOC");
	unsetenv("GOALLOC_STATS");
	unsetenv("GOALLOC_MEMLIMIT");
	unsetenv("GOALLOC_PROFILE");
	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
