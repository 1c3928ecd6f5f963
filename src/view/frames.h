/* SPDX-License-Identifier: MIT */
/*
 * frames.h - functions, files and lines of return addresses in a target. See frames.c.
 */
#ifndef GOALLOC_VIEW_FRAMES_H
#define GOALLOC_VIEW_FRAMES_H

#include "view/target.h"

#include <stdio.h>

struct frame {
	char *name;         /* the function, demangled if a tool is there; else "file+0x123" */
	char *file;         /* NULL: not known */
	unsigned line;      /* 0: not known */
};

/* A return address and the functions of its call: the innermost first, then those that it is
 * inlined into. */
struct frames_place {
	uintptr_t pc;
	struct frame *frames;
	size_t nframes;
};

struct frames {
	struct frames_place *places;     /* by address, once they are resolved */
	size_t nplaces;
};

/* Adds return addresses of a stack. */
void frames_add(struct frames *f, const uintptr_t *pcs, size_t n);

/* Finds the names of all addresses that were added. */
void frames_resolve(struct frames *f, const struct target *t);

/* Returns the place of an address that was added, which has at least one frame. */
const struct frames_place *frames_of(const struct frames *f, uintptr_t pc);

/* Writes a stack, as a JSON array with the outermost frame first, or as lines of text with the
 * innermost first. */
void frames_json(FILE *out, const struct frames *f, const uintptr_t *pcs, size_t n);
void frames_text(FILE *out, const struct frames *f, const uintptr_t *pcs, size_t n);

void frames_drop(struct frames *f);

#endif
