/* SPDX-License-Identifier: MIT */
/*
 * moves.c - decides whether realloc moves the pages of a big object or copies its bytes.
 * See malloc.c for the overview.
 *
 * A move is cheaper than a copy, and the object never needs memory twice. But what it leaves behind
 * has no memory, and the moved pages lose theirs when the object is freed, because they have a
 * mapping of their own. A program that grows buffers and frees them, over and over, would have a
 * fault for each page in each turn. So the heap watches what moved objects lose. While that is
 * much, objects of a moderate length are copied.
 *
 * Owns     the number of moved spans, and what they lost lately.
 * Locks    none: the figures are bounds and hints.
 */
#include "moves.h"
#include "base/config.h"
#include "heap/limit.h"
#include "os/os.h"

/* Spans whose pages the kernel moved have a mapping of their own until they are freed. The kernel
 * allows some 65000 mappings a process. */
#define MAX_MOVED_SPANS 1024

/* Objects of more bytes are always moved. */
#define COPY_MOST MiB(8)

/* Objects are copied while moved ones have lost so many bytes within a decay time. An object that
 * only moves once more has lost nothing: so many buffers may grow, each once. */
#define LOST_MUCH MiB(16)

/* Relaxed, all of these: each is a bound or a hint on its own. Two threads that count at the same
 * moment may lose a count of lost_nbytes. */
static _Atomic int nmoved;
static _Atomic ptrdiff_t lost_nbytes;
static _Atomic uint64_t lost_since_ms;

/* Returns the bytes that were lost within a decay time. */
static ptrdiff_t lost_lately(uint64_t now_ms)
{
	if (now_ms - atomic_load_explicit(&lost_since_ms, memory_order_relaxed) >= limit_decay_ms())
		return 0;
	return atomic_load_explicit(&lost_nbytes, memory_order_relaxed);
}

bool moves_pay(size_t nbytes)
{
	if (nbytes < MOVE_PAGES_MIN ||
	    atomic_load_explicit(&nmoved, memory_order_relaxed) >= MAX_MOVED_SPANS)
		return false;
	return nbytes > COPY_MOST || limit_get_state() != LIMIT_FAR ||
	       lost_lately(os_now_ms()) < (ptrdiff_t)LOST_MUCH;
}

static void add_lost(ptrdiff_t nbytes)
{
	uint64_t now_ms = os_now_ms();
	ptrdiff_t lost = lost_lately(now_ms);

	if (lost == 0)
		atomic_store_explicit(&lost_since_ms, now_ms, memory_order_relaxed);
	atomic_store_explicit(&lost_nbytes, lost + nbytes, memory_order_relaxed);
}

void moves_note_made(size_t before)
{
	atomic_fetch_add_explicit(&nmoved, 1, memory_order_relaxed);
	if (before != 0)
		add_lost(-(ptrdiff_t)before);
}

void moves_note_freed(size_t nbytes)
{
	atomic_fetch_sub_explicit(&nmoved, 1, memory_order_relaxed);
	add_lost((ptrdiff_t)nbytes);
}
