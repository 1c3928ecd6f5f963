/* SPDX-License-Identifier: MIT */
/*
 * request.h - a request for memory, and the slow paths of malloc.c that realloc.c uses.
 */
#ifndef GOALLOC_REQUEST_H
#define GOALLOC_REQUEST_H

#include "object.h"

#include "heap/thread.h"

struct request {
	size_t size;
	size_t align;      /* a power of two; 0: by the rule of malloc */
	enum scan scan;
	enum content content;
};

static inline size_t pages_for(size_t size)
{
	return (size + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

/* Sets errno to ENOMEM and returns NULL. */
void *request_refuse(void);

/* Serves a request. Returns NULL and sets errno if there is no memory. The caller has no cache and
 * no lock. */
void *request_alloc(const struct request *r);

/* Returns true if an object of size bytes may be where o is. align is 0 for an object of malloc. */
bool request_fits(const struct object *o, size_t size, size_t align);

/* Counts a big object that got other pages as a new one. Sets *sampled to the bytes for which the
 * caller is to call profile_alloc() when it has left the cache; else *sampled stays 0. */
void request_count_big(struct mcache *c, struct mspan *s, size_t *sampled);

/* Frees the live object o at p. The caller has no cache and no lock. */
void request_free(const struct object *o, void *p, const char *func);

#endif
