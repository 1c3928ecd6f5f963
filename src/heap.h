/* SPDX-License-Identifier: MIT */
/*
 * heap.h - the heap as the face sees it: sizes in, pointers out.
 *
 * Functions here set errno (ENOMEM) where they return NULL for want of memory, and leave it alone
 * otherwise. func names the user's call in a report.
 */
#ifndef GOALLOC_HEAP_H
#define GOALLOC_HEAP_H

#include "heap/thread.h"

/* Do what the fast paths do not. */
void *heap_malloc_slow(size_t size);
void *heap_calloc_slow(size_t size);
void heap_free_slot(uintptr_t addr, struct mspan *s, uint32_t slot, const char *func,
		    struct mcache *c);
void heap_free_slow(void *p, struct mspan *s, const char *func);
void heap_free_sized_slow(void *p, size_t size, size_t align, const char *func);

/* Frees an object of a size class into its span. free(p, size) calls it when the free stack is full
 * or the span is another thread's. Returns false, and does nothing, if the size is not that of the
 * object, or the object is not an ordinary small one. */
bool heap_free_sized_slot(const _Atomic spanclass_t *classes, void *p, size_t size, size_t align,
			  const char *func);

/* Clears an object of calloc. A fresh object reads as zero already. It is written to once all the
 * same: a program that reads it first would have the kernel's zero page mapped, and pay for a
 * second fault when it writes. */
FAST_PATH void zero_object(void *p, size_t size, bool fresh)
{
	if (fresh)
		*(volatile unsigned char *)p = 0;
	else
		zero_bytes(p, size);
}

/* Allocates size bytes, aligned to 8 below 16 bytes and to 16 from there. */
FAST_PATH void *heap_malloc(size_t size)
{
	bool fresh;

	if (LIKELY(size <= MAX_SMALL_SIZE)) {
		void *p = mcache_alloc_fast(thread_cache(), sizeclass_bin_of_malloc(size), &fresh);

		if (LIKELY(p != NULL))
			return p;
	}
	return heap_malloc_slow(size);
}

/* Allocates size bytes that read as zero, aligned in the same way. */
FAST_PATH void *heap_calloc(size_t size)
{
	bool fresh;

	if (LIKELY(size <= MAX_SMALL_SIZE)) {
		void *p = mcache_alloc_fast(thread_cache(), sizeclass_bin_of_malloc(size), &fresh);

		if (LIKELY(p != NULL)) {
			zero_object(p, size, fresh);
			return p;
		}
	}
	return heap_calloc_slow(size);
}

/* Frees p by the fast path or by heap_free_slot(). Slots are found by sizeclass_divmul, or by the
 * table if `table` is not NULL. A table that is all 0 finds none, where the program has a free of
 * its own (face/replaced.h). Returns false if nothing was done, as always in a thread without a
 * cache. *span becomes the span at p, or NULL. */
FAST_PATH bool heap_free_fast(const _Atomic(const uint32_t *) *table, void *p, struct mspan **span,
			      const char *func)
{
	uintptr_t addr = (uintptr_t)p;
	uint64_t entry = entry_of(addr);
	struct mspan *s = entry_span(entry);
	/* Relaxed: see face/replaced.h. */
	uint32_t divmul =
		table == NULL
			? sizeclass_divmul[entry_spanclass(entry)]
			: atomic_load_explicit(table, memory_order_relaxed)[entry_spanclass(entry)];
	uint32_t slot;

	*span = s;
	if (LIKELY(entry_slot_by(divmul, entry, addr, &slot))) {
		_Atomic uint8_t *state = &s->state[slot];
		struct mcache *c = thread_cache();

		if (LIKELY(slot_is_plain_live(state))) {
			if (LIKELY(mcache_free_fast(c, s, entry_spanclass(entry), addr, state)))
				return true;
			if (LIKELY(c != MCACHE_NONE)) {
				heap_free_slot(addr, s, slot, func, c);
				return true;
			}
		}
	}
	return false;
}

/* Frees p. Does nothing for NULL. */
FAST_PATH void heap_free(void *p, const char *func)
{
	struct mspan *s;

	if (UNLIKELY(!heap_free_fast(NULL, p, &s, func)))
		heap_free_slow(p, s, func);
}

