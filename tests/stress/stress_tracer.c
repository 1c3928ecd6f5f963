/* SPDX-License-Identifier: MIT */
/*
 * stress_tracer.c - tracers raise and lower their words while threads allocate, free, end and fork.
 *
 * Three threads write what other processes would: two rates with leases of which some run out, and
 * a semaphore. Another one begins and ends profiles of the program's own, which nobody else may
 * end. The main thread forks. When all have come to rest no wish is unanswered, and no profile of a
 * tracer is left, in the process and in each child.
 */
#include "stress.h"
#include "os/os.h"
#include "tools/profile.h"
#include "tools/sample.h"
#include "tools/tracer.h"

#include <sys/wait.h>

static _Atomic bool stopping;
static _Atomic unsigned begun, expired;

/* Allocates and frees, by slow paths as well, so that wishes are answered and samples are taken. */
static void allocate(uint64_t *r, unsigned n)
{
	struct object objects[64] = { { NULL, 0, 0 } };

	for (unsigned i = 0; i < n; i++) {
		struct object *o = &objects[rng_below(r, 64)];

		if (o->p == NULL)
			object_make(o, r, i % 8 == 0 ? 40000 + rng_below(r, 100000) :
						       stress_size(r));
		else if (rng_below(r, 2) == 0)
			object_resize(o, r);
		else
			object_free(o);
	}
	for (unsigned i = 0; i < 64; i++)
		object_free(&objects[i]);
}

static void *short_life(void *arg)
{
	uint64_t r = (uint64_t)(uintptr_t)arg;

	allocate(&r, 300);
	return NULL;
}

/* Starts threads that end soon, one after another. */
static void *worker(void *arg)
{
	uint64_t r = (uint64_t)(uintptr_t)arg * 7919;

	while (!atomic_load(&stopping)) {
		pthread_t thread;

		CHECK(pthread_create(&thread, NULL, short_life, (void *)(uintptr_t)rng_next(&r)) ==
		      0);
		allocate(&r, 500);
		CHECK(pthread_join(thread, NULL) == 0);
	}
	return NULL;
}

/* Is a goalloc-view. One in four of its wishes is left to the lease. */
static void *view(void *arg)
{
	uint64_t r = (uint64_t)(uintptr_t)arg * 104729;
	uint32_t rate = (uint32_t)(uintptr_t)arg * 2048;

	while (!atomic_load(&stopping)) {
		bool withdraws = rng_below(&r, 4) != 0;

		atomic_store(&tracer.lease_ms, withdraws ? 60000 : 1);
		atomic_store(&tracer.rate, rate);
		os_sleep_ms((unsigned)rng_below(&r, 4));
		if (atomic_load(&tracer.answered) != 0)
			atomic_fetch_add(&begun, 1);
		if (withdraws)
			atomic_store(&tracer.rate, 0);
		else if (atomic_load(&tracer.rate) == 0)
			atomic_fetch_add(&expired, 1);
	}
	return NULL;
}

static void set_watchers(uint16_t n)
{
	__atomic_store_n(&tracer.alloc_watchers, n, __ATOMIC_RELAXED);
}

static void *watcher(void *arg)
{
	uint64_t r = 5;

	while (!atomic_load(&stopping)) {
		set_watchers((uint16_t)rng_below(&r, 3));
		os_sleep_ms((unsigned)rng_below(&r, 3));
	}
	return arg;
}

/* Takes profiles of the program's own. */
static void *programmer(void *arg)
{
	uint64_t r = 6;

	while (!atomic_load(&stopping)) {
		uint64_t serial;

		CHECK(sample_begin_profile(1 + rng_below(&r, 100000)));
		serial = profile_serial();
		for (uint64_t i = rng_below(&r, 8); i != 0; i--) {
			CHECK(profile_is_on() && profile_serial() == serial);
			heap_free(heap_malloc(50000), "free");
		}
		CHECK(profile_is_on() && profile_serial() == serial);
		sample_end_profile();
		if (rng_below(&r, 16) == 0)
			os_sleep_ms((unsigned)rng_below(&r, 4));
	}
	return arg;
}

static bool is_tracers(void)
{
	return profile_is_on() && tracer.serial == profile_serial();
}

/* Nobody writes to the words any more. */
static void check_rest(uint64_t *r)
{
	atomic_store(&tracer.rate, 0);
	set_watchers(0);
	/* One answers, and what was sampled before may have let a lease run out. */
	allocate(r, 200);
	allocate(r, 200);
	CHECK(!tracer_waits() && atomic_load(&tracer.wish) == 0 && !is_tracers());
}

static _Noreturn void child(uint64_t *r)
{
	pthread_t thread;

	alarm(60);
	allocate(r, 200);
	/* What it has of its parent's tracers, or nothing. */
	CHECK(atomic_load(&tracer.rate) == 0);
	CHECK(pthread_create(&thread, NULL, short_life, (void *)(uintptr_t)rng_next(r)) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	check_rest(r);
	/* A tracer of its own, and its own profile. */
	if (!profile_is_on()) {
		atomic_store(&tracer.lease_ms, 60000);
		atomic_store(&tracer.rate, 4096);
		allocate(r, 200);
		CHECK(is_tracers());
		check_rest(r);
	}
	CHECK(sample_begin_profile(5000));
	check_rest(r);
	CHECK(profile_is_on());
	heapcheck();
	_exit(0);
}

int main(int argc, char **argv)
{
	static void *(*const roles[])(void *) = { worker, worker, view, view, watcher, programmer };
	enum { ROLES = sizeof(roles) / sizeof(roles[0]) };
	double end = clock_seconds() + stress_seconds(argc, argv);
	pthread_t threads[ROLES];
	uint64_t r = 42;
	unsigned forks = 0;

	allocate(&r, 100);
	for (uintptr_t i = 0; i < ROLES; i++)
		CHECK(pthread_create(&threads[i], NULL, roles[i], (void *)(i + 1)) == 0);
	do {
		/* The sanitizers' own runtimes do not support what a child of a threaded parent
		 * does here. */
		if (!GOALLOC_SANITIZED) {
			pid_t pid = fork();

			if (pid == 0)
				child(&r);
			CHECK(child_wait(pid) == 0);
			forks++;
		}
		allocate(&r, 100);
	} while (clock_seconds() < end);
	atomic_store(&stopping, true);
	for (unsigned i = 0; i < ROLES; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	check_rest(&r);
	CHECK(!profile_is_on());
	heapcheck();
	printf("stress_tracer: %u wishes answered, %u leases over, %u forks\n",
	       atomic_load(&begun), atomic_load(&expired), forks);
	return atomic_load(&begun) != 0 ? 0 : 1;
}
