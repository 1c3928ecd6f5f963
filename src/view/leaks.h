/* SPDX-License-Identifier: MIT */
/*
 * leaks.h - finds the objects of a target that it cannot reach any more. See leaks.c.
 */
#ifndef GOALLOC_VIEW_LEAKS_H
#define GOALLOC_VIEW_LEAKS_H

#include "view/frames.h"
#include "view/reach.h"
#include "view/samples.h"

/* Lost objects of one origin. */
struct leaks_group {
	const struct samples_stack *stack;    /* NULL: not known */
	size_t size;                          /* if so, bytes of each */
	uintptr_t example;                    /* address of the first */
	size_t ndirect, direct_bytes;
	size_t nindirect, indirect_bytes;
	size_t next;                          /* with the same hash; number + 1 */
};

struct leaks {
	struct leaks_group *groups;           /* largest first */
	size_t ngroups;
	struct reach_totals totals;           /* without what is suppressed */
	size_t nsuppressed, suppressed_bytes; /* and what only suppressed objects lead to */
	struct samples samples;
	struct frames frames;
	bool likely;                          /* threads ran, or their registers are not known */
	size_t missed;                        /* threads that were not stopped */
	size_t nunread;                       /* bytes that could not be read */
	uint64_t stopped_ms;                  /* the longest stop */
};

/* Finds the leaks. With live, the process is not stopped. Returns VIEW_OK, or an exit status after
 * target.error has been set; the caller drops the leaks if it is VIEW_OK. */
int leaks_find(struct leaks *l, struct target *t, bool live);

void leaks_json(FILE *out, const struct leaks *l);
void leaks_text(FILE *out, const struct leaks *l);
void leaks_drop(struct leaks *l);

#endif
