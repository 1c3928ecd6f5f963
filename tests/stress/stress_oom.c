/* SPDX-License-Identifier: MIT */
/*
 * stress_oom.c - threads at work while the system refuses memory calls: a request returns NULL and
 * ENOMEM, or pages are released later, and nothing is lost.
 *
 * A round is a child process with a heap of its own. One kind of call of os.h, or all of them,
 * fails at its n-th call, or from the n-th call on, or at random, for n = 1 .. 200. Meanwhile
 * threads allocate in every way, exchange objects, end, and trim. Then there is memory again, and
 * no request may be refused. At the end nothing is live: every page is free, every span record is
 * back, and what was mapped is accounted for to the byte. Rounds come in an order that spreads n.
 *
 * Usage: stress_oom SECONDS|all; "all" runs each round once and takes some minutes.
 */
#include "stress.h"

#include "os/metakey.h"

#include "base/options.h"
#include "os/os.h"
#include "os_fail.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define THREADS 3
#define OBJECTS 48
#define CELLS 64
#define STEPS 250
#define MAX_N 200

enum kind { ONLY_NTH, FROM_NTH, AT_RANDOM, KINDS };

static const char *const kind_names[KINDS] = { "the n-th only", "from the n-th on",
					       "one in n % 20 + 1" };

static const struct {
	const char *name;
	unsigned calls;
} sets[] = {
	{ "all calls", OS_ALL_CALLS },          { "os_reserve", OS_RESERVE },
	{ "os_unreserve", OS_UNRESERVE },       { "os_commit", OS_COMMIT },
	{ "os_release", OS_RELEASE },           { "os_move_pages", OS_MOVE_PAGES },
	{ "os_remap", OS_REMAP },               { "os_alloc_metadata", OS_ALLOC_METADATA },
	{ "os_guard", OS_GUARD },               { "os_want_huge_pages", OS_HUGE_PAGES },
};
#define SETS (sizeof(sets) / sizeof(sets[0]))

struct round {
	size_t set;
	enum kind kind;
	unsigned n;
};

/* The counts that the children add up, in shared memory. One child runs at a time. */
static struct {
	_Atomic unsigned seen;
	_Atomic unsigned failed;
	_Atomic unsigned nulls;
} *told;

static struct round this_round;
static pthread_barrier_t barrier;

/* Whether there is memory again, so that no request may be refused. It is written while the
 * threads wait at the barrier. */
static bool recovered;

/* Objects that pass from thread to thread: each begins with its own struct object. */
static _Atomic(unsigned char *) cells[CELLS];

/* Returns the index of the next byte of an object that is looked at. */
static size_t next_byte(size_t i, size_t size)
{
	if (i < 256)
		return i + 1;
	return i + (size > MiB(4) ? 65537 : 1021);
}

static void fill(const struct object *o)
{
	for (size_t i = sizeof(*o); i < o->size; i = next_byte(i, o->size))
		o->p[i] = o->tag;
	if (o->size > sizeof(*o))
		o->p[o->size - 1] = o->tag;
	if (o->size >= sizeof(*o))
		memcpy(o->p, o, sizeof(*o));
}

static void check(const struct object *o)
{
	CHECK(o->size < sizeof(*o) || memcmp(o->p, o, sizeof(*o)) == 0);
	for (size_t i = sizeof(*o); i < o->size; i = next_byte(i, o->size))
		CHECK(o->p[i] == o->tag);
	CHECK(o->size <= sizeof(*o) || o->p[o->size - 1] == o->tag);
}

static size_t any_size(uint64_t *r)
{
	switch (rng_below(r, 32)) {
	case 0:
		return 0;
	case 1:
	case 2:
		return 32768 + rng_below(r, 300000);
	case 3:
	case 5:
		return MiB(1) + rng_below(r, MiB(2));
	case 4:
		return rng_below(r, 64) == 0 ? MiB(70) : 100;
	default:
		return stress_size(r);
	}
}

/* Checks an answer: NULL comes only for want of memory and with ENOMEM, and any other answer
 * keeps errno. */
static bool answered(const void *p)
{
	if (p != NULL) {
		CHECK(errno == 77);
		return true;
	}
	CHECK(errno == ENOMEM && !recovered && os_fail_failed() != 0);
	atomic_fetch_add_explicit(&told->nulls, 1, memory_order_relaxed);
	return false;
}

