/* SPDX-License-Identifier: MIT */
/*
 * test_idle.c - what a program can do about memory that is free: goalloc_thread_idle() and
 * goalloc_set_scavenge().
 */
#include "face.h"

#include "../../include/goalloc.h"

#include <malloc.h>
#include <pthread.h>

#define THREADS 8
#define OBJECTS 3000
#define BIG_OBJECTS 4

static struct goalloc_memstats read_stats(void)
{
	int (*read)(struct goalloc_memstats *m);
	struct goalloc_memstats m = { .size = sizeof(m) };

	*(void **)&read = face_sym("goalloc_read_memstats");
	CHECK(read(&m) == 0);
	return m;
}

static void be_idle(void)
{
	void (*idle)(void);

	*(void **)&idle = face_sym("goalloc_thread_idle");
	errno = 77;
	idle();
	CHECK(errno == 77);
}

/* --- idle threads --- */

static pthread_barrier_t barrier;

static void work(uint64_t seed)
{
	static __thread void *p[OBJECTS];
	static __thread size_t n[OBJECTS];
	void *big[BIG_OBJECTS];

	for (size_t i = 0; i < OBJECTS; i++) {
		n[i] = rng_mixed_size(&seed) % 5000 + 1;
		p[i] = malloc(n[i]);
		CHECK(p[i] != NULL);
		face_object_fill(p[i], n[i], i);
	}
	for (size_t i = 0; i < BIG_OBJECTS; i++)
		CHECK((big[i] = malloc(60 * KiB)) != NULL);
	for (size_t i = 0; i < OBJECTS; i++) {
		CHECK(face_object_intact(p[i], n[i], i));
		free(p[i]);
	}
	for (size_t i = 0; i < BIG_OBJECTS; i++)
		free(big[i]);
}

static void *work_and_wait(void *arg)
{
	/* A thread that has no cache yet. */
	be_idle();
	work((uint64_t)(uintptr_t)arg);
	(void)pthread_barrier_wait(&barrier);
	(void)pthread_barrier_wait(&barrier);
	be_idle();
	be_idle();
	(void)pthread_barrier_wait(&barrier);
	(void)pthread_barrier_wait(&barrier);
	work((uint64_t)(uintptr_t)arg);
	be_idle();
	return NULL;
}

static size_t kept(const struct goalloc_memstats *m)
{
	return m->FreeSlotsCached + m->PageWords + m->BigKept;
}

static void threads(void)
{
	pthread_t thread[THREADS];
	struct goalloc_memstats m;
	pid_t pid;

	CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, work_and_wait, (void *)(i + 1)) == 0);
	(void)pthread_barrier_wait(&barrier);
	m = read_stats();
	CHECK(kept(&m) != 0 && m.Threads > THREADS);
	(void)pthread_barrier_wait(&barrier);
	(void)pthread_barrier_wait(&barrier);
	be_idle();
	m = read_stats();
	CHECK_LE(kept(&m), 0);
	CHECK_LE(m.EmptySpans, 0);
	/* What the thread keeps is put aside in a child, and is given back there. */
	work(1);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		be_idle();
		work(2);
		be_idle();
		m = read_stats();
		_exit(kept(&m) == 0 ? 0 : 1);
	}
	face_child_ends_well(pid);
	(void)pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
}

/* --- the decay time --- */

static int set_scavenge(int ms)
{
	int (*set)(int ms);

	*(void **)&set = face_sym("goalloc_set_scavenge");
	return set(ms);
}

static void free_much(void)
{
	static char *p[100];

	for (size_t i = 0; i < 100; i++) {
		p[i] = malloc(600 * KiB);
		CHECK(p[i] != NULL);
		memset(p[i], 1, 600 * KiB);
	}
	for (size_t i = 0; i < 100; i++)
		free(p[i]);
}

static void scavenge(void)
{
	pid_t pid;

	(void)alarm(20);
	errno = 77;
	CHECK(set_scavenge(-1) == 86400000 && errno == 77);
	CHECK(set_scavenge(86400001) == -1 && errno == EINVAL);
	CHECK(set_scavenge(INT_MIN) == 86400000);
	free_much();
	CHECK(set_scavenge(50) == 86400000);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		_exit(set_scavenge(-1) == 50 ? 0 : 1);
	face_child_ends_well(pid);
	while (read_stats().HeapFree > 4 * MiB) {
		free(malloc(400 * KiB));
		(void)usleep(10000);
	}
	CHECK(set_scavenge(86400000) == 50 && set_scavenge(0) == 86400000);
	CHECK(set_scavenge(-1) == 0);
}

int main(int argc, char **argv)
{
	static const struct face_case cases[] = {
		{ "threads", threads },
		{ "scavenge", scavenge },
	};

	return face_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
