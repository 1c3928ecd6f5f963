/* SPDX-License-Identifier: MIT */
/*
 * test_service.c - a signal is answered by a writing that begins after it; whatever is interrupted
 * goes on; the end of the process is the end of writing.
 *
 * What writes the statistics is replaced: it counts, and waits when it is told to. Each test is a
 * process of its own.
 */
#include "module.h"

#include "heap/mheap.h"
#include "base/options.h"
#include "os/os.h"
#include "proc.h"
#include "start.h"
#include "tools/service.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static sem_t begun, may_end;
static _Atomic unsigned writings, ended;
static _Atomic int last_fd;
static _Atomic bool waits;
static int outcome;

int __wrap_stat_print(int fd);
int __wrap_stat_print(int fd)
{
	atomic_fetch_add_explicit(&writings, 1, memory_order_seq_cst);
	atomic_store_explicit(&last_fd, fd, memory_order_seq_cst);
	sem_post(&begun);
	if (atomic_load_explicit(&waits, memory_order_seq_cst))
		sem_wait(&may_end);
	atomic_fetch_add_explicit(&ended, 1, memory_order_seq_cst);
	return outcome;
}

static unsigned writings_so_far(void)
{
	return atomic_load_explicit(&writings, memory_order_seq_cst);
}

static void start_with(const char *setting)
{
	(void)alarm(20);
	CHECK(sem_init(&begun, 0, 0) == 0 && sem_init(&may_end, 0, 0) == 0);
	options_parse(&options, "test", setting);
	options.report_fd = fcntl(2, F_DUPFD_CLOEXEC, 100);
	if (options.stats[0] != '\0')
		options.stats_fd = options.report_fd;
	start_late_init();
	service_start();
}

static void wait_for_writing(void)
{
	while (sem_wait(&begun) != 0)
		CHECK(errno == EINTR);
}

/* Returns whether the library started no thread. ThreadSanitizer has one of its own. */
static bool has_one_thread(void)
{
	return GOALLOC_SANITIZED || proc_threads() == 1;
}

/* Shells start background jobs with some signals ignored. */
static bool has_no_handler(int signal)
{
	struct sigaction action;

	/* libc keeps the signals below SIGRTMIN for itself. */
	if (signal >= 32 && signal < SIGRTMIN)
		return true;
	CHECK(sigaction(signal, NULL, &action) == 0);
	return action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN;
}

TEST_IN_CHILD(without_the_option_there_is_no_handler)
{
	start_with("stats=1");
	CHECK(has_one_thread());
	for (int i = 1; i < SIGRTMAX; i++)
		CHECK(i == SIGALRM || i == 32 || i == 33 || has_no_handler(i));
	CHECK(writings_so_far() == 0);
}

TEST_IN_CHILD(each_signal_is_answered)
{
	start_with("stats=1,signal=USR1");
	CHECK(has_one_thread());
	for (unsigned i = 1; i <= 20; i++) {
		errno = 77;
		CHECK(syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1) == 0);
		CHECK(errno == 77);
		wait_for_writing();
		CHECK(writings_so_far() == i);
		CHECK(atomic_load_explicit(&last_fd, memory_order_seq_cst) == options.stats_fd);
	}
}

TEST_IN_CHILD(a_signal_alone_prints_statistics_on_standard_error)
{
	start_with("signal=10");
	raise(SIGUSR1);
	wait_for_writing();
	CHECK(atomic_load_explicit(&last_fd, memory_order_seq_cst) == options.report_fd);
	service_at_exit();
	/* At exit nothing was asked for. */
	CHECK(writings_so_far() == 1);
}

static void *get_signal(void *arg)
{
	CHECK(raise(SIGUSR1) == 0);
	return arg;
}

/* Waits in a thread that gets the signal, until it is answered. */
static pthread_t start_signalled(void)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, get_signal, NULL) == 0);
	return thread;
}

