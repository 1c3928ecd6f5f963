/* SPDX-License-Identifier: MIT */
/*
 * test_crash.c - handlers of fatal signals that call malloc, as the handlers of crash reporters do.
 * The process ends, by its handler or by SIGABRT, and does not hang.
 *
 * A handler may find any lock of the heap held by its own thread. A child that hangs is ended by
 * its alarm, and the parent fails. What the library says on the children's stderr is not the
 * subject.
 *
 * Usage: test_crash CASE.
 */
#include "face.h"

#include <execinfo.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { PATIENCE_SECONDS = 10, REPORTED = 42 };

/* Calls that no compiler looks through. */
static void *(*volatile do_malloc)(size_t) = malloc;
static void (*volatile do_free)(void *) = free;

/* Runs a deed in a child and returns the child's status. */
static int status_of(void (*act)(size_t), size_t arg)
{
	static const struct rlimit no_core = { 0, 0 };
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		CHECK(setrlimit(RLIMIT_CORE, &no_core) == 0);
		CHECK(freopen("/dev/null", "w", stderr) != NULL);
		(void)alarm(PATIENCE_SECONDS);
		act(arg);
		_exit(0);
	}
	status = child_wait(child);
	return status;
}

static bool is_signal(int status, int signal_number)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == signal_number;
}

static void use_every_path(void)
{
	static const size_t sizes[] = { 1, 24, 100, 3000, 40000, 200000, 3000000 };
	void *p[7];

	for (size_t i = 0; i < 7; i++)
		p[i] = do_malloc(sizes[i]);
	for (size_t i = 0; i < 7; i++)
		do_free(p[i]);
	(void)malloc_trim(0);
}

/* Does what crash reporters do: it allocates, prints and frees. */
static void report(void)
{
	void *frames[50];
	char **names;
	char *text = NULL;
	size_t room;
	FILE *f;
	int n;

	use_every_path();
	n = backtrace(frames, 50);
	names = backtrace_symbols(frames, n);
	f = open_memstream(&text, &room);
	if (f != NULL && names != NULL)
		for (int i = 0; i < n; i++)
			(void)fprintf(f, "%s %f\n", names[i], 1.0);
	if (f != NULL)
		(void)fclose(f);
	free(text);
	free(names);
}

static void handle(int signal_number, void (*handler)(int))
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = handler;
	sa.sa_flags = SA_ONSTACK;
	CHECK(sigaction(signal_number, &sa, NULL) == 0);
}

/* --- SIGABRT by the library's own report --- */

static void report_abort(int signal_number)
{
	(void)signal_number;
	report();
}

/* Makes a mistake that malloc finds with hardened=1, and the second free finds otherwise. */
static void *misuse(void *arg)
{
	char *p;

	for (int i = 0; i < 3000; i++) {
		p = do_malloc(100);
		do_free(p);
		p[50] = 1;
	}
	p = do_malloc(1000);
	do_free(p);
	do_free(p);
	return arg;
}

static pthread_key_t key;

/* In the last round the thread has no cache of its own any more. */
static void misuse_at_the_end(void *value)
{
	uintptr_t round = (uintptr_t)value;

	if (round == PTHREAD_DESTRUCTOR_ITERATIONS)
		(void)misuse(NULL);
	CHECK(pthread_setspecific(key, (void *)(round + 1)) == 0);
}

static void *thread_that_misuses_at_its_end(void *arg)
{
	do_free(do_malloc(10));
	CHECK(pthread_setspecific(key, (void *)1) == 0);
	return arg;
}