static void make(struct object *o, uint64_t *r, size_t size)
{
	size_t align = (size_t)8 << rng_below(r, 13);

	memset(o, 0, sizeof(*o));
	o->size = size;
	o->tag = (unsigned char)(rng_next(r) | 1);
	errno = 77;
	switch (rng_below(r, 6)) {
	case 0:
		o->p = heap_calloc(size);
		for (size_t i = 0; o->p != NULL && i < size; i = next_byte(i, size))
			CHECK(o->p[i] == 0);
		break;
	case 1:
		o->p = heap_aligned(align, size, rng_below(r, 2) == 0);
		CHECK((uintptr_t)o->p % align == 0);
		break;
	case 2:
		o->p = heap_malloc_noscan(size);
		break;
	default:
		o->p = heap_malloc(size);
		break;
	}
	if (answered(o->p))
		fill(o);
}

static void resize(struct object *o, uint64_t *r)
{
	/* The large ones to another large size: their pages are moved. */
	size_t size = o->size >= MiB(1) ? MiB(1) + rng_below(r, MiB(4)) : any_size(r) + sizeof(*o);
	struct object to = *o;

	check(o);
	errno = 77;
	to.p = heap_realloc(o->p, size, SCAN, "realloc");
	if (!answered(to.p)) {
		check(o);
		return;
	}
	for (size_t i = sizeof(*o); i < o->size && i < size; i = next_byte(i, o->size))
		CHECK(to.p[i] == o->tag);
	to.size = size;
	*o = to;
	fill(o);
}

static void drop(struct object *o)
{
	check(o);
	errno = 77;
	heap_free(o->p, "free");
	CHECK(errno == 77);
	o->p = NULL;
}

/* Leaves an object in a cell, and takes the object that lay there. */
static void exchange(struct object *o, uint64_t *r)
{
	/* The swap is what publishes the object, as a program's own synchronisation would. */
	unsigned char *there =
		atomic_exchange_explicit(&cells[rng_below(r, CELLS)], o->p, memory_order_acq_rel);

	o->p = NULL;
	if (there != NULL)
		memcpy(o, there, sizeof(*o));
}

static void use_heap(struct object objects[OBJECTS], uint64_t *r)
{
	for (int step = 0; step < STEPS; step++) {
		struct object *o = &objects[rng_below(r, OBJECTS)];

		if (o->p == NULL)
			make(o, r, any_size(r));
		else if (rng_below(r, 4) == 0)
			resize(o, r);
		else if (rng_below(r, 3) == 0 && o->size >= sizeof(*o))
			exchange(o, r);
		else
			drop(o);
		if (rng_below(r, STEPS / 2) == 0)
			heap_trim();
	}
}

static void free_all(struct object *objects, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (objects[i].p != NULL)
			drop(&objects[i]);
}

static void *short_life(void *arg)
{
	uint64_t r = (uint64_t)(uintptr_t)arg;
	struct object objects[OBJECTS] = { { .p = NULL } };

	use_heap(objects, &r);
	free_all(objects, OBJECTS);
	return NULL;
}

static void *long_life(void *arg)
{
	uint64_t r = (uint64_t)(uintptr_t)arg * 77777 + this_round.n;
	struct object objects[OBJECTS] = { { .p = NULL } };
	pthread_t other;

	for (int part = 0; part < 2; part++) {
		/* libc's own memory calls are not made to fail. */
		CHECK(pthread_create(&other, NULL, short_life, (void *)(uintptr_t)rng_next(&r)) ==
		      0);
		use_heap(objects, &r);
		CHECK(pthread_join(other, NULL) == 0);
		/* In some rounds the memory is back while others are at work. */
		if (part == 0 && this_round.n % 4 == 0 && (uintptr_t)arg == 1)
			os_fail_stop();
		(void)pthread_barrier_wait(&barrier);
		(void)pthread_barrier_wait(&barrier);
	}
	free_all(objects, OBJECTS);
	return NULL;
}

/* Checks that all mapped memory is records, pages of the heap, the rest of its reservation, or
 * what could not be unmapped yet. */
static void check_address_space(void)
{
	size_t committed =
		atomic_load_explicit(&mheap.growth.committed, memory_order_relaxed);
	size_t owed = 0;

	for (size_t i = 0; i < ARENA_SPACE_OWED; i++)
		owed += mheap.growth.space.owed[i].nbytes;
	CHECK(os_fail_mapped() ==
	      fixalloc_sys_bytes() + committed +
		      (mheap.growth.space.end - mheap.growth.space.next) + owed);
}

