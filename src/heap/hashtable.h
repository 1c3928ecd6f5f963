/* SPDX-License-Identifier: MIT */
/*
 * hashtable.h - records found by a hash, in chains; grows with them. See hashtable.c.
 */
#ifndef GOALLOC_HASHTABLE_H
#define GOALLOC_HASHTABLE_H

#include "base/base.h"

/* Chains at first, and most: 2^these. */
#define HASHTABLE_FIRST 9
#define HASHTABLE_LAST 41

/* In every record, its first field. */
struct hashtable_node {
	struct hashtable_node *next;   /* in the chain */
	uint64_t hash;
};

/* All fields are under the lock of whoever has the table. Zeros are a table that hashtable_init() was not called for. */
struct hashtable {
	struct hashtable_node **chains[HASHTABLE_LAST + 1];   /* by log2 of their number; those but the last are empty memory */
	unsigned bits;         /* log2 of the chains in use; 0 none */
	bool moving;           /* records are on the way to other chains */
	size_t count;          /* records; one more or less in a forked child */
	size_t grow_at;        /* count from which on there should be more chains */
};

/* An address as a hash. No two addresses have the same. */
static inline uint64_t hashtable_of_addr(uintptr_t addr)
{
	return addr * UINT64_C(0x9e3779b97f4a7c15);
}

/* Once; false when there is no memory, and it may be tried again. */
bool hashtable_init(struct hashtable *t);

/* The first record with this hash from a node on, itself included; NULL when there is none. Begin with hashtable_chain(). */
static inline struct hashtable_node *hashtable_match(struct hashtable_node *n, uint64_t hash)
{
	while (n != NULL && n->hash != hash)
		n = n->next;
	return n;
}

static inline struct hashtable_node *hashtable_chain(const struct hashtable *t, uint64_t hash)
{
	return t->chains[t->bits][hash >> (64 - t->bits)];
}

/* Adds a record whose hash is set. There may be others with the same. Without memory to grow the chains become longer. */
void hashtable_insert(struct hashtable *t, struct hashtable_node *n);

/* Takes out the first record with this hash; NULL when there is none. */
struct hashtable_node *hashtable_remove(struct hashtable *t, uint64_t hash);

/* Forgets all records; what moved no longer does. */
void hashtable_clear(struct hashtable *t);

#endif
