/* SPDX-License-Identifier: MIT */
/*
 * viewed.c - the program that goalloc-view is tested with.
 *
 *	viewed quiet        makes a heap, prints what it knows of it, and waits for its end
 *	viewed core         does the same, and dumps core
 *	viewed storm N      N threads allocate and free until standard input ends
 *	viewed undumpable   waits as a process that nobody may look at
 *	viewed fork         as quiet, but in a forked child
 *	viewed leaderless   as quiet, but the first thread ends
 *
 * What is printed comes from the library's own functions: a line "metric NAME VALUE" for each
 * metric, "memstats NAME VALUE", and the addresses of some objects. Nothing is allocated after
 * that.
 */
#include <goalloc.h>

#include "check.h"
#include "rng.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define THREADS 3

static char text[64 * 1024];
static size_t len;

#define PRINT(...) (len += (size_t)snprintf(text + len, sizeof(text) - len, __VA_ARGS__))

/* --- a heap with something of everything --- */

struct pointer {
	void *to;
	char rest[56];
};

static void *kept[20000];
static struct pointer *holder;
static char *held, *freed, *big;

static void *const_holder_of_big;

static void make_heap(void)
{
	uint64_t r = 7;

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		size_t size = rng_below(&r, (size_t)16 << rng_below(&r, 9));

		kept[i] = i % 5 == 0 ? goalloc_malloc_noscan(size) : malloc(size);
	}
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (rng_below(&r, 3) == 0) {
			free(kept[i]);
			kept[i] = NULL;
		}
	for (size_t i = 0; i < 20; i++) {
		char *p = malloc(100000 + i * 30000);

		CHECK(p != NULL);
		memset(p, 1, 100000);
		if (i % 4 == 0)
			free(p);
		else
			kept[i] = p;
	}
	CHECK(malloc(0) != NULL);
	holder = malloc(sizeof(*holder));
	held = malloc(1000);
	freed = malloc(3000);
	big = malloc(1 << 20);
	CHECK(holder != NULL && held != NULL && freed != NULL && big != NULL);
	holder->to = held + 8;
	const_holder_of_big = big;
	free(freed);
}

static pthread_barrier_t ready;

/* The address of an object that only the stack of a thread leads to. Its bits are inverted, so that
 * this variable does not lead to the object. */
static uintptr_t turned;

/* Runs as a thread that has objects, and waits for ever. */
static void *hold(void *arg)
{
	void *volatile mine = NULL;
	char name[16];
	size_t n = (size_t)(uintptr_t)arg;

	(void)snprintf(name, sizeof(name), "holder%zu", n);
	CHECK(pthread_setname_np(pthread_self(), name) == 0);
	for (size_t i = 0; i < 1000 * n; i++)
		CHECK(malloc(200) != NULL);
	if (n == 1) {
		mine = malloc(100);
		CHECK(mine != NULL);
		turned = ~(uintptr_t)mine;
	}
	(void)pthread_barrier_wait(&ready);
	for (;;)
		(void)pause();
	return NULL;
}

static void start_holders(void)
{
	CHECK(pthread_barrier_init(&ready, NULL, THREADS + 1) == 0);
	for (size_t i = 1; i <= THREADS; i++) {
		pthread_t thread;

		CHECK(pthread_create(&thread, NULL, hold, (void *)(uintptr_t)i) == 0);
	}
	(void)pthread_barrier_wait(&ready);
}

/* --- what the library says --- */

static struct goalloc_memstats stats;

static void print_figures(void)
{
	PRINT("pid %d\n", (int)getpid());
	PRINT("holder %p\nheld %p\nfreed %p\nbig %p\nroot %p\n", (void *)holder, (void *)held,
	      (void *)freed, (void *)big, (void *)&const_holder_of_big);
	PRINT("stacked %p\n", (void *)~turned);
	for (size_t i = 0; goalloc_metric_name(i) != NULL; i++) {
		uint64_t value = 0;

		if (goalloc_metric_read(goalloc_metric_name(i), &value) == 0)
			PRINT("metric %s %" PRIu64 "\n", goalloc_metric_name(i), value);
	}
	stats.size = sizeof(stats);
	CHECK(goalloc_read_memstats(&stats) == 0);
	PRINT("memstats HeapAlloc %" PRIu64 "\n", stats.HeapAlloc);
	PRINT("memstats HeapObjects %" PRIu64 "\n", stats.HeapObjects);
	PRINT("memstats HeapInuse %" PRIu64 "\n", stats.HeapInuse);
	PRINT("memstats Sys %" PRIu64 "\n", stats.Sys);
	PRINT("end\n");
	CHECK(write(1, text, len) == (ssize_t)len);
}

static void wait_for_end(void)
{
	char byte;

	while (read(0, &byte, 1) > 0)
		;
}

/* --- a storm --- */

static void *storm(void *arg)
{
	uint64_t r = (uint64_t)(uintptr_t)arg;
	static __thread void *mine[512];

	for (;;) {
		size_t i = rng_below(&r, 512);

		free(mine[i]);
		mine[i] = rng_below(&r, 100) == 0 ?
				  malloc(rng_below(&r, 1 << 20)) :
				  malloc(rng_below(&r, (size_t)8 << rng_below(&r, 10)));
		if (rng_below(&r, 1000) == 0)
			mine[i] = realloc(mine[i], rng_below(&r, 1 << 18));
	}
	return NULL;
}

static void start_storm(size_t n)
{
	for (size_t i = 1; i <= n; i++) {
		pthread_t thread;

		CHECK(pthread_create(&thread, NULL, storm, (void *)(uintptr_t)i) == 0);
	}
	PRINT("pid %d\nend\n", (int)getpid());
	CHECK(write(1, text, len) == (ssize_t)len);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "storm") == 0) {
		start_storm(strtoul(argv[2], NULL, 10));
		wait_for_end();
		_exit(0);
	}
	if (strcmp(what, "undumpable") == 0)
		CHECK(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
	make_heap();
	if (strcmp(what, "fork") == 0 && fork() != 0) {
		wait_for_end();
		_exit(0);
	}
	start_holders();
	print_figures();
	if (strcmp(what, "core") == 0)
		abort();
	if (strcmp(what, "leaderless") == 0)
		pthread_exit(NULL);
	wait_for_end();
	_exit(0);
}
