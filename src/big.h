/* SPDX-License-Identifier: MIT */
/*
 * big.h - objects that have pages of their own. See big.c.
 */
#ifndef GOALLOC_BIG_H
#define GOALLOC_BIG_H

#include "request.h"

/* Serves a request that needs pages of its own. Returns NULL if there is no memory, and leaves
 * errno to its caller. */
void *big_alloc(struct mcache *c, const struct request *r);

/* Frees the big object at p, which is the base of s. */
void big_free(void *p, struct mspan *s, const char *func, struct mcache *c);

#endif
