/* SPDX-License-Identifier: MIT */
/*
 * test_profile.c - samples are kept by stack and size, freed ones are taken off, and what they
 * stand for is what there was.
 *
 * unwind_callers() is wrapped: the test says what the stack is. What the profile holds is read from
 * its text.
 */
#include "module.h"

#include "base/chance.h"
#include "base/config.h"
#include "heap/hashtable.h"
#include "os_fail.h"
#include "stack/unwind.h"
#include "tools/profile.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the stack that the next sample has --- */

static _Thread_local uintptr_t stack[PROFILE_MAX_FRAMES + 100];
static _Thread_local unsigned depth;
static _Thread_local void (*in_unwind)(void);

unsigned __wrap_unwind_callers(uintptr_t *pcs, unsigned max);
unsigned __wrap_unwind_callers_again(struct unwind_memo *memo, uintptr_t *pcs, unsigned max);

unsigned __wrap_unwind_callers(uintptr_t *pcs, unsigned max)
{
	unsigned n = (unsigned)min_size(depth, max);

	memcpy(pcs, stack, n * sizeof(pcs[0]));
	if (in_unwind != NULL)
		in_unwind();
	return n;
}

unsigned __wrap_unwind_callers_again(struct unwind_memo *memo, uintptr_t *pcs, unsigned max)
{
	(void)memo;
	return __wrap_unwind_callers(pcs, max);
}

/* Makes unwind_callers() return a stack of its own for every number. */
static void set_stack(uintptr_t number, unsigned n)
{
	depth = n;
	for (unsigned i = 0; i < n; i++)
		stack[i] = 0x1000 + number * 0x100000 + i * 16;
}

static void alloc_at(uintptr_t stack_number, uintptr_t addr, size_t nbytes)
{
	set_stack(stack_number, 4);
	profile_alloc(addr, nbytes);
}

/* --- what the profile holds --- */

struct entry {
	unsigned long long live, live_bytes, allocs, alloc_bytes;
	unsigned npcs;
	uintptr_t pcs[PROFILE_MAX_FRAMES];
};

#define MAX_ENTRIES 32768

static struct entry entries[MAX_ENTRIES], total;
static unsigned nentries;
static size_t rate_read;

static void read_entry(struct entry *e, char *line)
{
	char *s = strchr(line, '@');

	CHECK(sscanf(line, "%llu: %llu [%llu: %llu]", &e->live, &e->live_bytes, &e->allocs,
		     &e->alloc_bytes) == 4 &&
	      s != NULL);
	e->npcs = 0;
	for (s++; *s == ' '; e->npcs++) {
		CHECK(e->npcs < PROFILE_MAX_FRAMES);
		e->pcs[e->npcs] = strtoull(s, &s, 16);
	}
	CHECK(*s == '\n');
}

static void read_profile(void)
{
	static char line[8192];
	FILE *file = tmpfile();
	char *at;

	CHECK(file != NULL && profile_write_or_errno(fileno(file), true) == 0);
	rewind(file);
	CHECK(fgets(line, sizeof(line), file) != NULL && strncmp(line, "heap profile: ", 14) == 0);
	at = strstr(line, " heap_v2/");
	CHECK(at != NULL);
	rate_read = strtoull(at + 9, NULL, 10);
	strcpy(at, "\n");
	read_entry(&total, line + 14);
	for (nentries = 0; fgets(line, sizeof(line), file) != NULL && line[0] != '\n'; nentries++) {
		CHECK(nentries < MAX_ENTRIES);
		read_entry(&entries[nentries], line);
	}
	CHECK(fgets(line, sizeof(line), file) != NULL && strcmp(line, "MAPPED_LIBRARIES:\n") == 0);
	fclose(file);
}

/* Returns the profile's entry of a stack of set_stack() for this size. */
static const struct entry *entry_of(uintptr_t number, size_t nbytes)
{
	static const struct entry none;
	const struct entry *found = NULL;

	for (unsigned i = 0; i < nentries; i++)
		if (entries[i].npcs != 0 && entries[i].pcs[0] == 0x1000 + number * 0x100000 &&
		    entries[i].alloc_bytes == entries[i].allocs * nbytes) {
			CHECK(found == NULL);
			found = &entries[i];
		}
	return found != NULL ? found : &none;
}

