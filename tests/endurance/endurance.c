/* SPDX-License-Identifier: MIT */
/*
 * endurance.c - a server for minutes or hours: sizes, lifetimes, live bytes and threads drift, and
 * nothing may pile up.
 *
 * Workers answer requests at a set pace. Each builds a reply from objects of its own and a buffer
 * that grows by realloc. It stores some objects in a table that all share, where a young object or
 * any other makes room, so that most objects are freed by another thread than the one that made
 * them. Every object's bytes are checked when it is freed. Workers come and go every second.
 *
 * The program calls malloc by its standard names only, so that any allocator can be preloaded.
 * Twice a second it prints a line: seconds, MiB live, MiB resident since the start, threads,
 * requests. With --check it fails (status 1, a line on stderr) in three cases: when resident memory
 * is more than OVERHEAD_MAX of the live bytes in the last third of the time; when a run of LONG
 * seconds or more holds more over its live bytes there than in the middle third; and when
 * mallinfo2() tells of bytes in use after all was freed.
 */
#include "clock.h"
#include "rng.h"

#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (1024.0 * 1024.0)
#define SHARDS 64
#define SHARD_ENTRIES 65536u
#define YOUNG 64u
#define MAX_WORKERS 8u

/* The mean of what is live, how far it drifts, and in how many seconds all that drifts comes
 * round. */
#define LIVE_MEAN (64.0 * MIB)
#define LIVE_DRIFT 0.2
#define PERIOD 10.0

#define OVERHEAD_MAX 3.0

/* Shorter runs may still be filling up in the middle third, on a busy machine. */
#define LONG 600
#define GROWTH_MAX 1.05

/* The bytes that libc keeps for its own files. */
#define OWN_BYTES 65536

struct entry {
	unsigned char *p;
	uint32_t size;
};

/* Access: lock. */
static struct shard {
	pthread_mutex_t lock;
	struct entry *entries;
	uint32_t count;
	size_t nbytes;
} shards[SHARDS];

static atomic_size_t live_target;         /* bytes */
static atomic_size_t size_least;          /* of this moment's objects */
static _Atomic int64_t live_nbytes;
static atomic_ulong requests;
static unsigned requests_a_ms = 100;      /* of one worker */

static struct worker {
	pthread_t thread;
	atomic_bool stop;
	bool runs;
	uint64_t seed;
} workers[MAX_WORKERS];

static _Noreturn void failed(const char *what)
{
	fflush(stdout);
	fprintf(stderr, "endurance: %s\n", what);
	exit(1);
}

static uint32_t below(uint64_t *random, uint32_t n)
{
	return (uint32_t)rng_below(random, n);
}

/* --- objects: their bytes tell address and size --- */

static unsigned char byte_of(const void *p, uint32_t size)
{
	return (unsigned char)(((uintptr_t)p >> 3) * 31 + size * 7);
}

static void object_fill(struct entry e)
{
	memset(e.p, byte_of(e.p, e.size), e.size);
	atomic_fetch_add_explicit(&live_nbytes, e.size, memory_order_relaxed);
}

static struct entry object_make(uint32_t size, bool zeroed)
{
	struct entry e = { zeroed ? calloc(1, size) : malloc(size), size };

	if (e.p == NULL)
		failed("out of memory");
	for (uint32_t i = 0; zeroed && i < size; i++)
		if (e.p[i] != 0)
			failed("calloc's memory is not zero");
	object_fill(e);
	return e;
}

static void object_check(struct entry e)
{
	unsigned char byte = byte_of(e.p, e.size);

	for (uint32_t i = 0; i < e.size; i++)
		if (e.p[i] != byte)
			failed("an object changed");
	atomic_fetch_sub_explicit(&live_nbytes, e.size, memory_order_relaxed);
}

static void object_free(struct entry e)
{
	object_check(e);
	free(e.p);
}

static struct entry object_grow(struct entry e, uint32_t size)
{
	unsigned char byte = byte_of(e.p, e.size);
	uint32_t before = e.size;

