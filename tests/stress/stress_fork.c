/* SPDX-License-Identifier: MIT */
/*
 * stress_fork.c - children of a threaded parent find a heap in order, wherever its threads were.
 *
 * Threads allocate and free without pause, holding every lock now and then, and others come and go,
 * while the main thread forks. Each child has one thread and whatever the others left half done: it
 * checks the objects it knows, allocates of every class, starts threads, forks again, and checks
 * the whole heap.
 */
#include "stress.h"

#include <signal.h>
#include <sys/syscall.h>

#include <sys/wait.h>

#define THREADS 3

static _Atomic bool stopping;

static void *worker(void *arg)
{
	uint64_t r = (uint64_t)(uintptr_t)arg * 31337;
	struct object objects[512] = { { NULL, 0, 0 } };

	while (!atomic_load(&stopping)) {
		struct object *o = &objects[rng_below(&r, 512)];

		if (o->p != NULL)
			object_free(o);
		else
			object_make(o, &r, rng_below(&r, 64) == 0 ? 8192 + rng_below(&r, 300000) :
								   stress_size(&r));
		if (rng_below(&r, 4096) == 0)
			heap_trim();
	}
	for (int i = 0; i < 512; i++)
		object_free(&objects[i]);
	return NULL;
}

static void *child_thread(void *arg)
{
	uint64_t r = (uint64_t)(uintptr_t)arg;
	struct object objects[256] = { { NULL, 0, 0 } };

	for (int i = 0; i < 4000; i++) {
		struct object *o = &objects[rng_below(&r, 256)];

		if (o->p != NULL)
			object_free(o);
		else
			object_make(o, &r, stress_size(&r));
	}
	for (int i = 0; i < 256; i++)
		object_free(&objects[i]);
	return NULL;
}

/* Starts short threads, a few at a time, whose caches then wait for the next threads. The workers'
 * trims release them. */
static void *source(void *arg)
{
	pthread_t threads[THREADS];

	while (!atomic_load(&stopping)) {
		for (uintptr_t i = 0; i < THREADS; i++)
			CHECK(pthread_create(&threads[i], NULL, child_thread, (void *)(i + 1)) ==
			      0);
		for (int i = 0; i < THREADS; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
	}
	return arg;
}

/* Does what a child does, and does not return. With generations left it forks in turn, and its
 * child does the same. */
static _Noreturn void child(uint64_t *r, struct object *known, int n, int generations)
{
	pid_t pid = 0;

	while (pid == 0) {
		pthread_t thread;

		alarm(30);
		for (int i = 0; i < n; i++)
			object_check(&known[i]);
		child_thread((void *)(uintptr_t)rng_next(r));
		CHECK(pthread_create(&thread, NULL, child_thread, (void *)(uintptr_t)rng_next(r)) ==
		      0);
		CHECK(pthread_join(thread, NULL) == 0);
		heapcheck();
		if (generations-- == 0)
			break;
		pid = fork();
		CHECK(pid >= 0);
	}
	if (pid != 0) {
		int status;

		status = child_wait(pid);
		CHECK(status == 0);
	}
	for (int i = 0; i < n; i++)
		object_free(&known[i]);
	heap_trim();
	heapcheck();
	_exit(0);
}

/* Makes a child without libc's handlers. musl makes no threads in a child that it does not know
 * of. */
static pid_t fork_bare(void)
{
#if !defined(__GLIBC__)
	return _Fork();
#endif
	return (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L);
}

/* Runs a child of fork_bare() in which a thread is in the heap before the thread that forked.
 * That thread runs on in its fast paths. The caches of threads that are gone stay as they are,
 * so the heap is not checked. */
static _Noreturn void child_of_threads(uint64_t *r, struct object *known, int n)
{
	pthread_t threads[2];

	alarm(30);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&threads[i], NULL, child_thread,
				     (void *)(uintptr_t)rng_next(r)) == 0);
	for (int i = 0; i < 100; i++)
		heap_free(heap_malloc(24), "free");
	for (int i = 0; i < n; i++)
		object_free(&known[i]);
	child_thread((void *)(uintptr_t)rng_next(r));
	for (int i = 0; i < 2; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	heap_trim();
	_exit(0);
}

int main(int argc, char **argv)
{
	double end = clock_seconds() + stress_seconds(argc, argv);
	uint64_t r = 42;
	pthread_t threads[THREADS], sourced;
	struct object known[200];
	unsigned forks = 0;

	for (int i = 0; i < 200; i++)
		object_make(&known[i], &r, stress_size(&r));
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, worker, (void *)(i + 1)) == 0);
	CHECK(pthread_create(&sourced, NULL, source, NULL) == 0);
	do {
		pid_t pid = forks % 4 < 2 ? fork() : fork_bare();
		int status;

		CHECK(pid >= 0);
		rng_next(&r);
		if (pid == 0 && forks % 4 == 3)
			child_of_threads(&r, known, 200);
		if (pid == 0)
			child(&r, known, 200, forks % 8 == 0);
		status = child_wait(pid);
		if (status != 0) {
			fprintf(stderr, "stress_fork: child %u ended with status %#x\n", forks,
				status);
			return 1;
		}
		forks++;
	} while (clock_seconds() < end);
	atomic_store(&stopping, true);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(pthread_join(sourced, NULL) == 0);
	for (int i = 0; i < 200; i++)
		object_free(&known[i]);
	heapcheck();
	printf("stress_fork: %u forks\n", forks);
	return 0;
}
