/* SPDX-License-Identifier: MIT */
/*
 * test_exits.c - the ways in which a process ends, with handlers that allocate and free, and with
 * other threads inside malloc until the last moment.
 *
 * `steps` has the handlers that ran, in order. The last handler ends the process with 0 if all of
 * them ran. main returns 5, or exits with it, so an end without the handlers is a failure.
 * test_lifetime.c has constructors, destructors and main's pthread_exit.
 *
 * Usage: test_exits CASE.
 */
#include "face.h"

#include <pthread.h>

static int steps;
static char *kept;

static void use_heap(void)
{
	void *p[100];

	for (size_t i = 0; i < 100; i++)
		CHECK((p[i] = malloc(i * i * 5)) != NULL);
	for (size_t i = 0; i < 100; i++)
		free(p[i]);
	free(kept);
	kept = strdup("made by one handler, freed by the next");
	CHECK(kept != NULL);
}

/* Runs last, because it was registered first. */
static void last(void)
{
	use_heap();
	_exit(steps == 2 ? 0 : 6);
}

static void at_exit(void)
{
	use_heap();
	steps++;
}

static void on_exit_free(int status, void *arg)
{
	CHECK(status == 5 && strcmp(arg, "for on_exit") == 0);
	free(arg);
	use_heap();
	steps++;
}

static void *churn(void *arg)
{
	for (uint64_t rng = (uint64_t)(uintptr_t)arg;;)
		free(malloc(rng_mixed_size(&rng)));
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	CHECK(argc == 2);
	CHECK(face_malloc_is_goalloc());
	(void)alarm(20);
	kept = strdup("made by main");
	for (uintptr_t i = 1; i <= 3; i++)
		CHECK(pthread_create(&thread, NULL, churn, (void *)i) == 0);
	if (strcmp(argv[1], "exit") == 0) {
		CHECK(atexit(last) == 0 && atexit(at_exit) == 0);
#if defined(__GLIBC__)
		CHECK(on_exit(on_exit_free, strdup("for on_exit")) == 0);
#else
		on_exit_free(5, strdup("for on_exit"));
#endif
	} else {
		CHECK(strcmp(argv[1], "quick_exit") == 0);
		CHECK(at_quick_exit(last) == 0 && at_quick_exit(at_exit) == 0 &&
		      at_quick_exit(at_exit) == 0);
		quick_exit(5);
	}
	return 5;
}
