/* SPDX-License-Identifier: MIT */
/*
 * inspect.c - tells what lies at an address: span, slot, state, who allocated it, who points to it.
 *
 * Pointers are looked for in registers, for which the threads are stopped for a moment, in live
 * objects that may hold some, and in all memory that the program can write to. Like every search
 * for pointers it takes a number for one that looks so.
 */
#include "view/command.h"
#include "base/text.h"
#include "view/datasymbol.h"
#include "view/freeze.h"
#include "view/room.h"
#include "view/take.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MOST 20
#define CHAIN_MOST 1000000
#define BUFFER_SIZE MiB(1)

/* Prints an address in a file as "file+offset". */
static void print_place(const struct target *t, uintptr_t addr)
{
	const struct target_map *m = target_map_of(t, addr);
	const char *slash = m != NULL ? strrchr(m->name, '/') : NULL;

	printf("%#zx", addr);
	if (m != NULL && m->name[0] != '\0')
		printf(" (%s+%#zx)", slash != NULL ? slash + 1 : m->name,
		       m->name[0] == '[' ? addr - m->start : addr - m->start + m->offset);
}

/* --- the span and the slot --- */

static const char *scan_of(const struct snapshot_run *r)
{
	return r->kind == SPAN_TINY                               ? "tiny"
	       : spanclass_scan(r->run.spanclass) == NOSCAN ? "noscan"
							    : "scan";
}

static void print_owner(const struct snapshot *sn, const struct snapshot_run *r)
{
	uintptr_t record = r->owner & ~SPAN_TAGS;

	printf("owner     ");
	if (r->kind == SPAN_BIG) {
		printf("big objects have none\n");
		return;
	}
	if (record == 0 || (r->owner & SPAN_CENTRAL) != 0) {
		printf("none: the span waits for a thread\n");
		return;
	}
	for (size_t i = 0; i < sn->ncaches; i++) {
		const struct snapshot_cache *c = &sn->caches[i];
		const struct target_thread *t = target_thread_of(sn->target, c->tid);

		if (c->record != record)
			continue;
		if (c->shared)
			printf("threads that have no cache");
		else if (t != NULL)
			printf("thread %d %s", t->tid, t->name);
		else
			printf("a thread whose number was not found");
		printf("%s\n", (r->owner & SPAN_FULL) != 0 ? ", the last one; the span is full" :
							     "");
		return;
	}
	printf("a thread that has ended\n");
}

static void print_span(const struct snapshot *sn, const struct snapshot_run *r)
{
	printf("span      %#zx, %zu page%s, %s", r->run.base, r->run.span_npages,
	       r->run.span_npages == 1 ? "" : "s", scan_of(r));
	if (r->kind != SPAN_BIG)
		printf(", %u slots of %u bytes, %u in use", r->run.nelems,
		       sizeclasses[r->run.spanclass >> 1].elemsize, r->run.fill.slots);
	printf("; record %#zx\n", r->record);
	print_owner(sn, r);
}

static void print_object(const struct snapshot_run *r, const struct snapshot_object *o,
			 uintptr_t addr)
{
	bool tiny = r->kind == SPAN_TINY;

	printf("%-10s%#zx, %zu bytes, slot %u, %s", o->live ? "object" : "slot", o->addr, o->nbytes,
	       o->slot, o->live ? "live" : "free");
	if (!tiny && (o->state & SLOT_RESIZED) != 0)
		printf(", resized");
	if (!tiny && o->live && (o->state & SLOT_SAMPLED) != 0)
		printf(", sampled");
	if (o->live && (o->state & SLOT_IGNORED) != 0)
		printf(", ignored");
	if (addr != o->addr)
		printf("; the address is byte %zu of it", addr - o->addr);
	printf("\n");
}

/* --- the stack of the allocation --- */

/* Finds the profile's record of an object. Returns its bucket, or 0. */
static uintptr_t bucket_of(const struct snapshot *sn, uintptr_t addr)
{
	uint64_t hash = hashtable_of_addr(addr);
	struct profile_object object;
	struct hashtable table;
	uintptr_t at = (uintptr_t)sn->root.profile + offsetof(struct profile_tables, objects);

	if (!target_read_all(sn->target, at, &table, sizeof(table)) || table.bits == 0 ||
	    table.bits > HASHTABLE_LAST)
		return 0;
	at = (uintptr_t)&table.chains[table.bits][hash >> (64 - table.bits)];
	if (!target_read_all(sn->target, at, &at, sizeof(at)))
		return 0;
	for (unsigned n = 0; at != 0 && n < CHAIN_MOST; n++) {
		if (!target_read_all(sn->target, at, &object, sizeof(object)))
			return 0;
		if (object.node.hash == hash)
			return (uintptr_t)object.bucket;
		at = (uintptr_t)object.node.next;
	}
	return 0;
}