/* One of the entries of this stack has live objects: in a child it may have two. */
static bool has_live(uintptr_t number)
{
	for (unsigned i = 0; i < nentries; i++)
		if (entries[i].npcs != 0 && entries[i].pcs[0] == 0x1000 + number * 0x100000 &&
		    entries[i].live != 0)
			return true;
	return false;
}

static size_t count_live(void)
{
	struct profile_totals totals;

	profile_count(&totals);
	return totals.live;
}

static uint64_t count_dropped(void)
{
	struct profile_totals totals;

	profile_count(&totals);
	return totals.dropped;
}

/* --- tests --- */

TEST_IN_CHILD(without_a_profile_nothing_is_kept_and_an_empty_one_is_written)
{
	uintptr_t pcs[4];

	CHECK(!profile_is_on());
	alloc_at(1, 0x10000, 64);
	profile_free(0x10000);
	CHECK(profile_stack_of(0x10000, pcs, 4) == 0);
	read_profile();
	CHECK(nentries == 0 && total.allocs == 0 && rate_read == 0);
	profile_stop();
	profile_after_fork();
}

TEST_IN_CHILD(samples_are_kept_by_stack_and_size)
{
	CHECK(profile_start(1000) && profile_is_on());
	for (uintptr_t i = 0; i < 10; i++)
		alloc_at(1, 0x10000 + i * 64, 64);
	for (uintptr_t i = 0; i < 5; i++)
		alloc_at(2, 0x20000 + i * 64, 64);
	for (uintptr_t i = 0; i < 3; i++)
		alloc_at(1, 0x30000 + i * 128, 128);
	read_profile();
	CHECK(rate_read == 1000 && nentries == 3);
	CHECK(entry_of(1, 64)->live == 10 && entry_of(1, 64)->allocs == 10 &&
	      entry_of(1, 64)->live_bytes == 640);
	CHECK(entry_of(2, 64)->live == 5 && entry_of(1, 128)->live == 3);
	CHECK(total.live == 18 && total.allocs == 18 && total.live_bytes == 15 * 64 + 3 * 128);
}

/* Stacks that differ in the innermost or outermost address, in length or order only. */
TEST_IN_CHILD(every_address_of_a_stack_counts_up_to_the_limit)
{
	CHECK(profile_start(1));
	for (unsigned what = 0; what < 6; what++) {
		set_stack(1, 10);
		stack[0] += what == 1;
		stack[9] += what == 2;
		depth -= what == 3;
		if (what == 4) {
			stack[3] = stack[4];
			stack[4] = 0x1000 + 0x100000 + 3 * 16;
		}
		if (what == 5)
			depth = 0;
		profile_alloc(0x10000 + what * 64, 64);
	}
	read_profile();
	CHECK(nentries == 6);
	/* Deeper than the limit only the innermost count. */
	for (unsigned n = PROFILE_MAX_FRAMES - 1; n < PROFILE_MAX_FRAMES + 16; n++) {
		set_stack(2, n);
		profile_alloc(0x20000 + n * 64, 64);
	}
	read_profile();
	CHECK(nentries == 6 + 2);
}

TEST_IN_CHILD(a_freed_object_is_taken_off_what_is_live_only)
{
	CHECK(profile_start(1));
	for (uintptr_t i = 0; i < 1000; i++)
		alloc_at(i % 7, 0x10000 + i * 64, 64);
	for (uintptr_t i = 0; i < 1000; i += 2)
		profile_free(0x10000 + i * 64);
	/* No records of these. */
	profile_free(0x10000);
	profile_free(0x10008);
	read_profile();
	CHECK(nentries == 7 && total.live == 500 && total.allocs == 1000);
	for (uintptr_t i = 0; i < 7; i++)
		CHECK(entry_of(i, 64)->allocs == (1000 - i + 6) / 7 &&
		      entry_of(i, 64)->live_bytes == entry_of(i, 64)->live * 64);
	CHECK(count_live() == 500);
}

