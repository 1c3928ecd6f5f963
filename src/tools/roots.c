/* SPDX-License-Identifier: MIT */
/*
 * roots.c - searches registers, stacks, data, thread-local storage and mappings for addresses of
 * objects.
 *
 * All private memory that can be read and was written to counts: .data and .bss, stacks, the
 * storage that ld.so and libc keep for threads, brk, and mappings of the program. So does shared
 * memory without a file. These do not count: arenas, the heap's own records, stacks below the stack
 * pointer, and stacks of threads that have ended.
 *
 * Owns     the list of memory that does not count.
 * Holds    memory that was never touched is not touched here either.
 */
#include "tools/roots.h"
#include "base/sort.h"
#include "safe/guard.h"
#include "safe/guardspace.h"
#include "os/lock.h"
#include "os/os.h"
#include "os/os_process.h"
#include "heap/thread.h"

/* The smallest part of an arena that is committed. */
#define HEAP_UNIT (64 * PAGE_SIZE)

/* Shared memory that is looked at, and copied, at a time: kernel pages, bytes. */
#define SHARED_PAGES 64
#define SHARED_BYTES KiB(4)

/* The walk through the mappings, by address. */
struct roots {
	struct mark *m;
	const struct snapshot *sn;
	const struct procmap *maps;
	uintptr_t own;                  /* an address in our own shared memory */
	struct address_range *hidden;   /* sorted by address; they may overlap */
	size_t len, room;
	size_t next;                    /* the first range that the walk has not passed */
	uintptr_t *copy;                /* SHARED_BYTES of shared memory */
};

/* --- memory that copies do not get --- */

/* The walk through memory that the program has and the copy lacks. */
struct missing {
	int pid;             /* the program */
	int pagemap;         /* its pagemap, -1 for none */
	size_t lost;         /* bytes that could not be read */
};

static void copy_present(uintptr_t from, uintptr_t to, void *arg)
{
	struct missing *missing = arg;
	long copied = os_read_process(missing->pid, (void *)from, from, to - from);

	missing->lost += to - from - (copied > 0 ? (size_t)copied : 0);
}

/* Fills [from, to), where nothing is mapped, with the program's memory there. */
static void complete(struct missing *missing, uintptr_t from, uintptr_t to)
{
	if (!os_map_at((void *)from, to - from))
		missing->lost += to - from;
	else
		mark_each_present(missing->pagemap, from, to, copy_present, missing);
}

/* Returns whether a mapping is the program's own memory: no file, no device, not the kernel's. */
static bool is_own_memory(const struct mapping *mapping)
{
	return (mapping->flags & (MAPPING_READ | MAPPING_SHARED)) == MAPPING_READ &&
	       (mapping->name_len == 0 || mapping_named(mapping, "[heap]") ||
		mapping_named(mapping, "[stack") || mapping_named(mapping, "[anon"));
}

/* Completes the parts of the program's mapping that no mapping of the copy covers. */
static void complete_mapping(struct missing *missing, const struct procmap *maps,
			     const struct mapping *mapping)
{
	uintptr_t from = mapping->start;

	for (size_t i = procmap_first(maps, from); from < mapping->end; i++) {
		uintptr_t to =
			i < maps->len ? min_size(maps->at[i].start, mapping->end) : mapping->end;

		if (from < to)
			complete(missing, from, to);
		if (i == maps->len)
			return;
		from = max_size(from, maps->at[i].end);
	}
}

size_t roots_complete(const struct snapshot *sn, const struct procmap *maps)
{
	struct missing missing = { .pid = sn->pid, .pagemap = os_open_process(sn->pid, "pagemap") };
	struct procmap program;

	/* Without the list, nothing is known to be missing. */
	if (!procmap_read(&program, sn->pid))
		return 0;
	for (size_t i = 0; i < program.len; i++)
		if (is_own_memory(&program.at[i]))
			complete_mapping(&missing, maps, &program.at[i]);
	procmap_free(&program);
	if (missing.pagemap >= 0)
		os_close(missing.pagemap);
	return missing.lost;
}

/* --- memory that does not count --- */

static void hide(uintptr_t addr, size_t nbytes, void *arg)
{
	struct roots *r = arg;

	if (r->len < r->room)
		r->hidden[r->len++] = (struct address_range){ addr, nbytes };
}

static void count_place(uintptr_t addr, size_t nbytes, void *arg)
{
	size_t *n = arg;

	(void)addr;
	(void)nbytes;
	++*n;
}

static uint64_t range_start(const void *range)
{
	return ((const struct address_range *)range)->addr;
}

/* Returns whether another thread has its stack pointer or its storage in [from, to). */
static bool has_thread(const struct snapshot *sn, uintptr_t from, uintptr_t to)
{
	for (size_t i = 0; i < sn->nthreads; i++)
		if ((sn->threads[i].stack >= from && sn->threads[i].stack < to) ||
		    (sn->threads[i].tls >= from && sn->threads[i].tls < to))
			return true;
	return false;
}

