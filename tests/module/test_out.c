/* SPDX-License-Identifier: MIT */
/*
 * test_out.c - what is written arrives as it is, in whatever pieces; numbers look as they should;
 * names are expanded.
 */
#include "module.h"

#include "out.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* What os_write() does in the next calls: the file's own, or a short count. */
static size_t longest_write = SIZE_MAX;
static unsigned writes;

long __real_os_write(int fd, const void *p, size_t nbytes);
long __wrap_os_write(int fd, const void *p, size_t nbytes);
long __wrap_os_write(int fd, const void *p, size_t nbytes)
{
	writes++;
	return __real_os_write(fd, p, min_size(nbytes, longest_write));
}

static FILE *file;
static struct out out;

static int begin(void **state)
{
	(void)state;
	file = tmpfile();
	longest_write = SIZE_MAX;
	writes = 0;
	out_init(&out, fileno(file));
	errno = 77;
	return file == NULL;
}

static int end(void **state)
{
	(void)state;
	return fclose(file);
}

/* Flushes; the file has this text, errno was kept. */
static void expect(const char *text)
{
	static char got[70000];
	ssize_t n;

	assert_true(out_flush(&out));
	assert_int_equal(errno, 77);
	n = pread(fileno(file), got, sizeof(got) - 1, 0);
	assert_true(n >= 0);
	got[n] = '\0';
	assert_string_equal(got, text);
	assert_int_equal(out.written, (size_t)n);
}

static void nothing_is_written_before_the_buffer_is_full_or_flushed(void **state)
{
	(void)state;
	out_str(&out, "text");
	assert_int_equal(writes, 0);
	assert_int_equal(lseek(fileno(file), 0, SEEK_END), 0);
	expect("text");
	assert_int_equal(writes, 1);
	expect("text");
	assert_int_equal(writes, 1);
}

static void long_bytes_arrive_whole_in_short_writes_too(void **state)
{
	static char text[3 * OUT_BUFFER + 18];

	(void)state;
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = (char)('!' + i * 7 % 90);
	longest_write = 1000;
	/* Pieces that end at, before and behind the buffer's end. */
	out_bytes(&out, text, OUT_BUFFER - 1);
	out_bytes(&out, text + OUT_BUFFER - 1, 1);
	out_bytes(&out, text + OUT_BUFFER, OUT_BUFFER + 1);
	out_bytes(&out, text + 2 * OUT_BUFFER + 1, sizeof(text) - 1 - 2 * OUT_BUFFER - 1);
	expect(text);
}

static void numbers_in_decimal(void **state)
{
	(void)state;
	out_dec(&out, 0);
	out_str(&out, " ");
	out_dec(&out, 10);
	out_str(&out, " ");
	out_dec(&out, UINT64_MAX);
	expect("0 10 18446744073709551615");
}

static void numbers_in_hexadecimal(void **state)
{
	(void)state;
	out_hex(&out, 0);
	out_str(&out, " ");
	out_hex(&out, 0x1f0);
	out_str(&out, " ");
	out_hex(&out, UINT64_MAX);
	expect("0x0 0x1f0 0xffffffffffffffff");
}

static void padded_numbers_are_never_cut(void **state)
{
	(void)state;
	out_padded(&out, 7, 3);
	out_padded(&out, 123, 3);
	out_padded(&out, 1234, 3);
	out_padded(&out, 5, 0);
	expect("  712312345");
}

static void fixed_point_has_all_its_places(void **state)
{
	(void)state;
	out_fixed(&out, 1234, 2);
	out_str(&out, " ");
	out_fixed(&out, 5, 3);
	out_str(&out, " ");
	out_fixed(&out, 100, 2);
	out_str(&out, " ");
	out_fixed(&out, 42, 0);
	expect("12.34 0.005 1.00 42");
}

static void sizes_have_a_unit_and_ten_characters(void **state)
{
	static const struct {
		uint64_t n;
		const char *text;
	} cases[] = {
		{ 0, "   0   B  " },			 { 1023, "1023   B  " },
		{ 1024, "   1.0 KiB" },			 { 1536, "   1.5 KiB" },
		{ 1024 * 1024 - 1, "1023.9 KiB" },	 { UINT64_C(1) << 20, "   1.0 MiB" },
		{ UINT64_C(5) << 30, "   5.0 GiB" },	 { UINT64_C(3) << 40, "   3.0 TiB" },
		{ UINT64_C(3) << 50, "   3.0 PiB" },	 { UINT64_MAX, "  15.9 EiB" },
	};
	char all[256] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		out_size(&out, cases[i].n);
		strcat(all, cases[i].text);
	}
	expect(all);
}

static void after_a_failed_write_the_rest_is_dropped(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	char bytes[OUT_BUFFER + 1] = { 0 };

	(void)state;
	assert_true(full >= 0);
	out_init(&out, full);
	errno = 77;
	out_bytes(&out, bytes, sizeof(bytes));
	assert_int_equal(writes, 1);
	out_bytes(&out, bytes, sizeof(bytes));
	assert_false(out_flush(&out));
	/* Not one write more, and a file that works now gets no hole. */
	assert_int_equal(writes, 1);
	out.fd = fileno(file);
	out_str(&out, "late");
	assert_false(out_flush(&out));
	assert_int_equal(lseek(fileno(file), 0, SEEK_END), 0);
	assert_int_equal(errno, 77);
	close(full);
}

