/* SPDX-License-Identifier: MIT */
/*
 * roots.c - searches registers, stacks, data, thread-local storage and mappings of a target for
 * addresses of objects.
 *
 * The same memory counts as for the leak finder inside (tools/roots.c): private memory that was
 * written to, and shared memory without a file. Arenas, the heap's own records, stacks below the
 * stack pointer, and stacks of threads that have ended do not count.
 *
 * Owns     the list of memory that does not count.
 */
#include "view/roots.h"
#include "tools/mark.h"
#include "view/range.h"
#include "view/room.h"

#include <stdlib.h>
#include <string.h>

/* The smallest part of an arena that is committed. */
#define HEAP_UNIT (64 * PAGE_SIZE)

/* Bytes that are read at a time. */
#define PIECE KiB(256)

/* A thread's record begins in so many bytes at the end of a stack that libc made. */
#define RECORD_ROOM KiB(4)

/* The number of blocks of the list of places that are believed. */
#define PLACES_MOST 4096

struct hidden {
	uintptr_t from, to;
};

struct roots {
	struct reach *r;
	struct target *t;
	const struct freeze *f;
	struct hidden *hidden;    /* by address; they may overlap */
	size_t nhidden;
	size_t next;              /* the first that the walk has not passed */
	uintptr_t *piece;
	size_t nunread;
};

/* --- memory that does not count --- */

static void hide(struct roots *r, uintptr_t from, uint64_t nbytes)
{
	r->hidden = room_for_more(r->hidden, r->nhidden, sizeof(*r->hidden));
	r->hidden[r->nhidden++] = (struct hidden){ from, from + nbytes };
}

static void hide_records(struct roots *r)
{
	const struct viewed_root *root = &r->r->sn->root;
	uintptr_t at = (uintptr_t)root->metadata;
	struct places places;

	for (size_t i = 0; i < sizeof(root->records_in_data) / sizeof(root->records_in_data[0]);
	     i++)
		hide(r, (uintptr_t)root->records_in_data[i].at, root->records_in_data[i].nbytes);
	for (unsigned i = 0; at != 0 && i < PLACES_MOST; i++) {
		if (!target_read_all(r->t, at, &places, sizeof(places)))
			return;
		/* Relaxed: it is a copy. */
		for (size_t n = 0; n < PLACES; n++)
			hide(r, places.at[n].addr,
			     atomic_load_explicit(&places.at[n].nbytes, memory_order_relaxed));
		at = (uintptr_t)atomic_load_explicit(&places.next, memory_order_relaxed);
	}
}

/* Returns whether a thread has its stack pointer or its storage in [from, to). */
static bool has_thread(const struct roots *r, uintptr_t from, uintptr_t to)
{
	for (size_t i = 0; i < r->f->nthreads; i++) {
		const struct frozen_thread *thread = &r->f->threads[i];

		if ((thread->stack >= from && thread->stack < to) ||
		    (thread->tls >= from && thread->tls < to))
			return true;
	}
	return false;
}

/* Returns whether a guard, which cannot be read, lies below the mapping. A core may lack it. */
static bool is_above_guard(const struct roots *r, const struct target_map *m)
{
	if (m == r->t->maps || m[-1].end != m->start)
		return r->t->is_core;
	return (m[-1].flags & MAPPING_READ) == 0;
}

/* Returns whether the mapping is the stack of the first thread. */
static bool is_main_stack(const struct roots *r, const struct target_map *m)
{
	if (strcmp(m->name, "[stack]") == 0)
		return true;
	if (!r->t->is_core)
		return false;
	for (const struct target_map *above = m + 1; above < r->t->maps + r->t->nmaps; above++)
		if ((above->flags & MAPPING_WRITE) != 0)
			return false;
	return true;
}

/* Hides the unused part of a thread's stack, where the mapping is surely the stack: for the first
 * thread, and where libc made it, over a guard and with the thread's storage at its top. */
static void hide_unused_stack(struct roots *r, const struct frozen_thread *thread)
{
	const struct target_map *m = target_map_of(r->t, thread->stack);
	uintptr_t bottom = align_down(thread->stack - CPU_RED_ZONE, sizeof(uintptr_t));

	if (m == NULL || bottom <= m->start)
		return;
	if (!is_main_stack(r, m) &&
	    (thread->tls < thread->stack || thread->tls >= m->end ||
	     has_thread(r, m->start, bottom) || !is_above_guard(r, m)))
		return;
	hide(r, m->start, bottom - m->start);
}

/* Hides a stack that libc keeps from a thread that has ended for the next one. See
 * hide_dead_stack() in tools/roots.c. */
