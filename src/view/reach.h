/* SPDX-License-Identifier: MIT */
/*
 * reach.h - which objects of a target can be reached. See reach.c.
 *
 *	reach_begin(&r, sn);
 *	reach_add_words(&r, ...);      the roots, and
 *	reach_copy_heap(&r, pagemap);  the contents of objects, while the target stands still
 *	reach_mark(&r);                then without the target
 *	reach_spare(&r, ...);          as often as there are reasons
 *	reach_split(&r);
 *	reach_each_lost(&r, ...);
 *	reach_drop(&r);
 */
#ifndef GOALLOC_VIEW_REACH_H
#define GOALLOC_VIEW_REACH_H

#include "view/snapshot.h"

struct reach {
	const struct snapshot *sn;
	uintptr_t low, end;            /* all arenas lie in between */
	uint32_t **run_of;             /* by arena, by page: number of the run + 1 */
	char **contents;               /* by arena: a copy of its scan spans */
	uint8_t *marks;                /* beside snapshot.states */
	uint8_t flag;                  /* the mark that found objects get */
	size_t leader;                 /* index of marks of the object that is searched, + 1: it
					* does not get the flag */
	uintptr_t *words;              /* roots: values that lie in the heap's addresses */
	size_t nwords;
	struct reach_range *stack;     /* to be searched */
	size_t nstack;
	size_t nunread;                /* bytes of objects that could not be copied */
};

struct reach_totals {
	size_t nlive, live_bytes;      /* all objects */
	size_t nlost, lost_bytes;      /* objects that are not reached */
};

void reach_begin(struct reach *r, const struct snapshot *sn);

/* Adds values that may be addresses of objects. */
void reach_add_words(struct reach *r, const uintptr_t *words, size_t n);

/* Copies what objects contain that may hold addresses. pagemap is a descriptor of the process's
 * /proc/PID/pagemap, or -1. */
void reach_copy_heap(struct reach *r, int pagemap);

/* Marks all objects that the words and those of goalloc_ignore() lead to. */
void reach_mark(struct reach *r);

/* Calls spare for each lost object. Where it returns true, the object counts as reached, and so
 * does what it leads to. */
void reach_spare(struct reach *r, bool (*spare)(const struct snapshot_object *o, void *arg),
		 void *arg);

/* Tells direct from indirect leaks. */
void reach_split(struct reach *r);

/* Calls visit for each lost object, in the order of addresses, and counts all. */
void reach_each_lost(struct reach *r,
		     void (*visit)(const struct snapshot_object *o, bool direct, void *arg),
		     void *arg, struct reach_totals *totals);

void reach_drop(struct reach *r);

#endif
