/* SPDX-License-Identifier: MIT */
/*
 * test_cxx_plugin.c - a C program that opens C++ code. No C++ library is there when the program
 * begins, and none of its names can be looked up by others: RTLD_LOCAL.
 *
 * Callers  CTest, linked with the library and preloaded. argv[1] is the plug-in, argv[2] the case,
 *          argv[3] more flags.
 */
#include "face.h"

static void *handle;

static int call(const char *name, int arg)
{
	int (*f)(int) = (int (*)(int))dlsym(handle, name);

	CHECK(f != NULL);
	return f(arg);
}

static void operators_fail_as_the_plugins_own_library_has_it(void)
{
	for (int round = 0; round < 3; round++) {
		CHECK(call("plugin_throws", 0) == 5);
		CHECK(call("plugin_returns_null", 0) == 4);
		CHECK(call("plugin_asks_handler", 0) == 3);
		CHECK(call("plugin_asks_handler", 1) == 3);
		CHECK(call("plugin_allocates", 0) > 10);
	}
}

static void a_constructor_may_wait_for_a_thread_that_allocates(void)
{
	const int *done = dlsym(handle, "loader_lock_done");

	CHECK(done != NULL && *done == 5);
}

int main(int argc, char **argv)
{
	int flags = RTLD_NOW | RTLD_LOCAL;

	CHECK(argc >= 3);
	CHECK(face_malloc_is_goalloc());
	if (argc > 3)
		flags |= RTLD_DEEPBIND;
	handle = dlopen(argv[1], flags);
	if (handle == NULL)
		check_fail(__FILE__, __LINE__, dlerror());
	if (strcmp(argv[2], "operators") == 0)
		operators_fail_as_the_plugins_own_library_has_it();
	else if (strcmp(argv[2], "loader_lock") == 0)
		a_constructor_may_wait_for_a_thread_that_allocates();
	else
		check_fail(__FILE__, __LINE__, argv[2]);
	return 0;
}
