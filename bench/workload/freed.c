/* SPDX-License-Identifier: MIT */
/*
 * freed.c - frees a large heap at once and goes on working. See kept.h.
 *
 * The work after the mass free needs little memory, and most of its calls never leave an
 * allocator's fast path. So nothing but the frees themselves can give the memory back.
 */
#include "kept.h"
#include "object.h"
#include "prng.h"
#include "stopwatch.h"
#include "workload.h"

#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#define MIN_NBYTES  16u
#define MEAN_NBYTES 115u
#define WORK_S      4u
#define FAST_BATCH  1000u

#define CHURN_NBYTES 100u
#define CHURN_GROUP  400u /* neighbours that share a fate */
#define CHURN_KEPT   10u  /* one group in so many stays */

struct load {
	void **object;
	size_t count;
	size_t nbytes; /* of all objects */
};

/* Allocates `mib` of objects of 16 B to 215 B and writes all of them. */
static struct load load_new(size_t mib)
{
	struct load l = { .count = mib * MIB / MEAN_NBYTES };
	struct prng r = prng_seed(1);

	l.object = own_memory(l.count * sizeof *l.object);
	for (size_t i = 0; i < l.count; i++) {
		size_t nbytes = MIN_NBYTES + prng_below(&r, 200);

		l.object[i] = memset(object_must(malloc(nbytes)), 1, nbytes);
		l.nbytes += nbytes;
	}
	return l;
}

static void load_delete(struct load *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->object[i]);
	own_memory_release(l->object, l->count * sizeof *l->object);
	*l = (struct load){ 0 };
}

size_t freed_then_works(size_t mib, size_t work)
{
	struct load l = load_new(mib);

	load_delete(&l);
	for (double end = kept_seconds() + WORK_S; kept_seconds() < end;) {
		if (work == WORK_LIGHT) {
			kept_serve();
			kept_nap_ms(100);
			continue;
		}
		for (unsigned i = 0; i < FAST_BATCH; i++)
			kept_serve();
	}
	return 0;
}

static void *churn_new(void)
{
	return memset(object_must(malloc(CHURN_NBYTES)), 1, CHURN_NBYTES);
}

/* Frees most groups of `object` and moves the others to `kept`. Returns how many objects stay. */
static size_t keep_few(void **object, size_t nobjects, void **kept)
{
	struct prng r = prng_seed(2);
	size_t count = 0;

	for (size_t i = 0; i < nobjects; i += CHURN_GROUP) {
		size_t end = i + CHURN_GROUP < nobjects ? i + CHURN_GROUP : nobjects;
		bool stays = prng_below(&r, CHURN_KEPT) == 0;

		for (size_t k = i; k < end; k++) {
			if (stays)
				kept[count++] = object[k];
			else
				free(object[k]);
		}
	}
	return count;
}

size_t freed_then_churns(size_t nobjects, size_t seconds)
{
	void **object = own_memory(nobjects * sizeof *object);
	void **kept = own_memory(nobjects * sizeof *kept);
	struct prng r = prng_seed(3);

	for (size_t i = 0; i < nobjects; i++)
		object[i] = churn_new();
	size_t count = keep_few(object, nobjects, kept);

	own_memory_release(object, nobjects * sizeof *object);
	for (double end = kept_seconds() + (double)seconds; kept_seconds() < end;) {
		for (unsigned i = 0; i < CHURN_GROUP; i++) {
			size_t k = prng_below(&r, (uint32_t)count);

			free(kept[k]);
			kept[k] = churn_new();
		}
		kept_nap_ms(10);
	}
	return count * CHURN_NBYTES;
}

static void print_point(const struct load *l)
{
	dprintf(STDOUT_FILENO, "%.2f %.1f %.1f\n", kept_seconds(), (double)l->nbytes / MIB,
		(double)kept_resident_kib() / KIB);
}

/* Serves small requests for so many seconds and prints a point every tenth of a second. */
static void serve_for(const struct load *l, double seconds)
{
	double end = kept_seconds() + seconds;

	while (kept_seconds() < end) {
		for (unsigned ms = 0; ms < 100; ms += 5) {
			for (unsigned i = 0; i < 10; i++)
				kept_serve();
			kept_nap_ms(5);
		}
		print_point(l);
	}
}

size_t freed_and_loaded_again(size_t mib, size_t seconds)
{
	struct load l = { 0 };

	print_point(&l);
	serve_for(&l, 1);
	for (unsigned turn = 0; turn < 2; turn++) {
		l = load_new(mib);
		print_point(&l);
		serve_for(&l, (double)seconds / 2);
		load_delete(&l);
		print_point(&l);
		serve_for(&l, (double)seconds);
	}
	malloc_trim(0);
	print_point(&l);
	serve_for(&l, 1);
	return 0;
}