static void print_stack(const struct snapshot *sn, uintptr_t addr)
{
	uintptr_t pcs[PROFILE_MAX_FRAMES], at = bucket_of(sn, addr);
	struct profile_bucket bucket;

	if (at == 0 || !target_read_all(sn->target, at, &bucket, sizeof(bucket)) ||
	    bucket.npcs > PROFILE_MAX_FRAMES ||
	    !target_read_all(sn->target, at + offsetof(struct profile_bucket, pcs), pcs,
			     bucket.npcs * sizeof(pcs[0])))
		return;
	printf("allocated by\n");
	for (unsigned i = 0; i < bucket.npcs; i++) {
		printf("          ");
		print_place(sn->target, pcs[i]);
		printf("\n");
	}
}

/* --- who points to it --- */

struct search {
	const struct snapshot *sn;
	const struct freeze *threads;
	uintptr_t from, to;        /* the object */
	uintptr_t *words;          /* BUFFER_SIZE of the target's memory */
	size_t found;
};

/* Prints "thread 123 name". */
static void print_thread(const struct target *t, int tid)
{
	printf("thread %d", tid);
	for (size_t i = 0; i < t->nthreads; i++)
		if (t->threads[i].tid == tid && t->threads[i].name[0] != '\0')
			printf(" %s", t->threads[i].name);
}

/* Returns the thread whose stack contains an address in use, or NULL. */
static const struct frozen_thread *stack_at(const struct search *s, uintptr_t at)
{
	const struct target_map *m = target_map_of(s->sn->target, at);
	const struct frozen_thread *best = NULL;

	for (size_t i = 0; m != NULL && i < s->threads->nthreads; i++) {
		const struct frozen_thread *thread = &s->threads->threads[i];

		if (thread->stack >= m->start && thread->stack <= at + CPU_RED_ZONE &&
		    (best == NULL || thread->stack > best->stack))
			best = thread;
	}
	return best;
}

/* Prints an address outside of the heap: in a stack, a variable or a file. */
static void print_outer_place(const struct search *s, uintptr_t at)
{
	const struct target *t = s->sn->target;
	const struct frozen_thread *thread = stack_at(s, at);
	char variable[256];

	if (thread != NULL) {
		printf("%#zx, in the stack of ", at);
		print_thread(t, thread->tid);
	} else if (datasymbol_find(t, at, variable, sizeof(variable))) {
		printf("%#zx, %s", at, variable);
	} else {
		print_place(t, at);
	}
}

/* Prints the threads that have a pointer to the object in a register. */
static void print_registers(struct search *s)
{
	for (size_t i = 0; i < s->threads->nthreads; i++) {
		const struct frozen_thread *thread = &s->threads->threads[i];
		size_t n = 0;

		for (size_t k = 0; k < thread->nwords; k++) {
			uintptr_t word = s->threads->words[thread->first_word + k];

			n += word >= s->from && word < s->to;
		}
		if (n == 0 || s->found++ >= SHOWN_MOST)
			continue;
		printf("          %zu register%s of ", n, n == 1 ? "" : "s");
		print_thread(s->sn->target, thread->tid);
		printf("\n");
	}
}

static void print_found(const struct search *s, uintptr_t at, const struct snapshot_object *in)
{
	uintptr_t word = 0;

	(void)target_read_all(s->sn->target, at, &word, sizeof(word));
	printf("          ");
	if (in != NULL)
		printf("%#zx, byte %zu of the object of %zu bytes at %#zx", at, at - in->addr,
		       in->nbytes, in->addr);
	else
		print_outer_place(s, at);
	if (word != s->from && word >= s->from && word < s->to)
		printf(", to byte %zu", word - s->from);
	printf("\n");
}

