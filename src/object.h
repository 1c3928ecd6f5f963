/* SPDX-License-Identifier: MIT */
/*
 * object.h - from an address to what lies there. See object.c. The key of hardened=2 is open.
 */
#ifndef GOALLOC_OBJECT_H
#define GOALLOC_OBJECT_H

#include "heap/mspan.h"

/* A live object in a span. */
struct object {
	struct mspan *span;
	size_t nbytes;      /* bytes that its user may use */
	uint32_t slot;      /* its slot; 0 for tiny and big objects */
};

/* Returns the span at p; NULL if p is foreign or points to a guarded object. Ends the process if p
 * lies in an arena but in no span. func names the user's call in the report. */
struct mspan *object_span(const void *p, const char *func);

/* Finds the live object that starts at p in span s. Returns false if there is none. With hardened=1
 * it ends the process if something was written behind the object. */
bool object_find(void *p, struct mspan *s, struct object *o, const char *func);

/* Reports why no live object starts at p in span s, and ends the process. s is NULL where no span
 * is. */
_Noreturn void object_bad_pointer(const void *p, const struct mspan *s, const char *func);

/* Returns the state byte of the object at p, which lies in a span. */
_Atomic uint8_t *object_state(void *p);

#endif
