/* SPDX-License-Identifier: MIT */
/*
 * test_thread_ends.c - threads in numbers, and the ways in which they end: requests in every round
 * of destructors of thread-specific data, cancellation, a fork on the way out, a stack of the least
 * size.
 *
 * The limits are on growth from the first threads to the last, because what one thread leaves
 * behind for ever shows in thousands. A case that hangs is ended by an alarm.
 *
 * Usage: test_thread_ends CASE [THREADS].
 */
#include "face.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <threads.h>

static const uintptr_t rounds = PTHREAD_DESTRUCTOR_ITERATIONS;

enum { WARM_UP = 1000 }; /* threads before growth is measured */

static size_t count; /* threads to start */

static void allocate_a_little(void)
{
	static const size_t sizes[] = { 8, 100, 1000, 5000, 40000 };
	void *p[5];

	for (size_t i = 0; i < 5; i++) {
		p[i] = malloc(sizes[i]);
		CHECK(p[i] != NULL);
		memset(p[i], 1, sizes[i]);
	}
	for (size_t i = 0; i < 5; i++)
		free(p[i]);
}

/* Starts n threads, some at a time. */
static void run_threads(size_t n, size_t at_a_time, void *(*body)(void *))
{
	pthread_t thread[4];

	for (size_t i = 0; i < n; i += at_a_time) {
		for (size_t k = 0; k < at_a_time; k++)
			CHECK(pthread_create(&thread[k], NULL, body, NULL) == 0);
		for (size_t k = 0; k < at_a_time; k++)
			CHECK(pthread_join(thread[k], NULL) == 0);
	}
}

/* Checks how much the resident size grows from some threads to `count` more. */
static void check_growth(size_t at_a_time, void *(*body)(void *), size_t limit)
{
	size_t after_some;

	run_threads(WARM_UP, at_a_time, body);
	after_some = proc_rss();
	run_threads(count, at_a_time, body);
	CHECK_LE(proc_rss(), after_some + limit);
}

/* --- numbers --- */

static void *short_thread(void *arg)
{
	allocate_a_little();
	return arg;
}

static void short_threads_leave_nothing_behind(void)
{
	check_growth(1, short_thread, 256 * KiB);
}

static pthread_barrier_t all_there, all_measured;

static void *waiting_thread(void *arg)
{
	char *p = malloc(100);

	CHECK(p != NULL);
	p[0] = 1;
	(void)pthread_barrier_wait(&all_there);
	(void)pthread_barrier_wait(&all_measured);
	free(p);
	return arg;
}

static void threads_that_live_at_the_same_time_are_small(void)
{
	pthread_t *threads = calloc(count, sizeof(*threads));
	size_t before = proc_rss();
	pthread_attr_t attr;

	CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, 64 * KiB) == 0);
	CHECK(pthread_barrier_init(&all_there, NULL, (unsigned)count + 1) == 0);
	CHECK(pthread_barrier_init(&all_measured, NULL, (unsigned)count + 1) == 0);
	for (size_t i = 0; i < count; i++)
		CHECK(pthread_create(&threads[i], &attr, waiting_thread, NULL) == 0);
	(void)pthread_barrier_wait(&all_there);
	/* Of that the stack is 8 KiB. */
	CHECK_LE(proc_rss(), before + count * 40 * KiB + MiB);
	(void)pthread_barrier_wait(&all_measured);
	for (size_t i = 0; i < count; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	free(threads);
	/* The next ones find the memory of the first. */
	check_growth(1, short_thread, 256 * KiB);
}

/* --- destructors of thread-specific data --- */

static pthread_key_t key;
/* the round in which a thread asks for the first time; 0: before it ends */
static uintptr_t first_request;
static size_t requests;

/* Runs as a destructor whose value is the round. It sets the value again, so that it runs in
 * every round. */
static void count_rounds(void *value)
{
	uintptr_t round = (uintptr_t)value;

	if (round >= first_request) {
		allocate_a_little();
		(void)__atomic_add_fetch(&requests, 1, __ATOMIC_RELAXED);
	}
	if (round < rounds)
		CHECK(pthread_setspecific(key, (void *)(round + 1)) == 0);
}

static void *thread_with_rounds(void *arg)
{
	if (first_request == 0)
		allocate_a_little();
	CHECK(pthread_setspecific(key, (void *)1) == 0);
	return arg;
}

