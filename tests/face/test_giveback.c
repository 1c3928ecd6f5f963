/* SPDX-License-Identifier: MIT */
/*
 * test_giveback.c - 1 GiB of small objects, allocated and freed. The process is back within a few
 * MiB of where it began, whichever thread frees, and whether or not the allocating threads still
 * live.
 *
 * `objects` is in a mapping of its own, which is gone before the last look at the resident size. No
 * case depends on how fast anything is: the decay cases look again until the memory is gone, and
 * give up after 300 times the decay time.
 *
 * Usage: test_giveback CASE; the decay cases run with GOALLOC=scavenge=100.
 */
#include "face.h"

#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>

#define TOTAL (1024 * MiB)
#define LIMIT (8 * MiB)
#define MAX_OBJECTS ((size_t)8 << 20)

enum { THREADS = 4 };

static void **objects;
static size_t nobjects;
static size_t begin_rss;

/* Returns a size that is mostly below 1 KiB, where it hits every size class, and sometimes up to
 * 32 KiB. */
static size_t small_size(uint64_t *rng)
{
	uint64_t r = rng_next(rng);
	return 16 + (size_t)(r % 128 == 0 ? (r >> 8) % (32 * KiB - 16) : (r >> 8) % 1000);
}

/* Allocates nbytes in objects[from..] and returns how many objects it made. It touches every
 * page: the first and the last byte of each object, and a byte every 4 KiB. */
static size_t allocate(size_t from, size_t nbytes)
{
	uint64_t rng = from + 1;
	size_t i = from;

	for (size_t sum = 0; sum < nbytes; i++) {
		size_t n = small_size(&rng);
		char *p = malloc(n);
		CHECK(p != NULL && i < MAX_OBJECTS);
		for (size_t k = 0; k < n; k += 4096)
			p[k] = 1;
		p[n - 1] = 1;
		objects[i] = p;
		sum += n;
	}
	return i - from;
}

static void free_range(size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		free(objects[i]);
}

static void shuffle(void)
{
	uint64_t rng = 99;
	for (size_t i = nobjects - 1; i > 0; i--) {
		size_t k = rng_next(&rng) % (i + 1);
		void *p = objects[i];
		objects[i] = objects[k];
		objects[k] = p;
	}
}

