/* SPDX-License-Identifier: MIT */
/*
 * config.h - build constants, each with its unit and its allowed range.
 * See malloc.c for the overview.
 *
 * Owns     the numbers that shape the heap and that no option changes.
 * Callers  all files.
 * Locks    none.
 * Holds    every constant is range-checked here, where it is set.
 */
#ifndef GOALLOC_CONFIG_H
#define GOALLOC_CONFIG_H

#include "base/base.h"

/* The heap page, Go's: the unit of spans. The kernel's own is os_page_size(). */
#define PAGE_SHIFT 13
#define PAGE_SIZE ((size_t)1 << PAGE_SHIFT)

/* A heapArena: one slot of address space. */
#define ARENA_SHIFT 26
#define ARENA_SIZE ((size_t)1 << ARENA_SHIFT)
#define ARENA_PAGES (ARENA_SIZE / PAGE_SIZE)

/* A chunk: what the page allocator keeps one summary for, and the least that is reserved. */
#define CHUNK_PAGES 512
#define CHUNK_SIZE (CHUNK_PAGES * PAGE_SIZE)
#define ARENA_CHUNKS (ARENA_PAGES / CHUNK_PAGES)

/* User addresses below 2^ADDR_BITS are ours to use. The arena table leads from a slot to its record in two steps: it has a word for
 * each leaf, and a leaf a word for each slot. */
#define ADDR_BITS 47
#define ARENA_LEAF_SHIFT 10
#define ARENA_LEAF_LEN ((size_t)1 << ARENA_LEAF_SHIFT)
#define ARENA_TABLE_LEN ((size_t)1 << (ADDR_BITS - ARENA_SHIFT - ARENA_LEAF_SHIFT))
_Static_assert(ARENA_TABLE_LEN * sizeof(void *) <= KiB(16), "the arena table is part of the library's own data");

/* Records have the beginning of the place that arena.c chooses for the heap. */
#define METADATA_PLACE ((CPU_HEAP_HIGH - CPU_HEAP_LOW) / 8)

/* Arenas at most: 2^15 of 64 MB are 2 TiB. A power of SUMMARY_FANOUT times a small number. */
#define MAX_ARENAS 32768
_Static_assert(MAX_ARENAS % 4096 == 0, "the summary tree has whole nodes");

/* Slots without an arena that the window of arenas may grow across at a time: each costs its part of the page map in address space. And
 * slots that the window has below the first arena, where the system chose the place and puts later ones below. */
#define WINDOW_MAX_GAP 16
#define WINDOW_BELOW 16

/* Small objects go up to here; more is a big object: a span of its own. */
#define MAX_SMALL_SIZE 32768
#define NUM_SIZE_CLASSES 68
#define NUM_SPAN_CLASSES (2 * NUM_SIZE_CLASSES)

/* Tiny allocator: noscan objects below this share a block of this size. */
#define TINY_SIZE 16

/* Slots of a small span at most (8 KiB of 8 bytes), and its bitmap words. */
#define SPAN_MAX_SLOTS 1024
#define SPAN_MAX_WORDS (SPAN_MAX_SLOTS / 64)
_Static_assert(SPAN_MAX_SLOTS % 64 == 0 && SPAN_MAX_SLOTS < 65536, "slot counts are uint16_t");

/* A full span is worth taking back when 1/2^this of its slots came free (at least one). */
#define SPAN_WORTH_SHIFT 3

/* Page cache of a thread: one aligned word of pages. Longer runs come from the heap. */
#define PCACHE_PAGES 64
#define PCACHE_MAX_RUN 16

/* Words that a thread passes over before its first, at most: the least that the heap has is a word for each. */
#define FIRST_WORD_GAP 3

/* Pages of the partial spans that all threads together may keep from each other, and what each may keep at least. One
 * thread alone keeps all: nobody else could use them. */
#define PARTIAL_PAGES_ALL 256
#define PARTIAL_PAGES_MIN 16

/* Free stack of one class: bytes of objects, entries, and the objects so small that only these are bounded. It starts in a
 * place for STACK_FIRST_ENTRIES and an empty one below them, side by side with those of the other classes, and moves to one of
 * its own when it outgrows it. */
#define STACK_BYTES KiB(32)
#define STACK_SMALL_SIZE 64
#define STACK_MIN_ENTRIES 4
#define STACK_MAX_ENTRIES 1024
#define STACK_FIRST_ENTRIES 15

/* Objects that malloc takes at a time while allocations are counted: bytes of them, between a least and a most; of all classes, with an
 * empty entry below each. */
