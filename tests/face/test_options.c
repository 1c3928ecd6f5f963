/* SPDX-License-Identifier: MIT */
/*
 * test_options.c - the environment: what is not understood costs one warning line and nothing else,
 * `off` means off, and statistics are printed when they were asked for, and only then.
 *
 * Each test runs the probe once for each environment and reads what it says. Files are made in a
 * directory under /tmp. Usage: test_options LIBRARY PROBE PROBE_WITH_CONF.
 */
#include "lines.h"
#include "program.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

static char *probe, *probe_with_conf;
static char preload[4096];
static char directory[] = "/tmp/face_options_XXXXXX";
static struct program_result result;

/* Runs the probe with up to two more variables; it must end well. */
static const char *run(char *what, const char *var1, const char *var2)
{
	char *argv[] = {probe, what, NULL};
	const char *env[] = {
		preload, "GOALLOC", "GOALLOC_STATS", "GOALLOC_MEMLIMIT", "GOALLOC_PROFILE", var1,
		var2,    NULL
	};

	program_run(argv, env, &result);
	if (!program_exited_0(&result))
		print_error("status %d, stderr: %.2000s\n", result.status, result.err);
	assert_true(program_exited_0(&result));
	return result.out;
}

/* Checks that stderr has this many lines, and that every line begins with "goalloc: ". */
static void expect_warnings(size_t lines)
{
	if (count_lines(result.err) != lines)
		print_error("stderr: %.2000s\n", result.err);
	assert_int_equal(count_lines(result.err), lines);
	for (const char *s = result.err; *s != 0; s = strchr(s, '\n') + 1)
		assert_int_equal(strncmp(s, "goalloc: ", 9), 0);
}

static void without_options_nothing_is_said(void **state)
{
	(void)state;
	assert_string_equal(run("run", NULL, NULL), "ok\n");
	expect_warnings(0);
	assert_string_equal(run("whose", NULL, NULL), "goalloc\n");
}

static void an_empty_variable_is_no_option(void **state)
{
	(void)state;
	assert_string_equal(run("run", "GOALLOC=", "GOALLOC_STATS="), "ok\n");
	expect_warnings(0);
}

static void known_options_are_taken_without_a_word(void **state)
{
	(void)state;
	assert_string_equal(run("run", "GOALLOC=scavenge=100", NULL), "ok\n");
	expect_warnings(0);
	assert_string_equal(run("run", "GOALLOC=invalidptr=abort,scavenge=0", NULL), "ok\n");
	expect_warnings(0);
	assert_string_equal(run("run", "GOALLOC=thp=0,clobberfree=1", NULL), "ok\n");
	expect_warnings(0);
}

static void an_unknown_key_is_one_warning(void **state)
{
	(void)state;
	assert_string_equal(run("run", "GOALLOC=nosuchkey=1", NULL), "ok\n");
	expect_warnings(1);
	assert_non_null(strstr(result.err, "nosuchkey"));
	assert_string_equal(run("run", "GOALLOC=scavengex=1", NULL), "ok\n");
	expect_warnings(1);
	assert_string_equal(run("run", "GOALLOC=scaveng=1", NULL), "ok\n");
	expect_warnings(1);
}

static void a_bad_value_is_one_warning(void **state)
{
	(void)state;
	assert_string_equal(run("run", "GOALLOC=scavenge=banana", NULL), "ok\n");
	expect_warnings(1);
	assert_non_null(strstr(result.err, "scavenge"));
	assert_string_equal(run("run", "GOALLOC=scavenge=99999999999999999999999", NULL), "ok\n");
	expect_warnings(1);
	assert_string_equal(run("run", "GOALLOC=scavenge=", NULL), "ok\n");
	expect_warnings(1);
	assert_string_equal(run("run", "GOALLOC=leakcheck=7", NULL), "ok\n");
	expect_warnings(1);
}

static void every_bad_item_has_a_warning_of_its_own(void **state)
{
	(void)state;
	assert_string_equal(run("run", "GOALLOC=bad=1,scavenge=9,no=2,scavenge=x", NULL), "ok\n");
	expect_warnings(3);
}

