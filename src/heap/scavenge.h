/* SPDX-License-Identifier: MIT */
/*
 * scavenge.h - gives free pages back to the system. See scavenge.c.
 */
#ifndef GOALLOC_SCAVENGE_H
#define GOALLOC_SCAVENGE_H

#include "heap/excess.h"
#include "heap/pagealloc.h"
#include "os/lock.h"

/*
 * The list of chunks that have dirty pages. Chunks are linked by their numbers, through dirty_next.
 * Access: [c] constant after scavenge_init  [l] *lock
 */
struct scavenger {
	struct pagealloc *pages;    /* [c] the pages that it releases */
	struct lock *lock;          /* [c] the lock that covers them */
	uint32_t head;              /* [l] the chunk that was listed first, or DIRTY_END */
	uint32_t tail;              /* [l] the chunk that was listed last */
	uint32_t releases;          /* [l] counts the calls of scavenge_locked() */
	size_t nreleasing;          /* [l] pages that the kernel is releasing at this moment */
	uint64_t now_ms;            /* [l] the latest time of a poll */
	uint64_t fresh;             /* [l] pages from this number on were never taken */
	struct excess excess;       /* [l] how many dirty pages the heap may keep */
};

/* Begins with an empty list. Called once. */
void scavenge_init(struct scavenger *v, struct pagealloc *pages, struct lock *lock);

/* Notes that dirty pages of a chunk were freed. The lock is held. */
void scavenge_note_free_locked(struct scavenger *v, uint64_t chunk);

/* Releases pages that have been free for decay_ms, some chunks at a time. Returns true when there
 * may be more of them. Takes the lock, and drops it while the kernel works. */
bool scavenge_poll(struct scavenger *v, uint64_t now_ms, uint32_t decay_ms);

/* Releases free pages until they make nbytes, in the order in which chunks were listed. Returns the
 * number of bytes released. The lock is held; it is dropped while the kernel works. */
size_t scavenge_locked(struct scavenger *v, size_t nbytes);

/* Asks for small pages in the region at addr if huge pages were asked for there, because a part of
 * it that is in use is about to be released. Its free pages, of which even clean ones may have
 * memory, count as dirty from now on. Takes the lock. */
void scavenge_end_huge_region(struct scavenger *v, uintptr_t addr);

/* Finds a run of npages free pages in one chunk of the list, with as many dirty pages as there are.
 * Returns its first page, or PAGE_NONE. The lock is held. */
uint64_t scavenge_find_locked(const struct scavenger *v, size_t npages);

/* Notes that pages were taken, nclean of which were clean. If EXCHANGE_PAGES_MIN or more were
 * fresh, as many dirty pages are released: a big object had no use for them. The lock is held; it
 * is dropped while the kernel releases pages. Returns false in a forked child whose pages were
 * rebuilt meanwhile: those that were taken are free again. */
bool scavenge_note_taken_locked(struct scavenger *v, uint64_t page, size_t npages, size_t nclean,
				uint32_t decay_ms);

/* Notes that an object grew in place up to this page: the pages before it are not fresh any more,
 * and nothing is released for them. The lock is held. */
static inline void scavenge_note_reached_locked(struct scavenger *v, uint64_t end)
{
	v->fresh = max_size(v->fresh, end);
}

/* Releases dirty pages if there are more than the heap may keep. Returns true when it has released
 * some. The lock is held; it is dropped while the kernel works. */
bool scavenge_excess_locked(struct scavenger *v, uint32_t decay_ms);

/* In a forked child: forgets the pages that a thread of the parent was releasing. They stay in
 * use. */
void scavenge_after_fork(struct scavenger *v);

/* In a forked child whose pages were rebuilt: lists every chunk with a free page. */
void scavenge_rebuild(struct scavenger *v);

#endif
