/* SPDX-License-Identifier: MIT */
/*
 * arena.c - address space for the heap, in 64 MiB aligned sites.
 * See malloc.c for the overview.
 *
 * Owns     the reserved part of the address space that is not committed yet.
 * Locks    none of its own; the caller holds mheap.lock.
 * Holds    consecutive reservations are adjacent as long as no other mapping is in the way, so
 *          that a run of pages may cross from one arena into the next. The first base is random.
 *
 * The hints below lead to a place apart, where nobody else maps memory. There exactly what is
 * handed out is reserved, because address space counts against a limit on locked memory
 * (mlockall(2)), and debuggers write it into cores. Where the system chooses the place, other
 * mappings are near, and more is reserved than is needed. Such a reservation begins and ends on a
 * site where the system allows it, else on a chunk, and if there is no room for chunks, on a word
 * of pages.
 */
#include "heap/arena.h"
#include "os/os.h"

/*
 * Where the heap and its records look for room. It is only a hint: the kernel may answer with
 * another place.
 *
 * The place lies in none of the ranges below. Their owners map them at fixed addresses, and fail
 * or warn when another mapping is there. Each sanitizer is listed with its layouts of gcc 12 to 15
 * and LLVM 14 to 21. "App" is where a sanitizer lets programs map memory: ThreadSanitizer,
 * MemorySanitizer and DataFlowSanitizer refuse every mapping elsewhere.
 *
 *   x86-64   MAP_32BIT, programs at fixed addresses    0000 0000 0000 - 0000 8000 0000,
 *                                                      and the break behind them
 *            AddressSanitizer    shadow                0000 7fff 8000 - 1000 7fff 8000
 *                                allocator, LeakSan.   5000 0000 0000 - 5400 0000 0000
 *                                                      6000 0000 0000 - 6400 0000 0000
 *            ThreadSanitizer     app                   0000 0000 1000 - 0080 0000 0000
 *                                                      5500 0000 0000 - 5680 0000 0000
 *                                                      7e80 0000 0000 - 8000 0000 0000
 *            MemorySanitizer,    app                   0000 0000 0000 - 0100 0000 0000
 *            DataFlowSanitizer                         5100 0000 0000 - 6000 0000 0000
 *                                                      7400 0000 0000 - 8000 0000 0000
 *            CLISP               heap                  1000 0000 0000 - 2000 0000 0000,
 *                                                      and 3340 0000 0000 in some builds
 *            ZGC, Go, SBCL       heaps                 0010 0000 0000 - 1400 0000 0000
 *            the kernel          programs (PIE)        5555 5555 4000 - 5655 5555 4000,
 *                                                      and the break behind them
 *                                stacks, libraries     7ef0 0000 0000 - 8000 0000 0000
 *
 *   This leaves 5500 0000 0000 - 5555 4000 0000, 341 GiB.
 *
 *   arm64    AddressSanitizer    shadow                0010 0000 0000 - 2010 0000 0000
 *            ThreadSanitizer     app below 2^47        0000 0000 1000 - 0a00 0000 0000
 *                                before LLVM 18        0000 0000 1000 - 0002 0000 0000
 *            MemorySanitizer     app below 2^47        0000 0000 0000 - 1000 0000 0000
 *            programs at fixed addresses               0000 0040 0000, and the break behind them
 *            Java's compressed pointers                0000 0000 0000 - 0008 0000 0000
 *
 *   This leaves 0008 0000 0000 - 0010 0000 0000, 32 GiB. Kernels with addresses of 39 bits have
 *   it, too. ThreadSanitizer before LLVM 18, and gcc's before 14, refuses it, because it allows
 *   only 8 GiB, in which programs lie.
 *
 * HWAddressSanitizer chooses a free place for its shadow when the program starts.
 */
