/* SPDX-License-Identifier: MIT */
/*
 * steady.c - keeps LIVE bytes allocated while sizes and lifetimes drift.
 *
 * In each phase half of LIVE is allocated anew in the sizes of that phase. The objects that are
 * freed to make room are mostly young, sometimes of any age. Memory that the allocator cannot use
 * again for the new sizes shows as peak RSS. One operation is one malloc and one free.
 */
#include "object.h"
#include "prng.h"
#include "sizes.h"
#include "stopwatch.h"
#include "workload.h"

#define MIN_NBYTES    32u /* smallest object of the first phase; bounds how many can be live */
#define NSTEPS        6u  /* phases until the sizes come round: 32 B .. 8 KiB */
#define SPREAD        8u  /* largest / smallest size in a phase */
#define NYOUNG        1024u
#define YOUNG_PERCENT 70u

struct entry {
	void *object;
	uint32_t nbytes;
};

/* All live objects. The youngest takes the place of a freed one. */
struct population {
	struct entry *entry;
	uint32_t count;
	size_t nbytes; /* of all of them */
};

static struct sizes sizes;

static void population_add(struct population *all, uint32_t nbytes)
{
	all->entry[all->count++] = (struct entry){ object_new(nbytes, nbytes), nbytes };
	all->nbytes += nbytes;
}

static void population_remove(struct population *all, uint32_t i)
{
	struct entry gone = all->entry[i];

	all->entry[i] = all->entry[--all->count];
	all->nbytes -= gone.nbytes;
	object_delete(gone.object, gone.nbytes);
}

static uint32_t victim(const struct population *all, struct prng *r)
{
	if (all->count > NYOUNG && prng_below(r, 100) < YOUNG_PERCENT)
		return all->count - 1 - prng_below(r, NYOUNG);
	return prng_below(r, all->count);
}

/* Allocates new_nbytes in sizes from `min` on. Returns how many objects it allocated. */
static uint64_t phase_run(struct population *all, struct prng *r, size_t live, size_t new_nbytes,
			  uint32_t min)
{
	uint64_t nops = 0;

	sizes_between(&sizes, min, min * SPREAD, min);
	for (size_t done = 0; done < new_nbytes; nops++) {
		uint32_t nbytes = (uint32_t)sizes_at(&sizes, prng_next(r) >> 32);

		while (all->count > 0 && all->nbytes + nbytes > live)
			population_remove(all, victim(all, r));
		population_add(all, nbytes);
		done += nbytes;
	}
	return nops;
}

double steady_run(char **arg)
{
	size_t live = arg_number(arg[0], MIB, 64 * GIB);
	uint32_t nphases = (uint32_t)arg_number(arg[1], 1, 1u << 20);
	struct population all = { .entry = own_memory(live / MIN_NBYTES * sizeof *all.entry) };
	struct prng r = prng_seed(10);
	struct stopwatch watch = { 0 };
	uint64_t nops = 0;

	stopwatch_start(&watch);
	for (uint32_t phase = 0; phase < nphases; phase++)
		nops += phase_run(&all, &r, live, live / 2, MIN_NBYTES << (phase % NSTEPS));
	while (all.count > 0)
		population_remove(&all, all.count - 1);
	stopwatch_stop(&watch, nops);
	return watch.best_ns;
}
