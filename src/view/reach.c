/* SPDX-License-Identifier: MIT */
/*
 * reach.c - which objects of a target can be reached.
 *
 * A word counts if it points anywhere into an object, and only objects that may hold pointers are
 * searched: the leak finder inside (tools/mark.c) goes by the same rules. It marks in a copy of the
 * process, whose addresses are the process's; here contents and addresses lie apart.
 *
 * Owns     a copy of the contents of scan spans, and the marks.
 */
#include "view/reach.h"
#include "os/os.h"
#include "tools/mark.h"
#include "view/room.h"

#include <stdlib.h>

/* Marks. */
enum { REACHED = 1, FOLLOWED = 2, INDIRECT = 4 };

/* Spans from this size on may have pages without memory. Those pages are not copied. */
#define SPARSE_SIZE MiB(1)

struct reach_range {
	uintptr_t addr;
	size_t nbytes;
	size_t mark;      /* index of the object's mark */
};

/* --- the way from an address to an object --- */

/* An object, and where its mark is. */
struct hit {
	uintptr_t addr;
	size_t nbytes;
	size_t mark;
	bool scan;
};

/* Finds the tiny object that contains a byte. */
static bool find_tiny(const struct snapshot *sn, const struct snapshot_run *run, size_t offset,
		      struct hit *f)
{
	const uint8_t *states = sn->states + run->states_at;

	if (offset >= (size_t)run->run.nelems * TINY_SIZE)
		return false;
	for (size_t at = align_down(offset, TINY_SIZE); at <= offset; at++) {
		uint8_t nbytes = tiny_size_in(states[at]);

		if (nbytes == SLOT_FREE || nbytes > TINY_SIZE || at + nbytes <= offset)
			continue;
		*f = (struct hit){ run->run.base + at, nbytes, run->states_at + at, false };
		return true;
	}
	return false;
}

static bool find_in_run(const struct snapshot *sn, const struct snapshot_run *run, uintptr_t addr,
			struct hit *f)
{
	size_t offset = addr - run->run.base, elemsize, slot = 0;
	uint8_t state;

	if (run->kind == SPAN_TINY)
		return find_tiny(sn, run, offset, f);
	elemsize = run->kind == SPAN_BIG ? run->run.span_npages * PAGE_SIZE
					 : spanclass_info(run->run.spanclass)->elemsize;
	slot = offset / elemsize;
	if (slot >= run->run.nelems)
		return false;
	state = sn->states[run->states_at + slot];
	if (state == SLOT_FREE || state == SLOT_DEAD)
		return false;
	*f = (struct hit){ run->run.base + slot * elemsize, elemsize, run->states_at + slot,
			     spanclass_scan(run->run.spanclass) == SCAN };
	return true;
}

static bool find(const struct reach *r, uintptr_t addr, struct hit *f)
{
	const struct snapshot *sn = r->sn;
	const struct snapshot_arena *a = snapshot_arena_of(sn, addr);
	uint32_t number;

	if (a == NULL)
		return false;
	number = r->run_of[a - sn->arenas][(addr - a->base) >> PAGE_SHIFT];
	return number != 0 && find_in_run(sn, &sn->runs[number - 1], addr, f);
}

void reach_begin(struct reach *r, const struct snapshot *sn)
{
	*r = (struct reach){ .sn = sn, .flag = REACHED };
	r->run_of = room_for(sn->narenas + 1, sizeof(*r->run_of));
	r->contents = room_for(sn->narenas + 1, sizeof(*r->contents));
	r->marks = room_for(sn->nstates + 1, 1);
	if (sn->narenas != 0) {
		r->low = sn->arenas[0].base;
		r->end = sn->arenas[sn->narenas - 1].base + ARENA_SIZE;
	}
	for (size_t i = 0; i < sn->narenas; i++) {
		const struct snapshot_arena *a = &sn->arenas[i];

		r->run_of[i] = room_for(ARENA_PAGES, sizeof(uint32_t));
		for (size_t n = a->first_run; n < a->first_run + a->nruns; n++) {
			const struct heap_run *run = &sn->runs[n].run;

			for (uint32_t p = 0; run->use == RUN_SPAN && p < run->npages; p++)
				r->run_of[i][run->page + p] = (uint32_t)n + 1;
		}
	}
}

void reach_add_words(struct reach *r, const uintptr_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (words[i] < r->low || words[i] >= r->end)
			continue;
		r->words = room_for_more(r->words, r->nwords, sizeof(*r->words));
		r->words[r->nwords++] = words[i];
	}
}

