/* SPDX-License-Identifier: MIT */
/*
 * test_interrupted.c - code that stops in the middle and goes on elsewhere: a profiler's timer
 * interrupts malloc for long, and coroutines move from thread to thread between two requests.
 *
 * Usage: test_interrupted CASE.
 */
#include "load.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <ucontext.h>

/* --- a profiler --- */

enum { PLACES = 256 };
static _Atomic bool stop;
static _Atomic int interrupts;

/* Runs long and without a request. Others free into the spans of this thread meanwhile, and wait
 * for its locks. */
static void waste_time(int signal_number)
{
	int saved = errno;

	(void)signal_number;
	for (volatile int i = 0; i < 200000; i++)
		;
	if (++interrupts % 4 == 0)
		(void)usleep(1000);
	errno = saved;
}

static void *swapping_thread(void *arg)
{
	uint64_t rng = (uint64_t)(uintptr_t)arg;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		load_leave(load_make(&rng, rng_mixed_size(&rng)), &rng, PLACES);
	}
	return NULL;
}

static void a_timer_may_interrupt_malloc_for_long(void)
{
	static const struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never;
	struct sigaction sa;
	pthread_t thread[4];

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = waste_time;
	sa.sa_flags = SA_RESTART;
	CHECK(sigaction(SIGPROF, &sa, NULL) == 0);
	for (uintptr_t i = 0; i < 4; i++)
		CHECK(pthread_create(&thread[i], NULL, swapping_thread, (void *)(i + 1)) == 0);
	CHECK(setitimer(ITIMER_PROF, &often, NULL) == 0);
	while (interrupts < 150)
		(void)usleep(10000);
	CHECK(setitimer(ITIMER_PROF, &never, NULL) == 0);
	stop = true;
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	load_empty();
}

/* --- coroutines --- */

enum { COROUTINES = 32, TURNS = 300, STACK = 32 * 1024 };

static struct coroutine {
	ucontext_t context, resumer;
	void *objects[8];
	int turns;
	bool running;
} coroutines[COROUTINES];

static pthread_mutex_t coroutines_lock = PTHREAD_MUTEX_INITIALIZER;

/* Between two turns it may have moved to another thread: what one thread made is freed by another,
 * in the middle of a function. */
static void body(int number)
{
	struct coroutine *me = &coroutines[number];
	uint64_t rng = (uint64_t)number + 1;

	while (me->turns < TURNS) {
		size_t k = rng_next(&rng) % 8;

		load_free(me->objects[k]);
		me->objects[k] = load_make(&rng, rng_mixed_size(&rng));
		me->turns++;
		CHECK(swapcontext(&me->context, &me->resumer) == 0);
	}
	for (size_t k = 0; k < 8; k++)
		load_free(me->objects[k]);
}

static struct coroutine *pick(uint64_t *rng)
{
	struct coroutine *found = NULL;
	size_t first = rng_next(rng) % COROUTINES;

	CHECK(pthread_mutex_lock(&coroutines_lock) == 0);
	for (size_t i = 0; i < COROUTINES && found == NULL; i++) {
		struct coroutine *c = &coroutines[(first + i) % COROUTINES];

		if (!c->running && c->turns < TURNS)
			found = c;
	}
	if (found != NULL)
		found->running = true;
	CHECK(pthread_mutex_unlock(&coroutines_lock) == 0);
	return found;
}

static void *scheduler(void *arg)
{
	uint64_t rng = (uint64_t)(uintptr_t)arg;
	struct coroutine *c;

	while ((c = pick(&rng)) != NULL) {
		CHECK(swapcontext(&c->resumer, &c->context) == 0);
		CHECK(pthread_mutex_lock(&coroutines_lock) == 0);
		c->running = false;
		CHECK(pthread_mutex_unlock(&coroutines_lock) == 0);
	}
	return NULL;
}

static void make_coroutine(int number)
{
	ucontext_t *context = &coroutines[number].context;

	CHECK(getcontext(context) == 0);
	context->uc_stack.ss_sp = malloc(STACK);
	context->uc_stack.ss_size = STACK;
	context->uc_link = &coroutines[number].resumer;
	CHECK(context->uc_stack.ss_sp != NULL);
	makecontext(context, (void (*)(void))(void *)body, 1, number);
}

static void coroutines_may_move_between_threads(void)
{
	pthread_t thread[3];

	for (int i = 0; i < COROUTINES; i++)
		make_coroutine(i);
	for (uintptr_t i = 0; i < 3; i++)
		CHECK(pthread_create(&thread[i], NULL, scheduler, (void *)(i + 1)) == 0);
	for (int i = 0; i < 3; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	for (int i = 0; i < COROUTINES; i++) {
		CHECK(coroutines[i].turns == TURNS);
		free(coroutines[i].context.uc_stack.ss_sp);
	}
}

int main(int argc, char **argv)
{
	CHECK(argc == 2);
	CHECK(face_malloc_is_goalloc());
	(void)alarm(50);
	if (strcmp(argv[1], "profiler") == 0)
		a_timer_may_interrupt_malloc_for_long();
	else if (strcmp(argv[1], "coroutines") == 0)
		coroutines_may_move_between_threads();
	else
		check_fail(__FILE__, __LINE__, argv[1]);
	return 0;
}