#define COUNTED_BYTES KiB(16)
#define COUNTED_LEAST 2
#define COUNTED_MOST 128
#define COUNTED_TOTAL 2762

/* Stacks do not become deep where there are more caches than this. */
#define STACK_DEEP_CACHES 16

/* Freed big objects kept by threads: the longest; what a thread may keep when it is alone; what all may keep when it is not, and
 * each at least. In pages. */
#define BIG_CACHE_MAX_RUN 128
#define BIG_PAGES_ALONE 16384
#define BIG_PAGES_ALL 256
#define BIG_PAGES_MIN 16

/* hardened=1: freed objects that a thread keeps back: small ones, of these such as are larger than a size, and big ones. */
#define QUARANTINE_SMALL 256
#define QUARANTINE_LARGE 32
#define QUARANTINE_LARGE_SIZE KiB(1)
#define QUARANTINE_BIG 16

/* Live big objects that have a guarded page: each costs two mappings, of which the kernel allows some 65000 a process. */
#define MAX_GUARDED_BIG 8192

/* Address space for records that heaps of RESERVE_MIN_HEAP or more have put aside. */
#define METADATA_RESERVE MiB(1)
#define RESERVE_MIN_HEAP MiB(64)

/* The profile: return addresses kept of a stack, the innermost; frames of this library that may be before these; and address
 * space for records asked for at a time. */
#define PROFILE_MAX_FRAMES 64
#define PROFILE_CHUNK KiB(256)
_Static_assert(PROFILE_MAX_FRAMES <= 128, "stacks are on the stack while they are recorded and written");

/* Return addresses whose unwind rule is remembered, 16 bytes each; a power of two. */
#define UNWIND_CACHE_ENTRIES 1024
_Static_assert(UNWIND_CACHE_ENTRIES >= 64 && (UNWIND_CACHE_ENTRIES & (UNWIND_CACHE_ENTRIES - 1)) == 0, "a slot is some bits of a hash");

/* Where code tells nothing of its frames: the largest frame that is believed. In call frame information: states remembered inside
 * each other; words of an expression's stack, and its operations. */
#define UNWIND_MAX_FRAME MiB(1)
#define UNWIND_MAX_REMEMBERED 2
#define UNWIND_MAX_OPERANDS 16
#define UNWIND_MAX_OPERATIONS 256

/* Guarded objects: return addresses kept of each stack. What a region's record has a page map for; address space for them is reserved
 * and made ready in steps. A power of two each, in bytes. */
#define GUARD_FRAMES 24
#define GUARD_REGION_SHIFT 24
#define GUARD_REGION ((size_t)1 << GUARD_REGION_SHIFT)
#define GUARD_RESERVE GiB(1)
#define GUARD_STEP MiB(1)
_Static_assert(GUARD_RESERVE % GUARD_REGION == 0 && GUARD_REGION % GUARD_STEP == 0, "steps are whole");

/* guardrate=N: slots of 2^k kernel pages, so many k; live objects at most; freed slots that wait before the oldest is used
 * again, of each k, by number and by bytes. */
#define GUARD_SLOT_SIZES 9
#define GUARD_SAMPLED_MAX 32768
#define GUARD_QUARANTINE 1024
#define GUARD_QUARANTINE_BYTES MiB(64)

/* efence=1: freed objects whose stacks are remembered. */
#define GUARD_REMEMBERED 32768

/* Live guarded objects where each costs two mappings, of which the kernel allows some 65000 a process. */
#define GUARD_MAPPED_MAX 16384

/* The heap is committed in steps of at least this many pages, and of 1/16 of itself. */
#define GROW_MIN_PAGES 64
#define GROW_MAX_PAGES 2048
_Static_assert(GROW_MIN_PAGES % PCACHE_PAGES == 0 && CHUNK_PAGES % GROW_MIN_PAGES == 0,
	       "steps are whole page-cache words");

/* A region: what the kernel can back with one huge page. Asked for in heaps from this size on (see mheap.c). */
#define THP_MIN_HEAP MiB(16)
#define REGION_PAGES 256
#define REGION_SIZE (REGION_PAGES * PAGE_SIZE)
_Static_assert(CHUNK_PAGES % REGION_PAGES == 0 && ARENA_PAGES / REGION_PAGES <= 32, "an arena has a bit for each region");

/* realloc gives a growing object pages of its own from this size on. */
#define REALLOC_PAGES_MIN (PAGE_SIZE / 2)

/* realloc moves pages instead of bytes from this size on. */
#define MOVE_PAGES_MIN MiB(1)

#endif