/* --- contents --- */

struct copying {
	struct reach *r;
	size_t arena;
};

static void copy_pages(uintptr_t from, uintptr_t to, void *arg)
{
	const struct copying *c = arg;
	struct snapshot *sn = (struct snapshot *)(uintptr_t)c->r->sn;
	char *at = c->r->contents[c->arena] + (from - sn->arenas[c->arena].base);

	c->r->nunread += to - from - target_read(sn->target, from, at, to - from);
}

static char *make_contents(void)
{
	char *p = os_reserve(NULL, ARENA_SIZE);

	if (p == NULL || os_commit(p, ARENA_SIZE))
		return p;
	(void)os_unreserve(p, ARENA_SIZE);
	return NULL;
}

void reach_copy_heap(struct reach *r, int pagemap)
{
	const struct snapshot *sn = r->sn;

	for (size_t i = 0; i < sn->narenas; i++) {
		const struct snapshot_arena *a = &sn->arenas[i];
		struct copying c = { r, i };

		r->contents[i] = make_contents();
		for (size_t n = a->first_run; n < a->first_run + a->nruns; n++) {
			const struct snapshot_run *run = &sn->runs[n];
			size_t nbytes = (size_t)run->run.npages * PAGE_SIZE;

			if (run->run.use != RUN_SPAN || run->run.fill.objects == 0 ||
			    run->kind == SPAN_TINY || spanclass_scan(run->run.spanclass) != SCAN)
				continue;
			if (r->contents[i] == NULL)
				r->nunread += nbytes;
			else if (nbytes >= SPARSE_SIZE)
				mark_each_present(pagemap, run->base, run->base + nbytes,
						  copy_pages, &c);
			else
				copy_pages(run->base, run->base + nbytes, &c);
		}
	}
}

/* --- marking --- */

static void push(struct reach *r, const struct hit *f)
{
	r->stack = room_for_more(r->stack, r->nstack, sizeof(*r->stack));
	r->stack[r->nstack++] = (struct reach_range){ f->addr, f->nbytes, f->mark };
}

/* Marks the object that a word points into. It will be searched if it may hold addresses. */
static void mark_word(struct reach *r, uintptr_t word)
{
	struct hit f;

	if (word < r->low || word >= r->end || !find(r, word, &f) ||
	    (r->marks[f.mark] & (REACHED | r->flag)) != 0 || f.mark + 1 == r->leader)
		return;
	r->marks[f.mark] |= r->flag;
	if (f.scan)
		push(r, &f);
}

/* Searches an object, which may lie in several arenas. */
static void search(struct reach *r, struct reach_range range)
{
	const struct snapshot *sn = r->sn;

	while (range.nbytes >= sizeof(uintptr_t)) {
		const struct snapshot_arena *a = snapshot_arena_of(sn, range.addr);
		const char *contents;
		size_t offset, n;
		const uintptr_t *words;

		if (a == NULL)
			return;
		contents = r->contents[a - sn->arenas];
		offset = range.addr - a->base;
		n = min_size(range.nbytes, ARENA_SIZE - offset);
		words = (const uintptr_t *)(const void *)(contents + offset);
		for (size_t i = 0; contents != NULL && i < n / sizeof(*words); i++)
			mark_word(r, words[i]);
		range.addr += n;
		range.nbytes -= n;
	}
}

static void drain(struct reach *r)
{
	while (r->nstack != 0)
		search(r, r->stack[--r->nstack]);
}

/* Calls visit for every live object that was not reached. */
static void each_lost(struct reach *r, void (*visit)(struct reach *r, const struct hit *f,
						      void *arg),
		      void *arg, struct reach_totals *totals)
{
	const struct snapshot *sn = r->sn;
	struct hit f;

	*totals = (struct reach_totals){ .nlive = 0 };
	for (size_t n = 0; n < sn->nruns; n++) {
		const struct snapshot_run *run = &sn->runs[n];
		size_t step = run->kind == SPAN_TINY  ? 1
			      : run->kind == SPAN_BIG
				      ? run->run.span_npages * PAGE_SIZE
				      : spanclass_info(run->run.spanclass)->elemsize;
		size_t count = run->run.nelems * (run->kind == SPAN_TINY ? (size_t)TINY_SIZE : 1);

		if (run->run.use != RUN_SPAN || !run->run.first)
			continue;
		for (size_t i = 0; i < count; i++) {
			uintptr_t addr = run->run.base + i * step;

			if (!find_in_run(sn, run, addr, &f) || f.addr != addr)
				continue;
			if (run->run.spanclass == SPANCLASS_ZERO)
				f.nbytes = 0;
			totals->nlive++;
			totals->live_bytes += f.nbytes;
			if ((r->marks[f.mark] & REACHED) != 0)
				continue;
			totals->nlost++;
			totals->lost_bytes += f.nbytes;
			visit(r, &f, arg);
		}
	}
}