TEST_IN_CHILD(an_address_that_is_sampled_again_is_another_object)
{
	CHECK(profile_start(1));
	for (int i = 0; i < 100; i++) {
		alloc_at(1, 0x10000, 64);
		profile_free(0x10000);
	}
	read_profile();
	CHECK(total.live == 0 && total.allocs == 100);
	/* Even when nobody said that the first was freed. */
	alloc_at(1, 0x10000, 64);
	alloc_at(2, 0x10000, 64);
	read_profile();
	CHECK(total.live == 1 && entry_of(1, 64)->live == 0 && entry_of(2, 64)->live == 1);
}

TEST_IN_CHILD(the_stack_of_a_live_object_can_be_asked_for)
{
	uintptr_t pcs[8] = { 0 };

	CHECK(profile_start(1));
	alloc_at(3, 0x10000, 64);
	CHECK(profile_stack_of(0x10000, pcs, 8) == 4);
	for (unsigned i = 0; i < 4; i++)
		CHECK(pcs[i] == stack[i]);
	CHECK(profile_stack_of(0x10000, pcs, 2) == 2);
	CHECK(profile_stack_of(0x10010, pcs, 8) == 0);
	profile_free(0x10000);
	CHECK(profile_stack_of(0x10000, pcs, 8) == 0);
}

TEST_IN_CHILD(after_stop_nothing_is_added_and_frees_still_count)
{
	CHECK(profile_start(1));
	alloc_at(1, 0x10000, 64);
	alloc_at(1, 0x20000, 64);
	profile_stop();
	CHECK(!profile_is_on());
	alloc_at(1, 0x30000, 64);
	profile_free(0x10000);
	read_profile();
	CHECK(total.live == 1 && total.allocs == 2 && rate_read == 1);
}

TEST_IN_CHILD(a_new_profile_knows_nothing_of_the_old_one)
{
	uintptr_t pcs[4];

	for (size_t round = 1; round <= 5; round++) {
		CHECK(profile_start(round * 100));
		read_profile();
		CHECK(nentries == 0 && rate_read == round * 100 && count_live() == 0);
		CHECK(profile_stack_of(0x10000, pcs, 4) == 0);
		/* Objects of the one before. */
		for (uintptr_t i = 0; i < 10000; i++)
			profile_free(0x10000 + i * 64);
		for (uintptr_t i = 0; i < 10000; i++)
			alloc_at(i % 100 + round, 0x10000 + i * 64, 64);
		read_profile();
		CHECK(total.live == 10000 && total.allocs == 10000 && nentries == 100);
	}
}

static void start_again(void)
{
	in_unwind = NULL;
	CHECK(profile_start(500));
}

/* It was sampled at the old one's rate. */
TEST_IN_CHILD(a_sample_that_began_under_an_earlier_profile_is_in_none)
{
	CHECK(profile_start(1000));
	in_unwind = start_again;
	alloc_at(1, 0x10000, 64);
	read_profile();
	CHECK(rate_read == 500 && nentries == 0);
	alloc_at(1, 0x10000, 64);
	read_profile();
	CHECK(nentries == 1);
}

TEST_IN_CHILD(the_memory_of_an_old_profile_is_used_by_the_next)
{
	size_t mapped = 0;

	for (int round = 0; round < 20; round++) {
		CHECK(profile_start(1));
		for (uintptr_t i = 0; i < 20000; i++)
			alloc_at(i % 1000, 0x10000 + i * 64, 64);
		for (uintptr_t i = 0; i < 20000; i++)
			profile_free(0x10000 + i * 64);
		CHECK(round == 0 || os_fail_mapped() == mapped);
		mapped = os_fail_mapped();
	}
}

TEST_IN_CHILD(the_record_of_a_freed_object_is_used_again)
{
	size_t mapped = 0;

	CHECK(profile_start(1));
	for (int round = 0; round < 1000; round++) {
		for (uintptr_t i = 0; i < 100; i++)
			alloc_at(1, 0x10000 + i * 64, 64);
		for (uintptr_t i = 0; i < 100; i++)
			profile_free(0x10000 + i * 64);
		CHECK(round == 0 || os_fail_mapped() == mapped);
		mapped = os_fail_mapped();
	}
}