static void any_nonsense_is_survived(void **state)
{
	static char long_one[60000] = "GOALLOC=";

	(void)state;
	memset(long_one + 8, 'x', sizeof(long_one) - 9);
	assert_string_equal(run("run", long_one, NULL), "ok\n");
	expect_warnings(1);
	assert_string_equal(run("run", "GOALLOC=%s%n%p=%n", NULL), "ok\n");
	expect_warnings(1);
	assert_string_equal(run("run", "GOALLOC==", NULL), "ok\n");
	expect_warnings(1);
	assert_string_equal(run("run", "GOALLOC=\xff\xfe=\x01", NULL), "ok\n");
	expect_warnings(1);
}

static void a_slip_is_told_the_name_that_was_meant(void **state)
{
	(void)state;
	assert_string_equal(run("run", "GOALLOC=scavneg=1", NULL), "ok\n");
	assert_string_equal(result.err, "goalloc: GOALLOC: unknown option in 'scavneg=1', ignored; "
					"did you mean scavenge?\n");
}

static void hard_without_a_limit_is_said(void **state)
{
	(void)state;
	assert_string_equal(run("run", "GOALLOC=hard=1", NULL), "ok\n");
	assert_string_equal(result.err,
			    "goalloc: hard=1 has no effect as long as no memlimit is set\n");
	assert_string_equal(run("run", "GOALLOC=hard=1", "GOALLOC_MEMLIMIT=1GiB"), "ok\n");
	expect_warnings(0);
}

static void a_limit_that_is_not_kept_is_said_once(void **state)
{
	static const char line[] = "goalloc: memlimit: more than 20971520 bytes are in use; the "
				   "limit is not kept\n";

	(void)state;
	assert_string_equal(run("run", "GOALLOC_MEMLIMIT=20MiB", NULL), "ok\n");
	expect_warnings(0);
	assert_string_equal(run("use_much", "GOALLOC_MEMLIMIT=20MiB", NULL), "ok\n");
	assert_string_equal(result.err, line);
	assert_string_equal(run("run", "GOALLOC_MEMLIMIT=1", NULL), "ok\n");
	expect_warnings(1);
	/* The descriptor may be the program's own file by then. */
	assert_string_equal(run("reuse_stderr", "GOALLOC_MEMLIMIT=20MiB", NULL), "ok\n");
	expect_warnings(0);
}

static void the_variables_of_the_go_names_are_read(void **state)
{
	(void)state;
	assert_string_equal(run("run", "GOALLOC_MEMLIMIT=2GiB", NULL), "ok\n");
	expect_warnings(0);
	assert_string_equal(run("run", "GOALLOC_MEMLIMIT=banana", NULL), "ok\n");
	expect_warnings(1);
	assert_non_null(strstr(result.err, "GOALLOC_MEMLIMIT"));
	assert_string_equal(run("run", "GOALLOC_PROFILE=/no/such/directory/p", NULL), "ok\n");
	expect_warnings(1);
	assert_non_null(strstr(result.err, "/no/such/directory/p"));
}

static void help_prints_the_table(void **state)
{
	(void)state;
	assert_string_equal(run("run", "GOALLOC=help=1", NULL), "ok\n");
	assert_in_range(count_lines(result.err), 20, 120);
	assert_non_null(strstr(result.err, "  scavenge "));
	assert_non_null(strstr(result.err, "  help "));
}

/* Where the kernel has no names, nothing changes. */
static void mappings_may_be_decorated(void **state)
{
	(void)state;
	assert_string_equal(run("names", NULL, NULL), "plain\n");
	(void)run("names", "GOALLOC=decoratemappings=1", NULL);
	expect_warnings(0);
	assert_true(strcmp(result.out, "decorated\n") == 0 ||
		    strcmp(result.out, "no names here\n") == 0);
}

static void realloc_of_size_0_is_as_chosen(void **state)
{
	(void)state;
	assert_string_equal(run("realloc_zero", NULL, NULL), "freed\n");
	assert_string_equal(run("realloc_zero", "GOALLOC=realloczero=free", NULL), "freed\n");
	assert_string_equal(run("realloc_zero", "GOALLOC=realloczero=alloc", NULL), "object\n");
	assert_string_equal(run("realloc_zero", "GOALLOC=realloczero=alloc,hardened=1", NULL),
			    "object\n");
}

