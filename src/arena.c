/* SPDX-License-Identifier: MIT */
/*
 * arena.c - address space for the heap, in 64 MB aligned slots.
 * See malloc.c for the overview.
 *
 * Owns     the reserved part of the address space that is not committed yet.
 * Callers  mheap.c. Calls os.h.
 * Locks    none of its own; the caller holds mheap.lock.
 * Holds    a reservation begins and ends on a chunk (4 MB); where the system allows it, on a slot.
 *          Consecutive reservations are adjacent as long as nobody else is in the way, so that a
 *          run of pages may cross from one arena into the next.
 *          The first base is random, from the kernel's per-process seed.
 */
#include "arena.h"
#include "os.h"

/* Where to look for room: a stretch of user addresses that neither programs nor their stacks, libraries
 * or sanitizers' shadows use. A hint only: the kernel may answer with another place. */
#define HINT_LOW UINT64_C(0x120000000000)
#define HINT_SLOTS_BITS 19
#define HINT_TRIES 4
_Static_assert(HINT_LOW + ((UINT64_C(1) << HINT_SLOTS_BITS) << ARENA_SHIFT) <
	       UINT64_C(1) << (ADDR_BITS - 1), "hints are user addresses on every kernel");

static bool in_table(uintptr_t addr, size_t nbytes)
{
	return nbytes <= (uintptr_t)1 << ADDR_BITS &&
	       addr <= ((uintptr_t)1 << ADDR_BITS) - nbytes;
}

/* Reserves exactly at addr, or not at all. */
static bool reserve_at(uintptr_t addr, size_t nbytes)
{
	void *p;

	if (!in_table(addr, nbytes))
		return false;
	p = os_reserve((void *)addr, nbytes);
	if (p == NULL)
		return false;
	if ((uintptr_t)p == addr)
		return true;
	os_unreserve(p, nbytes);
	return false;
}

/* Reserves anywhere, aligned, by taking too much and giving the edges back. */
static uintptr_t reserve_aligned(size_t nbytes, size_t align)
{
	void *p = os_reserve(NULL, nbytes + align);
	uintptr_t low = (uintptr_t)p;
	uintptr_t addr = align_up(low, align);

	if (p == NULL)
		return 0;
	if (!in_table(addr, nbytes)) {
		os_unreserve(p, nbytes + align);
		return 0;
	}
	if (addr != low)
		os_unreserve(p, addr - low);
	if (addr + nbytes != low + nbytes + align)
		os_unreserve((void *)(addr + nbytes), low + align - addr);
	return addr;
}

static uintptr_t reserve_somewhere(size_t nbytes, size_t align)
{
	for (unsigned i = 0; i < HINT_TRIES; i++) {
		uint64_t slot = os_random() + i * UINT64_C(0x9e3779b97f4a7c15);
		uintptr_t hint = HINT_LOW + ((slot >> (64 - HINT_SLOTS_BITS)) << ARENA_SHIFT);

		if (reserve_at(hint, nbytes))
			return hint;
	}
	return reserve_aligned(nbytes, align);
}

uintptr_t arena_space_extend(struct arena_space *a, size_t nbytes)
{
	uintptr_t addr = a->next;

	if (addr == 0)
		return 0;
	if (a->end - a->next < nbytes) {
		size_t missing = nbytes - (a->end - a->next);
		size_t to_slot = align_up(a->end + missing, ARENA_SIZE) - a->end;
		size_t to_chunk = align_up(missing, CHUNK_SIZE);

		/* The system may lack room for a whole slot more, but not for what is needed. */
		if (reserve_at(a->end, to_slot))
			a->end += to_slot;
		else if (to_chunk < to_slot && reserve_at(a->end, to_chunk))
			a->end += to_chunk;
		else
			return 0;
	}
	a->next += nbytes;
	return addr;
}

uintptr_t arena_space_move(struct arena_space *a, size_t nbytes)
{
	size_t least = align_up(nbytes, CHUNK_SIZE);
	size_t want = align_up(nbytes, ARENA_SIZE);
	uintptr_t addr = reserve_somewhere(want, ARENA_SIZE);

	/* Less than a slot when that is all there is; still inside one slot as long as it fits. */
	while (addr == 0 && want > least) {
		want = max_size(least, align_down(want / 2, CHUNK_SIZE));
		addr = reserve_somewhere(want, CHUNK_SIZE);
	}
	if (addr == 0)
		return 0;
	if (a->end != a->next)
		os_unreserve((void *)a->next, a->end - a->next);
	a->next = addr + nbytes;
	a->end = addr + want;
	return addr;
}

void arena_space_undo(struct arena_space *a, size_t nbytes)
{
	a->next -= nbytes;
}

void heap_arena_init(struct heap_arena *ha, uintptr_t addr, uint32_t idx)
{
	ha->base = align_down(addr, ARENA_SIZE);
	ha->idx = idx;
	/* Not ours is the same as in use. */
	fill_bytes(ha->alloc_bits, 0xff, sizeof(ha->alloc_bits));
}