TEST_IN_CHILD(what_has_no_memory_for_a_record_is_dropped_and_counted)
{
	uintptr_t pcs[4];

	os_fail_from(OS_ALLOC_METADATA, 1);
	CHECK(!profile_start(1) && !profile_is_on());
	alloc_at(1, 0x10000, 64);
	os_fail_stop();
	CHECK(profile_start(1));
	alloc_at(1, 0x10000, 64);
	os_fail_from(OS_ALLOC_METADATA, 1);
	for (uintptr_t i = 0; i < 50000; i++)
		alloc_at(i, 0x20000 + i * 64, 64);
	CHECK(count_dropped() > 0 && count_dropped() + count_live() == 50001);
	CHECK(profile_stack_of(0x10000, pcs, 4) == 4);
	/* Frees of what was dropped. */
	for (uintptr_t i = 0; i < 50000; i++)
		profile_free(0x20000 + i * 64);
	CHECK(count_live() == 1);
	/* And for each point of failure at the start. */
	for (unsigned n = 1; n < 8; n++) {
		os_fail_nth(OS_ALLOC_METADATA, n);
		if (profile_start(1))
			alloc_at(1, 0x10000, 64);
		os_fail_stop();
	}
	CHECK(profile_start(1));
	alloc_at(1, 0x10000, 64);
	CHECK(count_live() == 1 && count_dropped() == 0);
}

/* --- in the middle of a record: functions that are called there are wrapped --- */

static _Thread_local bool interrupted;

/* As if a signal's handler, which allocates and frees, came while the thread is in the profile. */
static void interrupt(void)
{
	uintptr_t pcs[4];

	if (!interrupted)
		return;
	profile_alloc(0x70000, 64);
	profile_free(0x10000);
	CHECK(profile_stack_of(0x10000, pcs, 4) == 0);
	CHECK(profile_write_or_errno(1, true) == EDEADLK);
}

/* Where a thread stops while the process is forked, and the tables as they would be a moment
 * earlier or later. */
enum point {
	NOWHERE,
	AT_TABLE,
	BEFORE_INSERT,
	AFTER_INSERT,
	IN_MOVE,
	BEFORE_REMOVE,
	AFTER_REMOVE,
	AFTER_CLEAR,
	POINTS
};

static _Thread_local enum point stop_at;
static _Thread_local unsigned passes;     /* before it stops there */
static pthread_barrier_t stopped, forked;

static void stop(enum point here)
{
	if (stop_at != here || passes-- != 0)
		return;
	stop_at = NOWHERE;
	pthread_barrier_wait(&stopped);
	pthread_barrier_wait(&forked);
}

void *__wrap_fixalloc_table(size_t nbytes);
void __wrap_hashtable_insert(struct hashtable *t, struct hashtable_node *n);
struct hashtable_node *__wrap_hashtable_remove(struct hashtable *t, uint64_t hash);
void __wrap_hashtable_clear(struct hashtable *t);
void *__real_fixalloc_table(size_t nbytes);
void __real_hashtable_insert(struct hashtable *t, struct hashtable_node *n);
struct hashtable_node *__real_hashtable_remove(struct hashtable *t, uint64_t hash);
void __real_hashtable_clear(struct hashtable *t);

void *__wrap_fixalloc_table(size_t nbytes)
{
	interrupt();
	stop(AT_TABLE);
	return __real_fixalloc_table(nbytes);
}

void __wrap_hashtable_insert(struct hashtable *t, struct hashtable_node *n)
{
	stop(BEFORE_INSERT);
	__real_hashtable_insert(t, n);
	t->moving = stop_at == IN_MOVE && passes == 0;
	stop(IN_MOVE);
	t->moving = false;
	stop(AFTER_INSERT);
}

struct hashtable_node *__wrap_hashtable_remove(struct hashtable *t, uint64_t hash)
{
	struct hashtable_node *n;

	stop(BEFORE_REMOVE);
	n = __real_hashtable_remove(t, hash);
	stop(AFTER_REMOVE);
	return n;
}

void __wrap_hashtable_clear(struct hashtable *t)
{
	__real_hashtable_clear(t);
	stop(AFTER_CLEAR);
}

TEST_IN_CHILD(an_allocation_in_the_middle_of_a_record_is_dropped_and_does_not_hang)
{
	CHECK(profile_start(1));
	interrupted = true;
	for (uintptr_t i = 0; i < 20000; i++)
		alloc_at(i, 0x10000 + i * 64, 64);
	interrupted = false;
	CHECK(count_dropped() > 0 && count_live() == 20000);
	read_profile();
	CHECK(total.allocs == 20000);
}