static void begin(void)
{
	/* threads and stdio have been used once before the first look */
	free(malloc(100000));
	(void)malloc_trim(0);
	begin_rss = proc_rss();
	objects = mmap(NULL, MAX_OBJECTS * sizeof(void *), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(objects != MAP_FAILED);
}

static void check_it_was_really_there(void)
{
	CHECK_LE(begin_rss + TOTAL / 10 * 9, proc_rss());
}

static void forget_objects(void)
{
	CHECK(munmap(objects, MAX_OBJECTS * sizeof(void *)) == 0);
}

static void trim_and_check(void)
{
	forget_objects();
	(void)malloc_trim(0);
	CHECK_LE(proc_rss(), begin_rss + LIMIT);
}

/* Does what an idle program still does: it makes a few objects of a few sizes now and then. */
static void allocate_a_little(void)
{
	for (size_t n = 16; n <= 256 * KiB; n *= 2) {
		void *p[8];
		for (size_t i = 0; i < 8; i++)
			p[i] = malloc(n + i);
		for (size_t i = 0; i < 8; i++)
			free(p[i]);
	}
}

static void wait_until_it_is_gone(void)
{
	/* The object that allocate_a_little() frees keeps its chunk of 4 MiB from going back. */
	size_t most = begin_rss + LIMIT;

	forget_objects();
	for (int look = 0; look < 600 && proc_rss() > most; look++) {
		(void)usleep(50000);
		allocate_a_little();
	}
	CHECK_LE(proc_rss(), most);
}

static void *free_all(void *arg)
{
	free_range(0, nobjects);
	return arg;
}

static void in_a_thread(void *(*body)(void *))
{
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

struct part {
	size_t from, made;
	sem_t *made_it, *may_end; /* NULL: do not wait */
};

static void *allocate_part(void *arg)
{
	struct part *part = arg;
	part->made = allocate(part->from, TOTAL / THREADS);
	if (part->may_end != NULL) {
		CHECK(sem_post(part->made_it) == 0);
		while (sem_wait(part->may_end) != 0)
			CHECK(errno == EINTR);
	}
	return NULL;
}

static void start_parts(struct part *part, pthread_t *thread, sem_t *made_it, sem_t *may_end)
{
	for (size_t i = 0; i < THREADS; i++) {
		part[i] = (struct part){i * (MAX_OBJECTS / THREADS), 0, made_it, may_end};
		CHECK(pthread_create(&thread[i], NULL, allocate_part, &part[i]) == 0);
	}
}

static void join_parts(pthread_t *thread)
{
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
}

static void free_parts(const struct part *part)
{
	for (size_t i = 0; i < THREADS; i++)
		free_range(part[i].from, part[i].from + part[i].made);
}

/* --- the cases --- */

static void freed_by_the_thread_that_allocated(void)
{
	nobjects = allocate(0, TOTAL);
	check_it_was_really_there();
	free_range(0, nobjects);
	trim_and_check();
}

static void freed_in_random_order(void)
{
	nobjects = allocate(0, TOTAL);
	check_it_was_really_there();
	shuffle();
	free_range(0, nobjects);
	trim_and_check();
}

static void freed_by_another_thread(void)
{
	nobjects = allocate(0, TOTAL);
	check_it_was_really_there();
	in_a_thread(free_all);
	trim_and_check();
}

static void freed_when_the_allocating_threads_are_gone(void)
{
	struct part part[THREADS];
	pthread_t thread[THREADS];

	start_parts(part, thread, NULL, NULL);
	join_parts(thread);
	check_it_was_really_there();
	free_parts(part);
	trim_and_check();
}

/* The threads that own the spans sleep, so they cannot help. */
static void freed_while_the_allocating_threads_sleep(void)
{
	struct part part[THREADS];
	pthread_t thread[THREADS];
	sem_t made_it, may_end;

	CHECK(sem_init(&made_it, 0, 0) == 0 && sem_init(&may_end, 0, 0) == 0);
	start_parts(part, thread, &made_it, &may_end);
	for (size_t i = 0; i < THREADS; i++)
		while (sem_wait(&made_it) != 0)
			CHECK(errno == EINTR);
	check_it_was_really_there();
	free_parts(part);
	forget_objects();
	(void)malloc_trim(0);
	/* what a sleeping thread's cache holds, nobody else may take: some 2 MiB, more or less as
	 * the threads met */
	CHECK_LE(proc_rss(), begin_rss + LIMIT + THREADS * 3 * MiB);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(sem_post(&may_end) == 0);
	join_parts(thread);
}

static void gone_after_the_decay_time(void)
{
	nobjects = allocate(0, TOTAL);
	check_it_was_really_there();
	free_range(0, nobjects);
	wait_until_it_is_gone();
}

static void gone_after_the_decay_time_when_another_thread_freed(void)
{
	nobjects = allocate(0, TOTAL);
	check_it_was_really_there();
	in_a_thread(free_all);
	wait_until_it_is_gone();
}

/* Frees objects with gaps between them. The mappings of the process stay few. */
static void mappings_stay_few(void)
{
	size_t before = proc_mappings(), n = 20000;

	for (size_t i = 0; i < n; i++) {
		objects[i] = malloc(64 * KiB);
		CHECK(objects[i] != NULL);
		*(char *)objects[i] = 1;
	}
	CHECK_LE(proc_mappings(), before + 1000);
	for (size_t i = 0; i < n; i += 2) {
		free(objects[i]);
		objects[i] = NULL;
	}
	(void)malloc_trim(0);
	CHECK_LE(proc_mappings(), before + 1000);
	free_range(0, n);
	trim_and_check();
	CHECK_LE(proc_mappings(), before + 1000);
}

int main(int argc, char **argv)
{
	static const struct face_case cases[] = {
		{"same_thread", freed_by_the_thread_that_allocated},
		{"random_order", freed_in_random_order},
		{"other_thread", freed_by_another_thread},
		{"threads_gone", freed_when_the_allocating_threads_are_gone},
		{"threads_asleep", freed_while_the_allocating_threads_sleep},
		{"decay", gone_after_the_decay_time},
		{"decay_other_thread", gone_after_the_decay_time_when_another_thread_freed},
		{"mappings", mappings_stay_few},
	};

	begin();
	return face_run_case(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