	object_check(e);
	e.p = realloc(e.p, size);
	e.size = size;
	if (e.p == NULL)
		failed("out of memory");
	for (uint32_t i = 0; i < before; i++)
		if (e.p[i] != byte)
			failed("realloc lost bytes");
	object_fill(e);
	return e;
}

/* Returns a size for this moment: at least the least size, seldom up to 16 times that, and now
 * and then a large buffer. */
static uint32_t object_size(uint64_t *random)
{
	uint32_t least = (uint32_t)atomic_load_explicit(&size_least, memory_order_relaxed);

	if (below(random, 2000) == 0)
		return 65536 + below(random, 400000);
	return least + below(random, least << below(random, 5));
}

/* --- the table --- */

/* Takes out one of the youngest entries mostly, and otherwise any. The last entry takes its
 * place. */
static struct entry shard_remove(struct shard *s, uint64_t *random)
{
	uint32_t among = s->count > YOUNG && below(random, 4) != 0 ? YOUNG : s->count;
	struct entry *place = &s->entries[s->count - 1 - below(random, among)];
	struct entry gone = *place;

	*place = s->entries[--s->count];
	s->nbytes -= gone.size;
	return gone;
}

static void shard_store(struct shard *s, struct entry e, uint64_t *random)
{
	size_t room = atomic_load_explicit(&live_target, memory_order_relaxed) / SHARDS;
	struct entry gone[16];
	bool stored = false;

	while (!stored) {
		unsigned ngone = 0;

		pthread_mutex_lock(&s->lock);
		while (ngone < 16 && s->count > 0 &&
		       (s->nbytes + e.size > room || s->count == SHARD_ENTRIES))
			gone[ngone++] = shard_remove(s, random);
		stored = s->count == 0 || (s->nbytes + e.size <= room && s->count < SHARD_ENTRIES);
		if (stored) {
			s->entries[s->count++] = e;
			s->nbytes += e.size;
		}
		pthread_mutex_unlock(&s->lock);
		for (unsigned i = 0; i < ngone; i++)
			object_free(gone[i]);
	}
}

static void shards_clear(void)
{
	for (unsigned i = 0; i < SHARDS; i++)
		while (shards[i].count > 0)
			object_free(shards[i].entries[--shards[i].count]);
}

/* --- workers --- */

static void answer(uint64_t *random)
{
	struct entry part[12], reply = object_make(64 + below(random, 64), false);
	unsigned nparts = 1 + below(random, 12);

	for (unsigned i = 0; i < nparts; i++) {
		part[i] = object_make(object_size(random), below(random, 8) == 0);
		if (reply.size < 20000)
			reply = object_grow(reply, reply.size + part[i].size % 4096);
	}
	for (unsigned i = 0; i < nparts; i++) {
		if (below(random, 3) == 0)
			shard_store(&shards[below(random, SHARDS)], part[i], random);
		else
			object_free(part[i]);
	}
	object_free(reply);
	atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct timespec ms = { 0, 1000000 };

	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		for (unsigned i = 0; i < requests_a_ms; i++)
			answer(&w->seed);
		nanosleep(&ms, NULL);
	}
	return NULL;
}

static void worker_set(struct worker *w, bool runs)
{
	static uint64_t seed;

	if (w->runs == runs)
		return;
	w->runs = runs;
	atomic_store(&w->stop, !runs);
	if (runs) {
		w->seed = ++seed * UINT64_C(0x9e3779b97f4a7c15);
		if (pthread_create(&w->thread, NULL, work, w) != 0)
			failed("no thread");
	} else {
		pthread_join(w->thread, NULL);
	}
}

/* --- what drifts, and what is measured --- */

