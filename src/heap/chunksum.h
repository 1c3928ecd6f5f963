/* SPDX-License-Identifier: MIT */
/*
 * chunksum.h - sums up the free runs of a chunk. See chunksum.c.
 *
 * `alloc` is the bitmap of the chunk's pages: a bit is set for a page in use.
 */
#ifndef GOALLOC_CHUNKSUM_H
#define GOALLOC_CHUNKSUM_H

#include "heap/arena.h"

/* Returns the summary of a chunk. */
struct page_sum chunksum_of(const uint64_t *alloc);

/* Returns the summary of a chunk of which pages in [from, to) were taken, and no others changed
 * since it had the summary s. */
struct page_sum chunksum_taken(const uint64_t *alloc, unsigned from, unsigned to,
			       struct page_sum s);

/* Does the same for pages that were freed. If [from, to) lies in several words, it is all free. */
struct page_sum chunksum_freed(const uint64_t *alloc, unsigned from, unsigned to,
			       struct page_sum s);

#endif