/* --- the estimate --- */

struct truth {
	double objects, bytes, live_objects, live_bytes;
	double objects_variance, bytes_variance, live_objects_variance, live_bytes_variance;
};

static void add_truth(struct truth *t, size_t nbytes, bool live, size_t rate)
{
	double s = (double)nbytes, p = -expm1(-s / (double)rate), variance = (1 - p) / p;

	t->objects++;
	t->bytes += s;
	t->objects_variance += variance;
	t->bytes_variance += s * s * variance;
	if (!live)
		return;
	t->live_objects++;
	t->live_bytes += s;
	t->live_objects_variance += variance;
	t->live_bytes_variance += s * s * variance;
}

/* Compares the allocations of a program, as sample.c sees them, with what was there really. */
static struct truth allocate_mix(uint64_t seed, size_t rate)
{
	static const size_t sizes[] = {
		8, 16, 48, 64, 112, 512, 1024, 9472, 32768, 131072, 4 << 20
	};
	uint64_t rnd = seed;
	uint64_t random = seed * 1000 + 1, until = chance_gap(&random, rate);
	struct truth truth = { 0 };

	for (uintptr_t i = 0; i < 40000; i++) {
		size_t pick = rng_below(&rnd, 1000);
		size_t nbytes = sizes[pick < 950 ? pick % 7 : pick < 999 ? 7 + pick % 3 : 10];
		bool live = rng_below(&rnd, 3) == 0, sampled = until < nbytes;

		add_truth(&truth, nbytes, live, rate);
		if (!sampled) {
			until -= nbytes;
			continue;
		}
		until = chance_gap(&random, rate);
		alloc_at(i % 10, 0x10000 + i * 16, nbytes);
		if (!live)
			profile_free(0x10000 + i * 16);
	}
	return truth;
}

static double deviations(double estimate, double truth, double variance)
{
	return (estimate - truth) / sqrt(variance + 1);
}

/* Checks that each estimate, and their mean over all seeds, is within five deviations. This finds a
 * bias of a quarter of a deviation. */
static void check_estimates(size_t rate)
{
	enum { SEEDS = 40 };
	double mean[4] = { 0 };

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		double sums[4] = { 0 }, z[4];
		struct truth t;

		CHECK(profile_start(rate));
		t = allocate_mix(seed, rate);
		read_profile();
		for (unsigned i = 0; i < nentries; i++) {
			double p = chance_of(entries[i].alloc_bytes / entries[i].allocs, rate);

			sums[0] += (double)entries[i].allocs / p;
			sums[1] += (double)entries[i].alloc_bytes / p;
			sums[2] += (double)entries[i].live / p;
			sums[3] += (double)entries[i].live_bytes / p;
		}
		z[0] = deviations(sums[0], t.objects, t.objects_variance);
		z[1] = deviations(sums[1], t.bytes, t.bytes_variance);
		z[2] = deviations(sums[2], t.live_objects, t.live_objects_variance);
		z[3] = deviations(sums[3], t.live_bytes, t.live_bytes_variance);
		for (int i = 0; i < 4; i++) {
			/* Of few samples of small objects the tail is longer than a normal
			 * one's. */
			CHECK(fabs(z[i]) < 6);
			mean[i] += z[i] / (double)SEEDS;
		}
	}
	for (int i = 0; i < 4; i++)
		CHECK(fabs(mean[i]) < 5 / sqrt(SEEDS));
}

TEST_IN_CHILD(what_is_estimated_is_what_there_was)
{
	check_estimates(KiB(512));
	check_estimates(KiB(4));
	check_estimates(100);
}

/* --- threads --- */

enum { THREADS = 4, ROUNDS = 20000, KEPT = 100 };

static void *hammer(void *arg)
{
	uintptr_t mine = (uintptr_t)arg;

	for (uintptr_t i = 0; i < ROUNDS; i++) {
		uintptr_t addr = mine * 0x100000000 + i % KEPT * 64;

		if (i >= KEPT)
			profile_free(addr);
		alloc_at(i % 50, addr, 64);
	}
	return NULL;
}

