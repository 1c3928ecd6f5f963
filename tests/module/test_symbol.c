/* SPDX-License-Identifier: MIT */
/*
 * test_symbol.c - names of addresses: functions of the program, local functions too, and addresses
 * that have no name.
 */
#include "module.h"

#include "stack/symbol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char text[4096];

/* Returns what is printed of an address. */
static const char *printed(uintptr_t pc, bool after_call)
{
	static struct symbols symbols;
	static struct out out;
	int ends[2];
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	out_init(&out, ends[1]);
	symbols_init(&symbols);
	symbols_print(&symbols, &out, pc, after_call);
	assert_true(out_flush(&out));
	symbols_close(&symbols);
	n = read(ends[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	(void)close(ends[0]);
	(void)close(ends[1]);
	return text;
}

void exported_function(void);

SLOW_PATH void exported_function(void)
{
	OPAQUE(&text[0]);
}

static SLOW_PATH void local_function(void)
{
	OPAQUE(&text[0]);
}

static void functions_are_named_local_ones_too(void **state)
{
	(void)state;
	assert_non_null(
		strstr(printed((uintptr_t)exported_function, false), " exported_function+0x0 ("));
	assert_non_null(strstr(printed((uintptr_t)local_function, false), " local_function+0x0 ("));
	assert_non_null(strstr(printed((uintptr_t)getppid, false), "libc.so"));
}

static void behind_a_call_that_is_the_last_instruction_the_callers_name_is_printed(void **state)
{
	char *own = NULL;
	uintptr_t start = (uintptr_t)local_function;

	(void)state;
	own = strstr(printed(start, true), " local_function+");
	assert_null(own);
	assert_non_null(strstr(printed(start + 1, true), " local_function+0x1 ("));
}

/* Checks that addr2line(1) agrees on the address in the file. */
static void the_address_in_the_file_is_that_of_its_tables(void **state)
{
	char command[1200], line[200] = "", *module, *end;
	FILE *f;

	(void)state;
	(void)printed((uintptr_t)local_function, false);
	module = strchr(text, '(') + 1;
	end = strrchr(module, '+');
	*end = '\0';
	*strchr(end + 1, ')') = '\0';
	(void)snprintf(command, sizeof(command), "addr2line -f -e %s %s 2>/dev/null", module,
		       end + 1);
	f = popen(command, "r");
	assert_non_null(f);
	if (fgets(line, sizeof(line), f) == NULL)
		skip();
	(void)pclose(f);
	assert_string_equal(line, "local_function\n");
}

static void what_is_in_no_function_has_no_name(void **state)
{
	static char data[16];
	uintptr_t on_stack = (uintptr_t)&state;
	char *blank;

	assert_string_equal(printed(16, false), "0x10");
	/* "0x7ffc01234567 ([stack]+0x1234)" */
	blank = strchr(printed(on_stack, false), ' ');
	assert_non_null(blank);
	assert_int_equal(strncmp(blank, " ([stack]+0x", 12), 0);
	blank = strchr(printed((uintptr_t)data, false), ' ');
	assert_true(blank == NULL || blank[1] == '(');
	assert_int_equal(strtoul(text, NULL, 16), (uintptr_t)data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_are_named_local_ones_too),
		cmocka_unit_test(
			behind_a_call_that_is_the_last_instruction_the_callers_name_is_printed),
		cmocka_unit_test(the_address_in_the_file_is_that_of_its_tables),
		cmocka_unit_test(what_is_in_no_function_has_no_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
