/* SPDX-License-Identifier: MIT */
/*
 * leak.c - the leak finder: a snapshot, marking, and the report.
 *
 * A lost object is a direct leak if no other lost object leads to it. Of lost objects that lead to
 * each other in a ring, the first by address is direct. All other lost objects are indirect leaks.
 * Leaks are reported in groups: by the stack of the allocation if it is known, else by size.
 *
 * For a few instructions, no memory may contain the address of an object that a thread is making or
 * moving. So if there are other threads, a second look decides: an object that is lost in both
 * looks is a leak.
 *
 * Owns     the groups of the report, in the copy.
 * Locks    none; see snapshot.c.
 * Holds    the program's own process only waits. The copy reads and marks.
 */
#include "tools/leak.h"
#include "base/sort.h"
#include "heap/hashtable.h"
#include "os/fatal.h"
#include "tools/heading.h"
#include "tools/mark.h"
#include "os/os.h"
#include "os/os_process.h"
#include "os/out.h"
#include "os/procmap.h"
#include "tools/profile.h"
#include "os/metakey.h"
#include "tools/roots.h"
#include "tools/snapshot.h"
#include "tools/suppressed.h"
#include "stack/symbol.h"

#include <errno.h>

#define MAX_FRAMES 32              /* of a stack that is reported */
#define GROUP_SLOTS 65536          /* of the hash table; a power of two */
#define MAX_GROUPS (GROUP_SLOTS / 2)
#define GROUPS_SHOWN 100

/* Lost objects of one origin. */
struct group {
	uint64_t hash;
	uint32_t npcs;                 /* 0: the stack is not known */
	uint32_t size;                 /* if npcs is 0, bytes of each; 0: several sizes */
	uintptr_t example;             /* address of the first */
	size_t ndirect, direct_bytes;
	size_t nindirect, indirect_bytes;
	uintptr_t pcs[MAX_FRAMES];
};

/* heap/hashtable.h takes a lock to grow, which the copy must not do. */
struct groups {
	uint32_t *slots;               /* number of the group + 1; 0: empty */
	struct group *at;
	struct group **order;          /* largest first */
	uint32_t len;
};

/* The most memory that the program and the copies share. Less is tried if there is not so much. */
#define SHARED_MOST MiB(512)

/* Milliseconds between two looks, so that threads that wait for a processor get one. */
#define BETWEEN_LOOKS 20

struct leak {
	int fd;
	bool done;                     /* the copy came to its end */
	bool again;                    /* lost objects are listed for a second look */
	struct leak_result result;
	size_t unread;                 /* bytes of the program's memory that the copy lacks */
	struct out out;                /* of the copy that reports */
	struct symbols symbols;
	size_t listed, room;
	uintptr_t list[];              /* lost objects, in the order of mark_each_lost() */
};

/* --- groups --- */

static bool groups_init(struct groups *g)
{
	size_t each = sizeof(struct group) + sizeof(struct group *);
	char *p = os_alloc_metadata(
		align_up(GROUP_SLOTS * sizeof(uint32_t) + MAX_GROUPS * each, os_page_size()));

	if (p == NULL)
		return false;
	g->slots = (uint32_t *)(void *)p;
	g->order = (struct group **)(void *)(g->slots + GROUP_SLOTS);
	g->at = (struct group *)(void *)(g->order + MAX_GROUPS);
	g->len = 0;
	return true;
}

static bool is_group_of(const struct group *a, uint64_t hash, const uintptr_t *pcs, unsigned npcs,
			size_t size)
{
	return a->hash == hash && a->npcs == npcs && (npcs != 0 || a->size == size) &&
	       same_words(a->pcs, pcs, npcs);
}

/* Returns the group of an origin, and makes it if there is none. The last group takes all origins
 * that have no room. */
static struct group *group_of(struct groups *g, const uintptr_t *pcs, unsigned npcs, uint32_t size)
{
	uint64_t hash = hashtable_of_stack(pcs, npcs, npcs != 0 ? 0 : size);
	uint32_t slot = (uint32_t)(hash >> 32) % GROUP_SLOTS;
	struct group *group;

	for (; g->slots[slot] != 0; slot = (slot + 1) % GROUP_SLOTS)
		if (is_group_of(&g->at[g->slots[slot] - 1], hash, pcs, npcs, size))
			return &g->at[g->slots[slot] - 1];
	if (g->len == MAX_GROUPS - 1 && (npcs != 0 || size != 0))
		return group_of(g, pcs, 0, 0);
	group = &g->at[g->len++];
	g->slots[slot] = g->len;
	group->hash = hash;
	group->npcs = npcs;
	group->size = size;
	copy_bytes(group->pcs, pcs, npcs * sizeof(pcs[0]));
	return group;
}

static unsigned stack_of(const struct mark_object *o, uintptr_t *pcs, unsigned max)
{
	bool may_be_sampled =
		(slot_state(o->state) & SLOT_SAMPLED) != 0 || o->spanclass == SPANCLASS_TINY;

	return may_be_sampled ? profile_stack_of(o->base, pcs, max) : 0;
}