TEST_IN_CHILD(threads_share_a_profile)
{
	pthread_t threads[THREADS];

	CHECK(profile_start(1));
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, hammer, (void *)(i + 1)) == 0);
	for (int i = 0; i < 20; i++)
		read_profile();
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	read_profile();
	CHECK(total.allocs == THREADS * ROUNDS && total.live == THREADS * KEPT && nentries == 50);
	CHECK(count_live() == THREADS * KEPT && count_dropped() == 0);
}

/* --- fork --- */

static _Atomic bool ended;

/* Makes the tables grow, again and again. */
static void *grow_tables(void *arg)
{
	while (!atomic_load(&ended)) {
		CHECK(profile_start(1));
		for (uintptr_t i = 0; i < 5000 && !atomic_load(&ended); i++) {
			alloc_at(i, 0x10000 + i * 64, 64);
			if (i % 3 == 0)
				profile_free(0x10000 + i * 32);
		}
	}
	return arg;
}

/* Checks that the figures add up, but for the one sample that was on its way, and that the
 * profile can be used. */
static void check_child(void)
{
	size_t live;

	profile_after_fork();
	read_profile();
	live = count_live();
	CHECK(live <= total.live && total.live <= live + 1 && total.live <= total.allocs);
	for (uintptr_t i = 0; i < 3000; i++)
		alloc_at(i + 10000, 0x40000000 + i * 64, 64);
	CHECK(count_live() == live + 3000);
	for (uintptr_t i = 0; i < 3000; i++)
		profile_free(0x40000000 + i * 64);
	CHECK(count_live() == live && count_dropped() == 0);
	CHECK(profile_start(77));
	read_profile();
	CHECK(nentries == 0);
}

TEST_IN_CHILD(a_child_has_a_sound_profile_whenever_it_is_forked)
{
	pthread_t thread;

	CHECK(profile_start(1));
	CHECK(pthread_create(&thread, NULL, grow_tables, NULL) == 0);
	for (int i = 0; i < 200; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			alarm(20);
			check_child();
			_exit(0);
		}
		CHECK(child_wait(pid) == 0);
	}
	atomic_store(&ended, true);
	pthread_join(thread, NULL);
}

/* A new stack has four new places, a bucket and an object, which are inserted in this order. */
#define INSERTS 6

/* Comes to every point so often. */
static void *stop_there(void *arg)
{
	stop_at = (enum point)((uintptr_t)arg / INSERTS);
	passes = (unsigned)((uintptr_t)arg % INSERTS);
	for (uintptr_t i = 0; stop_at == AT_TABLE || i < 10; i++)
		alloc_at(1000 + i, 0x50000000 + i * 64, 64);
	for (uintptr_t i = 0; i < 10; i++)
		profile_free(0x50000000 + i * 64);
	for (int i = 0; i < INSERTS; i++)
		CHECK(profile_start(1));
	CHECK(stop_at == NOWHERE);
	return NULL;
}

TEST_IN_CHILD(a_child_has_a_sound_profile_at_every_point_of_another_threads_way)
{
	CHECK(pthread_barrier_init(&stopped, NULL, 2) == 0 &&
	      pthread_barrier_init(&forked, NULL, 2) == 0);
	for (uintptr_t at = AT_TABLE * INSERTS; at < POINTS * INSERTS; at++) {
		enum point point = (enum point)(at / INSERTS);
		pthread_t thread;
		pid_t pid;

		CHECK(profile_start(1));
		for (uintptr_t i = 0; i < 100; i++)
			alloc_at(i, 0x10000 + i * 64, 64);
		CHECK(pthread_create(&thread, NULL, stop_there, (void *)at) == 0);
		pthread_barrier_wait(&stopped);
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			alarm(20);
			profile_after_fork();
			/* All are there, or none. */
			CHECK(count_live() >= 100 ? point != IN_MOVE && point != AFTER_CLEAR
						  : count_live() == 0);
			/* With the stack that was on its way. */
			alloc_at(1000, 0x60000000, 64);
			read_profile();
			CHECK(has_live(1000));
			profile_free(0x60000000);
			check_child();
			_exit(0);
		}
		CHECK(child_wait(pid) == 0);
		pthread_barrier_wait(&forked);
		pthread_join(thread, NULL);
	}
}

