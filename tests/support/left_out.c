/* SPDX-License-Identifier: MIT */
/*
 * left_out.c - leaves out the cases of a cmocka program that the variable LEFT_OUT names, separated
 * by blanks. Programs for other processors are linked with it (--wrap), because emulators cannot do
 * everything; tests/install/emulated.txt is the list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CASES 256

int __real__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t n,
				   CMFixtureFunction setup, CMFixtureFunction teardown);
int __wrap__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t n,
				   CMFixtureFunction setup, CMFixtureFunction teardown);

static bool is_named(const char *name, const char *names)
{
	size_t length = strlen(name);

	for (const char *at = names; (at = strstr(at, name)) != NULL; at += length)
		if ((at == names || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
			return true;
	return false;
}

int __wrap__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t n,
				   CMFixtureFunction setup, CMFixtureFunction teardown)
{
	struct CMUnitTest kept[MAX_CASES];
	const char *names = getenv("LEFT_OUT");
	size_t nkept = 0;

	if (names == NULL)
		return __real__cmocka_run_group_tests(group, tests, n, setup, teardown);
	if (n > MAX_CASES)
		abort();
	for (size_t i = 0; i < n; i++) {
		if (is_named(tests[i].name, names))
			printf("left out: %s\n", tests[i].name);
		else
			kept[nkept++] = tests[i];
	}
	return __real__cmocka_run_group_tests(group, kept, nkept, setup, teardown);
}
