/* SPDX-License-Identifier: MIT */
/*
 * idle.c - threads that freed all they had: asleep, gone, or in a pool. See kept.h.
 *
 * Holds    every thread has allocated its stock before any goes on, so that no thread uses again
 *          what another freed.
 */
#include "kept.h"
#include "object.h"
#include "prng.h"
#include "workload.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define MAX_NTHREADS 1000u
#define MAX_NSTOCK   20000u
#define STACK_NBYTES (64 * KIB)
#define POOL_S       2u
#define BIG_MIB      16u /* what the objects of STOCK_BIG have in all */

/* Access: [c] constant once the thread runs */
struct sleeper {
	uintptr_t thread; /* [c] */
	uint64_t seed;    /* [c] */
};

static struct sleeper sleepers[MAX_NTHREADS];
static pthread_barrier_t all_freed; /* of the threads and main */
static pthread_barrier_t may_end;   /* of the threads and main */
static enum stock stock;            /* constant while threads run */
static size_t ntimes = 1;           /* so many stocks at once; constant while threads run */
static pthread_mutex_t one_job = PTHREAD_MUTEX_INITIALIZER;

static size_t stock_count(void)
{
	static const size_t count[] = {
		[STOCK_MIXED] = 1000, [STOCK_FEW] = 600, [STOCK_BIG] = MAX_NSTOCK,
		[STOCK_SMALL] = 60,   [STOCK_ONE] = 1,
	};

	return count[stock];
}

static size_t stock_size(struct prng *r)
{
	static const size_t few[] = { 24, 40, 64, 100, 256, 500, 1024, 2000, 4096, 16384 };
	size_t nbytes;

	switch (stock) {
	case STOCK_MIXED:
		nbytes = (size_t)16 << prng_below(r, 12);
		nbytes += prng_below(r, (uint32_t)nbytes);
		return nbytes < 32 * KIB ? nbytes : 32 * KIB;
	case STOCK_FEW:
		return few[prng_below(r, 10)];
	case STOCK_BIG:
		return 16 + prng_below(r, 1600);
	case STOCK_SMALL:
		return (size_t)16 << prng_below(r, 11);
	case STOCK_ONE:
		break;
	}
	return 64;
}

static void use_stock(uint64_t seed)
{
	struct prng r = prng_seed(seed);
	size_t count = stock_count() * ntimes;
	void **object = own_memory(count * sizeof *object);

	for (size_t i = 0; i < count; i++) {
		size_t nbytes = stock_size(&r);

		object[i] = object_new(nbytes, i);
		object_touch_pages(object[i], 8, nbytes);
	}
	for (size_t i = 0; i < count; i++)
		object_delete(object[i], i);
	own_memory_release(object, count * sizeof *object);
}

static void *sleeper_main(void *arg)
{
	const struct sleeper *s = arg;

	use_stock(s->seed);
	pthread_barrier_wait(&all_freed);
	pthread_barrier_wait(&may_end);
	return NULL;
}

/* Starts the threads and returns when each has freed its stock. */
static void start_all(size_t nthreads, size_t which, void *(*body)(void *))
{
	pthread_attr_t attr;

	stock = (enum stock)which;
	pthread_barrier_init(&all_freed, NULL, (unsigned)nthreads + 1);
	pthread_barrier_init(&may_end, NULL, (unsigned)nthreads + 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_NBYTES);
	pthread_setattr_default_np(&attr);
	for (size_t i = 0; i < nthreads; i++) {
		sleepers[i].seed = i;
		thread_start(&sleepers[i].thread, body, &sleepers[i]);
	}
	pthread_barrier_wait(&all_freed);
}

static void end_all(size_t nthreads)
{
	pthread_barrier_wait(&may_end);
	for (size_t i = 0; i < nthreads; i++)
		thread_join(sleepers[i].thread);
}

size_t idle_threads(size_t nthreads, size_t which)
{
	start_all(nthreads, which, sleeper_main);
	return 0;
}

size_t idle_gone(size_t nthreads, size_t which)
{
	start_all(nthreads, which, sleeper_main);
	end_all(nthreads);
	return 0;
}

static void *pool_main(void *arg)
{
	const struct sleeper *s = arg;

	pthread_mutex_lock(&one_job);
	use_stock(s->seed);
	pthread_mutex_unlock(&one_job);
	pthread_barrier_wait(&all_freed);
	for (double end = kept_seconds() + POOL_S; kept_seconds() < end; kept_nap_ms(10))
		kept_serve();
	pthread_barrier_wait(&may_end);
	/* The workload ends while the threads of the pool sleep. */
	pause();
	return NULL;
}

size_t idle_pool(size_t nthreads, size_t job_mib)
{
	ntimes = job_mib / BIG_MIB;
	start_all(nthreads, STOCK_BIG, pool_main);
	pthread_barrier_wait(&may_end);
	return 0;
}

/* Prints `now` less `before` for each of `nthreads`, in KiB. */
static void print_each(const char *name, size_t now, size_t before, size_t nthreads)
{
	dprintf(STDOUT_FILENO, "%s %.1f\n", name,
		((double)now - (double)before) / (double)nthreads);
}

size_t idle_cost(size_t nthreads, size_t unused)
{
	size_t resident = kept_resident_kib();
	size_t data = kept_data_kib();

	(void)unused;
	free(object_new(64, 0));
	start_all(nthreads, STOCK_ONE, sleeper_main);
	/* libc keeps the stacks of threads that have ended. */
	data += nthreads * STACK_NBYTES / KIB;
	print_each("data_alive", kept_data_kib(), data, nthreads);
	print_each("resident_alive", kept_resident_kib(), resident, nthreads);
	end_all(nthreads);
	print_each("resident_ended", kept_resident_kib(), resident, nthreads);
	malloc_trim(0);
	print_each("resident_trimmed", kept_resident_kib(), resident, nthreads);
	return 0;
}
