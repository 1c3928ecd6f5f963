/* SPDX-License-Identifier: MIT */
/*
 * test_fatal.c - lines on stderr: what they say to the letter, how long they may be, and how the
 * process ends. The warning of a wrong size comes at once, and warnings that come too soon are
 * counted.
 */
#include "module.h"

#include "os/fatal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct warning {
	size_t given;
	uint64_t now_ms;
};

static void warn(void *arg)
{
	const struct warning *w = arg;

	errno = 77;
	warn_size("operator delete", (void *)0x1230, w->given, 64, w->now_ms);
	assert_int_equal(errno, 77);
}

/* Returns what warn_size() writes to standard error at the time now_ms. */
static const char *warning(size_t given, uint64_t now_ms)
{
	static char text[1000];
	struct warning w = { given, now_ms };

	(void)capture_stderr(warn, &w, text, sizeof(text));
	return text;
}

#define LINE(given) "goalloc: operator delete(0x1230): size mismatch: given " given ", slot 64"

static void a_warning_comes_at_once_and_not_again_too_soon(void **state)
{
	(void)state;
	assert_string_equal(warning(4, 1000), LINE("4") "\n");
	assert_string_equal(warning(5, 1000), "");
	assert_string_equal(warning(6, 1000 + WARN_SIZE_EVERY_MS - 1), "");
	assert_string_equal(warning(7, 1000 + WARN_SIZE_EVERY_MS),
			    LINE("7") "; others since the last line: 2\n");
	assert_string_equal(warning(8, 1001 + WARN_SIZE_EVERY_MS), "");
	assert_string_equal(warning(9, 1000 + 3 * WARN_SIZE_EVERY_MS),
			    LINE("9") "; others since the last line: 1\n");
}

static void end_by_pointer(void)
{
	fatal_pointer("free", (void *)0x7f0012345678, "double free");
}

static void end_by_size(void)
{
	fatal_size("free_sized", NULL, SIZE_MAX, 48);
}

static void end_by_error(void)
{
	fatal_error("all is lost");
}

static void each_end_is_its_line_and_sigabrt(void **state)
{
	(void)state;
	run_until_abort(end_by_pointer, "goalloc: free(0x7f0012345678): double free\n");
	run_until_abort(end_by_size, "goalloc: free_sized(0x0): size mismatch: "
				     "given 18446744073709551615, slot 48\n"
				     "goalloc: GOALLOC=sizemismatch=warn lets the program "
				     "continue\n");
	run_until_abort(end_by_error, "goalloc: all is lost\n");
}

static void lines_are_put_together(void **state)
{
	struct report r;

	(void)state;
	report_init(&r, "%s:", "a");
	report_add(&r, " %zu", (size_t)7);
	assert_int_equal(r.len, strlen("goalloc: a: 7"));
	assert_memory_equal(r.text, "goalloc: a: 7", r.len);
}

static void write_too_much(void *arg)
{
	struct report r;

	(void)arg;
	report_init(&r, "x");
	for (size_t i = 0; i < REPORT_MAX; i++)
		report_add(&r, "x");
	assert_int_equal(report_write(&r, 2), 0);
}

static void a_line_that_is_too_long_is_cut_and_still_a_line(void **state)
{
	char text[2 * REPORT_MAX];
	size_t n = capture_stderr(write_too_much, NULL, text, sizeof(text));

	(void)state;
	assert_int_equal(n, REPORT_MAX);
	assert_true(text[n - 2] == 'x' && text[n - 1] == '\n');
	assert_int_equal(count_lines(text), 1);
}

static void a_write_that_fails_returns_its_errno_and_keeps_the_callers(void **state)
{
	struct report r;

	(void)state;
	report_init(&r, "x");
	errno = 77;
	assert_int_equal(report_write(&r, -1), EBADF);
	assert_int_equal(errno, 77);
}

static void reenter(int number)
{
	(void)number;
	fatal_reentered();
}

static void reenter_from_the_handler(void)
{
	(void)alarm(10);
	(void)signal(SIGABRT, reenter);
	fatal_reentered();
}

/* What is found with locks held must not call the program's handler again and again. */
static void a_handler_that_comes_here_again_is_called_once(void **state)
{
	static const char line[] =
		"goalloc: malloc called by the handler of a signal that came inside of malloc "
		"or free\n";
	char twice[2 * sizeof(line)];

	(void)state;
	snprintf(twice, sizeof(twice), "%s%s", line, line);
	run_until_abort(reenter_from_the_handler, twice);
}

static void end_in_a_vforked_child(void *status)
{
	pid_t pid = vfork();

	if (pid == 0)
		fatal_error("all is lost");
	*(int *)status = child_wait(pid);
}

/* libc may take the child for the thread that made it. In a process of its own, because glibc keeps
 * a lock for ever when a process aborts, and the child shares it. */
static void a_vforked_child_ends_alone(void **state)
{
	pid_t pid = fork();
	char text[1000];
	int status = 0;

	(void)state;
	if (pid == 0) {
		(void)capture_stderr(end_in_a_vforked_child, &status, text, sizeof(text));
		_exit(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
				      strcmp(text, "goalloc: all is lost\n") == 0
			      ? 0
			      : 1);
	}
	assert_int_equal(child_wait(pid), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_warning_comes_at_once_and_not_again_too_soon),
		cmocka_unit_test(each_end_is_its_line_and_sigabrt),
		cmocka_unit_test(lines_are_put_together),
		cmocka_unit_test(a_line_that_is_too_long_is_cut_and_still_a_line),
		cmocka_unit_test(a_write_that_fails_returns_its_errno_and_keeps_the_callers),
		cmocka_unit_test(a_handler_that_comes_here_again_is_called_once),
		cmocka_unit_test(a_vforked_child_ends_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
