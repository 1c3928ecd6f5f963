/* SPDX-License-Identifier: MIT */
/*
 * test_fault.c - the handler of faults: what it reports, what it leaves to the program, and the
 * report of a misuse. Whole programs are in tests/face/test_guard.c.
 */
#include "module.h"

#include "safe/fault.h"
#include "heap.h"
#include "os/os.h"
#include "os/os_process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HANDLED = 7 };

/* Guards every object from here on. */
static void begin(void)
{
	options.efence = true;
	heap_free(heap_malloc(1), "free");
}

static struct sigaction action_of(int number)
{
	struct sigaction now;

	CHECK(sigaction(number, NULL, &now) == 0);
	return now;
}

static void exit_handled(int number)
{
	(void)number;
	_exit(HANDLED);
}

TEST_IN_CHILD(both_signals_of_bad_addresses_are_watched_and_errno_is_kept)
{
	void (*before)(int, siginfo_t *, void *);

	errno = 77;
	fault_watch();
	CHECK(errno == 77);
	before = action_of(SIGSEGV).sa_sigaction;
	CHECK((action_of(SIGSEGV).sa_flags & (SA_SIGINFO | SA_ONSTACK)) ==
	      (SA_SIGINFO | SA_ONSTACK));
	CHECK(action_of(SIGBUS).sa_sigaction == before);
	/* Again, it is the same; and when the program has set its own, ours comes first again. */
	fault_watch();
	CHECK(action_of(SIGSEGV).sa_sigaction == before);
	CHECK(signal(SIGSEGV, exit_handled) != SIG_ERR);
	fault_watch();
	CHECK(action_of(SIGSEGV).sa_sigaction == before);
}

static char *no_memory(void)
{
	char *p = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static void touch_no_memory(void)
{
	fault_watch();
	*(volatile char *)no_memory() = 1;
}

static void touch_no_memory_with_handler(void)
{
	CHECK(signal(SIGSEGV, exit_handled) != SIG_ERR);
	fault_watch();
	*(volatile char *)no_memory() = 1;
}

static void send_signal(void)
{
	fault_watch();
	(void)raise(SIGSEGV);
}

static void send_signal_with_handler(void)
{
	CHECK(signal(SIGSEGV, exit_handled) != SIG_ERR);
	fault_watch();
	(void)raise(SIGSEGV);
}

/* A fault that is none of ours, or a signal that was sent, takes the course that it had. */
static void other_faults_are_left_to_the_program_without_a_word(void **state)
{
	static const struct {
		void (*body)(void);
		bool handled;
	} bodies[] = {
		{ touch_no_memory, false },
		{ touch_no_memory_with_handler, true },
		{ send_signal, false },
		{ send_signal_with_handler, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		char text[1024];
		int status = child_status(bodies[i].body, text, sizeof(text));

		assert_string_equal(text, "");
		if (bodies[i].handled)
			assert_true(WIFEXITED(status) && WEXITSTATUS(status) == HANDLED);
		else
			assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	}
}

static void use_after_free(void)
{
	char *p;

	begin();
	p = heap_malloc(100);
	heap_free(p, "free");
	((volatile char *)p)[30] = 1;
}

static void overflow(void)
{
	volatile char *p;

	begin();
	p = heap_malloc(4096);
	p[4096] = 1;
}

static void overflow_with_handler(void)
{
	CHECK(signal(SIGSEGV, exit_handled) != SIG_ERR);
	overflow();
}

/* Returns whether the first line is about a store. The kernel does not tell of loads and stores on
 * riscv64, nor does qemu-user on arm64. */
static bool tells_of_a_store(const char *text, const char *fault)
{
	char line[100];

	snprintf(line, sizeof(line), "goalloc: %s: write at 0x", fault);
	if (strncmp(text, line, strlen(line)) == 0)
		return true;
	snprintf(line, sizeof(line), "goalloc: %s: access at 0x", fault);
	return !CPU_HAS_RIGHTS && strncmp(text, line, strlen(line)) == 0;
}

static void a_fault_at_a_guarded_object_is_reported_before_it_takes_its_course(void **state)
{
	char text[16384];
	int status = child_status(use_after_free, text, sizeof(text));

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	assert_true(tells_of_a_store(text, "use after free"));
	assert_non_null(strstr(text, ", 30 bytes into an object of 100 bytes at 0x"));
	assert_non_null(strstr(text, "\n  used by thread "));
	assert_non_null(strstr(text, "\n  allocated by thread "));
	assert_non_null(strstr(text, "\n  freed by thread "));
	status = child_status(overflow, text, sizeof(text));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	assert_non_null(strstr(text, ", 0 bytes behind the end of an object of 4096 bytes"));
	assert_null(strstr(text, "freed by thread"));
	status = child_status(overflow_with_handler, text, sizeof(text));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == HANDLED);
	assert_true(tells_of_a_store(text, "heap overflow"));
}

static void misuse_of_nothing(void)
{
	struct guard_finding finding = { .fault = "double free" };

	begin();
	fault_misuse("free", (void *)0x1230, &finding);
}

static void misuse_of_an_object(void)
{
	struct guard_finding finding = { .fault = "heap overflow" };
	void *p;

	begin();
	p = heap_malloc(100);
	finding.object = guard_object_of((uintptr_t)p);
	finding.at = (uintptr_t)p + 101;
	fault_misuse("realloc", p, &finding);
}

static void a_misuse_is_one_line_then_stacks_then_sigabrt(void **state)
{
	char text[16384];
	int status = child_status(misuse_of_nothing, text, sizeof(text));

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_true(strncmp(text, "goalloc: free(0x1230): double free\n  used by thread ", 52) ==
		    0);
	assert_null(strstr(text, "allocated by"));
	status = child_status(misuse_of_an_object, text, sizeof(text));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(text, "): heap overflow\n  written to: 1 bytes behind the end of "));
	assert_non_null(strstr(text, "\n  found by thread "));
	assert_non_null(strstr(text, "\n  allocated by thread "));
}

