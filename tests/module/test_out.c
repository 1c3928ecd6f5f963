/* SPDX-License-Identifier: MIT */
/*
 * test_out.c - what is written arrives as it is, in whatever pieces; numbers look as they should;
 * names are expanded.
 */
#include "module.h"

#include "os/os.h"
#include "os/out.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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

/* Flushes, and checks that the file has this text and that errno was kept. */
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

static void formats_go_to_the_buffer(void **state)
{
	(void)state;
	out_str(&out, "a ");
	out_format(&out, "%s %zu%%\n", "b", (size_t)7);
	expect("a b 7%\n");
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

/* Checks that the file of that name has this many bytes, and removes it. */
static void expect_file(const char *name, long nbytes)
{
	struct stat st;

	assert_int_equal(stat(in_directory(name), &st), 0);
	assert_int_equal(st.st_size, nbytes);
	assert_int_equal(unlink(in_directory(name)), 0);
}

static int written_fd;

static int write_4(int fd, const char *name)
{
	(void)name;
	written_fd = fd;
	return write(fd, "1234", 4) == 4 ? 0 : errno;
}

static int write_to(const char *name, bool append)
{
	return out_to_file(in_directory(name), append, 0, write_4);
}

static void a_file_is_replaced_or_appended_to(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(write_to("a", false), 0);
	assert_int_equal(write_to("a", false), 0);
	expect_file("a", 4);
	assert_int_equal(write_to("a", true), 0);
	assert_int_equal(write_to("a", true), 0);
	fd = out_open_append(in_directory("a"), 0);
	assert_int_equal(write_4(fd, NULL), 0);
	assert_int_equal(close(fd), 0);
	expect_file("a", 12);
}

/* Fails in the middle. The file of that name is the old one. */
static int fail_half_way(int fd, const char *name)
{
	(void)name;
	assert_int_equal(write(fd, "12", 2), 2);
	expect_file("whole", 4);
	assert_int_equal(write_to("whole", false), 0);
	return ENOSPC;
}

static void a_reader_sees_a_whole_file(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(write_to("whole", false), 0);
	assert_int_equal(out_to_file(in_directory("whole"), false, 0, fail_half_way), ENOSPC);
	assert_int_equal(stat(in_directory("whole"), &st), 0);
	/* For the user alone: it tells addresses. */
	assert_int_equal(st.st_mode & 07777, 0600);
	expect_file("whole", 4);
	/* Nothing is left beside it: main() removes an empty directory. */
}

static void symbolic_links_are_not_followed(void **state)
{
	char target[4096];

	(void)state;
	assert_int_equal(write_to("target", true), 0);
	strcpy(target, in_directory("target"));
	for (int append = 0; append < 2; append++) {
		assert_int_equal(symlink(target, in_directory("link")), 0);
		assert_int_equal(write_to("link", append != 0), ELOOP);
		assert_int_equal(out_check(in_directory("link"), append != 0), -ELOOP);
		assert_int_equal(unlink(in_directory("link")), 0);
	}
	expect_file("target", 4);
}

/* A redirection of the program's is written to, and not emptied. */
static void own_descriptors_are_duplicated(void **state)
{
	static const char *const forms[] = { "/dev/fd/%d", "/proc/self/fd/%d",
					     "/proc/thread-self/fd/%d", "/proc/%2$d/fd/%1$d" };
	int fd = open(in_directory("own"), O_WRONLY | O_CREAT, 0644);
	char path[64];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "log\n", 4), 4);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
		snprintf(path, sizeof(path), forms[i], fd, (int)getpid());
#pragma GCC diagnostic pop
		assert_int_equal(out_check(path, false), 0);
		assert_int_equal(out_to_file(path, false, 0, write_4), 0);
	}
	close(fd);
	expect_file("own", 20);
	assert_int_equal(out_check("/dev/fd/777", false), -EBADF);
	assert_int_equal(out_to_file("/dev/fd/777", false, 0, write_4), EBADF);
}

static void a_fifo_is_written_to_if_somebody_reads_it(void **state)
{
	char text[8];
	int reader;

	(void)state;
	assert_int_equal(mkfifo(in_directory("fifo"), 0600), 0);
	assert_int_equal(out_check(in_directory("fifo"), false), 0);
	assert_int_equal(write_to("fifo", false), ENXIO);
	assert_int_equal(out_open_append(in_directory("fifo"), 0), -ENXIO);
	reader = open(in_directory("fifo"), O_RDONLY | O_NONBLOCK);
	assert_true(reader >= 0);
	assert_int_equal(write_to("fifo", false), 0);
	assert_int_equal(read(reader, text, sizeof(text)), 4);
	close(reader);
	assert_int_equal(unlink(in_directory("fifo")), 0);
	assert_int_equal(out_to_file("/dev/full", false, 0, write_4), ENOSPC);
}

