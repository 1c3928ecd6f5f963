/* SPDX-License-Identifier: MIT */
/*
 * trials.c - misuse at random: sizes, histories and threads differ from trial to trial. How many
 * misuses are stopped in the call?
 *
 * A trial is a child with a history of its own, in which several threads make and free objects of
 * many sizes, and then one misuse, perhaps in a child of its own. No trial misuses what may be the
 * start of a live object by then: where the allocator gave the address away again, the trial begins
 * anew. A child that ends in SIGABRT was stopped; in another signal, it crashed; at its end, it was
 * silent; after 20 seconds, it hung.
 *
 * The program calls malloc by its standard names only, so that any allocator can be preloaded. With
 * --all it fails (status 1) unless every trial was stopped.
 */
#include "rng.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIVE 400

static uint64_t state;
static void *live[LIVE];
static size_t live_size[LIVE];
static char still[256];

/* The calls go through volatile pointers, so that no compiler sees what they do. */
static void *(*volatile do_malloc)(size_t) = malloc;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static void (*volatile do_free)(void *) = free;
static size_t (*volatile do_usable_size)(void *) = malloc_usable_size;
static void *(*volatile do_aligned)(size_t, size_t) = aligned_alloc;

static uint32_t below(uint32_t n)
{
	return (uint32_t)rng_below(&state, n);
}

/* Returns a size. Every order of magnitude is equally likely, so small sizes come most often. */
static size_t any_size(void)
{
	return below(20) == 0 ? 0 : 1 + below(2u << below(20));
}

static void in_another_thread(void *(*call)(void *), void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, call, arg) != 0 || pthread_join(t, NULL) != 0)
		_exit(3);
}

static void in_thread(void *(*call)(void *), void *arg)
{
	if (below(3) != 0)
		call(arg);
	else
		in_another_thread(call, arg);
}

static void *churn(void *arg)
{
	(void)arg;
	for (uint32_t n = below(300); n > 0; n--) {
		uint32_t i = below(LIVE);

		do_free(live[i]);
		live_size[i] = any_size();
		live[i] = below(8) == 0 ? do_aligned((size_t)16 << below(9), live_size[i])
					: do_malloc(live_size[i]);
		/* Freed and asked for again at once: allocators have shorter ways for that. */
		if (below(8) == 0) {
			do_free(live[i]);
			live[i] = do_malloc(live_size[i]);
		}
	}
	return NULL;
}

static void *free_it(void *p)
{
	do_free(p);
	return NULL;
}

/* --- misuses: each is one call that must not return --- */

/* Frees an object of the history, goes on with the history, and returns the object. Returns NULL
 * when its address is in use again. */
static void *freed_object(void)
{
	uint32_t i = below(LIVE), tries = 0;
	void *p;

	while ((p = live[i]) == NULL) {
		if (++tries == 100000)
			return NULL;
		i = below(LIVE);
	}
	live[i] = NULL;
	in_thread(free_it, p);
	for (uint32_t n = below(3); n > 0; n--)
		in_thread(churn, NULL);
	for (i = 0; i < LIVE; i++)
		if (live[i] == p)
			return NULL;
	return p;
}

static void *interior(void)
{
	uint32_t i = below(LIVE), tries = 0;

	while (live[i] == NULL || live_size[i] < 2) {
		if (++tries == 100000)
			return NULL;
		i = below(LIVE);
	}
	return (char *)live[i] + 1 + below((uint32_t)live_size[i] - 1);
}

/* Returns an address that is not the heap's: inside of other memory, not mapped, or not
 * canonical. */
static void *wild(void)
{
	static char *mapped;
	char on_stack[64];
	char *volatile p = on_stack;

	if (mapped == NULL)
		mapped = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
	switch (below(6)) {
	case 0:
		return p + below(64);
	case 1:
		return still + below(256);
	case 2:
		return mapped + below(1 << 20);
	case 3:
		return (void *)(uintptr_t)(8 + below(4000));
	case 4:
		return (void *)(UINT64_C(0x8000000000000000) + (uint64_t)below(UINT32_MAX) * 16);
	default:
		return (void *)((uintptr_t)below(UINT32_MAX) * 4096 * 16 + below(256) * 16);
	}
}

static void *call_free(void *p)
{
	do_free(p);
	return NULL;
}