/* Frees p by the fast path if its slot is the slot that an object of size bytes gets by the table:
 * sizeclass_malloc, or a table that is all 0. Returns false if nothing was done. */
FAST_PATH bool heap_free_sized_fast(const _Atomic spanclass_t *classes, void *p, size_t size,
				    size_t align)
{
	uintptr_t addr = (uintptr_t)p;
	uint64_t entry = entry_of(addr);
	uint32_t slot;

	/* Relaxed: as in sizeclass_of_malloc(). */
	if (LIKELY(align == 0) && LIKELY(size <= MAX_SMALL_SIZE) &&
	    LIKELY(entry_spanclass(entry) ==
		   atomic_load_explicit(&classes[(size + 7) / 8], memory_order_relaxed)) &&
	    LIKELY(entry_slot_of(entry, addr, &slot))) {
		struct mspan *s = entry_span(entry);
		_Atomic uint8_t *state = &s->state[slot];

		if (LIKELY(slot_is_plain_live(state)) &&
		    LIKELY(mcache_free_fast(thread_cache(), s, entry_spanclass(entry), addr,
					    state)))
			return true;
	}
	return false;
}

/* Frees p if its slot is the slot that an object of size bytes aligned to align gets; ends the
 * process otherwise. align is 0 for an object of malloc. Does nothing for NULL. */
FAST_PATH void heap_free_sized(void *p, size_t size, size_t align, const char *func)
{
	if (UNLIKELY(!heap_free_sized_fast(sizeclass_malloc, p, size, align)))
		heap_free_sized_slow(p, size, align, func);
}

/* Returns true if p is an address of the heap or of a guarded object: no other malloc made it. */
bool heap_owns(const void *p);

/* Gives the big object at p other pages in its place, enough for size bytes. Returns false if it is
 * unchanged. */
bool heap_resize_in_place(void *p, size_t size, const char *func);

/* Resizes the object at p as realloc does, but for size 0, which makes an object of no bytes. p may
 * be NULL. Returns NULL and leaves the object as it was if there is no memory. */
void *heap_realloc(void *p, size_t size, enum scan scan, const char *func);

/* Does what the option realloczero says for realloc(p, 0). p is not NULL. */
void *heap_realloc_zero(void *p, enum scan scan, const char *func);

/* Allocates size bytes aligned to align, a power of two. */
void *heap_aligned(size_t align, size_t size, enum scan scan);

/* Allocate objects that never hold pointers. Objects of at most TINY_SIZE bytes may share a block;
 * they are aligned to the largest power of two that is no larger than their size. */
void *heap_malloc_noscan(size_t size);
void *heap_calloc_noscan(size_t size);

/* Returns the bytes of the object that may be used; 0 for NULL. */
size_t heap_usable_size(void *p, const char *func);

/* Returns the bytes as heap_usable_size() does, for a p that may be anything. Returns 0 where no
 * live object is. */
size_t heap_usable_size_or_0(void *p, const char *func);

/* Makes the leak finder take the object that starts at p, and so all that it leads to, as reached,
 * until the object is freed. Returns false where no live object of this heap starts. p may be
 * anything. */
bool heap_ignore(void *p, const char *func);

/* Returns the bytes that malloc(size) would give, or with align != 0 heap_aligned(). Returns 0 for
 * sizes that are too large and for malloc(0). */
size_t heap_good_size(size_t size, size_t align);

/* Sets the memory limit; SIZE_MAX: none. Returns the former limit. If more is in use, what is free
 * is given back. */
size_t heap_set_limit(size_t bytes);
size_t heap_limit(void);

/* The longest time for which free memory may stay, in milliseconds. */
#define SCAVENGE_MS_MAX 86400000

/* Returns the time for which free memory stays. Reads the options first. */
int heap_scavenge_ms(void);

/* Sets that time, after heap_scavenge_ms() was called once. */
void heap_set_scavenge_ms(uint32_t ms);

/* Gives back what the calling thread keeps, to the other threads. */
void heap_thread_idle(void);

/* Gives all free memory back to the system, first the memory this thread keeps. Returns true if
 * memory was returned. */
bool heap_trim(void);

#endif