static void add_lost(const struct mark_object *o, bool direct, void *arg)
{
	uintptr_t pcs[MAX_FRAMES];
	unsigned npcs = stack_of(o, pcs, MAX_FRAMES);
	struct group *group = group_of(arg, pcs, npcs, (uint32_t)min_size(o->nbytes, UINT32_MAX));

	if (group->example == 0)
		group->example = o->base;
	if (direct) {
		group->ndirect++;
		group->direct_bytes += o->nbytes;
	} else {
		group->nindirect++;
		group->indirect_bytes += o->nbytes;
	}
}

static size_t group_bytes(const struct group *group)
{
	return group->direct_bytes + group->indirect_bytes;
}

/* Groups of many bytes come first. */
static uint64_t group_order(const void *group)
{
	return ~group_bytes(*(struct group *const *)group);
}

static void sort_groups(struct groups *g)
{
	for (uint32_t i = 0; i < g->len; i++)
		g->order[i] = &g->at[i];
	sort_by_key(g->order, g->len, sizeof(g->order[0]), group_order);
}

/* --- the report --- */

static void write_amount(struct out *o, size_t n, size_t nbytes)
{
	out_format(o, "%zu object%s, %zu byte%s", n, plural(n), nbytes, plural(nbytes));
}

static void write_group(struct out *o, struct symbols *symbols, const struct group *group)
{
	out_str(o, "goalloc: leak: ");
	write_amount(o, group->ndirect + group->nindirect, group_bytes(group));
	if (group->ndirect == 0) {
		out_str(o, ", indirect");
	} else if (group->nindirect != 0) {
		out_str(o, ", of these ");
		write_amount(o, group->ndirect, group->direct_bytes);
		out_str(o, " direct");
	}
	if (group->npcs == 0 && group->size != 0)
		out_format(o, ", %u bytes each", group->size);
	out_format(o, ", the first at %#zx%s\n", group->example,
		   group->npcs != 0 ? ", allocated at" : "");
	for (uint32_t i = 0; i < group->npcs; i++) {
		out_str(o, "    ");
		symbols_print(symbols, o, group->pcs[i], true);
		out_str(o, "\n");
	}
}

/* Reports threads whose registers and stack pointers are not known. */
static void write_missed(struct out *o, const struct snapshot *sn)
{
	size_t missed = snapshot_missed(sn);

	if (!sn->refused && !sn->unsettled && missed == 0)
		return;
	out_str(o, "goalloc: leak check: ");
	if (sn->refused)
		out_str(o, "threads were not stopped, as tracing them is refused");
	else if (missed == 0)
		out_str(o, "threads were not stopped, as they are not known");
	else
		out_format(o, "%zu thread%s could not be stopped", missed, plural(missed));
	out_str(o, ": what only registers lead to counts as leaked\n");
}

/* Reports memory that the copy could not read. */
static void write_unread(struct out *o, size_t nbytes)
{
	if (nbytes != 0)
		out_format(o, "goalloc: leak check: %zu byte%s that copies of the process do not "
			      "get (MADV_DONTFORK) could not be read: what only they lead to "
			      "counts as leaked\n",
			   nbytes, plural(nbytes));
}

static void write_report(struct leak *leak, struct groups *g, const struct mark_counts *counts,
			 const struct snapshot *sn)
{
	struct out *o = &leak->out;
	char heading[HEADING_MAX];

	heading_of_self(heading, sn->pid);
	out_format(o, "goalloc: leak check of %s\n", heading);
	sort_groups(g);
	for (uint32_t i = 0; i < g->len && i < GROUPS_SHOWN; i++)
		write_group(o, &leak->symbols, g->order[i]);
	if (g->len > GROUPS_SHOWN)
		out_format(o, "goalloc: leak: and %u smaller group%s\n", g->len - GROUPS_SHOWN,
			   plural(g->len - GROUPS_SHOWN));
	suppressed_print(o);
	write_missed(o, sn);
	write_unread(o, leak->unread);
	out_str(o, "goalloc: leaked: ");
	write_amount(o, counts->nlost, counts->lost_bytes);
	out_str(o, "; live: ");
	write_amount(o, counts->nlive, counts->live_bytes);
	out_str(o, "\n");
}

/* --- in the copy --- */

static void list_lost(const struct mark_object *o, bool direct, void *arg)
{
	struct leak *leak = arg;

	(void)direct;
	if (leak->listed < leak->room)
		leak->list[leak->listed] = o->base;
	leak->listed++;
}

/* The walk through the lost objects of a second look. */
struct second_look {
	struct mark *m;
	const struct leak *leak;
	size_t at;      /* the first in the list that the walk has not passed */
};

/* Marks an object that the first look did not find lost. */
static void spare_unlisted(const struct mark_object *o, bool direct, void *arg)
{
	struct second_look *l = arg;

	(void)direct;
	while (l->at < l->leak->listed && mark_order(l->leak->list[l->at]) < mark_order(o->base))
		l->at++;
	if (l->at == l->leak->listed || l->leak->list[l->at] != o->base)
		mark_object(l->m, o);
}