/* --- files --- */

static char directory[] = "/tmp/goalloc-test-XXXXXX";

static const char *in_directory(const char *name)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

/* The file of that name is there, with so many bytes, and is removed. */
static void expect_file(const char *name, long nbytes)
{
	struct stat st;

	assert_int_equal(stat(in_directory(name), &st), 0);
	assert_int_equal(st.st_size, nbytes);
	assert_int_equal(unlink(in_directory(name)), 0);
}

static void write_and_close(int fd)
{
	assert_true(fd > 2);
	assert_int_equal(write(fd, "1234", 4), 4);
	assert_int_equal(close(fd), 0);
}

static void a_file_is_emptied_or_appended_to(void **state)
{
	(void)state;
	write_and_close(out_open(in_directory("a"), false));
	write_and_close(out_open(in_directory("a"), false));
	expect_file("a", 4);
	write_and_close(out_open(in_directory("a"), true));
	write_and_close(out_open(in_directory("a"), true));
	expect_file("a", 8);
}

static void names_are_expanded(void **state)
{
	char name[64];

	(void)state;
	write_and_close(out_open_nth(in_directory("x%n.%p.%%.%q%"), false, 12));
	snprintf(name, sizeof(name), "x12.%d.%%%%.%%q%%", (int)getpid());
	expect_file(name, 4);
	/* Only names with a number count. */
	write_and_close(out_open(in_directory("y%n"), false));
	write_and_close(out_open(in_directory("y"), false));
	write_and_close(out_open(in_directory("y%n"), false));
	expect_file("y1", 4);
	expect_file("y", 4);
	expect_file("y2", 4);
}

static void a_name_that_grows_too_long_is_refused(void **state)
{
	char name[2000] = "";

	(void)state;
	for (int i = 0; i < 400; i++)
		strcat(name, "%p/");
	assert_int_equal(out_open(in_directory(name), false), -ENAMETOOLONG);
	assert_int_equal(out_check(in_directory(name)), -ENAMETOOLONG);
	assert_int_equal(errno, 77);
}

static void descriptors_are_high_and_not_inherited(void **state)
{
	int fd = out_open(in_directory("d"), false);

	(void)state;
	assert_true(fd >= 100);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	write_and_close(fd);
	expect_file("d", 4);
}

TEST_IN_CHILD(few_descriptors_are_enough)
{
	struct rlimit few = { 20, 20 };
	int fd;

	CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
	close(0);
	fd = out_open(in_directory("few"), false);
	CHECK(fd >= 3);
	CHECK(unlink(in_directory("few")) == 0);
}

static void obstacles_are_told_without_making_the_file(void **state)
{
	(void)state;
	errno = 77;
	assert_int_equal(out_check(in_directory("new")), 0);
	assert_int_equal(out_check("new-in-the-current-directory"), 0);
	assert_true(geteuid() != 0 || out_check("/new-in-the-root") == 0);
	assert_int_equal(out_check("/dev/null"), 0);
	assert_int_equal(out_check(in_directory("no/such")), -ENOENT);
	assert_int_equal(out_check("/dev/null/x"), -ENOTDIR);
	assert_int_equal(out_check(directory), -EISDIR);
	assert_int_equal(out_check(in_directory("slash/")), -EISDIR);
	assert_int_equal(errno, 77);
	/* Nothing was made; main() removes an empty directory. */
	assert_int_equal(access(in_directory("new"), F_OK), -1);
}

static void reasons_are_words(void **state)
{
	(void)state;
	assert_string_equal(out_reason(ENOENT), "no such directory");
	assert_string_equal(out_reason(EISDIR), "it is a directory");
	assert_string_equal(out_reason(EACCES), "permission denied");
	assert_string_equal(out_reason(ENOSPC), "no space left");
	assert_string_equal(out_reason(-1), "input/output error");
}

TEST_IN_CHILD(permission_is_asked_for)
{
	/* As root, to whom all is allowed, the question is another's. */
	if (geteuid() == 0)
		CHECK(chmod(directory, 0755) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
	else
		CHECK(chmod(directory, 0555) == 0);
	CHECK(out_check(in_directory("new")) == -EACCES);
}

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_written_before_the_buffer_is_full_or_flushed),
		TEST(long_bytes_arrive_whole_in_short_writes_too),
		TEST(numbers_in_decimal),
		TEST(numbers_in_hexadecimal),
		TEST(padded_numbers_are_never_cut),
		TEST(fixed_point_has_all_its_places),
		TEST(sizes_have_a_unit_and_ten_characters),
		TEST(after_a_failed_write_the_rest_is_dropped),
		TEST(a_file_is_emptied_or_appended_to),
		TEST(names_are_expanded),
		TEST(a_name_that_grows_too_long_is_refused),
		TEST(descriptors_are_high_and_not_inherited),
		TEST(few_descriptors_are_enough),
		TEST(obstacles_are_told_without_making_the_file),
		TEST(reasons_are_words),
		TEST(permission_is_asked_for),
	};

	return cmocka_run_group_tests_name("out", tests, make_directory, remove_directory);
}
