/* SPDX-License-Identifier: MIT */
/*
 * os_metadata.c - memory for the allocator's own records: where it lies, and what protects it.
 *
 * Records lie one behind the other in a part of the address space that is chosen at random, so that
 * no address of libc's or of the heap's tells where. Each piece lies between two pages that cannot
 * be accessed. With a protection key, code that is not ours can neither read nor write records.
 *
 * Owns     the protection key, the list of all records' memory, and a reserve of scratch memory.
 * Holds    errno is as the caller left it after every function.
 */
#include "os/os.h"
#include "os/os_call.h"
#include "os/places.h"
#include "base/config.h"

#include <sys/mman.h>

_Atomic uint32_t os_key_rights;
/* -1 makes pkey_mprotect(2) do what mprotect(2) does. */
static int metadata_key = -1;

bool os_make_key(void)
{
	long key = CPU_HAS_RIGHTS ? SYSCALL(SYS_pkey_alloc, 0L, 0L) : -1;

	if (key <= 0)
		return false;
	metadata_key = (int)key;
	/* Relaxed: pairs with the load in metakey_rights(). */
	atomic_store_explicit(&os_key_rights, (uint32_t)3 << 2 * key, memory_order_relaxed);
	return true;
}

/* Makes reserved pages accessible, and puts them behind the key if there is one. */
static bool open_metadata(void *p, size_t nbytes)
{
	long protect = metadata_key < 0 ? SYS_mprotect : SYS_pkey_mprotect;

	return SYSCALL(protect, p, nbytes, PROT_READ | PROT_WRITE, metadata_key) == 0;
}

static char *reserve_metadata(void *hint, size_t nbytes)
{
	return os_map(hint, nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, METADATA_NAME);
}

/* Reserves memory for records at the hint, or elsewhere, between two pages without access. The
 * first `ready` bytes can be accessed. */
static void *map_guarded(uintptr_t hint, size_t nbytes, size_t ready)
{
	size_t guard = os_page_size();
	size_t whole = nbytes + 2 * guard;
	char *p = reserve_metadata((void *)hint, whole);

	if (p == NULL)
		return NULL;
	if (!open_metadata(p + guard, ready)) {
		(void)os_unmap(p, whole);
		return NULL;
	}
	return p + guard;
}

/* Returns a random hint for records and the page before them. The records begin at a multiple of
 * 64 KiB. */
static uintptr_t random_place(void)
{
	return CPU_HEAP_LOW + align_down(os_random() % METADATA_PLACE, KiB(64)) + KiB(64) -
	       os_page_size();
}

/* Returns the hint for the next nbytes of records. The pages beside them are included. */
static uintptr_t next_place(size_t nbytes)
{
	/* The value is 0 before the first call. Relaxed: it is a hint, which the kernel checks. */
	static _Atomic uintptr_t next;
	uintptr_t none = 0;

	if (atomic_load_explicit(&next, memory_order_relaxed) == 0)
		(void)atomic_compare_exchange_strong_explicit(&next, &none, random_place(),
							      memory_order_relaxed,
							      memory_order_relaxed);
	return atomic_fetch_add_explicit(&next, nbytes + 2 * os_page_size(), memory_order_relaxed);
}

struct places os_first_places;

/* Returns the places behind these, and makes them if need be. NULL means that there is no
 * memory. */
static struct places *more_places(struct places *places)
{
	/* Acquire: the new places are zero. Pairs with the release of the exchange. */
	struct places *next = atomic_load_explicit(&places->next, memory_order_acquire);
	struct places *fresh;

	if (next != NULL)
		return next;
	fresh = map_guarded(next_place(os_page_size()), os_page_size(), os_page_size());
	if (fresh == NULL)
		return NULL;
	/* Release: pairs with the load above. Acquire: if another thread was first, its places
	 * are zero. */
	if (atomic_compare_exchange_strong_explicit(&places->next, &next, fresh,
						    memory_order_acq_rel, memory_order_acquire))
		return fresh;
	(void)os_unmap((char *)fresh - os_page_size(), 3 * os_page_size());
	return next;
}

