/* SPDX-License-Identifier: MIT */
/*
 * config.h - build constants, each with its unit and its allowed range.
 *
 * Owns     the numbers that shape the heap and that no option changes.
 * Holds    every constant is range-checked here, where it is set.
 */
#ifndef GOALLOC_CONFIG_H
#define GOALLOC_CONFIG_H

#include "base/base.h"

/* A page of the heap is Go's, and the unit of spans. The kernel's own is os_page_size(). */
#define PAGE_SHIFT 13
#define PAGE_SIZE ((size_t)1 << PAGE_SHIFT)

/* An arena is aligned address space with one record, Go's heapArena. */
#define ARENA_SHIFT 26
#define ARENA_SIZE ((size_t)1 << ARENA_SHIFT)
#define ARENA_PAGES (ARENA_SIZE / PAGE_SIZE)

/* The page allocator keeps one summary for each chunk. No less address space is reserved. */
#define CHUNK_PAGES 512
#define CHUNK_SIZE (CHUNK_PAGES * PAGE_SIZE)
#define ARENA_CHUNKS (ARENA_PAGES / CHUNK_PAGES)

/* The heap uses addresses below 2^ADDR_BITS. The arena table leads from an address to the record of
 * its arena in two steps: it has a word for each leaf, and a leaf has a word for each arena. */
#define ADDR_BITS 47
#define ARENA_LEAF_SHIFT 10
#define ARENA_LEAF_LEN ((size_t)1 << ARENA_LEAF_SHIFT)
#define ARENA_TABLE_LEN ((size_t)1 << (ADDR_BITS - ARENA_SHIFT - ARENA_LEAF_SHIFT))
_Static_assert(ARENA_TABLE_LEN * sizeof(void *) <= KiB(16),
	       "the arena table is part of the library's own data");

/* Records have the first part, in bytes, of the addresses that arena.c chooses for the heap. */
#define METADATA_PLACE ((CPU_HEAP_HIGH - CPU_HEAP_LOW) / 8)

/* The most arenas: 2^15 of 64 MiB are 2 TiB. It is a power of SUMMARY_FANOUT times a small
 * number. */
#define MAX_ARENAS 32768
_Static_assert(MAX_ARENAS % 4096 == 0, "the summary tree has whole nodes");

/* The window of arenas may grow across so many absent arenas at a time. Each costs its part of the
 * page map in address space. Where the system chose the first arena's place, it puts later ones
 * below it, so the window has room for WINDOW_BELOW of them. */
#define WINDOW_MAX_GAP 16
#define WINDOW_BELOW 16

/* The largest small object, in bytes. A larger object is big, and has a span of its own. */
#define MAX_SMALL_SIZE 32768
#define NUM_SIZE_CLASSES 68
#define NUM_SPAN_CLASSES (2 * NUM_SIZE_CLASSES)

/* Noscan objects of at most so many bytes share blocks of this size. */
#define TINY_SIZE 16

/* The most slots of a small span (8 KiB of 8 bytes), and the words of its bitmaps. */
#define SPAN_MAX_SLOTS 1024
#define SPAN_MAX_WORDS (SPAN_MAX_SLOTS / 64)
_Static_assert(SPAN_MAX_SLOTS % 64 == 0 && SPAN_MAX_SLOTS < 65536, "slot counts are uint16_t");

/* The spans of a class have one of so many lengths. A thread's first ones are short. Each request
 * for pages makes the next spans of SHORTEN_BINS other bins shorter. It goes round the bins whose
 * slots have SHORTEN_SIZE bytes and more. So a class has long spans if it takes more than a sixth
 * of all spans, and where many classes take spans in turn none has many free slots. */
#define SPAN_LENGTHS 4
#define SHORTEN_BINS 16
#define SHORTEN_SIZE 256

/* A full span is worth owning again when 1/2^SPAN_WORTH_SHIFT of its slots came free (at least
 * one). */
#define SPAN_WORTH_SHIFT 3

/* A thread's page word is an aligned group of pages of one word of 64. The first group has
 * PCACHE_FIRST pages, and each has twice as many as the one before. Runs longer than
 * PCACHE_MAX_RUN pages come from the heap. */
#define PCACHE_PAGES 64
#define PCACHE_FIRST 8
#define PCACHE_MAX_RUN 16
_Static_assert(PCACHE_PAGES % PCACHE_FIRST == 0, "a word has whole groups");

/* A thread passes over at most so many groups of pages before its first one. */
#define FIRST_WORD_GAP 3

/* All threads together keep at most so many pages of partial spans from each other, and each may
 * keep PARTIAL_PAGES_MIN. A process with one cache keeps all that it uses. */
#define PARTIAL_PAGES_ALL 256
#define PARTIAL_PAGES_MIN 16

/* A cache keeps SPARE_PAGES_MIN pages of spare spans at first and learns how many are worth it: up
 * to SPARE_PAGES_ALONE if it is the only one, else up to its share of SPARE_PAGES_ALL. */