static void requests_from_any_round_of_destructors_leave_nothing_behind(void)
{
	CHECK(pthread_key_create(&key, count_rounds) == 0);
	for (first_request = 0; first_request <= rounds; first_request++) {
		requests = 0;
		check_growth(4, thread_with_rounds, MiB);
		CHECK(requests ==
		      (count + WARM_UP) *
			      (first_request == 0 ? rounds : rounds + 1 - first_request));
	}
}

/* The names of C11 for thread-specific data. */
static tss_t tss;
static _Atomic size_t tss_ended;

static void tss_destructor(void *value)
{
	CHECK(strcmp(value, "made by thrd_create") == 0);
	free(value);
	allocate_a_little();
	tss_ended++;
}

static int thread_of_c11(void *arg)
{
	char *text = strdup(arg);

	CHECK(text != NULL && tss_set(tss, text) == thrd_success);
	return 7;
}

static void threads_of_c11_may_allocate_in_their_destructors(void)
{
	static char text[] = "made by thrd_create";

	CHECK(tss_create(&tss, tss_destructor) == thrd_success);
	for (int i = 0; i < 200; i++) {
		thrd_t thread;
		int result = 0;

		CHECK(thrd_create(&thread, thread_of_c11, text) == thrd_success);
		CHECK(thrd_join(thread, &result) == thrd_success && result == 7);
	}
	CHECK(tss_ended == 200);
}

/* --- a fork on the way out --- */

static _Atomic bool stop;
static _Atomic bool warm;

static void *churn(void *arg)
{
	uint64_t rng = 99;
	void *live[64] = { NULL };
	size_t n = 0;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		size_t k = rng_next(&rng) % 64;

		free(live[k]);
		live[k] = malloc(rng_mixed_size(&rng));
		CHECK(live[k] != NULL);
		if (++n == 1000000)
			atomic_store_explicit(&warm, true, memory_order_relaxed);
	}
	for (size_t k = 0; k < 64; k++)
		free(live[k]);
	return arg;
}

static void fork_in_destructor(void *value)
{
	uintptr_t round = (uintptr_t)value;
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		pthread_t thread;

		(void)alarm(20);
		allocate_a_little();
		CHECK(pthread_create(&thread, NULL, short_thread, NULL) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
		_exit(0);
	}
	status = child_wait(child);
	CHECK_LE(status, 0);
	allocate_a_little();
	if (round < rounds)
		CHECK(pthread_setspecific(key, (void *)(round + 1)) == 0);
}

static void a_thread_may_fork_in_any_round_of_its_destructors(void)
{
	pthread_t load;

	CHECK(pthread_key_create(&key, fork_in_destructor) == 0);
	CHECK(pthread_create(&load, NULL, churn, NULL) == 0);
	for (first_request = 0; first_request < 2; first_request++)
		run_threads(12, 4, thread_with_rounds);
	stop = true;
	CHECK(pthread_join(load, NULL) == 0);
}

/* --- cancellation --- */

static _Atomic size_t cleaned;

/* musl before 1.2.4 does not align the stack of a thread that is cancelled at any instruction. The
 * library mends that for its own destructor only. */
#if defined(__x86_64__)
__attribute__((force_align_arg_pointer))
#endif
static void clean_up(void *p)
{
	CHECK(face_object_intact(p, 500, 1));
	free(p);
	allocate_a_little();
	cleaned++;
}

/* Is cancelled between two requests: where it sleeps, or where it tests for cancellation. */
static void *cancelled_between_requests(void *arg)
{
	void *p = malloc(500);

	CHECK(p != NULL);
	face_object_fill(p, 500, 1);
	pthread_cleanup_push(clean_up, p);
	for (;;) {
		allocate_a_little();
		if (arg == NULL)
			pthread_testcancel();
		else
			(void)usleep(100);
	}
	pthread_cleanup_pop(0);
	return NULL;
}

/* Is cancelled at any instruction of a loop without requests. POSIX does not let a thread be
 * cancelled so inside malloc. */
static void *cancelled_anywhere(void *arg)
{
	void *p = malloc(500);
	int before;

	(void)arg;
	CHECK(p != NULL);
	face_object_fill(p, 500, 1);
	pthread_cleanup_push(clean_up, p);
	CHECK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &before) == 0);
	for (volatile unsigned i = 0;; i++)
		;
	pthread_cleanup_pop(0);
	return NULL;
}