/* Adds memory to the list. If the list cannot grow, the memory is left out. */
static void note_metadata(uintptr_t addr, size_t nbytes)
{
	for (struct places *places = &os_first_places; places != NULL;
	     places = more_places(places)) {
		/* Relaxed: no other thread gets the same number. The load keeps the count from
		 * running over. */
		uint32_t n = atomic_load_explicit(&places->len, memory_order_relaxed);

		if (n < PLACES)
			n = atomic_fetch_add_explicit(&places->len, 1, memory_order_relaxed);
		if (n >= PLACES)
			continue;
		places->at[n].addr = addr;
		/* Release: the address. Pairs with the acquire in os_each_metadata(). */
		atomic_store_explicit(&places->at[n].nbytes, nbytes, memory_order_release);
		return;
	}
}

void os_each_metadata(void (*visit)(uintptr_t addr, size_t nbytes, void *arg), void *arg)
{
	/* Acquire: the places are zero. Pairs with the release in more_places(). */
	for (struct places *places = &os_first_places; places != NULL;
	     places = atomic_load_explicit(&places->next, memory_order_acquire)) {
		for (size_t i = 0; i < PLACES; i++) {
			/* Acquire: the address. Pairs with the release in note_metadata(). */
			size_t nbytes = atomic_load_explicit(&places->at[i].nbytes,
							     memory_order_acquire);

			if (nbytes != 0)
				visit(places->at[i].addr, nbytes, arg);
		}
	}
}

/* Maps records and adds them to the list. */
static void *map_metadata(uintptr_t hint, size_t nbytes, size_t ready)
{
	void *p = map_guarded(hint, nbytes, ready);

	if (p != NULL)
		note_metadata((uintptr_t)p, nbytes);
	return p;
}

void *os_alloc_metadata(size_t nbytes)
{
	return map_metadata(next_place(nbytes), nbytes, nbytes);
}

void *os_alloc_long_metadata(size_t nbytes)
{
	return map_metadata(random_place(), nbytes, nbytes);
}

void *os_reserve_metadata(size_t nbytes, size_t ready)
{
	return map_metadata(next_place(nbytes), nbytes, ready);
}

bool os_commit_metadata(void *p, size_t nbytes)
{
	return open_metadata(p, nbytes);
}

bool os_uncommit_metadata(void *p, size_t nbytes)
{
	if (os_map(p, nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, METADATA_NAME) ==
	    p)
		return true;
	/* The kernel may refuse a new mapping: see os_remap(). */
	return os_release(p, nbytes) && SYSCALL(SYS_mprotect, p, nbytes, PROT_NONE) == 0;
}

bool os_extend_metadata(void *end, size_t nbytes)
{
	char *behind = (char *)end + os_page_size();
	char *p = reserve_metadata(behind, nbytes);

	if (p == NULL)
		return false;
	/* The page without access moves to the new end. */
	if (p == behind && open_metadata(end, nbytes)) {
		note_metadata((uintptr_t)end, nbytes);
		return true;
	}
	(void)os_unmap(p, nbytes);
	return false;
}

/* Scratch memory for when the system has none. Access: [a] atomic, any thread; [u] the user */
static struct {
	/* [a] the process id of the user, or 0. A user in another process is gone. */
	_Atomic int user;
	/* [u] */
	_Alignas(CACHE_LINE) char bytes[OS_SCRATCH_RESERVE];
} reserve;

static void *take_reserve(size_t nbytes)
{
	/* Relaxed: the exchange checks the value. */
	int self = os_pid(), user = atomic_load_explicit(&reserve.user, memory_order_relaxed);

	if (nbytes > sizeof(reserve.bytes) || user == self)
		return NULL;
	/* Acquire: the last user is done with the bytes. Pairs with the release in
	 * os_free_scratch(). */
	if (!atomic_compare_exchange_strong_explicit(&reserve.user, &user, self,
						     memory_order_acquire, memory_order_relaxed))
		return NULL;
	zero_bytes(reserve.bytes, nbytes);
	return reserve.bytes;
}

void *os_alloc_scratch(size_t nbytes)
{
	void *p = os_map(NULL, align_up(nbytes, os_page_size()), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, METADATA_NAME);

	return p != NULL ? p : take_reserve(nbytes);
}

void os_free_scratch(void *p, size_t nbytes)
{
	/* Release: pairs with the acquire in take_reserve(). */
	if (p == reserve.bytes)
		atomic_store_explicit(&reserve.user, 0, memory_order_release);
	else
		(void)os_unmap(p, align_up(nbytes, os_page_size()));
}