static void realloc_of_size_0_may_stop_the_program(void **state)
{
	char *argv[] = {probe, (char *)(size_t)"realloc_zero", NULL};
	const char *env[] = {preload, "GOALLOC=realloczero=abort", NULL};

	(void)state;
	program_run(argv, env, &result);
	assert_true(WIFSIGNALED(result.status) && WTERMSIG(result.status) == SIGABRT);
	assert_int_equal(strncmp(result.err, "goalloc: realloc(0x", 19), 0);
	assert_non_null(strstr(result.err, "): realloc of size 0\n  used by thread "));
}

static void the_programs_goalloc_conf_is_read_too(void **state)
{
	char *saved = probe;

	(void)state;
	probe = probe_with_conf;
	assert_string_equal(run("run", NULL, NULL), "ok\n");
	expect_warnings(1);
	assert_non_null(strstr(result.err, "from_conf"));
	probe = saved;
}

static void off_passes_through_to_libc(void **state)
{
	(void)state;
	assert_string_equal(run("whose", "GOALLOC=off", NULL), "libc\n");
	expect_warnings(0);
	assert_string_equal(run("all", "GOALLOC=off", NULL), "ok\n");
	expect_warnings(0);
	assert_string_equal(run("all", NULL, NULL), "ok\n");
	expect_warnings(0);
}

static void clobberfree_overwrites_what_is_freed(void **state)
{
	(void)state;
	assert_string_equal(run("freed", "GOALLOC=clobberfree=1", NULL), "clobbered\n");
	expect_warnings(0);
}

static void statistics_survive_a_program_that_closes_stderr(void **state)
{
	(void)state;
	assert_string_equal(run("close_stderr", NULL, NULL), "ok\n");
	assert_string_equal(result.err, "");
	assert_string_equal(run("run", "GOALLOC_STATS=1", NULL), "ok\n");
	assert_in_range(strlen(result.err), 20, SIZE_MAX);
	assert_string_equal(run("close_stderr", "GOALLOC_STATS=1", NULL), "ok\n");
	assert_in_range(strlen(result.err), 20, SIZE_MAX);
}

static void statistics_go_to_a_file_whose_name_may_hold_the_pid(void **state)
{
	char variable[256], path[256];
	struct stat st;

	(void)state;
	(void)snprintf(variable, sizeof(variable), "GOALLOC_STATS=%s/plain", directory);
	assert_string_equal(run("close_stderr", variable, NULL), "ok\n");
	assert_string_equal(result.err, "");
	(void)snprintf(path, sizeof(path), "%s/plain", directory);
	assert_int_equal(stat(path, &st), 0);
	assert_in_range(st.st_size, 20, SIZE_MAX);
	(void)unlink(path);

	(void)snprintf(variable, sizeof(variable), "GOALLOC_STATS=%s/of.%%p.txt", directory);
	assert_string_equal(run("run", variable, NULL), "ok\n");
	(void)snprintf(path, sizeof(path), "%s/of.%d.txt", directory, (int)result.pid);
	assert_int_equal(stat(path, &st), 0);
	assert_in_range(st.st_size, 20, SIZE_MAX);
	(void)unlink(path);
}

static void expect_statistics_in(const char *name, long nbytes_least)
{
	char path[256];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	assert_int_equal(stat(path, &st), 0);
	assert_in_range(st.st_size, nbytes_least, LONG_MAX);
	assert_int_equal(unlink(path), 0);
}

static void a_program_that_changes_its_directory_writes_where_it_began(void **state)
{
	char there[4096];

	(void)state;
	assert_non_null(getcwd(there, sizeof(there)));
	assert_int_equal(chdir(directory), 0);
	assert_string_equal(run("chdir", "GOALLOC_STATS=relative", NULL), "ok\n");
	expect_warnings(0);
	assert_int_equal(chdir(there), 0);
	expect_statistics_in("relative", 20);
}

static void a_forked_child_writes_a_file_of_its_own(void **state)
{
	char variable[256], name[64];

	(void)state;
	(void)snprintf(variable, sizeof(variable), "GOALLOC_STATS=%s/of.%%p", directory);
	(void)run("child", variable, NULL);
	expect_warnings(0);
	(void)snprintf(name, sizeof(name), "of.%d", (int)result.pid);
	expect_statistics_in(name, 20);
	/* The child's id is what it said. */
	(void)snprintf(name, sizeof(name), "of.%d", atoi(result.out));
	expect_statistics_in(name, 20);
}

