/* SPDX-License-Identifier: MIT */
/*
 * test_lifetime.c - malloc at every moment of a process: before the constructors, in them, in a
 * fork from one, in TLS destructors of threads, after main's pthread_exit, in exit handlers and in
 * destructors.
 *
 * `stages` has a bit for every moment that was reached, and the last destructor ends the process
 * with status 1 when one is missing. Objects of an early moment are freed in a late one, by
 * whichever thread is there. main never returns, so the test does without cmocka.
 */
#include "face.h"

#include <pthread.h>
#include <sys/wait.h>

enum stage {
	PREINIT = 1,
	FIRST_CONSTRUCTOR = 2,
	FORK_IN_CONSTRUCTOR = 4,
	LATE_CONSTRUCTOR = 8,
	TLS_DESTRUCTOR = 16,
	TLS_DESTRUCTOR_LAST_ROUND = 32,
	AFTER_MAIN = 64,
	AT_EXIT = 128,
	ALL_BEFORE_THE_END = 255,
};

static _Atomic int stages;

enum { KEPT = 40 };
static void *kept[8][KEPT]; /* one row of objects per moment, freed in a later one */
static const uint64_t tag = 0x1234;

static size_t kept_size(size_t i)
{
	static const size_t sizes[] = {0, 3, 16, 24, 100, 1000, 5000, 33000, 200000};
	return sizes[i % (sizeof(sizes) / sizeof(sizes[0]))];
}

static void make(size_t row)
{
	for (size_t i = 0; i < KEPT; i++) {
		void *scratch = calloc(3, kept_size(i + 1));
		CHECK(scratch != NULL);
		kept[row][i] = malloc(kept_size(i));
		CHECK(kept[row][i] != NULL);
		face_object_fill(kept[row][i], kept_size(i), tag + row);
		free(scratch);
	}
}

static void drop(size_t row)
{
	for (size_t i = 0; i < KEPT; i++) {
		CHECK(kept[row][i] != NULL);
		CHECK(face_object_intact(kept[row][i], kept_size(i), tag + row));
		if (i % 3 == 0)
			kept[row][i] = realloc(kept[row][i], kept_size(i + 2) + 1);
		free(kept[row][i]);
		kept[row][i] = NULL;
	}
}

/* Runs before the constructors of any library. */
static void preinit(void)
{
	make(0);
	stages |= PREINIT;
}

__attribute__((section(".preinit_array"), used)) static void (*preinit_entry)(void) = preinit;

__attribute__((constructor(101))) static void first_constructor(void)
{
	make(1);
	drop(0);
	stages |= FIRST_CONSTRUCTOR;
}

__attribute__((constructor(102))) static void constructor_that_forks(void)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		make(2);
		drop(2);
		drop(1);
		_exit(0);
	}
	CHECK(child_wait(child) == 0);
	stages |= FORK_IN_CONSTRUCTOR;
}

__attribute__((constructor)) static void late_constructor(void)
{
	make(2);
	drop(1);
	stages |= LATE_CONSTRUCTOR;
}

/* --- TLS destructors --- */

static pthread_key_t key;

struct per_thread {
	int round;
	char *text;
};

/* Sets the value again, so that it runs in every round there is; allocates in each, and frees
 * what the round before allocated. The library's own destructor has run in an earlier one. */
static void tls_destructor(void *arg)
{
	struct per_thread *mine = arg;

	CHECK(strcmp(mine->text, "kept over the rounds") == 0);
	free(mine->text);
	stages |= TLS_DESTRUCTOR;
	for (size_t n = 1; n < 100000; n = n * 2 + 1) {
		char *p = malloc(n);
		CHECK(p != NULL);
		p[n - 1] = 1;
		p = realloc(p, n * 2);
		CHECK(p != NULL && p[n - 1] == 1);
		free(p);
	}
	if (++mine->round < PTHREAD_DESTRUCTOR_ITERATIONS) {
		mine->text = strdup("kept over the rounds");
		CHECK(mine->text != NULL);
		CHECK(pthread_setspecific(key, mine) == 0);
		return;
	}
	free(mine);
	stages |= TLS_DESTRUCTOR_LAST_ROUND;
}

static void *thread_with_tls(void *arg)
{
	struct per_thread *mine = calloc(1, sizeof(*mine));

	(void)arg;
	CHECK(mine != NULL);
	mine->text = strdup("kept over the rounds");
	CHECK(mine->text != NULL);
	CHECK(pthread_setspecific(key, mine) == 0);
	return malloc(1000); /* freed by who joins */
}

/* A thread that never allocates until its TLS destructor does. */
static pthread_key_t late_key;

static void allocate_for_the_first_time(void *arg)
{
	void *p = malloc(100);
	(void)arg;
	CHECK(p != NULL);
	free(p);
	free(malloc(100000));
}

static void *thread_that_does_not_allocate(void *arg)
{
	CHECK(pthread_setspecific(late_key, arg) == 0);
	return NULL;
}

static void tls_destructors_allocate_and_free(void)
{
	static int something;

	CHECK(pthread_key_create(&key, tls_destructor) == 0);
	CHECK(pthread_key_create(&late_key, allocate_for_the_first_time) == 0);
	for (int round = 0; round < 50; round++) {
		pthread_t thread[4];
		void *p;
		for (int i = 0; i < 3; i++)
			CHECK(pthread_create(&thread[i], NULL, thread_with_tls, NULL) == 0);
		CHECK(pthread_create(&thread[3], NULL, thread_that_does_not_allocate,
				     &something) == 0);
		for (int i = 0; i < 4; i++) {
			CHECK(pthread_join(thread[i], &p) == 0);
			free(p);
		}
	}
}

/* --- the end --- */

static pthread_t main_thread;

static void *after_main(void *arg)
{
	(void)arg;
	CHECK(pthread_join(main_thread, NULL) == 0);
	drop(3); /* main's */
	make(4);
	for (int i = 0; i < 20000; i++) {
		void *p = malloc((size_t)i % 3000);
		CHECK(p != NULL);
		free(p);
	}
	stages |= AFTER_MAIN;
	exit(0);
}

static void at_exit(void)
{
	drop(4);
	make(5);
	stages |= AT_EXIT;
}

__attribute__((destructor)) static void early_destructor(void)
{
	drop(5);
	drop(2);
	make(6);
}

__attribute__((destructor(101))) static void last_destructor(void)
{
	drop(6);
	if (stages != ALL_BEFORE_THE_END)
		_exit(1);
}

int main(void)
{
	pthread_t thread;

	CHECK(face_malloc_is_goalloc());
	CHECK(atexit(at_exit) == 0);
	tls_destructors_allocate_and_free();
	make(3);
	main_thread = pthread_self();
	CHECK(pthread_create(&thread, NULL, after_main, NULL) == 0);
	pthread_exit(NULL);
}
