/* SPDX-License-Identifier: MIT */
/*
 * partalloc.c - large records that are reserved whole and committed in parts: those of caches.
 * See malloc.c for the overview.
 *
 * Records lie in blocks. A block has the first parts of its records side by side, and then their
 * rests. So the first parts in use are one mapping, and the rests that are not committed, which
 * cost address space only, are another.
 *
 * Owns     the address space of the blocks, among the memory of records. It is never given back, so
 *          that a record's address always is that of such a record.
 * Locks    none of its own: the caller has one lock for each pool. Takes the metadata lock.
 * Holds    the bits of a block change by one store, so that a child that is forked at any time
 *          finds a record whole or not at all. A record that a lost thread was making, or giving
 *          back, is lost to the child.
 */
#include "heap/partalloc.h"
#include "heap/fixalloc.h"
#include "os/os.h"

#define BLOCK_MIN_RECORDS 2
#define BLOCK_MAX_RECORDS 64

void partalloc_init(struct partalloc *f, size_t first_nbytes, size_t rest_nbytes)
{
	f->first_nbytes = align_up(first_nbytes, os_page_size());
	f->rest_nbytes = align_up(rest_nbytes, os_page_size());
	f->blocks = NULL;
}

/* Reserves a block of nrecords. */
static struct part_block *make_block(const struct partalloc *f, unsigned nrecords)
{
	size_t head = os_page_size();
	size_t nbytes = head + nrecords * (f->first_nbytes + f->rest_nbytes);
	char *p = os_reserve_metadata(nbytes, head);
	struct part_block *b = (struct part_block *)(void *)p;

	if (p == NULL)
		return NULL;
	fixalloc_count_reserved(nbytes);
	b->firsts = p + head;
	b->rests = b->firsts + nrecords * f->first_nbytes;
	b->nrecords = nrecords;
	return b;
}

/* Adds a block that is twice as large as the last one, or where there is no room for that, one of a
 * single record. */
static struct part_block *add_block_locked(struct partalloc *f)
{
	unsigned n = f->blocks == NULL ? BLOCK_MIN_RECORDS : 2 * f->blocks->nrecords;
	struct part_block *b = make_block(f, (unsigned)min_size(n, BLOCK_MAX_RECORDS));

	if (b == NULL)
		b = make_block(f, 1);
	if (b == NULL)
		return NULL;
	b->next = f->blocks;
	order_stores();
	f->blocks = b;
	return b;
}

static uint64_t free_bits(const struct part_block *b)
{
	return ~b->taken & low_mask64(b->nrecords);
}

void *partalloc_take_locked(struct partalloc *f, void **rest)
{
	struct part_block *b = f->blocks;
	unsigned i;

	while (b != NULL && free_bits(b) == 0)
		b = b->next;
	if (b == NULL)
		b = add_block_locked(f);
	if (b == NULL)
		return NULL;
	i = ctz64(free_bits(b));
	b->taken |= (uint64_t)1 << i;
	*rest = b->rests + i * f->rest_nbytes;
	return b->firsts + i * f->first_nbytes;
}

/* Returns the block of a record, and sets *bit to the record's bit there. */
static struct part_block *block_of(const struct partalloc *f, const void *record, uint64_t *bit)
{
	struct part_block *b = f->blocks;
	uintptr_t offset = 0;

	for (; b != NULL; b = b->next) {
		offset = (uintptr_t)record - (uintptr_t)b->firsts;
		if (offset < b->nrecords * f->first_nbytes)
			break;
	}
	CHECK(b != NULL);
	*bit = (uint64_t)1 << offset / f->first_nbytes;
	return b;
}

void partalloc_show_locked(struct partalloc *f, void *record, bool shown)
{
	uint64_t bit;
	struct part_block *b = block_of(f, record, &bit);

	order_stores();
	b->shown = shown ? b->shown | bit : b->shown & ~bit;
	order_stores();
}

void partalloc_give_locked(struct partalloc *f, void *record)
{
	uint64_t bit;
	struct part_block *b = block_of(f, record, &bit);

	DCHECK((b->shown & bit) == 0);
	b->taken &= ~bit;
}

void *partalloc_next_locked(const struct partalloc *f, struct part_walk *w)
{
	struct part_block *b = w->block == NULL ? f->blocks : w->block;

	for (; b != NULL; b = b->next, w->i = 0) {
		uint64_t bits = w->i == 64 ? 0 : b->shown >> w->i << w->i;

		if (bits == 0)
			continue;
		w->block = b;
		w->i = ctz64(bits) + 1;
		return b->firsts + (w->i - 1) * f->first_nbytes;
	}
	return NULL;
}

bool partalloc_commit(void *p, size_t nbytes)
{
	char *from = (char *)align_down((uintptr_t)p, os_page_size());
	char *to = (char *)align_up((uintptr_t)p + nbytes, os_page_size());

	if (!os_commit_metadata(from, (size_t)(to - from)))
		return false;
	fixalloc_count_used(nbytes, 0);
	return true;
}

void partalloc_uncommit(void *p, size_t nbytes, size_t committed)
{
	(void)os_uncommit_metadata(p, align_up(nbytes, os_page_size()));
	fixalloc_count_used(0, committed);
}