static void cancel_three(void)
{
	pthread_t thread[3];
	void *result;

	CHECK(pthread_create(&thread[0], NULL, cancelled_between_requests, NULL) == 0);
	CHECK(pthread_create(&thread[1], NULL, cancelled_between_requests, &result) == 0);
	CHECK(pthread_create(&thread[2], NULL, cancelled_anywhere, NULL) == 0);
	allocate_a_little();
	for (size_t i = 0; i < 3; i++)
		CHECK(pthread_cancel(thread[i]) == 0);
	for (size_t i = 0; i < 3; i++)
		CHECK(pthread_join(thread[i], &result) == 0 && result == PTHREAD_CANCELED);
}

static void cancelled_threads_leave_nothing_behind_and_hold_up_nobody(void)
{
	size_t after_some;
	pthread_t load;

	CHECK(pthread_create(&load, NULL, churn, NULL) == 0);
	/* Until then the load touches ever more of what it uses again later. */
	while (!atomic_load_explicit(&warm, memory_order_relaxed))
		usleep(1000);
	for (size_t i = 0; i < 50; i++)
		cancel_three();
	after_some = proc_rss();
	for (size_t i = 0; i < count; i++)
		cancel_three();
	/* 4 MiB: the load's objects come and go. */
	CHECK_LE(proc_rss(), after_some + 4 * MiB);
	CHECK_LE(cleaned, 3 * (count + 50));
	stop = true;
	CHECK(pthread_join(load, NULL) == 0);
}

/* --- stacks --- */

/* Goes through every slow path: objects of every class, big ones, and objects that make the heap
 * grow and shrink. */
static void *go_through_everything(void *arg)
{
	static void *p[3000];
	void *aligned;

	*(char **)arg = __builtin_frame_address(0);
	for (size_t i = 0; i < 3000; i++)
		CHECK((p[i] = malloc(i * 12)) != NULL);
	for (size_t i = 0; i < 3000; i += 2)
		CHECK((p[i] = realloc(p[i], i * 20 + 1)) != NULL);
	for (size_t i = 0; i < 3000; i++)
		free(p[i]);
	CHECK(malloc_trim(0) >= 0);
	for (size_t n = 1; n < 40 * MiB; n *= 3) {
		CHECK((p[0] = calloc(1, n)) != NULL && (p[1] = malloc(n)) != NULL);
		CHECK(posix_memalign(&aligned, 4 * KiB, n) == 0);
		CHECK((p[0] = realloc(p[0], 2 * n)) != NULL && malloc_usable_size(p[0]) >= 2 * n);
		free(aligned);
		free(p[0]);
		free(p[1]);
	}
	return NULL;
}

/* Reads the figures, which put the counts of all classes side by side. */
static void *ask_for_figures(void *arg)
{
	*(char **)arg = __builtin_frame_address(0);
	CHECK(mallinfo2().arena != 0);
	return NULL;
}

/* Returns how far down its stack a thread with this body writes. */
static size_t stack_use(void *(*body)(void *), char *stack, size_t nbytes)
{
	pthread_attr_t attr;
	pthread_t thread;
	char *top = NULL, *end = stack;

	memset(stack, 0x5a, nbytes);
	CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstack(&attr, stack, nbytes) == 0);
	CHECK(pthread_create(&thread, &attr, body, &top) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	while (*end == 0x5a)
		end++;
	CHECK(top != NULL);
	return (size_t)(top - end);
}

static void the_deepest_path_fits_the_smallest_stack(void)
{
	size_t nbytes = (size_t)PTHREAD_STACK_MIN;
	char *stack =
		mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(stack != MAP_FAILED);
	CHECK_LE(stack_use(go_through_everything, stack, nbytes), 2 * KiB);
	CHECK_LE(stack_use(ask_for_figures, stack, nbytes), 6 * KiB);
}

int main(int argc, char **argv)
{
	static const struct face_counted_case cases[] = {
		{ "numbers", short_threads_leave_nothing_behind, 10000 },
		{ "alive", threads_that_live_at_the_same_time_are_small, 2000 },
		{ "rounds", requests_from_any_round_of_destructors_leave_nothing_behind, 2000 },
		{ "c11", threads_of_c11_may_allocate_in_their_destructors, 0 },
		{ "forks", a_thread_may_fork_in_any_round_of_its_destructors, 0 },
		{ "cancelled", cancelled_threads_leave_nothing_behind_and_hold_up_nobody, 300 },
		{ "stack", the_deepest_path_fits_the_smallest_stack, 0 },
	};

	(void)alarm(600);
	return face_run_counted_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]), &count);
}