TEST_IN_CHILD(signals_during_a_writing_are_answered_by_one_after_it)
{
	pthread_t threads[6];

	start_with("stats=1,signal=USR1");
	atomic_store_explicit(&waits, true, memory_order_seq_cst);
	threads[0] = start_signalled();
	wait_for_writing();
	for (int i = 1; i < 6; i++)
		threads[i] = start_signalled();
	/* They have been counted when they wait for the first. */
	usleep(200000);
	CHECK(writings_so_far() == 1);
	sem_post(&may_end);
	wait_for_writing();
	CHECK(writings_so_far() == 2);
	/* Not five. The next signal is answered third. */
	atomic_store_explicit(&waits, false, memory_order_seq_cst);
	sem_post(&may_end);
	for (int i = 0; i < 6; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(writings_so_far() == 2);
	raise(SIGUSR1);
	CHECK(writings_so_far() == 3);
}

TEST_IN_CHILD(the_interrupted_thread_may_hold_any_lock)
{
	struct lock outer = LOCK_INITIALIZER(LOCK_INIT);

	start_with("stats=1,signal=USR1");
	lock_acquire(&outer);
	lock_acquire(&mheap.lock);
	raise(SIGUSR1);
	raise(SIGUSR1);
	lock_release(&mheap.lock);
	CHECK(writings_so_far() == 0);
	/* Both by one, when the last lock is released. */
	lock_release(&outer);
	CHECK(writings_so_far() == 1);
	lock_acquire(&outer);
	lock_release(&outer);
	CHECK(writings_so_far() == 1);
}

/* Where the handler runs there is room for the kernel's frame, and little more. */
TEST_IN_CHILD(the_stack_for_signals_may_be_small)
{
	size_t guard = os_page_size();
	size_t n =
		align_up(max_size(getauxval(AT_MINSIGSTKSZ), (size_t)MINSIGSTKSZ) + 1024, 64);
	char *p = mmap(NULL, 16 * guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t small = { .ss_size = n };

	/* The handlers of the sanitizers need more. */
	if (GOALLOC_SANITIZED)
		return;
	CHECK(p != MAP_FAILED && n < 14 * guard);
	CHECK(mprotect(p + guard, 15 * guard, PROT_READ | PROT_WRITE) == 0);
	small.ss_sp = p + guard;
	CHECK(sigaltstack(&small, NULL) == 0);
	start_with("stats=1,signal=USR1");
	CHECK(raise(SIGUSR1) == 0 && writings_so_far() == 1);
}

TEST_IN_CHILD(a_call_that_is_interrupted_goes_on)
{
	int ends[2];
	char byte;
	pid_t child;

	start_with("stats=1,signal=USR1");
	CHECK(pipe(ends) == 0);
	child = fork();
	if (child == 0) {
		for (int i = 0; i < 20; i++) {
			kill(getppid(), SIGUSR1);
			usleep(1000);
		}
		_exit(write(ends[1], "x", 1) == 1 ? 0 : 1);
	}
	/* With EINTR it would be -1. */
	CHECK(read(ends[0], &byte, 1) == 1);
	CHECK(waitpid(child, NULL, 0) == child);
}

/* --- fork --- */

static void expect_exit_0(pid_t child)
{
	int status;

	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST_IN_CHILD(a_forked_child_answers_its_own_signals_only)
{
	pid_t child;

	start_with("stats=1,signal=USR1");
	raise(SIGUSR1);
	wait_for_writing();
	child = fork();
	if (child == 0) {
		(void)alarm(20);
		CHECK(sem_trywait(&begun) != 0 && has_one_thread());
		raise(SIGUSR1);
		wait_for_writing();
		CHECK(writings_so_far() == 2);
		_exit(0);
	}
	expect_exit_0(child);
	CHECK(writings_so_far() == 1);
}

TEST_IN_CHILD(a_signal_that_the_parent_has_not_answered_yet_is_none_of_the_childs)
{
	pthread_t threads[2];
	pid_t child;

	start_with("stats=1,signal=USR1");
	atomic_store_explicit(&waits, true, memory_order_seq_cst);
	threads[0] = start_signalled();
	wait_for_writing();
	threads[1] = start_signalled();
	usleep(100000);
	child = fork();
	if (child == 0) {
		(void)alarm(20);
		atomic_store_explicit(&waits, false, memory_order_seq_cst);
		CHECK(writings_so_far() == 1);
		/* Its only signal; the parent's lock is none of the child's. */
		raise(SIGUSR1);
		CHECK(writings_so_far() == 2);
		service_at_exit();
		CHECK(writings_so_far() == 3);
		_exit(0);
	}
	expect_exit_0(child);
	atomic_store_explicit(&waits, false, memory_order_seq_cst);
	sem_post(&may_end);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(writings_so_far() == 2);
}

/* --- the end --- */

TEST_IN_CHILD(after_the_end_no_signal_is_answered)
{
	start_with("stats=1,signal=USR1");
	service_at_exit();
	CHECK(writings_so_far() == 1);
	raise(SIGUSR1);
	service_write_all();
	CHECK(writings_so_far() == 1);
}

static void *exit_now(void *arg)
{
	service_at_exit();
	return arg;
}

TEST_IN_CHILD(the_end_waits_for_a_writing)
{
	pthread_t thread, writer;

	start_with("stats=1,signal=USR1");
	atomic_store_explicit(&waits, true, memory_order_seq_cst);
	writer = start_signalled();
	wait_for_writing();
	CHECK(pthread_create(&thread, NULL, exit_now, NULL) == 0);
	usleep(10000);
	CHECK(writings_so_far() == 1);
	atomic_store_explicit(&waits, false, memory_order_seq_cst);
	sem_post(&may_end);
	CHECK(pthread_join(thread, NULL) == 0 && pthread_join(writer, NULL) == 0);
	CHECK(writings_so_far() == 2 && atomic_load_explicit(&ended, memory_order_seq_cst) == 2);
}

TEST_IN_CHILD(a_program_that_closed_the_kept_descriptor_has_its_standard_error)
{
	start_with("stats=1");
	close(options.report_fd);
	service_at_exit();
	CHECK(writings_so_far() == 1);
	CHECK(atomic_load_explicit(&last_fd, memory_order_seq_cst) == 2);
}

TEST_IN_CHILD(a_program_that_closed_its_descriptors_is_left_alone)
{
	int pipe_ends[2];

	start_with("stats=1");
	close(options.report_fd);
	close(2);
	service_at_exit();
	CHECK(writings_so_far() == 0);
	/* Nor are other files at the numbers. */
	CHECK(pipe2(pipe_ends, O_CLOEXEC) == 0);
	CHECK(dup2(pipe_ends[1], options.report_fd) == options.report_fd);
	CHECK(dup2(pipe_ends[1], 2) == 2);
	service_at_exit();
	CHECK(writings_so_far() == 0);
}

static void fail_at_exit_body(void)
{
	start_with("stats=/tmp/x");
	outcome = ENOSPC;
	service_at_exit();
}

static void what_cannot_be_written_is_one_line(void **state)
{
	char text[1024];

	(void)state;
	assert_int_equal(child_status(fail_at_exit_body, text, sizeof(text)), 0);
	assert_string_equal(text, "goalloc: stats: cannot write to '/tmp/x': no space left\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_the_option_there_is_no_handler),
		cmocka_unit_test(each_signal_is_answered),
		cmocka_unit_test(a_signal_alone_prints_statistics_on_standard_error),
		cmocka_unit_test(signals_during_a_writing_are_answered_by_one_after_it),
		cmocka_unit_test(the_interrupted_thread_may_hold_any_lock),
		cmocka_unit_test(the_stack_for_signals_may_be_small),
		cmocka_unit_test(a_call_that_is_interrupted_goes_on),
		cmocka_unit_test(a_forked_child_answers_its_own_signals_only),
		cmocka_unit_test(
			a_signal_that_the_parent_has_not_answered_yet_is_none_of_the_childs),
		cmocka_unit_test(after_the_end_no_signal_is_answered),
		cmocka_unit_test(the_end_waits_for_a_writing),
		cmocka_unit_test(a_program_that_closed_the_kept_descriptor_has_its_standard_error),
		cmocka_unit_test(a_program_that_closed_its_descriptors_is_left_alone),
		cmocka_unit_test(what_cannot_be_written_is_one_line),
	};

	unsetenv("GOALLOC");
	unsetenv("GOALLOC_STATS");
	unsetenv("GOALLOC_PROFILE");
	return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