static void check_nothing_is_lost(void)
{
	size_t unit = max_size(os_page_size(), PAGE_SIZE) / PAGE_SIZE;
	size_t records = 0, guarded = 0;
	struct stat_snapshot st;
	uint32_t rights;
	void *p;

	heap_trim();
	stat_read(&st);
	CHECK(st.all.live == 0);
	CHECK(mheap.pages.nfree + mheap.guarded_npages == mheap.pages.ntotal);
	/* Where the kernel's pages are larger, what shares one with a guarded span stays. */
	CHECK(mheap.pages.nclean + (unit - 1) * mheap.guarded_npages >= mheap.pages.nfree);
	CHECK(mheap.refused == NULL);
	for (unsigned shape = 0; shape < SPAN_SHAPES; shape++)
		records += mheap.span_pools[shape].inuse;
	rights = metakey_open();
	for (const struct mspan *s = mheap.guarded; s != NULL; s = s->next)
		guarded++;
	metakey_close(rights);
	CHECK(records == guarded && st.all.spans == guarded);
	/* More than the heap has: what could not be unmapped is, now that the heap looks for
	 * room. */
	p = heap_malloc(mheap.pages.ntotal * PAGE_SIZE + ARENA_SIZE);
	CHECK(p != NULL);
	heap_free(p, "free");
	for (size_t i = 0; i < ARENA_SPACE_OWED; i++)
		CHECK(mheap.growth.space.owed[i].nbytes == 0);
	check_address_space();
}

static void start_failing(const struct round *round)
{
	unsigned calls = sets[round->set].calls;

	switch (round->kind) {
	case ONLY_NTH:
		os_fail_nth(calls, round->n);
		break;
	case FROM_NTH:
		os_fail_from(calls, round->n);
		break;
	default:
		os_fail_at_random(calls, round->n % 20 + 1, round->n);
		break;
	}
}

static _Noreturn void child(const struct round *round)
{
	pthread_t threads[THREADS];

	alarm(GOALLOC_SANITIZED ? 300 : 100);
	this_round = *round;
	options.scavenge_ms = round->n % 2 == 0 ? 0 : 1000000;
	CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0);
	start_failing(round);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, long_life, (void *)(i + 1)) == 0);
	for (int part = 0; part < 2; part++) {
		(void)pthread_barrier_wait(&barrier);
		heapcheck();
		check_address_space();
		os_fail_stop();
		recovered = true;
		(void)pthread_barrier_wait(&barrier);
	}
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	for (int i = 0; i < CELLS; i++) {
		struct object o = { .p = atomic_load(&cells[i]) };

		if (o.p != NULL) {
			memcpy(&o, o.p, sizeof(o));
			drop(&o);
		}
	}
	check_nothing_is_lost();
	heapcheck();
	atomic_store(&told->seen, os_fail_seen());
	atomic_fetch_add(&told->failed, os_fail_failed());
	_exit(0);
}

static void run_round(const struct round *round)
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0)
		child(round);
	status = child_wait(pid);
	if (status != 0) {
		fprintf(stderr, "stress_oom: %s, %s, n = %u: status %#x\n", sets[round->set].name,
			kind_names[round->kind], round->n, status);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	bool all = argc > 1 && strcmp(argv[1], "all") == 0;
	double end = clock_seconds() + stress_seconds(argc, argv);
	unsigned enough[SETS];    /* for each set: with a larger n none of its calls would fail */
	unsigned rounds = 0;

	for (size_t i = 0; i < SETS; i++)
		enough[i] = MAX_N;
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(told != MAP_FAILED);
	for (unsigned i = 0; i < MAX_N; i++)
		for (unsigned k = 0; k < SETS * KINDS; k++) {
			/* 73 and 200 have no divisor in common: every n comes once. */
			struct round round = { k % SETS, (enum kind)(k / SETS),
					       (i * 73 + k * 41) % MAX_N + 1 };

			if (!all && clock_seconds() >= end)
				break;
			if (round.kind != AT_RANDOM && round.n > enough[round.set])
				continue;
			run_round(&round);
			rounds++;
			/* Threads make more calls in one round than in another. */
			if (round.kind == ONLY_NTH && round.n > 2 * atomic_load(&told->seen))
				enough[round.set] = round.n;
		}
	printf("stress_oom: %u rounds, %u calls failed, NULL %u times\n", rounds,
	       atomic_load(&told->failed), atomic_load(&told->nulls));
	return 0;
}