/* Hides the unused part of a thread's stack. It does so only where the mapping is surely the stack:
 * for the first thread, and where libc made it, over a guard and with the thread's storage at its
 * top. */
static void hide_unused_stack(struct roots *r, uintptr_t stack, uintptr_t tls)
{
	const struct mapping *mapping = procmap_find(r->maps, stack);
	const struct mapping *guard = mapping - 1;
	uintptr_t bottom = align_down(stack - CPU_RED_ZONE, sizeof(uintptr_t));

	if (mapping == NULL || bottom <= mapping->start)
		return;
	if (!mapping_named(mapping, "[stack]")) {
		if (tls < stack || tls >= mapping->end || has_thread(r->sn, mapping->start, bottom))
			return;
		if (mapping == r->maps->at || guard->end != mapping->start ||
		    (guard->flags & MAPPING_READ) != 0)
			return;
	}
	hide(mapping->start, bottom - mapping->start, r);
}

/* The thread's record begins in so many bytes at the end of a stack that libc made. */
#define RECORD_ROOM KiB(4)

/* Hides a stack that libc keeps from a thread that has ended for the next one: a mapping over a
 * guard, with a thread's record on top, and no thread in it. The record itself is in use, because
 * it also leads to memory that libc keeps for the next thread. */
static void hide_dead_stack(struct roots *r, const struct mapping *mapping)
{
	const struct mapping *guard = mapping - 1;
	uintptr_t record;

	if (mapping == r->maps->at || mapping->name_len != 0 ||
	    mapping->end - mapping->start < 2 * RECORD_ROOM ||
	    (mapping->flags & (MAPPING_READ | MAPPING_WRITE | MAPPING_SHARED)) !=
		    (MAPPING_READ | MAPPING_WRITE))
		return;
	if (guard_owns(mapping->start) || guard_owns(mapping->end - RECORD_ROOM))
		return;
	if (guard->end != mapping->start || guard->flags != 0 || arena_of(mapping->start) != NULL ||
	    lock_self() - mapping->start < mapping->end - mapping->start ||
	    has_thread(r->sn, mapping->start, mapping->end))
		return;
	for (record = mapping->end - RECORD_ROOM; record < mapping->end; record += CACHE_LINE)
		if (((const uintptr_t *)record)[0] == record &&
		    ((const uintptr_t *)record)[CPU_TLS_SELF_WORD] == record)
			hide(mapping->start, record - mapping->start, r);
}

/* Returns whether every thread and its stack are known. */
static bool knows_threads(const struct snapshot *sn)
{
	return !sn->refused && !sn->unsettled && snapshot_missed(sn) == 0;
}

static bool make_hidden(struct roots *r)
{
	const struct snapshot *sn = r->sn;
	struct address_range shared_cache = thread_shared_place();
	size_t nplaces = 0;

	os_each_metadata(count_place, &nplaces);
	guardspace_each(count_place, &nplaces);
	/* The list itself is one more. */
	r->room = nplaces + sn->nthreads + r->maps->len + 8;
	r->copy = os_alloc_metadata(
		align_up(SHARED_BYTES + r->room * sizeof(*r->hidden), os_page_size()));
	if (r->copy == NULL)
		return false;
	r->hidden = (struct address_range *)(void *)(r->copy + SHARED_BYTES / sizeof(uintptr_t));
	os_each_metadata(hide, r);
	/* Much of this memory cannot be touched. */
	guardspace_each(hide, r);
	hide(sn->memory, sn->nbytes, r);
	hide((uintptr_t)r->maps->text, r->maps->nbytes, r);
	hide((uintptr_t)&mheap, sizeof(mheap), r);
	hide((uintptr_t)&page_map, sizeof(page_map), r);
	hide((uintptr_t)arena_table, sizeof(arena_table), r);
	hide((uintptr_t)&arena_window, sizeof(arena_window), r);
	hide(shared_cache.addr, shared_cache.nbytes, r);
	hide_unused_stack(r, sn->stack, lock_self());
	for (size_t i = 0; i < sn->nthreads; i++)
		if (sn->threads[i].stopped)
			hide_unused_stack(r, sn->threads[i].stack, sn->threads[i].tls);
	for (size_t i = 0; CPU_TLS_SELF_WORD != 0 && knows_threads(sn) && i < r->maps->len; i++)
		hide_dead_stack(r, &r->maps->at[i]);
	sort_by_key(r->hidden, r->len, sizeof(*r->hidden), range_start);
	return true;
}

/* --- the walk --- */

