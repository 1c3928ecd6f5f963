/* SPDX-License-Identifier: MIT */
/*
 * samples.h - the profile of a target: which code allocated how much. See samples.c.
 */
#ifndef GOALLOC_VIEW_SAMPLES_H
#define GOALLOC_VIEW_SAMPLES_H

#include "base/config.h"
#include "view/snapshot.h"

/* Samples of one stack and slot size. */
struct samples_stack {
	uintptr_t record;       /* its address in the target */
	size_t nbytes;          /* of a slot */
	uint64_t allocs, frees; /* samples; frees <= allocs until samples_subtract() */
	unsigned npcs;
	const uintptr_t *pcs;   /* return addresses, innermost first */
};

struct samples_object {
	uint64_t hash;          /* of its address */
	uintptr_t stack;        /* record of its stack */
};

struct samples {
	size_t rate;            /* mean bytes between samples; 0: there is no profile */
	bool on;                /* samples are being taken */
	uint64_t serial;        /* number of the profile */
	uint64_t dropped;       /* samples without a record */
	struct samples_stack *stacks;    /* by record */
	size_t nstacks;
	struct samples_object *objects;  /* live ones, by hash */
	size_t nobjects;
	size_t ndamaged;        /* records that made no sense, left out */
};

/* Reads the profile that the snapshot's root leads to. */
void samples_read(struct samples *s, struct target *t, const struct viewed_root *root);

/* Returns the stack of the allocation of a live sampled object, or NULL. */
const struct samples_stack *samples_of(const struct samples *s, uintptr_t addr);

/* Takes away what was there before, if it is of the same profile. */
void samples_subtract(struct samples *s, const struct samples *before);

void samples_drop(struct samples *s);

#endif