#define SPARE_PAGES_ALONE 2048
#define SPARE_PAGES_ALL 1024
#define SPARE_PAGES_MIN 8

/*
 * A free stack of one class has STACK_BYTES of objects at most, and STACK_MIN_ENTRIES to
 * STACK_MAX_ENTRIES entries. For objects of at most STACK_SMALL_SIZE bytes only the entries count.
 * Its first place has room for STACK_FIRST_ENTRIES, and an empty entry below them, side by side
 * with the places of other classes. When it outgrows that, it moves to the cache's stack area of
 * STACK_AREA_ENTRIES. A thread alone learns which stacks are worth more than STACK_BYTES. All of
 * them together may have STACK_LEARNT_BYTES more, and each still has STACK_MAX_ENTRIES at most.
 */
#define STACK_BYTES KiB(32)
#define STACK_SMALL_SIZE 64
#define STACK_MIN_ENTRIES 4
#define STACK_MAX_ENTRIES 1024
#define STACK_FIRST_ENTRIES 15
#define STACK_AREA_ENTRIES 12288
#define STACK_LEARNT_BYTES MiB(2)

/* While allocations are counted, a counted bin takes COUNTED_BYTES of objects at a time, between
 * COUNTED_LEAST and COUNTED_MOST of them. */
#define COUNTED_BYTES KiB(16)
#define COUNTED_LEAST 2
#define COUNTED_MOST 128

/* Where there are more than STACK_DEEP_CACHES caches, many threads may idle with what they keep. A
 * free stack does not grow there, and has at most STACK_BYTES_MANY of objects: no free object of
 * more bytes keeps its span. A current span whose slots all came free becomes a spare span. */
#define STACK_DEEP_CACHES 16
#define STACK_BYTES_MANY KiB(8)

/* A thread keeps slots of other threads' spans on its free stacks, too, while a stack has fewer
 * entries than this and its slots are not shorter. Slots of one cache line would slow two threads
 * down that write to them. */
#define STACK_OTHERS_ENTRIES 15
#define STACK_OTHERS_SIZE 32

/* In a heap of at least SPILL_HEAP_BYTES, a full stack of at least SPILL_ENTRIES entries returns
 * that many to their spans when frees go from span to span. Each of them misses the processor's
 * caches, and together they wait once. A smaller heap's records are in the caches. Where frees stay
 * in one span, each slot goes there alone. */
#define SPILL_HEAP_BYTES MiB(32)
#define SPILL_ENTRIES 64

/* A cache that has given so many pages to the heap, more than it took since, gives up what else it
 * keeps: GIVEN_PAGES_ALONE where it is the only one, otherwise its share of GIVEN_PAGES_ALL, but at
 * least GIVEN_PAGES_MIN. */
#define GIVEN_PAGES_ALONE 256
#define GIVEN_PAGES_ALL 1024
#define GIVEN_PAGES_MIN 16

/* A cache gives up what it does not use when the first spans of its classes have become
 * 1/FIRST_PAGES_PART of the heap, and at least FIRST_PAGES_MIN. It does so once in some
 * milliseconds, before it takes more. So a small program that uses many classes in turn has spans
 * only of those that it uses together. */
#define FIRST_PAGES_MIN 16
#define FIRST_PAGES_PART 8

/*
 * Threads keep freed big objects. All values are in pages.
 *   BIG_CACHE_MAX_RUN    up to this length each length has a list of its own
 *   BIG_PAGES_ALONE      a thread that was always alone may learn to keep so many, and the longest
 *                        object that is kept; the last of the BIG_LISTS lists is for it
 *   BIG_PAGES_ALL        several threads share so many; a thread alone keeps so many at first
 *   BIG_PAGES_MIN        the least share of a thread
 *   BIG_PAGES_NEAR       all threads share so many when a limit is near
 *   BIG_PAGES_ALWAYS     a thread keeps so many whatever its share is
 *   BIG_PAGES_GROWING    a thread that has more, its spare spans among them, frees all of them
 *                        before the heap grows
 */
#define BIG_CACHE_MAX_RUN_SHIFT 7
#define BIG_CACHE_MAX_RUN (1 << BIG_CACHE_MAX_RUN_SHIFT)
#define BIG_PAGES_ALONE_SHIFT 14
#define BIG_PAGES_ALONE (1 << BIG_PAGES_ALONE_SHIFT)
#define BIG_LISTS \
	(BIG_CACHE_MAX_RUN + 2 + 4 * (BIG_PAGES_ALONE_SHIFT - BIG_CACHE_MAX_RUN_SHIFT))
#define BIG_PAGES_ALL 1024
#define BIG_PAGES_MIN 128
#define BIG_PAGES_NEAR 256
#define BIG_PAGES_ALWAYS 16
#define BIG_PAGES_GROWING 512

/* A big object of so many pages goes back to the system when it is freed: to keep that much for a
 * next use costs more than its page faults. glibc has the same bound of 32 MiB, so that programs
 * have the buffers below it that they use again and again. A thread alone learns to keep one that
 * it asks for again. */