#define HINT_LOW (CPU_HEAP_LOW + METADATA_PLACE)
/* Not near the end, so that a heap that grows finds room behind it. */
#define HINT_SITES (3 * METADATA_PLACE >> ARENA_SHIFT)
#define HINT_TRIES 4
_Static_assert(HINT_LOW % ARENA_SIZE == 0 && METADATA_PLACE % ARENA_SIZE == 0,
	       "hints are whole arenas");
_Static_assert(CPU_HEAP_HIGH < UINT64_C(1) << ADDR_BITS, "hints are in the arena table");

/* The least that the heap commits: the pages of a word in the bitmaps. */
#define WORD_SIZE (GROW_MIN_PAGES * PAGE_SIZE)
_Static_assert(CHUNK_SIZE % WORD_SIZE == 0, "a chunk is words");
_Static_assert(GROW_MIN_PAGES % 64 == 0, "a word of the bitmaps is not cut");

static bool in_table(uintptr_t addr, size_t nbytes)
{
	return nbytes <= (uintptr_t)1 << ADDR_BITS &&
	       addr <= ((uintptr_t)1 << ADDR_BITS) - nbytes;
}

/* Gives address space back. What the system refuses is noted and given back later. It stays
 * reserved for good if there is no room for the note. */
static void give_back(struct arena_space *a, uintptr_t addr, size_t nbytes)
{
	if (os_unreserve((void *)addr, nbytes))
		return;
	for (unsigned i = 0; i < ARENA_SPACE_OWED; i++) {
		if (a->owed[i].nbytes == 0) {
			a->owed[i] = (struct address_range){ addr, nbytes };
			return;
		}
	}
}

static void give_back_owed(struct arena_space *a)
{
	for (unsigned i = 0; i < ARENA_SPACE_OWED; i++) {
		struct address_range r = a->owed[i];

		if (r.nbytes == 0)
			continue;
		/* First, because a child that is forked in between must not give it back once
		 * more. */
		a->owed[i].nbytes = 0;
		give_back(a, r.addr, r.nbytes);
	}
}

/* Reserves nbytes exactly at addr. Returns false, with nothing reserved, when that fails. */
static bool reserve_at(struct arena_space *a, uintptr_t addr, size_t nbytes)
{
	void *p;

	if (!in_table(addr, nbytes))
		return false;
	p = os_reserve((void *)addr, nbytes);
	if (p == NULL)
		return false;
	if ((uintptr_t)p == addr)
		return true;
	give_back(a, (uintptr_t)p, nbytes);
	return false;
}

/* Reserves aligned address space where the system chooses, by taking too much and giving the edges
 * back. Returns its address, or 0. */
static uintptr_t reserve_aligned(struct arena_space *a, size_t nbytes, size_t align)
{
	void *p = os_reserve(NULL, nbytes + align);
	uintptr_t low = (uintptr_t)p;
	uintptr_t addr = align_up(low, align);

	if (p == NULL)
		return 0;
	if (!in_table(addr, nbytes)) {
		give_back(a, low, nbytes + align);
		return 0;
	}
	if (addr != low)
		give_back(a, low, addr - low);
	if (addr + nbytes != low + nbytes + align)
		give_back(a, addr + nbytes, low + align - addr);
	return addr;
}

/* Returns the site that a random number chooses. */
static uintptr_t hint_of(uint64_t random)
{
	return HINT_LOW + (((random >> 32) * HINT_SITES >> 32) << ARENA_SHIFT);
}

/* Reserves address space at a hint, or returns 0. The heap begins at a random place in its site,
 * so that the address of an object does not tell where others are. A later place is tried near the
 * end of the one before first, because the window of arenas can grow to there. */
