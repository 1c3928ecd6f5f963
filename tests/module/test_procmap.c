/* SPDX-License-Identifier: MIT */
/*
 * test_procmap.c - the mappings of a process: each is told with its bounds, its rights, its offset
 * and its name, and an address finds the mapping that has it and no other.
 */
#include "module.h"

#include "os/os.h"
#include "os/procmap.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE ((uintptr_t)getpagesize())

static struct procmap map;

static void read_own(void)
{
	assert_true(procmap_read(&map, getpid()));
}

/* Returns npages of memory of the process's own, between two pages without rights. */
static uintptr_t make_pages(size_t npages)
{
	char *p = mmap(NULL, (npages + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(mprotect(p + PAGE, npages * PAGE, PROT_READ | PROT_WRITE), 0);
	return (uintptr_t)p + PAGE;
}

static void the_mappings_are_in_order_and_do_not_overlap(void **state)
{
	(void)state;
	read_own();
	assert_true(map.len > 5);
	for (size_t i = 0; i < map.len; i++) {
		assert_true(map.at[i].start < map.at[i].end);
		assert_true(map.at[i].start % PAGE == 0 && map.at[i].end % PAGE == 0);
		assert_true(i == 0 || map.at[i - 1].end <= map.at[i].start);
	}
	procmap_free(&map);
}

static void an_address_finds_its_mapping_at_the_first_and_the_last_byte(void **state)
{
	uintptr_t p = make_pages(3);
	const struct mapping *m;

	(void)state;
	read_own();
	m = procmap_find(&map, p);
	assert_non_null(m);
	assert_true(m->start == p && m->end == p + 3 * PAGE);
	assert_ptr_equal(procmap_find(&map, p + 3 * PAGE - 1), m);
	assert_ptr_not_equal(procmap_find(&map, p - 1), m);
	assert_ptr_not_equal(procmap_find(&map, p + 3 * PAGE), m);
	assert_int_equal(m->flags, MAPPING_READ | MAPPING_WRITE);
	assert_int_equal(m->name_len, 0);
	procmap_free(&map);
}

static void where_nothing_is_mapped_nothing_is_found_and_the_first_is_the_next_above(void **state)
{
	uintptr_t p = make_pages(3);
	size_t next;

	(void)state;
	assert_int_equal(munmap((void *)(p + PAGE), PAGE), 0);
	read_own();
	assert_null(procmap_find(&map, p + PAGE));
	assert_null(procmap_find(&map, p + 2 * PAGE - 1));
	next = procmap_first(&map, p + PAGE);
	assert_true(map.at[next].start == p + 2 * PAGE);
	assert_int_equal(procmap_first(&map, p + 2 * PAGE), next);
	assert_null(procmap_find(&map, 0));
	assert_int_equal(procmap_first(&map, 0), 0);
	assert_null(procmap_find(&map, UINTPTR_MAX));
	assert_int_equal(procmap_first(&map, UINTPTR_MAX), map.len);
	procmap_free(&map);
}

static void rights_are_told_one_by_one(void **state)
{
	static const struct {
		int rights;
		uint32_t flags;
	} kinds[] = {
		{ PROT_NONE, 0 },
		{ PROT_READ, MAPPING_READ },
		{ PROT_READ | PROT_WRITE, MAPPING_READ | MAPPING_WRITE },
		{ PROT_READ | PROT_EXEC, MAPPING_READ | MAPPING_EXEC },
	};
	uintptr_t p = make_pages(9);

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(mprotect((void *)(p + 2 * i * PAGE), PAGE, kinds[i].rights), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(mprotect((void *)(p + (2 * i + 1) * PAGE), PAGE, PROT_WRITE), 0);
	read_own();
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(procmap_find(&map, p + 2 * i * PAGE)->flags, kinds[i].flags);
	procmap_free(&map);
}

/* A name may have blanks, and a mapping may begin in the middle of its file. */
static void a_file_is_told_with_its_name_and_the_offset(void **state)
{
	int fd = memfd_create("a name of words", MFD_CLOEXEC);
	const struct mapping *m;
	void *p;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(8 * PAGE)), 0);
	p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, (off_t)(5 * PAGE));
	assert_ptr_not_equal(p, MAP_FAILED);
	read_own();
	m = procmap_find(&map, (uintptr_t)p);
	assert_non_null(m);
	assert_int_equal(m->offset, 5 * PAGE);
	assert_int_equal(m->flags, MAPPING_READ | MAPPING_SHARED);
	assert_true(mapping_named(m, "/memfd:a name of words"));
	procmap_free(&map);
	assert_int_equal(close(fd), 0);
}

static void a_beginning_of_a_name_is_the_whole_of_what_is_compared(void **state)
{
	static const struct mapping m = { .name = "/memfd:x\n/dev", .name_len = 8 };
	static const struct mapping unnamed = { .name = "\n", .name_len = 0 };

	(void)state;
	assert_true(mapping_named(&m, ""));
	assert_true(mapping_named(&m, "/memfd:"));
	assert_true(mapping_named(&m, "/memfd:x"));
	assert_false(mapping_named(&m, "/memfd:x\n"));
	assert_false(mapping_named(&m, "/memfd:y"));
	assert_false(mapping_named(&m, "memfd:"));
	assert_true(mapping_named(&unnamed, ""));
	assert_false(mapping_named(&unnamed, "\n"));
}

/* The text of so many mappings is longer than the first room for it. */
static void thousands_of_mappings_are_all_read(void **state)
{
	enum { N = 12000 };
	uintptr_t p = make_pages(2 * N);

	(void)state;
	for (size_t i = 0; i < N; i++)
		assert_int_equal(mprotect((void *)(p + 2 * i * PAGE), PAGE, PROT_READ), 0);
	read_own();
	assert_true(map.len > 2 * N);
	for (size_t i = 0; i < 2 * N; i++) {
		const struct mapping *m = procmap_find(&map, p + i * PAGE);

		assert_true(m != NULL && m->start == p + i * PAGE);
		assert_int_equal(m->flags & MAPPING_WRITE, i % 2 == 0 ? 0 : MAPPING_WRITE);
	}
	procmap_free(&map);
	assert_int_equal(munmap((void *)(p - PAGE), (2 * N + 2) * PAGE), 0);
}

static void a_process_that_is_not_there_is_not_read(void **state)
{
	pid_t gone = fork();

	(void)state;
	if (gone == 0)
		_exit(0);
	assert_int_equal(child_wait(gone), 0);
	assert_false(procmap_read(&map, gone));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_mappings_are_in_order_and_do_not_overlap),
		cmocka_unit_test(an_address_finds_its_mapping_at_the_first_and_the_last_byte),
		cmocka_unit_test(
			where_nothing_is_mapped_nothing_is_found_and_the_first_is_the_next_above),
		cmocka_unit_test(rights_are_told_one_by_one),
		cmocka_unit_test(a_file_is_told_with_its_name_and_the_offset),
		cmocka_unit_test(a_beginning_of_a_name_is_the_whole_of_what_is_compared),
		cmocka_unit_test(thousands_of_mappings_are_all_read),
		cmocka_unit_test(a_process_that_is_not_there_is_not_read),
	};

	return cmocka_run_group_tests_name("procmap", tests, NULL, NULL);
}
