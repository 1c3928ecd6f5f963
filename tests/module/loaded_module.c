/* SPDX-License-Identifier: MIT */
/*
 * loaded_module.c - an object with some symbols, for test_loaded.c.
 */
#define FUNCTION(name) int name(void); int name(void) { return __LINE__; }
FUNCTION(loaded_one) FUNCTION(loaded_two) FUNCTION(loaded_three) FUNCTION(loaded_four)
FUNCTION(loaded_five) FUNCTION(loaded_six) FUNCTION(loaded_seven) FUNCTION(loaded_eight)

extern int loaded_data;
int loaded_data = 1;

/* The object refers to this function and does not define it. */
int puts(const char *);
int loaded_caller(void);
int loaded_caller(void)
{
	return puts("");
}