static struct snapshot_object object_of(const struct reach *r, const struct hit *f)
{
	return (struct snapshot_object){ .addr = f->addr, .nbytes = f->nbytes,
					 .state = r->sn->states[f->mark], .live = true,
					 .scan = f->scan };
}

/* --- what is spared --- */

/* Marks an object that the program called goalloc_ignore() for. */
static void spare_ignored(struct reach *r, const struct hit *f, void *arg)
{
	(void)arg;
	if ((r->sn->states[f->mark] & SLOT_IGNORED) == 0)
		return;
	mark_word(r, f->addr);
	drain(r);
}

void reach_mark(struct reach *r)
{
	struct reach_totals totals;

	for (size_t i = 0; i < r->nwords; i++)
		mark_word(r, r->words[i]);
	drain(r);
	each_lost(r, spare_ignored, NULL, &totals);
}

struct sparing {
	bool (*spare)(const struct snapshot_object *o, void *arg);
	void *arg;
};

static void spare_one(struct reach *r, const struct hit *f, void *arg)
{
	const struct sparing *s = arg;
	struct snapshot_object o = object_of(r, f);

	if (!s->spare(&o, s->arg))
		return;
	mark_word(r, f->addr);
	drain(r);
}

void reach_spare(struct reach *r, bool (*spare)(const struct snapshot_object *o, void *arg),
		 void *arg)
{
	struct sparing sparing = { spare, arg };
	struct reach_totals totals;

	each_lost(r, spare_one, &sparing, &totals);
}

/* --- direct and indirect --- */

struct leaders {
	struct reach_range *at;
	size_t n;
};

/* Makes a lost object a leader if no object before it, by address, leads to it. */
static void follow(struct reach *r, const struct hit *f, void *arg)
{
	struct leaders *leaders = arg;

	if ((r->marks[f->mark] & FOLLOWED) != 0)
		return;
	r->marks[f->mark] |= FOLLOWED;
	if (!f->scan)
		return;
	leaders->at = room_for_more(leaders->at, leaders->n, sizeof(*leaders->at));
	leaders->at[leaders->n++] = (struct reach_range){ f->addr, f->nbytes, f->mark };
	push(r, f);
	drain(r);
}

/* See mark_lost() in tools/mark.c for why leaders are searched from the last to the first. */
void reach_split(struct reach *r)
{
	struct leaders leaders = { NULL, 0 };
	struct reach_totals totals;

	r->flag = FOLLOWED;
	each_lost(r, follow, &leaders, &totals);
	r->flag = INDIRECT;
	while (leaders.n != 0) {
		struct reach_range range = leaders.at[--leaders.n];

		if ((r->marks[range.mark] & INDIRECT) != 0)
			continue;
		r->leader = range.mark + 1;
		search(r, range);
		drain(r);
	}
	free(leaders.at);
}

/* --- what is lost --- */

struct visiting {
	void (*visit)(const struct snapshot_object *o, bool direct, void *arg);
	void *arg;
};

static void visit_lost(struct reach *r, const struct hit *f, void *arg)
{
	const struct visiting *v = arg;
	struct snapshot_object o = object_of(r, f);

	v->visit(&o, (r->marks[f->mark] & INDIRECT) == 0, v->arg);
}

void reach_each_lost(struct reach *r,
		     void (*visit)(const struct snapshot_object *o, bool direct, void *arg),
		     void *arg, struct reach_totals *totals)
{
	struct visiting v = { visit, arg };

	each_lost(r, visit_lost, &v, totals);
}

void reach_drop(struct reach *r)
{
	for (size_t i = 0; i < r->sn->narenas; i++) {
		free(r->run_of[i]);
		if (r->contents[i] != NULL)
			(void)os_unreserve(r->contents[i], ARENA_SIZE);
	}
	free(r->run_of);
	free(r->contents);
	free(r->marks);
	free(r->words);
	free(r->stack);
}
