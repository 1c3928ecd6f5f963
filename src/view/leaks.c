/* SPDX-License-Identifier: MIT */
/*
 * leaks.c - finds the objects of a target that it cannot reach any more.
 *
 * The threads of a process stand still while registers are read and memory is copied. For a few
 * instructions no memory may contain the address of an object that a thread is making or moving.
 * So a second look decides: an object that is lost in both looks is a leak. With --live the threads
 * run on; what a look misses then is found by the other, mostly.
 *
 * Owns     what was found.
 */
#include "view/leaks.h"
#include "os/os.h"
#include "os/os_process.h"
#include "view/command.h"
#include "view/roots.h"
#include "view/room.h"
#include "view/suppressions.h"
#include "view/take.h"

#include <stdlib.h>
#include <unistd.h>

/* Milliseconds between two looks. */
#define BETWEEN_LOOKS 20

#define GROUP_HEADS 65536

/* The leaks that are found, look by look. */
struct search {
	struct leaks *leaks;
	uintptr_t *first;         /* lost at the first look, by address */
	size_t nfirst;
	size_t *heads;            /* groups by hash: number + 1 */
	bool *lost;               /* beside samples.stacks: a lost object has it */
	struct suppression **by;  /* beside them: what suppresses it, or NULL */
};

/* --- groups --- */

static bool is_group_of(const struct leaks_group *g, const struct samples_stack *stack, size_t size)
{
	if (stack == NULL || g->stack == NULL)
		return stack == g->stack && g->size == size;
	return g->stack->npcs == stack->npcs && same_words(g->stack->pcs, stack->pcs, stack->npcs);
}

static struct leaks_group *group_of(struct search *s, const struct samples_stack *stack,
				    size_t size)
{
	uint64_t hash = stack != NULL ? hashtable_of_stack(stack->pcs, stack->npcs, 0)
				      : hashtable_of_addr(size);
	size_t *head = &s->heads[(hash >> 32) % GROUP_HEADS];
	struct leaks *l = s->leaks;
	size_t i = *head;

	for (; i != 0; i = l->groups[i - 1].next)
		if (is_group_of(&l->groups[i - 1], stack, size))
			return &l->groups[i - 1];
	l->groups = room_for_more(l->groups, l->ngroups, sizeof(*l->groups));
	l->groups[l->ngroups++] =
		(struct leaks_group){ .stack = stack, .size = size, .next = *head };
	*head = l->ngroups;
	return &l->groups[l->ngroups - 1];
}

static void add_lost(const struct snapshot_object *o, bool direct, void *arg)
{
	struct search *s = arg;
	const struct samples_stack *stack = samples_of(&s->leaks->samples, o->addr);
	struct leaks_group *g = group_of(s, stack, stack != NULL ? 0 : o->nbytes);

	if (g->example == 0)
		g->example = o->addr;
	if (direct) {
		g->ndirect++;
		g->direct_bytes += o->nbytes;
	} else {
		g->nindirect++;
		g->indirect_bytes += o->nbytes;
	}
}

static size_t bytes_of(const struct leaks_group *g)
{
	return g->direct_bytes + g->indirect_bytes;
}

static int by_bytes(const void *a, const void *b)
{
	const struct leaks_group *x = a, *y = b;

	if (bytes_of(x) != bytes_of(y))
		return bytes_of(x) > bytes_of(y) ? -1 : 1;
	return x->example < y->example ? -1 : x->example > y->example;
}

/* --- looks --- */