TEST_IN_CHILD(a_child_goes_on_with_its_parents_profile)
{
	pid_t pid;

	CHECK(profile_start(1));
	alloc_at(1, 0x10000, 64);
	alloc_at(1, 0x20000, 64);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		profile_after_fork();
		profile_free(0x10000);
		alloc_at(2, 0x30000, 64);
		read_profile();
		CHECK(total.live == 2 && total.allocs == 3 && entry_of(1, 64)->live == 1);
		_exit(0);
	}
	CHECK(child_wait(pid) == 0);
	read_profile();
	CHECK(total.live == 2 && total.allocs == 2);
}

TEST_IN_CHILD(a_report_learns_of_the_allocation_and_of_a_late_free)
{
	struct guard_stack allocated, freed;

	CHECK(!profile_history(0x10000, &allocated, &freed));
	CHECK(profile_start(64));
	CHECK(!profile_history(0x10000, &allocated, &freed));
	alloc_at(1, 0x10000, 64);
	CHECK(profile_history(0x10000, &allocated, &freed));
	CHECK(allocated.n == 4 && allocated.pcs[0] == 0x101000 && freed.n == 0);
	set_stack(2, 3);
	profile_free(0x10000);
	CHECK(profile_history(0x10000, &allocated, &freed));
	CHECK(allocated.n == 4 && allocated.pcs[0] == 0x101000);
	CHECK(freed.n == 3 && freed.pcs[0] == 0x201000 && freed.thread != 0);
	/* The object that is there now counts, not the one before. */
	alloc_at(3, 0x10000, 64);
	CHECK(profile_history(0x10000, &allocated, &freed));
	CHECK(allocated.pcs[0] == 0x301000 && freed.n == 0);
	profile_free(0x10000);
	/* 63 frees later it is remembered, 64 later it is not. */
	for (uintptr_t i = 1; i <= 64; i++) {
		CHECK(profile_history(0x10000, &allocated, &freed));
		alloc_at(4, 0x10000 + i * 64, 64);
		profile_free(0x10000 + i * 64);
	}
	CHECK(!profile_history(0x10000, &allocated, &freed));
	CHECK(profile_start(64));
	CHECK(!profile_history(0x10040, &allocated, &freed));
}

static void the_name_says_which_format(void **state)
{
	(void)state;
	assert_true(profile_is_text("x.heap"));
	assert_true(profile_is_text("/a/b.%p.heap"));
	assert_true(profile_is_text(".heap"));
	assert_false(profile_is_text("heap"));
	assert_false(profile_is_text("x.heap.pb.gz"));
	assert_false(profile_is_text(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_profile_nothing_is_kept_and_an_empty_one_is_written),
		cmocka_unit_test(samples_are_kept_by_stack_and_size),
		cmocka_unit_test(every_address_of_a_stack_counts_up_to_the_limit),
		cmocka_unit_test(a_freed_object_is_taken_off_what_is_live_only),
		cmocka_unit_test(an_address_that_is_sampled_again_is_another_object),
		cmocka_unit_test(the_stack_of_a_live_object_can_be_asked_for),
		cmocka_unit_test(after_stop_nothing_is_added_and_frees_still_count),
		cmocka_unit_test(a_new_profile_knows_nothing_of_the_old_one),
		cmocka_unit_test(a_sample_that_began_under_an_earlier_profile_is_in_none),
		cmocka_unit_test(the_memory_of_an_old_profile_is_used_by_the_next),
		cmocka_unit_test(the_record_of_a_freed_object_is_used_again),
		cmocka_unit_test(what_has_no_memory_for_a_record_is_dropped_and_counted),
		cmocka_unit_test(
			an_allocation_in_the_middle_of_a_record_is_dropped_and_does_not_hang),
		cmocka_unit_test(what_is_estimated_is_what_there_was),
		cmocka_unit_test(threads_share_a_profile),
		cmocka_unit_test(a_child_has_a_sound_profile_whenever_it_is_forked),
		cmocka_unit_test(a_child_has_a_sound_profile_at_every_point_of_another_threads_way),
		cmocka_unit_test(a_child_goes_on_with_its_parents_profile),
		cmocka_unit_test(a_report_learns_of_the_allocation_and_of_a_late_free),
		cmocka_unit_test(the_name_says_which_format),
	};

	return cmocka_run_group_tests_name("profile", tests, NULL, NULL);
}
