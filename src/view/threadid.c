/* SPDX-License-Identifier: MIT */
/*
 * threadid.c - finds out which thread has which cache.
 *
 * A cache has the address of a thread-local variable of its thread, but not the kernel's number of
 * the thread: a sandbox may kill a process that asks the kernel for it. libc keeps the number in
 * its own record of the thread. That lies at the same distance from the variable in every thread,
 * because both are in the thread's static block. So the distance is the one at which every thread
 * has a number of the target's threads, each its own.
 */
#include "view/threadid.h"
#include "view/room.h"

#include <stdlib.h>

/* How many bytes before and behind the variable are searched. */
#define AROUND ((size_t)KiB(16))
#define NWORDS (2 * AROUND / sizeof(int))

/* The most threads that are searched. */
#define WINDOWS_MOST 32

/* What lies around the variable of a thread. */
struct window {
	size_t first, end;        /* the words that could be read */
	int words[NWORDS];
};

struct search {
	int *numbers;             /* of the target's threads, sorted */
	size_t nnumbers;
	struct window *windows;
	size_t nwindows;
};

static int by_number(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void read_window(struct target *t, uintptr_t user, struct window *w)
{
	const struct target_map *map = target_map_of(t, user);
	uintptr_t from = user - AROUND;

	w->first = w->end = 0;
	if (map == NULL || user < AROUND)
		return;
	if (from < map->start)
		w->first = (map->start - from + sizeof(int) - 1) / sizeof(int);
	w->end = w->first + target_read(t, from + w->first * sizeof(int), &w->words[w->first],
					(NWORDS - w->first) * sizeof(int)) /
				    sizeof(int);
}

/* Returns how many threads have a number at this word. Returns 0 if two have the same. */
static size_t count_numbers(const struct search *s, size_t word)
{
	int seen[WINDOWS_MOST];
	size_t n = 0;

	for (size_t i = 0; i < s->nwindows; i++) {
		const struct window *w = &s->windows[i];
		const int *number = &w->words[word];

		if (word < w->first || word >= w->end ||
		    bsearch(number, s->numbers, s->nnumbers, sizeof(*number), by_number) == NULL)
			continue;
		for (size_t k = 0; k < n; k++)
			if (seen[k] == *number)
				return 0;
		seen[n++] = *number;
	}
	return n;
}

/* Returns the word at which most threads have a number, or NWORDS if there is none. */
static size_t best_word(const struct search *s)
{
	size_t best = NWORDS, most = 0;

	for (size_t word = 0; word < NWORDS; word++) {
		size_t n = count_numbers(s, word);

		if (n > most) {
			most = n;
			best = word;
		}
	}
	return best;
}

/* Returns the distance from the variable to the number, or 0 if it is not found. */
static intptr_t find_distance(const struct snapshot *sn)
{
	const struct target *t = sn->target;
	struct search s = { .nnumbers = t->nthreads };
	intptr_t distance;
	size_t word;

	s.numbers = room_for(t->nthreads + 1, sizeof(*s.numbers));
	for (size_t i = 0; i < t->nthreads; i++)
		s.numbers[i] = t->threads[i].inner_tid;
	qsort(s.numbers, s.nnumbers, sizeof(*s.numbers), by_number);
	s.windows = room_for(WINDOWS_MOST, sizeof(*s.windows));
	for (size_t i = 0; i < sn->ncaches && s.nwindows < WINDOWS_MOST; i++) {
		struct window *w = &s.windows[s.nwindows];

		if (sn->caches[i].shared)
			continue;
		read_window(sn->target, sn->caches[i].user, w);
		/* The memory of a thread that has ended may be gone. */
		if (w->end > w->first)
			s.nwindows++;
	}
	word = best_word(&s);
	distance = word == NWORDS ? 0 : (intptr_t)(word * sizeof(int)) - (intptr_t)AROUND;
	free(s.windows);
	free(s.numbers);
	return distance;
}

/* Sets the numbers by the distance that is known. Returns true if every cache has one of its own
 * then. */
static bool read_numbers(struct snapshot *sn)
{
	bool all = true;

	for (size_t i = 0; i < sn->ncaches; i++) {
		struct snapshot_cache *c = &sn->caches[i];
		int tid;

		c->tid = 0;
		if (c->shared)
			continue;
		if (target_read_all(sn->target, c->user + (uintptr_t)sn->target->tid_distance, &tid,
				    sizeof(tid)) &&
		    target_thread_of(sn->target, tid) != NULL)
			c->tid = tid;
		for (size_t k = 0; k < i; k++)
			all = all && (c->tid != sn->caches[k].tid || sn->caches[k].shared);
		all = all && c->tid != 0;
	}
	return all;
}

void threadid_find(struct snapshot *sn)
{
	intptr_t distance;

	if (sn->target->tid_distance != 0 && read_numbers(sn))
		return;
	distance = find_distance(sn);
	if (distance == 0)
		return;
	sn->target->tid_distance = distance;
	(void)read_numbers(sn);
}
