/* SPDX-License-Identifier: MIT */
/*
 * mheap.h - the one heap: makes spans of pages and pages of spans. See mheap.c.
 */
#ifndef GOALLOC_MHEAP_H
#define GOALLOC_MHEAP_H

#include "base/options.h"
#include "heap/growth.h"
#include "heap/hugetrial.h"
#include "heap/pcache.h"
#include "heap/scavenge.h"

/*
 * Access: [h] lock  [c] constant after mheap_init
 */
struct mheap {
	struct lock lock;                            /* LOCK_MHEAP */
	struct pagealloc pages;                      /* [h] */
	struct growth growth;                        /* [h] but for its counter */
	struct scavenger scavenger;                  /* [h] */
	struct hugetrial trial;                      /* [h] */
	struct fixalloc span_pools[SPAN_SHAPES];     /* own lock */
	struct mspan *guarded;                       /* [h] empty spans of SPANCLASS_ZERO */
	size_t guarded_npages;                       /* [h] pages of these */
	struct mspan *refused;                       /* [h] freed spans that the system did not make
						      *     usable again; tried later */
	bool ready;                                  /* [c] mheap_init has run */
	bool forked;                                 /* this is a forked child: see mheap_check() */
};

extern struct mheap mheap;

/* Prepares the heap. Called once, before all other functions but mheap_set_limit(). */
void mheap_init(void);

/*
 * What the heap may do for a request. A caller climbs: it has other pages to give back before the
 * heap grows, and more to flush before the heap grows beyond the memory limit.
 */
enum effort {
	EFFORT_REUSE,    /* use the pages that the heap has, and release nothing */
	EFFORT_GROW,     /* grow too; fail if the limit wants the caller to flush its cache first */
	EFFORT_AGAIN     /* the caller has flushed its cache: fail only if nothing helps */
};

/* Returns a span of npages for this class, at most spanclass_max_npages(): every slot is free, it
 * has no owner, and it is in the page map. Returns NULL when there is no memory, or at the memory
 * limit. Takes mheap.lock unless the page word has the pages. pc may be NULL. */
struct mspan *mheap_alloc_small(struct pcache *pc, spanclass_t sc, size_t npages,
				enum effort effort);

/* Returns the span of a big object: npages, with a base that is a multiple of align_pages (a power
 * of two). The object is free: see mspan_set_big_live(). Returns NULL as mheap_alloc_small() does.
 * pc may be NULL. */
struct mspan *mheap_alloc_big(struct pcache *pc, size_t npages, size_t align_pages, enum scan scan,
			      enum effort effort);

/* Returns a big object as mheap_alloc_big() does, which reads as zero. Its dirty pages are cleared,
 * or released if the object is very long. */
struct mspan *mheap_alloc_zeroed(struct pcache *pc, size_t npages, size_t align_pages,
				 enum scan scan, enum effort effort);

/* Frees a span that nobody uses. Its pages go to the page word if they fit there, else to the heap.
 * Takes mheap.lock in the second case. pc may be NULL. */
void mheap_free_span(struct pcache *pc, struct mspan *s);

/* Frees a big span whose pages may be guarded. They become one mapping with their neighbours again.
 * If the system refuses that, the span waits for mheap_free_refused(). */
void mheap_free_guarded(struct pcache *pc, struct mspan *s);

/* Tries again to free the spans that the system has refused. */
void mheap_free_refused(struct pcache *pc);

/* RESIZE_FLUSH: the memory limit wants the caller to flush its cache and to ask again. */
enum resize { RESIZE_NO, RESIZE_DONE, RESIZE_FLUSH };

/* Changes the length of a big span in place. Unless it returns RESIZE_DONE nothing has changed,
 * because there is no room behind the span, or because of the limit. A span can always become
 * shorter. Takes mheap.lock unless the page word has the pages, or has room for them. pc may be
 * NULL. */
enum resize mheap_resize_big(struct pcache *pc, struct mspan *s, size_t npages,
			     enum effort effort);

/* Gives the memory of span records that are not in use back to the system. */
void mheap_release_records(void);

/* Gives the pages of a page word back to the heap. Takes mheap.lock. */
void mheap_flush_pcache(struct pcache *pc);

/* Returns false while the heap was never so large that it asks for huge pages. */
static inline bool mheap_has_huge_regions(void)
{
	/* It only grows, and began to before the caller's span was made. */
	return options.thp && growth_bytes(&mheap.growth) >= THP_MIN_HEAP;
}

/* Releases pages that have been free for the decay time, some of them at a time. Returns true when
 * there may be more. Takes mheap.lock, and drops it while the kernel works. */
bool mheap_scavenge_poll(uint64_t now_ms);

/* Releases every free page. Returns the number of bytes released. Locks as
 * mheap_scavenge_poll(). */
size_t mheap_scavenge_all(void);

/* Sets the memory limit, 0 for none, and returns the former one. Takes mheap.lock if there is a
 * heap. */
size_t mheap_set_limit(size_t bytes);

/* Releases free pages if more counts than the limit, and asks all threads to flush their caches
 * if that is not enough. Brings the limit's state up to date. Locks as mheap_scavenge_poll(). */
void mheap_keep_limit(void);

/* Returns the bytes that count against the limit. Takes mheap.lock. */
size_t mheap_used_bytes(void);

/* Calls visit for every span in use, in the order of page numbers. Other threads may allocate
 * meanwhile: a span that is seen is one, or was a moment ago. */
void mheap_each_span(void (*visit)(struct mspan *s, void *arg), void *arg);

/* Repairs the heap in a forked child, before anything else. Returns true when a thread that is
 * gone was changing the heap, and the heap was put in order. Pages that such a thread was about to
 * use are free then. */
bool mheap_after_fork(void);

/* Takes the pages of this page word from a heap that was put in order: they still are the
 * word's. */
void mheap_keep_pcache(const struct pcache *pc);

/* Checks every invariant of the page map and the bitmaps. No other thread may be in the heap. */
void mheap_check(void);

#endif