/* Marks from memory that is present, without the hidden parts. */
static void mark_present(uintptr_t from, uintptr_t to, void *arg)
{
	struct roots *r = arg;

	while (from < to) {
		const struct address_range *h = &r->hidden[r->next];
		uintptr_t stop = to;

		if (r->next < r->len && h->addr + h->nbytes <= from) {
			r->next++;
			continue;
		}
		if (r->next < r->len && h->addr <= from) {
			from = align_up(h->addr + h->nbytes, sizeof(uintptr_t));
			continue;
		}
		if (r->next < r->len)
			stop = min_size(to, align_down(h->addr, sizeof(uintptr_t)));
		mark_roots(r->m, from, stop);
		from = max_size(stop, from + sizeof(uintptr_t));
	}
}

static bool is_heap(uintptr_t addr)
{
	const struct heap_arena *ha = arena_of(addr);
	size_t word = addr % ARENA_SIZE / HEAP_UNIT;

	return ha != NULL && (ha->committed_words[word / 64] >> word % 64 & 1) != 0;
}

/* Calls visit for the parts of a mapping that belong, or do not belong, to the heap. */
static void each_part(const struct mapping *mapping, bool heap,
		      void (*visit)(uintptr_t from, uintptr_t to, struct roots *r), struct roots *r)
{
	uintptr_t from = mapping->start;

	while (from < mapping->end) {
		uintptr_t to = from;
		bool here = is_heap(from);

		while (to < mapping->end && is_heap(to) == here) {
			size_t unit = arena_of(to) != NULL ? HEAP_UNIT : ARENA_SIZE;

			to += min_size(unit - to % unit, mapping->end - to);
		}
		if (here == heap)
			visit(from, to, r);
		from = to;
	}
}

static void mark_private(uintptr_t from, uintptr_t to, struct roots *r)
{
	mark_each_present(r->m->pagemap, from, to, mark_present, r);
}

static void make_readable(uintptr_t from, uintptr_t to, struct roots *r)
{
	(void)r;
	(void)os_make_readable((void *)from, to - from);
}

/* Marks from shared memory. It is copied first, because other processes may change or shorten
 * it. */
static void mark_shared(uintptr_t from, uintptr_t to, struct roots *r)
{
	uintptr_t *words = r->copy;
	unsigned char resident[SHARED_PAGES];
	size_t page = os_page_size();

	for (; from < to; from += SHARED_PAGES * page) {
		size_t n = min_size((to - from) / page, SHARED_PAGES);

		if (!os_which_resident(from, n, resident))
			return;
		for (size_t at = 0; at < n * page; at += SHARED_BYTES)
			if ((resident[at / page] & 1) != 0)
				mark_roots(r->m, (uintptr_t)words,
					   (uintptr_t)words +
						   os_try_read(words, from + at, SHARED_BYTES) /
							   sizeof(uintptr_t) * sizeof(uintptr_t));
	}
}

static bool is_memory(const struct mapping *mapping)
{
	return mapping->name_len == 0 || mapping_named(mapping, "/memfd:") ||
	       mapping_named(mapping, "/SYSV") || mapping_named(mapping, "/dev/zero") ||
	       mapping_named(mapping, "/dev/shm/") || mapping_named(mapping, "/anon_hugepage");
}

static bool is_device(const struct mapping *mapping)
{
	return mapping_named(mapping, "/dev/") || mapping_named(mapping, "[v");
}

static void mark_mapping(struct roots *r, const struct mapping *mapping)
{
	uint32_t access = mapping->flags & (MAPPING_READ | MAPPING_WRITE | MAPPING_SHARED);

	if ((access & MAPPING_READ) != 0 && (access & MAPPING_SHARED) == 0 &&
	    (is_memory(mapping) || !is_device(mapping)))
		each_part(mapping, false, mark_private, r);
	else if (access == (MAPPING_READ | MAPPING_WRITE | MAPPING_SHARED) && is_memory(mapping) &&
		 r->own - mapping->start >= mapping->end - mapping->start)
		each_part(mapping, false, mark_shared, r);
}

/* Marks from a guarded object. Guarded objects are not in the heap, so they never count as
 * leaks. */
static void mark_guarded(const struct guarded *g, void *arg)
{
	struct roots *r = arg;

	if (g->scan == SCAN && g->size >= sizeof(uintptr_t))
		mark_roots(r->m, align_up(g->addr, sizeof(uintptr_t)),
			   align_down(g->addr + g->size, sizeof(uintptr_t)));
}

bool roots_mark(struct mark *m, const struct snapshot *sn, const struct procmap *maps,
		const void *own)
{
	struct roots r = { .m = m, .sn = sn, .maps = maps, .own = (uintptr_t)own };

	if (!make_hidden(&r))
		return false;
	/* The program, or guards, may have made pages of objects unreadable. Here they are read. */
	for (size_t i = 0; i < maps->len; i++)
		if ((maps->at[i].flags & MAPPING_READ) == 0)
			each_part(&maps->at[i], true, make_readable, &r);
	mark_roots(m, (uintptr_t)sn->words, (uintptr_t)(sn->words + sn->nwords));
	for (size_t i = 0; i < maps->len; i++)
		mark_mapping(&r, &maps->at[i]);
	guard_each(mark_guarded, &r);
	return true;
}
