/* SPDX-License-Identifier: MIT */
/*
 * copy.c - a copy of those parts of a target's memory that were asked for.
 *
 * The memory is copied in blocks as large as the slabs of the library's records. So one system call
 * copies many records, as they were at one moment or nearly so.
 *
 * Owns     the blocks.
 */
#include "view/copy.h"
#include "view/room.h"

#include <stdlib.h>

#define BLOCK_SIZE KiB(32)
/* What can be read, or not, as a whole. */
#define PART_SIZE KiB(4)

struct copy_block {
	uintptr_t addr;
	uint32_t known;            /* a bit for each part that could be read */
	char bytes[BLOCK_SIZE];
};

void copy_begin(struct copy *c, struct target *t)
{
	*c = (struct copy){ .target = t, .room = 1024 };
	c->blocks = room_for(c->room, sizeof(struct copy_block *));
}

static struct copy_block **place_of(const struct copy *c, uintptr_t addr)
{
	size_t i = (addr / BLOCK_SIZE * UINT64_C(0x9e3779b97f4a7c15)) >> 20;

	for (;; i++) {
		struct copy_block **place = &c->blocks[i & (c->room - 1)];

		if (*place == NULL || (*place)->addr == addr)
			return place;
	}
}

static void grow(struct copy *c)
{
	struct copy_block **old = c->blocks;
	size_t room = c->room;

	c->room *= 2;
	c->blocks = room_for(c->room, sizeof(struct copy_block *));
	for (size_t i = 0; i < room; i++)
		if (old[i] != NULL)
			*place_of(c, old[i]->addr) = old[i];
	free(old);
}

/* Copies what can be read of a block: there may be gaps. */
static void fill(struct target *t, struct copy_block *b)
{
	size_t at = 0;

	while (at < BLOCK_SIZE) {
		size_t n = target_read(t, b->addr + at, b->bytes + at, BLOCK_SIZE - at);
		size_t end = align_down(at + n, PART_SIZE);

		for (size_t part = at; part < end; part += PART_SIZE)
			b->known |= 1u << part / PART_SIZE;
		at = end + PART_SIZE;
	}
}

static const struct copy_block *block_at(struct copy *c, uintptr_t addr)
{
	struct copy_block **place = place_of(c, addr);

	if (*place != NULL)
		return *place;
	if (c->nblocks >= c->room / 2) {
		grow(c);
		place = place_of(c, addr);
	}
	*place = room_for(1, sizeof(**place));
	(*place)->addr = addr;
	c->nblocks++;
	fill(c->target, *place);
	return *place;
}

bool copy_read(struct copy *c, uintptr_t addr, void *to, size_t nbytes)
{
	char *at = to;

	if (addr + nbytes < addr)
		return false;
	while (nbytes != 0) {
		size_t offset = addr % BLOCK_SIZE;
		const struct copy_block *b = block_at(c, addr - offset);
		size_t n = min_size(nbytes, PART_SIZE - offset % PART_SIZE);

		if ((b->known >> offset / PART_SIZE & 1) == 0)
			return false;
		copy_bytes(at, b->bytes + offset, n);
		at += n;
		addr += n;
		nbytes -= n;
	}
	return true;
}

void copy_end(struct copy *c)
{
	for (size_t i = 0; i < c->room; i++)
		free(c->blocks[i]);
	free(c->blocks);
	*c = (struct copy){ .target = NULL };
}
