/* SPDX-License-Identifier: MIT */
/*
 * adopt.h - what the cache of a lost thread held, in a forked child. See adopt.c.
 *
 * All caches of lost threads pass through adopt_stacks() before the first passes through
 * adopt_spans(). The stacks of c, the cache that adopts, are flushed before.
 */
#ifndef GOALLOC_ADOPT_H
#define GOALLOC_ADOPT_H

#include "heap/mcache.h"

/* Frees a slot that a lost thread kept, if the slot is whole, free, and of the span class sc;
 * NUM_SPAN_CLASSES: of any. */
void adopt_slot(struct mcache *c, unsigned sc, uintptr_t addr);

/* Frees what lies on the stacks of dead. */
void adopt_stacks(struct mcache *c, struct mcache *dead);

/* Gives the spans and pages of dead to mcentral and to the heap. */
void adopt_spans(struct mcache *c, struct mcache *dead);

/* Does the same, also with spans that the thread had in hand, on no list. For a record that will be
 * used again. */
void adopt_all_spans(struct mcache *c, struct mcache *dead);

/* Leaves the spans of dead without an owner. They stay in the map, and what is freed in them is not
 * used again. For a record that will be used again where its spans cannot be adopted. */
void adopt_lose_spans(struct mcache *dead);

#endif