static void *call_realloc(void *p)
{
	/* Its result is of no use to anybody. */
	return do_realloc(p, 1 + any_size());
}

static void *call_usable_size(void *p)
{
	return (void *)do_usable_size(p);
}

static void *bad_freed(void)
{
	return freed_object();
}

static const struct kind {
	const char *name;
	void *(*pointer)(void);
	void *(*call)(void *);
} kinds[] = {
	{ "free of a freed object", bad_freed, call_free },
	{ "realloc of a freed object", bad_freed, call_realloc },
	{ "malloc_usable_size of a freed object", bad_freed, call_usable_size },
	{ "free of an address inside an object", interior, call_free },
	{ "realloc of an address inside an object", interior, call_realloc },
	{ "malloc_usable_size inside an object", interior, call_usable_size },
	{ "free of no heap address", wild, call_free },
	{ "realloc of no heap address", wild, call_realloc },
	{ "malloc_usable_size of no heap address", wild, call_usable_size },
};
#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Goes on in a forked child, and ends as the child ends. */
static void go_on_in_child(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		return;
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		_exit(3);
	if (WIFSIGNALED(status))
		raise(WTERMSIG(status));
	_exit(WEXITSTATUS(status));
}

enum { STOPPED, SILENT, CRASHED, HUNG, NOUTCOMES };

static void child(const struct kind *k)
{
	struct rlimit none = { 0, 0 };
	void *p = NULL;

	setrlimit(RLIMIT_CORE, &none);
	if (freopen("/dev/null", "w", stderr) == NULL)
		_exit(3);
	alarm(20);
	/* libc allocates for its first thread beside the main one, and keeps that for those that
	 * follow: it is not to get an address that was freed here. */
	in_another_thread(churn, NULL);
	/* Something to choose from; the least history is that. */
	while (live_size[0] < 2 || live[0] == NULL)
		churn(NULL);
	while (p == NULL) {
		for (uint32_t n = below(4); n > 0; n--)
			in_thread(churn, NULL);
		p = k->pointer();
	}
	if (below(4) == 0)
		go_on_in_child();
	in_thread(k->call, p);
	_exit(0);
}

static int trial(const struct kind *k, uint64_t seed)
{
	int status;
	pid_t pid;

	state = seed;
	pid = fork();
	if (pid == 0)
		child(k);
	if (pid < 0 || waitpid(pid, &status, 0) != pid ||
	    (WIFEXITED(status) && WEXITSTATUS(status) != 0)) {
		fprintf(stderr, "trials: a child could not be run\n");
		exit(2);
	}
	if (WIFEXITED(status))
		return SILENT;
	return WTERMSIG(status) == SIGABRT ? STOPPED : WTERMSIG(status) == SIGALRM ? HUNG : CRASHED;
}

int main(int argc, char **argv)
{
	bool all = argc > 1 && strcmp(argv[1], "--all") == 0;
	unsigned long n = argc > 1 + all ? strtoul(argv[1 + all], NULL, 10) : 100;
	unsigned long seed = argc > 2 + all ? strtoul(argv[2 + all], NULL, 10) : 1;
	unsigned long total[NOUTCOMES] = { 0 };

	printf("%-42s %8s %8s %8s %8s\n", "", "stopped", "silent", "crashed", "hung");
	for (size_t k = 0; k < NKINDS; k++) {
		unsigned long count[NOUTCOMES] = { 0 };

		for (unsigned long i = 0; i < n; i++) {
			uint64_t of_trial =
				(seed * 1000003 + k * n + i + 1) * UINT64_C(0x9e3779b97f4a7c15);
			int outcome = trial(&kinds[k], of_trial);

			count[outcome]++;
			total[outcome]++;
			if (all && outcome != STOPPED)
				fprintf(stderr, "trials: %s, trial %lu: not stopped\n",
					kinds[k].name, i);
		}
		printf("%-42s %8lu %8lu %8lu %8lu\n", kinds[k].name, count[STOPPED], count[SILENT],
		       count[CRASHED], count[HUNG]);
	}
	printf("%-42s %8lu %8lu %8lu %8lu\n", "all", total[STOPPED], total[SILENT], total[CRASHED],
	       total[HUNG]);
	printf("stopped in the call: %.2f %%\n",
	       100.0 * (double)total[STOPPED] / (double)(NKINDS * n));
	return all && total[STOPPED] != NKINDS * n;
}