static void run_and_expect_its_own_file_untouched(const char *variable)
{
	struct stat st;

	(void)run("close_all", variable, NULL);
	result.out[strcspn(result.out, "\n")] = 0;
	assert_int_equal(stat(result.out, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(unlink(result.out), 0);
}

static void another_file_at_our_descriptors_number_is_not_written_to(void **state)
{
	char variable[256];

	(void)state;
	/* Ours is found by its name, or as standard error, which is still open. */
	(void)snprintf(variable, sizeof(variable), "GOALLOC_STATS=%s/kept", directory);
	run_and_expect_its_own_file_untouched(variable);
	expect_statistics_in("kept", 20);
	run_and_expect_its_own_file_untouched("GOALLOC_STATS=1");
	assert_non_null(strstr(result.err, "live objects"));
}

static void a_file_that_cannot_be_written_to_is_one_warning(void **state)
{
	(void)state;
	assert_string_equal(run("run", "GOALLOC_STATS=/no/such/directory/stats", NULL), "ok\n");
	assert_string_equal(
		result.err,
		"goalloc: stats: cannot write to '/no/such/directory/stats': no such directory\n");
	assert_string_equal(run("run", "GOALLOC=heapmap=/dev", NULL), "ok\n");
	assert_string_equal(result.err,
			    "goalloc: heapmap: cannot write to '/dev': it is a directory\n");
	assert_string_equal(run("run", "GOALLOC_STATS=", NULL), "ok\n");
	expect_warnings(0);
}

static void standard_error_that_is_closed_from_the_start_is_nothing_to_say(void **state)
{
	/* The shell's libc may be another one than the library's. */
	char *argv[] = { (char *)(size_t) "/bin/sh", (char *)(size_t) "-c",
			 (char *)(size_t) "export \"$1\"; exec \"$0\" run 2>&-", probe, preload,
			 NULL };
	const char *env[] = {"GOALLOC_STATS=1", NULL};

	(void)state;
	program_run(argv, env, &result);
	assert_true(program_exited_0(&result));
	assert_string_equal(result.out, "ok\n");
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_options_nothing_is_said),
		cmocka_unit_test(an_empty_variable_is_no_option),
		cmocka_unit_test(known_options_are_taken_without_a_word),
		cmocka_unit_test(an_unknown_key_is_one_warning),
		cmocka_unit_test(a_bad_value_is_one_warning),
		cmocka_unit_test(every_bad_item_has_a_warning_of_its_own),
		cmocka_unit_test(any_nonsense_is_survived),
		cmocka_unit_test(a_slip_is_told_the_name_that_was_meant),
		cmocka_unit_test(hard_without_a_limit_is_said),
		cmocka_unit_test(a_limit_that_is_not_kept_is_said_once),
		cmocka_unit_test(the_variables_of_the_go_names_are_read),
		cmocka_unit_test(help_prints_the_table),
		cmocka_unit_test(mappings_may_be_decorated),
		cmocka_unit_test(realloc_of_size_0_is_as_chosen),
		cmocka_unit_test(realloc_of_size_0_may_stop_the_program),
		cmocka_unit_test(the_programs_goalloc_conf_is_read_too),
		cmocka_unit_test(off_passes_through_to_libc),
		cmocka_unit_test(clobberfree_overwrites_what_is_freed),
		cmocka_unit_test(statistics_survive_a_program_that_closes_stderr),
		cmocka_unit_test(statistics_go_to_a_file_whose_name_may_hold_the_pid),
		cmocka_unit_test(a_program_that_changes_its_directory_writes_where_it_began),
		cmocka_unit_test(a_forked_child_writes_a_file_of_its_own),
		cmocka_unit_test(another_file_at_our_descriptors_number_is_not_written_to),
		cmocka_unit_test(a_file_that_cannot_be_written_to_is_one_warning),
		cmocka_unit_test(standard_error_that_is_closed_from_the_start_is_nothing_to_say),
	};

	if (argc != 4 || mkdtemp(directory) == NULL) {
		(void)fprintf(stderr, "usage: %s LIBRARY PROBE PROBE_WITH_CONF\n", argv[0]);
		return 2;
	}
	(void)snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", argv[1]);
	probe = argv[2];
	probe_with_conf = argv[3];
	return cmocka_run_group_tests(tests, NULL, remove_directory);
}
