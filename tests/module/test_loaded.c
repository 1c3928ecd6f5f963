/* SPDX-License-Identifier: MIT */
/*
 * test_loaded.c - functions are found in an object by either of the two kinds of hash tables.
 */
#include "module.h"

#include "os/libc.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#if defined(__GLIBC__)
#define LIBC_NAME "libc.so.6"
#else
#define LIBC_NAME "libc.so"
#endif

static const char *const names[] = { "loaded_one",  "loaded_two", "loaded_three", "loaded_four",
				     "loaded_five", "loaded_six", "loaded_seven", "loaded_eight" };

static void check_object(const char *file, bool gnu)
{
	void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	struct link_map *map;
	struct loaded o;

	CHECK(handle != NULL && dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0);
	CHECK(loaded_read(&o, map->l_addr, map->l_ld));
	CHECK((o.gnu_hash != NULL) == gnu && (o.hash != NULL) == !gnu);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		void *wanted = dlsym(handle, names[i]);
		const ElfW(Sym) *s = loaded_next(&o, names[i], NULL);

		CHECK(wanted != NULL && loaded_function(&o, names[i]) == wanted);
		CHECK(loaded_next(&o, names[i], s) == NULL);
	}
	CHECK(loaded_function(&o, "loaded_nine") == NULL);
	CHECK(loaded_function(&o, "loaded_data") == NULL);
	CHECK(loaded_function(&o, "puts") == NULL);
	CHECK(strcmp(loaded_soname(&o), "loaded_module") == 0 && loaded_needs(&o, LIBC_NAME));
	CHECK(!loaded_needs(&o, "libc"));
	CHECK(loaded_variable(&o, "loaded_data") == dlsym(handle, "loaded_data"));
	CHECK(loaded_variable(&o, names[0]) == NULL);
	CHECK(libc_header_of((uintptr_t)dlsym(handle, names[0])) == map->l_addr);
	CHECK(dlclose(handle) == 0);
}

static void functions_are_found_by_the_gnu_hash_table(void **state)
{
	(void)state;
	check_object(LOADED_GNU, true);
}

static void functions_are_found_by_the_elf_hash_table(void **state)
{
	(void)state;
	check_object(LOADED_SYSV, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_are_found_by_the_gnu_hash_table),
		cmocka_unit_test(functions_are_found_by_the_elf_hash_table),
	};

	return cmocka_run_group_tests_name("loaded", tests, NULL, NULL);
}