#define HUGE_PAGES 4096

/* An object that takes so many pages that were never used makes the heap release as many dirty
 * ones. */
#define EXCHANGE_PAGES_MIN 128

/* With hardened=1 a thread keeps freed objects in quarantine: QUARANTINE_SMALL small objects, at
 * most QUARANTINE_LARGE of them above QUARANTINE_LARGE_SIZE bytes, and QUARANTINE_BIG big ones. */
#define QUARANTINE_SMALL 256
#define QUARANTINE_LARGE 32
#define QUARANTINE_LARGE_SIZE KiB(1)
#define QUARANTINE_BIG 16

/* The most live big objects with a guard. Each costs two mappings, of which the kernel allows
 * some 65000 for each process. */
#define MAX_GUARDED_BIG 8192

/* A heap of RESERVE_MIN_HEAP bytes or more has so many bytes of address space in reserve for
 * records. */
#define METADATA_RESERVE MiB(1)
#define RESERVE_MIN_HEAP MiB(64)

/* The profile keeps the innermost PROFILE_MAX_FRAMES return addresses outside of this library. Its
 * records get PROFILE_CHUNK bytes at a time. */
#define PROFILE_MAX_FRAMES 64
#define PROFILE_CHUNK KiB(256)
_Static_assert(PROFILE_MAX_FRAMES <= 128,
	       "stacks are on the stack while they are recorded and written");

/* The unwinder remembers the rule of so many return addresses, 16 bytes each; a power of two. */
#define UNWIND_CACHE_ENTRIES 1024
_Static_assert(UNWIND_CACHE_ENTRIES >= 64 &&
		       (UNWIND_CACHE_ENTRIES & (UNWIND_CACHE_ENTRIES - 1)) == 0,
	       "an index is some bits of a hash");

/* Where code has no call frame information, a frame above UNWIND_MAX_FRAME bytes is not believed.
 * The other limits are those of call frame information: states remembered inside each other, words
 * on an expression's stack, and its operations. */
#define UNWIND_MAX_FRAME MiB(1)
#define UNWIND_MAX_REMEMBERED 2
#define UNWIND_MAX_OPERANDS 16
#define UNWIND_MAX_OPERATIONS 256

/* Guarded objects: the return addresses kept of each stack; the address space that one record has a
 * page map for; and the steps in which address space is reserved and made ready. The last three are
 * powers of two, in bytes. */
#define GUARD_FRAMES 24
#define GUARD_REGION_SHIFT 24
#define GUARD_REGION ((size_t)1 << GUARD_REGION_SHIFT)
#define GUARD_RESERVE GiB(1)
#define GUARD_STEP MiB(1)
_Static_assert(GUARD_RESERVE % GUARD_REGION == 0 && GUARD_REGION % GUARD_STEP == 0,
	       "steps are whole");

/* With guardrate=N a slot has 2^k kernel pages, for so many values of k. GUARD_SAMPLED_MAX is the
 * most live objects. For each k so many freed slots, by number and by bytes, wait before the oldest
 * one is used again. */
#define GUARD_SLOT_SIZES 9
#define GUARD_SAMPLED_MAX 32768
#define GUARD_QUARANTINE 1024
#define GUARD_QUARANTINE_BYTES MiB(64)

/* With efence=1 the stacks of so many freed objects are remembered. */
#define GUARD_REMEMBERED 32768

/* The most live guarded objects where each costs two mappings, of which the kernel allows some
 * 65000 for each process. */
#define GUARD_MAPPED_MAX 16384

/* So many pages that were released and not taken again make records be released, too. */
#define RECORDS_AFTER_PAGES 4096

/* The heap is committed in steps of at least this many pages, and of 1/16 of itself. */
#define GROW_MIN_PAGES 64
#define GROW_MAX_PAGES 2048
_Static_assert(GROW_MIN_PAGES % PCACHE_PAGES == 0 && CHUNK_PAGES % GROW_MIN_PAGES == 0,
	       "steps are whole page-cache words");

/* One huge page of the kernel can back a region. Heaps of THP_MIN_HEAP bytes or more ask for huge
 * pages (see mheap.c), there the threads that have taken THP_MIN_WORDS whole page words. */
#define THP_MIN_HEAP MiB(16)
#define THP_MIN_WORDS 8
#define REGION_PAGES 256
#define REGION_SIZE (REGION_PAGES * PAGE_SIZE)
_Static_assert(CHUNK_PAGES % REGION_PAGES == 0 && ARENA_PAGES / REGION_PAGES <= 32,
	       "an arena has a bit for each region");

/* realloc gives a growing object pages of its own from this number of bytes on. */
#define REALLOC_PAGES_MIN (PAGE_SIZE / 2)

/* realloc moves pages instead of copying bytes from this number of bytes on. */
#define MOVE_PAGES_MIN MiB(1)

#endif