/* Ends one thread every second, and begins another. */
static unsigned drift(double at)
{
	double turn = at / PERIOD * 2 * M_PI;
	unsigned second = (unsigned)at, n = 0;

	atomic_store(&live_target, (size_t)(LIVE_MEAN * (1 + LIVE_DRIFT * sin(turn))));
	/* 16 B .. 4 KiB and back, out of step with the live bytes. */
	atomic_store(&size_least, (size_t)(16 * pow(2, 4 - 4 * cos(turn + 1))));
	for (unsigned i = 0; i < MAX_WORKERS; i++)
		if ((i * 5 + second) % 8 >= 3 + second / 8 % 4)
			worker_set(&workers[i], false);
	for (unsigned i = 0; i < MAX_WORKERS; i++) {
		bool runs = (i * 5 + second) % 8 < 3 + second / 8 % 4;

		if (runs)
			worker_set(&workers[i], true);
		n += runs;
	}
	return n;
}

/* Returns the resident bytes, without the program and its table. */
static double resident(void)
{
	static double own;
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f == NULL || fscanf(f, "%*u %lu", &pages) != 1)
		failed("no /proc/self/statm");
	fclose(f);
	if (own == 0)
		own = (double)pages * (double)sysconf(_SC_PAGESIZE);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) - own;
}

struct third {
	double resident, live;
};

static double overhead(const struct third *t)
{
	return t->resident / t->live;
}

static void run(double seconds, struct third third[3])
{
	struct timespec half = { 0, 500000000 };
	double start = clock_seconds(), at;

	while ((at = clock_seconds() - start) < seconds) {
		unsigned nthreads = drift(at);
		struct third *t = &third[(unsigned)(at / seconds * 3)];
		double live, rss;

		nanosleep(&half, NULL);
		live = (double)atomic_load(&live_nbytes);
		rss = resident();
		t->live += live;
		t->resident += rss;
		printf("%.1f %.2f %.2f %u %lu\n", at, live / MIB, rss / MIB, nthreads,
		       atomic_load(&requests));
		fflush(stdout);
	}
	for (unsigned i = 0; i < MAX_WORKERS; i++)
		worker_set(&workers[i], false);
}

int main(int argc, char **argv)
{
	bool check = argc > 1 && strcmp(argv[1], "--check") == 0;
	double seconds = argc > 1 + check ? strtod(argv[1 + check], NULL) : 0;
	struct third third[3] = { { 0 } };
	size_t nbytes = SHARDS * SHARD_ENTRIES * sizeof(struct entry);
	struct entry *entries = mmap(NULL, nbytes, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	size_t after;

	if (argc > 2 + check)
		requests_a_ms = (unsigned)strtoul(argv[2 + check], NULL, 10);
	if (!(seconds >= 3) || argc > 3 + check || requests_a_ms == 0) {
		fprintf(stderr, "usage: endurance [--check] SECONDS (3 or more) [REQUESTS of a "
				"worker between two sleeps of 1 ms (100)]\n");
		return 2;
	}
	if (entries == MAP_FAILED)
		failed("out of memory");
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&shards[i].lock, NULL);
		shards[i].entries = entries + i * SHARD_ENTRIES;
	}
	(void)resident();
	printf("# seconds live_MiB resident_MiB threads requests\n");
	run(seconds, third);
	shards_clear();
	malloc_trim(0);
	after = mallinfo2().uordblks;
	printf("# resident / live: %.3f %.3f %.3f; in the end %.1f MiB resident, %zu bytes in "
	       "use\n",
	       overhead(&third[0]), overhead(&third[1]), overhead(&third[2]), resident() / MIB,
	       after);
	if (atomic_load(&live_nbytes) != 0)
		failed("its own count of live bytes does not come to 0");
	if (!check)
		return 0;
	if (after > OWN_BYTES)
		failed("after all was freed mallinfo2() tells of bytes in use");
	if (overhead(&third[2]) > OVERHEAD_MAX)
		failed("too much resident memory over live bytes");
	if (seconds >= LONG && overhead(&third[2]) > GROWTH_MAX * overhead(&third[1]))
		failed("resident memory over live bytes grows");
	return 0;
}
