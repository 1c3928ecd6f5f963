/* SPDX-License-Identifier: MIT */
/*
 * holes.c - frees most of a heap, so that what stays lies scattered among holes. See kept.h.
 */
#include "kept.h"
#include "object.h"
#include "prng.h"
#include "sizes.h"
#include "workload.h"

#include <sys/wait.h>
#include <unistd.h>

#define PINS_NBYTES  (256 * MIB)
#define NBUFFERS     3u  /* of a connection */
#define NREPLACED    10u /* how often a mixed object is replaced, on average */
#define CHILD_NBYTES 256u

struct entry {
	void *object;
	size_t nbytes;
};

/* Objects that stand in a table of the workload's own. */
struct population {
	struct entry *entry;
	size_t count;
	size_t nbytes; /* of the live objects */
};

static struct sizes sizes;

static struct population population_new(size_t count)
{
	return (struct population){ own_memory(count * sizeof(struct entry)), count, 0 };
}

static void entry_delete(struct population *p, size_t i)
{
	p->nbytes -= p->entry[i].nbytes;
	free(p->entry[i].object);
	p->entry[i] = (struct entry){ 0 };
}

static void entry_new(struct population *p, size_t i, size_t nbytes)
{
	void *object = object_new(nbytes, i);

	object_touch_pages(object, 8, nbytes);
	p->entry[i] = (struct entry){ object, nbytes };
	p->nbytes += nbytes;
}

static void shuffle(struct population *p, struct prng *r)
{
	for (size_t i = p->count - 1; i > 0; i--) {
		size_t k = prng_below(r, (uint32_t)i + 1);
		struct entry e = p->entry[i];

		p->entry[i] = p->entry[k];
		p->entry[k] = e;
	}
}

/* Frees all but one entry in `nth`, gives the table back, and lets time pass. Returns the bytes
 * that are live. */
static size_t keep_one_in(struct population *p, size_t nth)
{
	for (size_t i = 0; i < p->count; i++) {
		if (i % nth != 0)
			entry_delete(p, i);
	}
	own_memory_release(p->entry, p->count * sizeof *p->entry);
	kept_work_a_little();
	kept_work_a_little();
	return p->nbytes;
}

size_t holes_pins(size_t nbytes, size_t nth)
{
	struct population p = population_new(PINS_NBYTES / nbytes);
	struct prng r = prng_seed(4);

	for (size_t i = 0; i < p.count; i++)
		entry_new(&p, i, nbytes);
	shuffle(&p, &r);
	return keep_one_in(&p, nth);
}

size_t holes_connections(size_t nconnections, size_t nth)
{
	static const size_t input[] = { KIB, 2 * KIB, 4 * KIB, 8 * KIB, 16 * KIB };
	struct population p = population_new(nconnections * NBUFFERS);
	struct prng r = prng_seed(5);

	for (size_t i = 0; i < p.count; i += NBUFFERS) {
		entry_new(&p, i, 200 + prng_below(&r, 500));
		entry_new(&p, i + 1, input[prng_below(&r, 5)]);
		entry_new(&p, i + 2, (512u << prng_below(&r, 6)) + prng_below(&r, 512));
	}
	/* A connection is closed as a whole, so one number decides for its buffers. */
	for (size_t i = 0; i < p.count; i += NBUFFERS) {
		bool stays = prng_below(&r, (uint32_t)nth) == 0;

		for (size_t k = i; !stays && k < i + NBUFFERS; k++)
			entry_delete(&p, k);
	}
	own_memory_release(p.entry, p.count * sizeof *p.entry);
	kept_work_a_little();
	kept_work_a_little();
	return p.nbytes;
}

size_t holes_mixed(size_t nobjects, size_t nth)
{
	struct population p = population_new(nobjects);
	struct prng r = prng_seed(6);

	sizes_usual(&sizes, 6);
	for (size_t i = 0; i < p.count; i++)
		entry_new(&p, i, sizes_at(&sizes, i));
	for (size_t i = 0; i < p.count * NREPLACED; i++) {
		size_t k = prng_below(&r, (uint32_t)p.count);

		entry_delete(&p, k);
		entry_new(&p, k, sizes_at(&sizes, i));
	}
	return keep_one_in(&p, nth);
}

size_t holes_phases(size_t mib, size_t nth)
{
	static const size_t size[] = { 48, 96, 40, 200, 64, 520, 130, 1500, 300, 32 };
	struct prng r = prng_seed(7);
	size_t live = 0;

	for (size_t phase = 0; phase < sizeof size / sizeof size[0]; phase++) {
		size_t count = mib * MIB / size[phase];
		void **object = own_memory(count * sizeof *object);

		for (size_t i = 0; i < count; i++)
			object[i] = memset(object_must(malloc(size[phase])), 1, size[phase]);
		for (size_t i = 0; i < count; i++) {
			if (prng_below(&r, (uint32_t)nth) != 0)
				free(object[i]);
			else
				live += size[phase];
		}
		own_memory_release(object, count * sizeof *object);
	}
	return live;
}

size_t holes_waves(size_t mib, size_t nwaves)
{
	struct population p = population_new(mib * MIB / 64);
	struct prng r = prng_seed(8);
	size_t count = 0;

	sizes_usual(&sizes, 8);
	for (size_t wave = 0; wave < nwaves; wave++) {
		while (p.nbytes < mib * MIB && count < p.count) {
			entry_new(&p, count, sizes_at(&sizes, prng_next(&r) >> 32));
			count++;
		}
		while (p.nbytes > mib * MIB / 8) {
			size_t k = prng_below(&r, (uint32_t)count);
			struct entry last = p.entry[--count];

			p.nbytes -= p.entry[k].nbytes;
			free(p.entry[k].object);
			p.entry[k] = last;
		}
	}
	kept_work_a_little();
	return p.nbytes;
}

size_t holes_child(size_t mib, size_t nth)
{
	struct population p = population_new(mib * MIB / CHILD_NBYTES);
	int status = 0;

	for (size_t i = 0; i < p.count; i++)
		entry_new(&p, i, CHILD_NBYTES);
	pid_t child = fork();

	if (child < 0)
		object_failed("cannot fork");
	if (child > 0) {
		if (waitpid(child, &status, 0) != child)
			object_failed("cannot wait for the child");
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	kept_count_private();
	for (size_t i = 0; i < p.count; i += nth * 100) {
		size_t end = i + 100 < p.count ? i + 100 : p.count;

		for (size_t k = i; k < end; k++)
			entry_delete(&p, k);
		for (size_t k = i; k < end; k++)
			entry_new(&p, k, CHILD_NBYTES);
	}
	return p.nbytes;
}
