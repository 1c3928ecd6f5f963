/* SPDX-License-Identifier: MIT */
/*
 * hashtable.h - finds records by a hash, in chains whose number grows. See hashtable.c.
 */
#ifndef GOALLOC_HASHTABLE_H
#define GOALLOC_HASHTABLE_H

#include "base/base.h"

/* log2 of the number of chains at first, and at most. */
#define HASHTABLE_FIRST 9
#define HASHTABLE_LAST 41

/* The first field of every record. */
struct hashtable_node {
	struct hashtable_node *next;   /* in the chain */
	uint64_t hash;
};

/* All fields are under a lock of the table's owner. Zeros are a table without chains. */
struct hashtable {
	struct hashtable_node **chains[HASHTABLE_LAST + 1];   /* by log2 of their number */
	unsigned bits;         /* log2 of the chains in use; 0 for none */
	bool moving;           /* records are being moved to other chains */
	size_t count;          /* records; wrong by one at most in a forked child */
	size_t grow_at;        /* count from which on there should be more chains */
};

/* Returns a hash of an address. No two addresses have the same one. */
static inline uint64_t hashtable_of_addr(uintptr_t addr)
{
	return addr * UINT64_C(0x9e3779b97f4a7c15);
}

/* Returns a hash of the addresses of a stack and a size. */
uint64_t hashtable_of_stack(const uintptr_t *pcs, unsigned npcs, size_t nbytes);

/* Makes the first chains. Returns false when there is no memory; it may be tried again. */
bool hashtable_init(struct hashtable *t);

/* Returns the first record with this hash in the rest of a chain from n on, or NULL. A search
 * begins with hashtable_chain(). */
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

/* Adds a record whose hash is set. Several records may have the same hash. Where there is no
 * memory for more chains, they become longer. */
void hashtable_insert(struct hashtable *t, struct hashtable_node *n);

/* Removes the first record with this hash and returns it, or NULL when there is none. */
struct hashtable_node *hashtable_remove(struct hashtable *t, uint64_t hash);

/* Forgets all records, and ends a move that was interrupted by a fork. */
void hashtable_clear(struct hashtable *t);

#endif