/* Returns whether there are lost objects that a second look must confirm. Lists them. */
static bool want_second_look(struct leak *leak, const struct snapshot *sn)
{
	struct mark_counts counts;

	/* If tracing is refused, no thread is known. */
	if (sn->nthreads == 0 && !sn->refused && !sn->unsettled)
		return false;
	leak->listed = 0;
	mark_each_lost(list_lost, leak, &counts);
	return leak->listed != 0 && leak->listed <= leak->room;
}

/* Does the work of the copy. Returns NULL, or why it failed. */
static const char *find(const struct snapshot *sn, struct leak *leak)
{
	struct mark_counts counts;
	struct procmap maps;
	struct groups groups;
	struct mark mark;

	leak->result.error = ENOENT;
	if (!procmap_read(&maps, os_pid()))
		return "/proc/self/maps cannot be read";
	/* This comes first, because pages of the heap itself may be missing. */
	leak->unread = roots_complete(sn, &maps);
	procmap_free(&maps);
	if (!procmap_read(&maps, os_pid()))
		return "/proc/self/maps cannot be read";
	leak->result.error = ENOMEM;
	if (!mark_start(&mark) || !groups_init(&groups))
		return "no memory";
	if (!roots_mark(&mark, sn, &maps, leak))
		return "no memory";
	mark_ignored(&mark);
	if (leak->again) {
		struct second_look l = { &mark, leak, 0 };

		leak->again = false;
		mark_each_lost(spare_unlisted, &l, &counts);
	} else {
		leak->again = !mark.failed && want_second_look(leak, sn);
	}
	if (!leak->again) {
		symbols_init(&leak->symbols);
		suppressed_mark(&mark, &leak->symbols, stack_of);
		mark_lost(&mark);
	}
	if (mark.failed)
		return "no memory";
	leak->result.error = 0;
	if (leak->again)
		return NULL;
	mark_each_lost(add_lost, &groups, &counts);
	write_report(leak, &groups, &counts, sn);
	leak->result.nobjects = counts.nlost;
	leak->result.nbytes = counts.lost_bytes;
	return NULL;
}

static void look(struct snapshot *sn, void *arg)
{
	struct leak *leak = arg;
	const char *failure;

	os_close_all_but(leak->fd);
	profile_after_fork();
	out_init(&leak->out, leak->fd);
	failure = find(sn, leak);
	if (failure != NULL)
		out_format(&leak->out, "goalloc: leak check failed: %s\n", failure);
	if (!out_flush(&leak->out) && leak->fd >= 0)
		leak->result.write_error = leak->out.error;
	leak->done = true;
}

/* --- in the program --- */

/* Writes why there is no report. Returns 0, or the errno of the write that failed. */
static SLOW_PATH int say_no_snapshot(int fd, const struct snapshot_failure *failure)
{
	struct report r;

	report_init(&r, "leak check failed: %s", failure->why);
	if (failure->signal != 0)
		report_add(&r, "%u", (unsigned)failure->signal);
	return fd < 0 ? 0 : report_write(&r, fd);
}

static struct leak *make_shared(size_t *nbytes)
{
	struct leak *leak = NULL;

	for (*nbytes = SHARED_MOST; leak == NULL && *nbytes >= sizeof(*leak) + os_page_size();
	     *nbytes /= 8)
		leak = os_alloc_shared(*nbytes);
	*nbytes *= 8;
	if (leak != NULL)
		leak->room = (*nbytes - sizeof(*leak)) / sizeof(leak->list[0]);
	return leak;
}

/* Takes a snapshot. It is a failure if the copy ends before its report is written. */
static struct snapshot_failure take_look(struct leak *leak, uintptr_t stack)
{
	struct snapshot_failure failure;

	leak->done = false;
	failure = snapshot_take(look, leak, stack);
	if (failure.error == 0 && !leak->done)
		failure = (struct snapshot_failure){ .error = EIO,
						     .why = "the copy of the process ended early" };
	return failure;
}

static SLOW_PATH void check(int fd, uintptr_t stack, struct leak_result *result)
{
	struct snapshot_failure failure = { .error = ENOMEM, .why = "there is no memory" };
	size_t shared;
	struct leak *leak = make_shared(&shared);

	if (leak != NULL) {
		leak->fd = fd;
		do {
			if (leak->again)
				os_sleep_ms(BETWEEN_LOOKS);
			failure = take_look(leak, stack);
		} while (failure.error == 0 && leak->result.error == 0 && leak->again);
		*result = leak->result;
		(void)os_unreserve(leak, shared);
	}
	if (failure.error != 0)
		*result = (struct leak_result){ .error = failure.error,
						.write_error = say_no_snapshot(fd, &failure) };
}

/* Has no large variables, because the unused parts of them are searched as part of the stack. */
SLOW_PATH void leak_check(int fd, struct leak_result *result, uintptr_t stack)
{
	uint32_t rights;

	SPILL_REGISTERS();
	*result = (struct leak_result){ .error = 0 };
	rights = metakey_open();
	check(fd, stack != 0 ? stack : cpu_stack_pointer(), result);
	metakey_close(rights);
}