static void hide_dead_stack(struct roots *r, const struct target_map *m)
{
	uintptr_t words[RECORD_ROOM / sizeof(uintptr_t)], from = m->end - RECORD_ROOM;

	if (m->name[0] != '\0' || m->end - m->start < 2 * RECORD_ROOM ||
	    (m->flags & (MAPPING_READ | MAPPING_WRITE | MAPPING_SHARED)) !=
		    (MAPPING_READ | MAPPING_WRITE) ||
	    !is_above_guard(r, m) || snapshot_run_of(r->r->sn, m->start) != NULL ||
	    has_thread(r, m->start, m->end) || !target_read_all(r->t, from, words, sizeof(words)))
		return;
	for (size_t at = 0; at < RECORD_ROOM; at += CACHE_LINE) {
		const uintptr_t *record = &words[at / sizeof(uintptr_t)];

		if (record[0] == from + at && record[CPU_TLS_SELF_WORD] == from + at)
			hide(r, m->start, from + at - m->start);
	}
}

static void make_hidden(struct roots *r)
{
	const struct freeze *f = r->f;
	bool known = f->nthreads != 0 && f->missed == 0 && !f->refused;

	hide_records(r);
	for (size_t i = 0; i < f->nthreads; i++)
		if (f->threads[i].stack != 0)
			hide_unused_stack(r, &f->threads[i]);
	for (size_t i = 0; CPU_TLS_SELF_WORD != 0 && known && i < r->t->nmaps; i++)
		hide_dead_stack(r, &r->t->maps[i]);
	qsort(r->hidden, r->nhidden, sizeof(*r->hidden), range_by_start);
}

/* --- the walk --- */

static void read_range(struct roots *r, uintptr_t from, uintptr_t to)
{
	while (from < to) {
		size_t want = min_size(to - from, PIECE);
		size_t got = target_read(r->t, from, r->piece, want);

		reach_add_words(r->r, r->piece, got / sizeof(uintptr_t));
		from += align_down(got, sizeof(uintptr_t));
		if (got == want)
			continue;
		/* The rest of this kernel page cannot be read. */
		want = min_size(align_up(from + 1, KiB(4)), to) - from;
		r->nunread += want;
		from += want;
	}
}

/* Reads memory that is present, without the hidden parts. */
static void read_present(uintptr_t from, uintptr_t to, void *arg)
{
	struct roots *r = arg;

	while (from < to) {
		const struct hidden *h = &r->hidden[r->next];
		uintptr_t stop = to;

		if (r->next < r->nhidden && h->to <= from) {
			r->next++;
			continue;
		}
		if (r->next < r->nhidden && h->from <= from) {
			from = align_up(h->to, sizeof(uintptr_t));
			continue;
		}
		if (r->next < r->nhidden)
			stop = min_size(to, align_down(h->from, sizeof(uintptr_t)));
		read_range(r, from, stop);
		from = max_size(stop, from + sizeof(uintptr_t));
	}
}

static bool is_heap(const struct snapshot_arena *a, uintptr_t addr)
{
	size_t word = (addr - a->base) / HEAP_UNIT;

	return (a->committed_words[word / 64] >> word % 64 & 1) != 0;
}

/* Reads the parts of a mapping that do not belong to the heap. */
static void read_outside(struct roots *r, const struct target_map *m, int pagemap)
{
	uintptr_t from = m->start, to;

	for (; from < m->end; from = to) {
		const struct snapshot_arena *a = snapshot_arena_of(r->r->sn, from);
		size_t unit = a != NULL ? HEAP_UNIT : ARENA_SIZE;

		to = from + min_size(unit - from % unit, m->end - from);
		if (a == NULL || !is_heap(a, from))
			mark_each_present(pagemap, from, to, read_present, r);
	}
}

static bool begins(const char *name, const char *beginning)
{
	return strncmp(name, beginning, strlen(beginning)) == 0;
}

static bool is_memory(const char *name)
{
	return name[0] == '\0' || begins(name, "/memfd:") || begins(name, "/SYSV") ||
	       begins(name, "/dev/zero") || begins(name, "/dev/shm/") ||
	       begins(name, "/anon_hugepage");
}

/* Returns whether the mapping may hold what the program has written. */
static bool counts(const struct target_map *m)
{
	uint32_t access = m->flags & (MAPPING_READ | MAPPING_WRITE | MAPPING_SHARED);

	if (access == (MAPPING_READ | MAPPING_WRITE | MAPPING_SHARED))
		return is_memory(m->name);
	return (access & MAPPING_READ) != 0 && (access & MAPPING_SHARED) == 0 &&
	       (is_memory(m->name) || (!begins(m->name, "/dev/") && !begins(m->name, "[v")));
}

size_t roots_collect(struct reach *reach, const struct freeze *f, int pagemap)
{
	struct roots r = { .r = reach, .t = reach->sn->target, .f = f };

	r.piece = room_for(PIECE, 1);
	make_hidden(&r);
	reach_add_words(reach, f->words, f->nwords);
	for (size_t i = 0; i < r.t->nmaps; i++) {
		const struct target_map *m = &r.t->maps[i];

		if (counts(m))
			read_outside(&r, m, (m->flags & MAPPING_SHARED) != 0 ? -1 : pagemap);
	}
	free(r.piece);
	free(r.hidden);
	return r.nunread;
}