static uintptr_t reserve_apart(struct arena_space *a, size_t nbytes)
{
	for (unsigned i = 0; i < HINT_TRIES; i++) {
		uint64_t random = os_random();
		uintptr_t hint = hint_of(random);

		if (i < HINT_TRIES / 2 && a->apart)
			hint = min_size(align_up(a->end, ARENA_SIZE) + ((size_t)ARENA_SIZE << i),
					CPU_HEAP_HIGH - ARENA_SIZE);
		if (nbytes <= ARENA_SIZE / 2)
			hint += random % (ARENA_SIZE / 2 / REGION_SIZE) * REGION_SIZE;
		if (reserve_at(a, hint, nbytes))
			return hint;
	}
	return 0;
}

/* Reserves *nbytes and room to grow, where the system chooses. Returns the address, with *nbytes
 * set to the length of the reservation, or 0. */
static uintptr_t reserve_among_others(struct arena_space *a, size_t *nbytes)
{
	size_t least = align_up(*nbytes, CHUNK_SIZE);
	size_t want = align_up(*nbytes, ARENA_SIZE);
	uintptr_t addr = reserve_aligned(a, want, ARENA_SIZE);

	/* There may be room for less than a site. As long as it fits it still lies inside one
	 * site. */
	while (addr == 0 && want > least) {
		want = max_size(least, align_down(want / 2, CHUNK_SIZE));
		addr = reserve_aligned(a, want, CHUNK_SIZE);
	}
	if (addr == 0) {
		want = align_up(*nbytes, WORD_SIZE);
		addr = reserve_aligned(a, want, WORD_SIZE);
	}
	*nbytes = want;
	return addr;
}

uintptr_t arena_space_extend(struct arena_space *a, size_t nbytes)
{
	uintptr_t addr = a->next;

	if (addr == 0)
		return 0;
	if (a->end - a->next < nbytes) {
		size_t missing = nbytes - (a->end - a->next);
		size_t to_site = align_up(a->end + missing, ARENA_SIZE) - a->end;
		size_t to_chunk = align_up(a->end + missing, CHUNK_SIZE) - a->end;
		size_t to_word = align_up(a->end + missing, WORD_SIZE) - a->end;

		if (a->apart)
			to_site = to_chunk = to_word;
		give_back_owed(a);
		/* Where the next site is partly taken, a part of it may do. */
		if (reserve_at(a, a->end, to_site))
			a->end += to_site;
		else if (to_chunk < to_site && reserve_at(a, a->end, to_chunk))
			a->end += to_chunk;
		else if (to_word < to_chunk && reserve_at(a, a->end, to_word))
			a->end += to_word;
		else
			return 0;
	}
	a->next += nbytes;
	return addr;
}

uintptr_t arena_space_move(struct arena_space *a, size_t nbytes)
{
	size_t reserved = align_up(nbytes, WORD_SIZE);
	bool apart = true;
	uintptr_t addr;

	give_back_owed(a);
	addr = reserve_apart(a, reserved);
	if (addr == 0) {
		apart = false;
		addr = reserve_among_others(a, &reserved);
	}
	if (addr == 0)
		return 0;
	if (a->end != a->next)
		give_back(a, a->next, a->end - a->next);
	a->next = addr + nbytes;
	a->end = addr + reserved;
	a->apart = apart;
	return addr;
}

void arena_space_undo(struct arena_space *a, size_t nbytes)
{
	a->next -= nbytes;
	if (a->apart && a->end != a->next) {
		give_back(a, a->next, a->end - a->next);
		a->end = a->next;
	}
}

void arena_space_undo_move(struct arena_space *a, size_t nbytes, const struct arena_space *before)
{
	uintptr_t addr = a->next - nbytes;

	give_back(a, addr, a->end - addr);
	a->next = before->next;
	a->end = before->next;
	a->apart = before->apart;
}

void heap_arena_init(struct heap_arena *ha, uintptr_t addr, uint32_t idx)
{
	ha->base = align_down(addr, ARENA_SIZE);
	ha->idx = idx;
	/* A page that is not committed counts as in use. */
	fill_bytes(ha->alloc_bits, 0xff, sizeof(ha->alloc_bits));
}