/* Makes standard error a pipe that takes no more bytes, so that a report stays unwritten. */
static void fill_stderr(void)
{
	static char bytes[4096];
	int ends[2];

	CHECK(pipe2(ends, O_NONBLOCK) == 0);
	while (write(ends[1], bytes, sizeof(bytes)) > 0)
		;
	CHECK(errno == EAGAIN && fcntl(ends[1], F_SETFL, 0) == 0 && dup2(ends[1], 2) == 2);
}

static _Atomic int writer;

static void *write_for_ever(void *arg)
{
	atomic_store(&writer, os_thread());
	use_after_free();
	return arg;
}

/* While a thread writes its report for ever, a child that was forked reports its own fault to a
 * standard error that takes it. */
TEST_IN_CHILD(a_report_of_the_parents_does_not_keep_a_child_from_reporting)
{
	int file = memfd_create("report", MFD_CLOEXEC), saved = dup(2), status;
	char text[16384] = "";
	pthread_t thread;
	pid_t child;

	CHECK(file >= 0 && saved >= 0);
	fill_stderr();
	CHECK(pthread_create(&thread, NULL, write_for_ever, NULL) == 0);
	/* It may sleep for a moment before it writes. */
	for (int asleep = 0; asleep < 50; os_sleep_ms(1))
		asleep = atomic_load(&writer) != 0 && os_thread_state(getpid(), writer) == 'S'
				 ? asleep + 1
				 : 0;
	CHECK(dup2(saved, 2) == 2);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		CHECK(dup2(file, 2) == 2);
		use_after_free();
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	CHECK(pread(file, text, sizeof(text) - 1, 0) > 0);
	CHECK(tells_of_a_store(text, "use after free"));
	CHECK(strstr(text, "\n  freed by thread ") != NULL);
	/* The parent's thread is still in its report. */
	CHECK(os_thread_state(getpid(), writer) == 'S');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_signals_of_bad_addresses_are_watched_and_errno_is_kept),
		cmocka_unit_test(other_faults_are_left_to_the_program_without_a_word),
		cmocka_unit_test(
			a_fault_at_a_guarded_object_is_reported_before_it_takes_its_course),
		cmocka_unit_test(a_misuse_is_one_line_then_stacks_then_sigabrt),
		cmocka_unit_test(a_report_of_the_parents_does_not_keep_a_child_from_reporting),
	};

	return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