/* Looks through memory. With heap, only live objects that may hold pointers count. */
static void search_memory(struct search *s, uintptr_t start, uintptr_t end, bool heap)
{
	while (start < end) {
		size_t n = min_size(end - start, BUFFER_SIZE);
		size_t got = target_read(s->sn->target, start, s->words, n);

		for (size_t i = 0; i < got / sizeof(uintptr_t); i++) {
			uintptr_t at = start + i * sizeof(uintptr_t);
			struct snapshot_object in;

			if (s->words[i] < s->from || s->words[i] >= s->to)
				continue;
			if (heap && (!snapshot_object_at(s->sn, at, &in) || !in.live || !in.scan))
				continue;
			if (s->found++ < SHOWN_MOST)
				print_found(s, at, heap ? &in : NULL);
		}
		/* A part that cannot be read is passed over. */
		start += got != 0 ? max_size(align_down(got, KiB(4)), KiB(4)) : n;
	}
}

/* Returns whether a mapping is the program's own memory: not the heap, and not its records. */
static bool is_programs(const struct target_map *m)
{
	if ((m->flags & MAPPING_WRITE) == 0 || (m->flags & MAPPING_READ) == 0)
		return false;
	return m->start < CPU_HEAP_LOW || m->start >= CPU_HEAP_HIGH || m->name[0] == '/';
}

static void print_pointers(const struct snapshot *sn, const struct snapshot_object *o)
{
	struct freeze freeze = { .nthreads = 0 };
	struct search s = { .sn = sn, .threads = &freeze, .from = o->addr,
			    .to = o->addr + o->nbytes };
	const struct target *t = sn->target;

	/* Threads stand still while registers are read only: the search of memory takes long. */
	if (!view_modifiers.live)
		freeze_begin(&freeze, t);
	freeze_end(&freeze);
	printf("pointed to by\n");
	print_registers(&s);
	s.words = room_for(BUFFER_SIZE, 1);
	for (size_t i = 0; i < sn->nruns; i++) {
		const struct snapshot_run *r = &sn->runs[i];

		if (r->run.use == RUN_SPAN && r->run.first && r->run.fill.objects != 0 &&
		    r->kind != SPAN_TINY && spanclass_scan(r->run.spanclass) == SCAN)
			search_memory(&s, r->run.base,
				      r->run.base + r->run.span_npages * PAGE_SIZE, true);
	}
	for (size_t i = 0; i < t->nmaps; i++)
		if (is_programs(&t->maps[i]) && snapshot_run_of(sn, t->maps[i].start) == NULL)
			search_memory(&s, t->maps[i].start, t->maps[i].end, false);
	free(s.words);
	if (s.found == 0)
		printf("          nothing in memory%s\n",
		       freeze.nthreads != 0 && freeze.missed == 0 ?
			       ", and no register" :
			       "; registers were not looked at, or not all");
	else if (s.found > SHOWN_MOST)
		printf("          and %zu more\n", s.found - SHOWN_MOST);
	freeze_drop(&freeze);
}

/* --- all of it --- */

static bool parse_address(const char *text, uintptr_t *addr)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 16);

	*addr = (uintptr_t)n;
	return *text != '\0' && *text != '-' && *end == '\0';
}

static void print_outside(const struct target *t, const struct snapshot_run *r, uintptr_t addr)
{
	static const char *const uses[] = {
		[RUN_RELEASED] = "a free page of the heap, without memory",
		[RUN_FREE] = "a free page of the heap",
		[RUN_TAKEN] = "a page that a thread holds, in no span",
		[RUN_SPAN] = "behind the last slot of a span",
	};

	if (r != NULL)
		printf("%#zx is %s\n", addr, uses[r->run.use]);
	else
		printf("%#zx is not in the heap%s\n", addr,
		       target_map_of(t, addr) == NULL ? "; nothing is mapped there" : "");
	if (r != NULL || target_map_of(t, addr) == NULL || target_map_of(t, addr)->name[0] == '\0')
		return;
	printf("mapping   ");
	print_place(t, addr);
	printf("\n");
}

int command_object(struct target *t, const char *value)
{
	const struct snapshot_run *r;
	struct snapshot_object o;
	struct snapshot sn;
	uintptr_t addr;
	int status;

	if (!parse_address(value, &addr))
		return command_fail("--object %s: an address is a hexadecimal number", value);
	status = command_snapshot(&sn, t);
	if (status != VIEW_OK)
		return status;
	r = snapshot_run_of(&sn, addr);
	if (snapshot_object_at(&sn, addr, &o)) {
		print_object(r, &o, addr);
		print_span(&sn, r);
		if (o.live)
			print_stack(&sn, o.addr);
		print_pointers(&sn, &o);
	} else {
		print_outside(t, r, addr);
		if (r != NULL && r->run.use == RUN_SPAN)
			print_span(&sn, r);
	}
	snapshot_drop(&sn);
	return command_end_output();
}
