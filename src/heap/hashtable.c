/* SPDX-License-Identifier: MIT */
/*
 * hashtable.c - finds records by a hash, in chains whose number grows.
 * See malloc.c for the overview.
 *
 * Owns     the heads of the chains, in metadata memory. The records belong to the table's owner.
 * Locks    none of its own: the owner holds one around every call. Takes the metadata lock.
 * Holds    while `moving` is false, every record that was inserted and not removed is in its chain
 *          exactly once, at every moment. A child that was forked while another thread changed the
 *          table uses it as it is, or clears it if `moving` is true.
 */
#include "heap/hashtable.h"
#include "heap/fixalloc.h"
#include "os/os.h"

/* The table grows to four times its chains when there are more records than chains. */
#define GROW_BITS 2

static size_t nchains(unsigned bits)
{
	return (size_t)1 << bits;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

/* Four hashes, each of every fourth address, do not wait for each other. */
uint64_t hashtable_of_stack(const uintptr_t *pcs, unsigned npcs, size_t nbytes)
{
	uint64_t a = nbytes, b = 1, c = 2, d = 3;
	unsigned i;

	for (i = 0; i + 4 <= npcs; i += 4) {
		a = mix(a, pcs[i]);
		b = mix(b, pcs[i + 1]);
		c = mix(c, pcs[i + 2]);
		d = mix(d, pcs[i + 3]);
	}
	for (; i < npcs; i++)
		a = mix(a, pcs[i]);
	/* The upper bits choose the chain. */
	return mix(mix(mix(a, b), c), d) * UINT64_C(0xbf58476d1ce4e5b9);
}

static size_t chain_nbytes(unsigned bits)
{
	return align_up(nchains(bits) * sizeof(struct hashtable_node *), os_page_size());
}

static bool make_chains(struct hashtable *t, unsigned bits)
{
	if (t->chains[bits] == NULL)
		t->chains[bits] = fixalloc_table(chain_nbytes(bits));
	return t->chains[bits] != NULL;
}

bool hashtable_init(struct hashtable *t)
{
	if (!make_chains(t, HASHTABLE_FIRST))
		return false;
	t->bits = HASHTABLE_FIRST;
	t->grow_at = nchains(t->bits);
	return true;
}

/* Puts a record at the head of a chain, with its own link stored first. */
static void push(struct hashtable_node **head, struct hashtable_node *n)
{
	n->next = *head;
	order_stores();
	*head = n;
}

static SLOW_PATH void grow(struct hashtable *t)
{
	unsigned old = t->bits, bits = old + GROW_BITS;

	if (bits > HASHTABLE_LAST || !make_chains(t, bits)) {
		t->grow_at *= 2;
		return;
	}
	t->moving = true;
	order_stores();
	for (size_t i = 0; i < nchains(old); i++) {
		struct hashtable_node *next;

		for (struct hashtable_node *n = t->chains[old][i]; n != NULL; n = next) {
			next = n->next;
			push(&t->chains[bits][n->hash >> (64 - bits)], n);
		}
	}
	t->bits = bits;
	order_stores();
	t->moving = false;
	t->grow_at = nchains(bits);
	/* The old heads are never needed again, because tables do not shrink. */
	(void)os_release(t->chains[old], chain_nbytes(old));
}

void hashtable_insert(struct hashtable *t, struct hashtable_node *n)
{
	if (UNLIKELY(t->count >= t->grow_at))
		grow(t);
	push(&t->chains[t->bits][n->hash >> (64 - t->bits)], n);
	t->count++;
}

struct hashtable_node *hashtable_remove(struct hashtable *t, uint64_t hash)
{
	struct hashtable_node **link = &t->chains[t->bits][hash >> (64 - t->bits)];
	struct hashtable_node *n;

	while (*link != NULL && (*link)->hash != hash)
		link = &(*link)->next;
	n = *link;
	if (n == NULL)
		return NULL;
	*link = n->next;
	t->count--;
	return n;
}

void hashtable_clear(struct hashtable *t)
{
	/* After a move that never ended, the next chains have records, too. */
	for (unsigned bits = t->bits; bits <= HASHTABLE_LAST; bits++)
		if (t->chains[bits] != NULL && !os_release(t->chains[bits], chain_nbytes(bits)))
			zero_bytes(t->chains[bits], chain_nbytes(bits));
	t->count = 0;
	order_stores();
	t->moving = false;
}
