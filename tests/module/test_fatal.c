/* SPDX-License-Identifier: MIT */
/*
 * test_fatal.c - the warning of a wrong size: its first line comes at once, and lines that come too soon are counted.
 */
#include "module.h"

#include "fatal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Returns what warn_size() writes to standard error at the time now_ms. */
static const char *warning(size_t given, uint64_t now_ms)
{
	static char text[1000];
	FILE *file = tmpfile();
	int saved = dup(2);
	ssize_t n;

	assert_non_null(file);
	assert_int_equal(dup2(fileno(file), 2), 2);
	errno = 77;
	warn_size("operator delete", (void *)0x1230, given, 64, now_ms);
	assert_int_equal(errno, 77);
	assert_int_equal(dup2(saved, 2), 2);
	n = pread(fileno(file), text, sizeof(text) - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	assert_int_equal(fclose(file), 0);
	assert_int_equal(close(saved), 0);
	return text;
}

#define LINE(given) "goalloc: operator delete(0x1230): size mismatch: given " given ", slot 64"

static void a_warning_comes_at_once_and_not_again_too_soon(void **state)
{
	(void)state;
	assert_string_equal(warning(4, 1000), LINE("4") "\n");
	assert_string_equal(warning(5, 1000), "");
	assert_string_equal(warning(6, 1000 + WARN_SIZE_EVERY_MS - 1), "");
	assert_string_equal(warning(7, 1000 + WARN_SIZE_EVERY_MS), LINE("7") "; others since the last line: 2\n");
	assert_string_equal(warning(8, 1001 + WARN_SIZE_EVERY_MS), "");
	assert_string_equal(warning(9, 1000 + 3 * WARN_SIZE_EVERY_MS), LINE("9") "; others since the last line: 1\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_warning_comes_at_once_and_not_again_too_soon),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