static void misuse_somewhere(size_t where)
{
	pthread_t thread;

	handle(SIGABRT, report_abort);
	CHECK(pthread_key_create(&key, misuse_at_the_end) == 0);
	if (where == 0)
		(void)misuse(NULL);
	CHECK(pthread_create(&thread, NULL, where == 1 ? misuse : thread_that_misuses_at_its_end,
			     NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

static void a_handler_of_sigabrt_may_allocate(void)
{
	for (size_t where = 0; where < 3; where++)
		CHECK(is_signal(status_of(misuse_somewhere, where), SIGABRT));
}

/* --- a fault inside of malloc --- */

static void exit_with_report(int signal_number)
{
	(void)signal_number;
	use_every_path();
	_exit(REPORTED);
}

static void *kept[3000];

static void prepare(size_t path)
{
	for (size_t i = 0; i < 3000; i++)
		kept[i] = do_malloc(path == 1 && i % 2 == 0 ? 20000 : 3000);
	for (size_t i = 0; path == 0 && i < 3000; i++)
		do_free(kept[i]);
}

/* Paths that take locks. */
static __attribute__((noinline)) void take(size_t path)
{
	switch (path) {
	case 0:
		(void)malloc_trim(0);
		break;
	case 1:
		for (size_t i = 0; i < 3000; i++)
			do_free(kept[i]);
		break;
	case 2:
		for (size_t i = 0; i < 500; i++)
			(void)do_malloc(3000);
		break;
	case 3:
		for (size_t i = 0; i < 40; i++)
			(void)do_malloc(300000);
		break;
	default:
		kept[0] = realloc(kept[0], 5000000);
		kept[0] = realloc(kept[0], 50000000);
		break;
	}
}

enum { PATHS = 5, ROOM_STEP = 16, ROOM_STEPS = 80 };

/* Runs out of stack somewhere on the path: room bytes are left. */
static void *run_out_of_stack(void *arg)
{
	size_t path = *(size_t *)arg % PATHS, room = *(size_t *)arg / PATHS * ROOM_STEP, nbytes;
	stack_t other = { .ss_size = 64 * KiB };
	pthread_attr_t attr;
	volatile char *left_over;
	void *lowest;

	other.ss_sp = mmap(NULL, other.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	CHECK(other.ss_sp != MAP_FAILED && sigaltstack(&other, NULL) == 0);
	CHECK(pthread_getattr_np(pthread_self(), &attr) == 0);
	CHECK(pthread_attr_getstack(&attr, &lowest, &nbytes) == 0);
	prepare(path);
	handle(SIGSEGV, exit_with_report);
	left_over = __builtin_alloca((size_t)((char *)__builtin_frame_address(0) - (char *)lowest) -
				     room);
	take(path);
	/* So that it is there during the call. */
	*left_over = 1;
	return NULL;
}

static void overflow(size_t where)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, run_out_of_stack, &where) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

static void a_handler_of_a_fault_inside_of_malloc_does_not_wait_for_its_own_thread(void)
{
	size_t whole = 0, reported = 0, stopped = 0;

	for (size_t where = 0; where < PATHS * ROOM_STEPS; where++) {
		int status = status_of(overflow, where);

		whole += status == 0;
		reported += WIFEXITED(status) && WEXITSTATUS(status) == REPORTED;
		stopped += is_signal(status, SIGABRT);
		if (is_signal(status, SIGALRM))
			check_fail(__FILE__, __LINE__, "the handler hangs");
	}
	/* The faults were where they should be. */
	CHECK(whole != 0 && reported != 0 && stopped != 0);
	CHECK(whole + reported + stopped == PATHS * ROOM_STEPS);
}

/* --- a report is no cancellation point --- */

static void *misuse_while_cancelled(void *arg)
{
	CHECK(pthread_cancel(pthread_self()) == 0);
	return misuse(arg);
}

static void cancelled_misuse(size_t arg)
{
	pthread_t thread;

	(void)arg;
	CHECK(pthread_create(&thread, NULL, misuse_while_cancelled, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

static void misuse_by_a_thread_that_is_to_be_cancelled_ends_the_process(void)
{
	CHECK(is_signal(status_of(cancelled_misuse, 0), SIGABRT));
}

int main(int argc, char **argv)
{
	static const struct face_case cases[] = {
		{ "abort", a_handler_of_sigabrt_may_allocate },
		{ "fault", a_handler_of_a_fault_inside_of_malloc_does_not_wait_for_its_own_thread },
		{ "cancelled", misuse_by_a_thread_that_is_to_be_cancelled_ends_the_process },
	};

	return face_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