/* A file of our own in another's directory: it cannot be replaced. */
TEST_IN_CHILD(a_file_in_a_closed_directory_is_written_in_place)
{
	CHECK(mkdir(in_directory("closed"), 0755) == 0);
	CHECK(write_to("closed/mine", false) == 0 && write_to("closed/mine", true) == 0);
	if (geteuid() == 0) {
		CHECK(chown(in_directory("closed/mine"), 65534, 65534) == 0 &&
		      chmod(directory, 0755) == 0);
		CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	} else {
		CHECK(chmod(in_directory("closed"), 0555) == 0);
	}
	CHECK(out_check(in_directory("closed/mine"), false) == 0);
	CHECK(write_to("closed/mine", false) == 0);
}

static void remove_closed_directory(void **state)
{
	(void)state;
	assert_int_equal(chmod(in_directory("closed"), 0755), 0);
	expect_file("closed/mine", 4);
	assert_int_equal(rmdir(in_directory("closed")), 0);
}

/* --- writes that would end the program --- */

TEST_IN_CHILD(failed_writes_send_no_signal)
{
	struct rlimit small = { 2, RLIM_INFINITY };
	sigset_t pending;
	int ends[2], fd = open(in_directory("small"), O_WRONLY | O_CREAT | O_APPEND, 0600);

	CHECK(pipe(ends) == 0 && close(ends[0]) == 0 && fd >= 0);
	CHECK(unlink(in_directory("small")) == 0 && write(fd, "12", 2) == 2 &&
	      setrlimit(RLIMIT_FSIZE, &small) == 0);
	CHECK(os_write(ends[1], "1", 1) == -EPIPE);
	CHECK(os_write(fd, "1", 1) == -EFBIG);
	CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGPIPE) &&
	      !sigismember(&pending, SIGXFSZ));
	/* The program's own signal, which waited before, still does. */
	CHECK(sigemptyset(&pending) == 0 && sigaddset(&pending, SIGPIPE) == 0);
	CHECK(pthread_sigmask(SIG_BLOCK, &pending, NULL) == 0 && raise(SIGPIPE) == 0);
	CHECK(os_write(ends[1], "1", 1) == -EPIPE);
	CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE));
}

static void names_are_expanded(void **state)
{
	char name[64];

	(void)state;
	assert_int_equal(out_to_file(in_directory("x%n.%p.%%.%q%"), false, 12, write_4), 0);
	snprintf(name, sizeof(name), "x12.%d.%%%%.%%q%%", (int)getpid());
	expect_file(name, 4);
	/* Only names with a number count. */
	assert_int_equal(write_to("y%n", false), 0);
	assert_int_equal(write_to("y", false), 0);
	assert_int_equal(write_to("y%n", false), 0);
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
	assert_int_equal(write_to(name, false), ENAMETOOLONG);
	assert_int_equal(out_check(in_directory(name), false), -ENAMETOOLONG);
	assert_int_equal(errno, 77);
}

static int note_descriptor(int fd, const char *name)
{
	(void)name;
	written_fd = (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0 ? fd : -1;
	return 0;
}

static void descriptors_are_high_and_not_inherited(void **state)
{
	(void)state;
	for (int append = 0; append < 2; append++) {
		assert_int_equal(out_to_file(in_directory("d"), append != 0, 0, note_descriptor),
				 0);
		assert_true(written_fd >= 100);
		expect_file("d", 0);
	}
}

TEST_IN_CHILD(few_descriptors_are_enough)
{
	struct rlimit few = { 20, 20 };

	CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
	close(0);
	CHECK(write_to("few", false) == 0 && written_fd >= 3);
	CHECK(unlink(in_directory("few")) == 0);
}

static void obstacles_are_told_without_making_the_file(void **state)
{
	(void)state;
	errno = 77;
	assert_int_equal(out_check(in_directory("new"), false), 0);
	assert_int_equal(out_check("new-in-the-current-directory", false), 0);
	assert_true(geteuid() != 0 || out_check("/new-in-the-root", false) == 0);
	assert_int_equal(out_check("/dev/null", false), 0);
	assert_int_equal(out_check(in_directory("no/such"), false), -ENOENT);
	assert_int_equal(out_check("/dev/null/x", false), -ENOTDIR);
	assert_int_equal(out_check(directory, false), -EISDIR);
	assert_int_equal(out_check(in_directory("slash/"), false), -EISDIR);
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
	CHECK(out_check(in_directory("new"), false) == -EACCES);
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
		TEST(formats_go_to_the_buffer),
		TEST(after_a_failed_write_the_rest_is_dropped),
		TEST(a_file_is_replaced_or_appended_to),
		TEST(a_reader_sees_a_whole_file),
		TEST(symbolic_links_are_not_followed),
		TEST(own_descriptors_are_duplicated),
		TEST(a_fifo_is_written_to_if_somebody_reads_it),
		TEST(a_file_in_a_closed_directory_is_written_in_place),
		TEST(remove_closed_directory),
		TEST(failed_writes_send_no_signal),
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