static int by_address(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

static void list_lost(const struct snapshot_object *o, bool direct, void *arg)
{
	struct search *s = arg;

	(void)direct;
	s->first = room_for_more(s->first, s->nfirst, sizeof(*s->first));
	s->first[s->nfirst++] = o->addr;
}

/* Returns whether the first look did not find the object lost. */
static bool is_spared(const struct snapshot_object *o, void *arg)
{
	const struct search *s = arg;

	return bsearch(&o->addr, s->first, s->nfirst, sizeof(*s->first), by_address) == NULL;
}

/* --- suppressions --- */

/* Returns the suppression of the object. */
static struct suppression *suppression_of(const struct search *s, const struct snapshot_object *o)
{
	const struct samples_stack *stack = samples_of(&s->leaks->samples, o->addr);

	return stack != NULL ? s->by[stack - s->leaks->samples.stacks] : NULL;
}

static void add_stack(const struct snapshot_object *o, bool direct, void *arg)
{
	struct search *s = arg;
	const struct samples_stack *stack = samples_of(&s->leaks->samples, o->addr);
	bool *lost = stack != NULL ? &s->lost[stack - s->leaks->samples.stacks] : NULL;

	(void)direct;
	if (lost == NULL || *lost)
		return;
	*lost = true;
	frames_add(&s->leaks->frames, stack->pcs, stack->npcs);
}

static void count_suppressed(const struct snapshot_object *o, bool direct, void *arg)
{
	(void)direct;
	suppress_count(suppression_of(arg, o), o->nbytes);
}

static bool is_suppressed(const struct snapshot_object *o, void *arg)
{
	return suppression_of(arg, o) != NULL;
}

static void count_no_more(const struct snapshot_object *o, bool direct, void *arg)
{
	(void)o;
	(void)direct;
	(void)arg;
}

/* Marks as reached what --suppressions names. Finds the names of all stacks for that. */
static void suppress(struct search *s, struct reach *r, const struct target *t)
{
	struct leaks *l = s->leaks;
	const struct samples *samples = &l->samples;
	struct reach_totals before;

	s->lost = room_for(samples->nstacks + 1, sizeof(*s->lost));
	s->by = room_for(samples->nstacks + 1, sizeof(struct suppression *));
	reach_each_lost(r, add_stack, s, &before);
	frames_resolve(&l->frames, t);
	for (size_t i = 0; i < samples->nstacks; i++)
		if (s->lost[i])
			s->by[i] = suppressions_find(&l->frames, t, samples->stacks[i].pcs,
						     samples->stacks[i].npcs);
	for (size_t i = 0; i < suppressions.n; i++)
		suppressions.at[i].nobjects = suppressions.at[i].nbytes = 0;
	reach_each_lost(r, count_suppressed, s, &before);
	reach_spare(r, is_suppressed, s);
	reach_each_lost(r, count_no_more, NULL, &l->totals);
	l->nsuppressed = before.nlost - l->totals.nlost;
	l->suppressed_bytes = before.lost_bytes - l->totals.lost_bytes;
	free(s->lost);
	free(s->by);
}

/* Copies what the search needs of the target, while it stands still if it can. */
static enum taken take(struct search *s, struct target *t, struct snapshot *sn,
		       struct reach *r, bool live)
{
	struct freeze freeze = { .nthreads = 0 };
	struct leaks *l = s->leaks;
	uint64_t began = os_now_us();
	enum taken taken = TAKEN_NONE;
	int pagemap = t->is_core ? -1 : os_open_process(t->pid, "pagemap");

	if (!live)
		freeze_begin(&freeze, t);
	if (target_refresh(t))
		taken = take_snapshot(sn, t);
	if (taken == TAKEN) {
		samples_drop(&l->samples);
		samples_read(&l->samples, t, &sn->root);
		reach_begin(r, sn);
		l->nunread = roots_collect(r, &freeze, pagemap);
		reach_copy_heap(r, pagemap);
		l->nunread += r->nunread;
	}
	freeze_end(&freeze);
	l->missed = freeze.missed;
	l->likely = live || freeze.missed != 0 || freeze.refused;
	if (!live && !t->is_core)
		l->stopped_ms = max_size(l->stopped_ms, (os_now_us() - began) / 1000);
	freeze_drop(&freeze);
	if (pagemap >= 0)
		close(pagemap);
	return taken;
}

/* Makes the groups of what is lost. */
static void make_groups(struct search *s, struct reach *r, const struct target *t)
{
	if (suppressions.n != 0)
		suppress(s, r, t);
	reach_split(r);
	reach_each_lost(r, add_lost, s, &s->leaks->totals);
}

/* Returns whether a second look decides. A core cannot change, so one look is enough there. */
static bool needs_second_look(const struct search *s, const struct target *t)
{
	return !t->is_core && s->nfirst != 0;
}

static int look(struct search *s, struct target *t, bool live, bool second)
{
	struct snapshot sn;
	struct reach r;
	struct reach_totals totals;
	enum taken taken = take(s, t, &sn, &r, live);

	if (taken != TAKEN)
		return taken == TAKEN_OTHER ? VIEW_OTHER : VIEW_FAILED;
	reach_mark(&r);
	if (second)
		reach_spare(&r, is_spared, s);
	else
		reach_each_lost(&r, list_lost, s, &totals);
	if (second || !needs_second_look(s, t))
		make_groups(s, &r, t);
	reach_drop(&r);
	snapshot_drop(&sn);
	return VIEW_OK;
}

int leaks_find(struct leaks *l, struct target *t, bool live)
{
	struct search s = { .leaks = l, .heads = room_for(GROUP_HEADS, sizeof(*s.heads)) };
	int status;

	*l = (struct leaks){ .ngroups = 0 };
	status = look(&s, t, live && !t->is_core, false);
	if (status == VIEW_OK && needs_second_look(&s, t)) {
		os_sleep_ms(BETWEEN_LOOKS);
		status = look(&s, t, live, true);
	}
	free(s.first);
	free(s.heads);
	if (status != VIEW_OK) {
		leaks_drop(l);
		return status;
	}
	if (l->ngroups != 0)
		qsort(l->groups, l->ngroups, sizeof(*l->groups), by_bytes);
	/* suppress() has found the names already. */
	if (suppressions.n != 0)
		return VIEW_OK;
	for (size_t i = 0; i < l->ngroups; i++)
		if (l->groups[i].stack != NULL)
			frames_add(&l->frames, l->groups[i].stack->pcs, l->groups[i].stack->npcs);
	frames_resolve(&l->frames, t);
	return VIEW_OK;
}

void leaks_drop(struct leaks *l)
{
	free(l->groups);
	samples_drop(&l->samples);
	frames_drop(&l->frames);
	*l = (struct leaks){ .ngroups = 0 };
}

/* --- reports --- */

/* Returns what the reader has to know about the search, in words. */
static void print_note(FILE *out, const struct leaks *l, const char *before, const char *after)
{
	if (l->missed != 0)
		(void)fprintf(out, "%s%zu thread%s could not be stopped: what only registers "
				   "lead to counts as leaked%s", before, l->missed,
			      l->missed == 1 ? "" : "s", after);
	else if (l->likely)
		(void)fprintf(out, "%sthe process ran on: what only registers lead to counts as "
				   "leaked%s", before, after);
	else if (l->nunread != 0)
		(void)fprintf(out, "%s%zu bytes could not be read: what only they lead to counts "
				   "as leaked%s", before, l->nunread, after);
	else if (l->stopped_ms != 0)
		(void)fprintf(out, "%sthe process stood still for %zu ms%s", before,
			      (size_t)l->stopped_ms, after);
}

void leaks_json(FILE *out, const struct leaks *l)
{
	(void)fprintf(out, "{\"likely\":%s,\"leaks\":[", l->likely ? "true" : "false");
	for (size_t i = 0; i < l->ngroups; i++) {
		const struct leaks_group *g = &l->groups[i];

		(void)fprintf(out, "%s{\"bytes\":%zu,\"objects\":%zu,\"direct_objects\":%zu,"
				   "\"direct_bytes\":%zu,\"first\":\"%#zx\",\"frames\":",
			      i == 0 ? "" : ",", bytes_of(g), g->ndirect + g->nindirect, g->ndirect,
			      g->direct_bytes, (size_t)g->example);
		if (g->stack != NULL)
			frames_json(out, &l->frames, g->stack->pcs, g->stack->npcs);
		else
			(void)fputs("[]", out);
		(void)fputc('}', out);
	}
	(void)fputs("],\"suppressed\":[", out);
	for (size_t i = 0, n = 0; i < suppressions.n; i++) {
		const struct suppression *by = &suppressions.at[i];

		if (by->nobjects == 0)
			continue;
		(void)fprintf(out, "%s{\"line\":%zu,\"objects\":%zu,\"bytes\":%zu}",
			      n++ == 0 ? "" : ",", by->line, by->nobjects, by->nbytes);
	}
	(void)fprintf(out, "],\"leaked_bytes\":%zu,\"leaked_objects\":%zu,\"reachable_bytes\":%zu,"
			   "\"note\":\"",
		      l->totals.lost_bytes, l->totals.nlost,
		      l->totals.live_bytes - l->totals.lost_bytes);
	print_note(out, l, "", "");
	(void)fputs("\"}\n", out);
}

static void print_amount(FILE *out, size_t n, size_t nbytes)
{
	(void)fprintf(out, "%zu object%s, %zu byte%s", n, n == 1 ? "" : "s", nbytes,
		      nbytes == 1 ? "" : "s");
}

static void print_suppressed(FILE *out, const struct leaks *l)
{
	size_t n = l->nsuppressed, nbytes = l->suppressed_bytes;

	for (size_t i = 0; i < suppressions.n; i++) {
		const struct suppression *by = &suppressions.at[i];

		if (by->nobjects == 0)
			continue;
		(void)fputs("suppressed: ", out);
		print_amount(out, by->nobjects, by->nbytes);
		(void)fprintf(out, " by leak:%.*s, line %zu\n", (int)by->len, by->pattern,
			      by->line);
		n -= by->nobjects;
		nbytes -= by->nbytes;
	}
	if (n == 0)
		return;
	(void)fputs("suppressed: ", out);
	print_amount(out, n, nbytes);
	(void)fputs(" that only these lead to\n", out);
}

void leaks_text(FILE *out, const struct leaks *l)
{
	for (size_t i = 0; i < l->ngroups; i++) {
		const struct leaks_group *g = &l->groups[i];

		(void)fputs(l->likely ? "likely leak: " : "leak: ", out);
		print_amount(out, g->ndirect + g->nindirect, bytes_of(g));
		if (g->ndirect == 0) {
			(void)fputs(", indirect", out);
		} else if (g->nindirect != 0) {
			(void)fputs(", of these ", out);
			print_amount(out, g->ndirect, g->direct_bytes);
			(void)fputs(" direct", out);
		}
		if (g->stack == NULL)
			(void)fprintf(out, ", %zu byte%s each", g->size, g->size == 1 ? "" : "s");
		(void)fprintf(out, ", the first at %#zx%s\n", (size_t)g->example,
			      g->stack != NULL ? ", allocated at" : "");
		if (g->stack != NULL)
			frames_text(out, &l->frames, g->stack->pcs, g->stack->npcs);
	}
	print_suppressed(out, l);
	print_note(out, l, "note: ", "\n");
	(void)fputs(l->likely ? "likely leaked: " : "leaked: ", out);
	print_amount(out, l->totals.nlost, l->totals.lost_bytes);
	(void)fputs("; live: ", out);
	print_amount(out, l->totals.nlive, l->totals.live_bytes);
	(void)fputc('\n', out);
}
