/* SPDX-License-Identifier: MIT */
/*
 * excess.c - how many dirty pages the heap may keep, and how many it releases when it has more.
 * See malloc.c for the overview.
 *
 * A free page that stays dirty is memory that the system lacks. A page that is released and soon
 * taken again costs a fault. Only afterwards it shows which of the two was the case, so the heap
 * learns from its last decisions:
 *   1. The heap may keep a cap of dirty pages: a share of what is in use, and a credit.
 *   2. A free that passes the cap releases pages until half the share is left beside the credit,
 *      so that the next release is some way off.
 *   3. Pages that are taken again within the decay time after their release are a regret. Each
 *      adds REGRET_WEIGHT_FIRST pages to a small credit, and REGRET_WEIGHT pages to a large one.
 *      A credit is small if it is less than the dirty pages and the released ones of the last
 *      time. A program that frees 100 MiB and takes them again, over and over, pays the faults
 *      of one turn at most.
 *   4. Two pages that were released and not taken again take away one page of the credit for a
 *      decay time. A program that frees most of what it has does not keep what it has learnt to
 *      keep. A fall ends where the program takes RISE_MIN pages again; what is in use there is its
 *      bottom. If less is in use now than half of the lowest bottom lately, the program is about
 *      to end, or to wait. Then each released page takes away one, and no more than CREDIT_DEEP
 *      counts of the credit: it may be larger than all that the program has freed. For example,
 *      the program goes to and fro between 20 and 30 MiB and comes to 5.
 *   5. A big object that takes fresh pages has no use for dirty ones. As many of these are
 *      released, so that a buffer which grows by copies has not all its former places beside it.
 *      A program whose credit has grown by more than twice the object's pages takes its dirty
 *      pages again, and keeps them.
 *   6. With time the program loses the credit that it does not use: as many pages as were dirty
 *      all the time.
 *
 * Owns     the policy. It knows nothing of pages but their number.
 * Locks    none of its own: mheap.lock covers struct excess.
 */
#include "heap/excess.h"

/* The share: 1/2^SHARE_SHIFT of the pages in use, but SHARE_MIN at least. */
#define SHARE_SHIFT 3
#define SHARE_MIN (MiB(2) / PAGE_SIZE)

/* The decay time for which the share is meant. A longer one asks for memory to be kept, and the
 * share grows with it. */
#define SHARE_DECAY_MS 1000

/* For each decay time 1/CREDIT_TIMES of the unused credit goes. */
#define CREDIT_TIMES 8

/* The credit at the start. A small program never comes to the cap. */
#define CREDIT_FIRST (MiB(16) / PAGE_SIZE)

/* What counts of the credit, at most, in a fall that is much deeper than the others. */
#define CREDIT_DEEP (MiB(8) / PAGE_SIZE)

/* A page of regret adds so many pages to a small credit, and so many to a large one. With fewer the
 * heap takes many turns to learn. */
#define REGRET_WEIGHT_FIRST 8
#define REGRET_WEIGHT 2

/* A program has risen from a fall when it has taken so many pages. */
#define RISE_MIN SHARE_MIN

/* No free pays for the release of more pages than this. */
#define RELEASE_MAX (MiB(16) / PAGE_SIZE)

void excess_init(struct excess *x, uint64_t now_ms)
{
	*x = (struct excess){
		.credit = CREDIT_FIRST,
		.depth = SIZE_MAX,
		.depth_before = SIZE_MAX,
		.aged_ms = now_ms,
	};
}

/* Returns how many dirty pages the heap may keep without a credit. */
static size_t share(const struct excess_figures *f)
{
	size_t npages = max_size(f->inuse >> SHARE_SHIFT, SHARE_MIN);

	return npages * max_size(f->decay_ms, SHARE_DECAY_MS) / SHARE_DECAY_MS;
}

static size_t less(size_t a, size_t b)
{
	return a > b ? a - b : 0;
}

/* Ages the figures by the decay times that have passed. */
static void age(struct excess *x, const struct excess_figures *f)
{
	uint64_t times = (f->now_ms - x->aged_ms) / max_size(f->decay_ms, 1);
	size_t unused = min_size(x->credit, x->low);

	/* Signed: another thread may have seen a later time. */
	if ((int64_t)(f->now_ms - x->aged_ms) < 0 || times == 0)
		return;
	x->credit -= unused / CREDIT_TIMES * min_size(times, CREDIT_TIMES);
	x->released >>= min_size(times, 63);
	x->low = f->dirty;
	x->depth_before = times == 1 ? x->depth : SIZE_MAX;
	x->depth = SIZE_MAX;
	x->top = x->bottom = f->inuse;
	x->aged_ms = f->now_ms;
}

/* Returns true if this fall is much deeper than all others lately: rule 4. */
static bool fell_deep(const struct excess *x, const struct excess_figures *f)
{
	size_t depth = min_size(x->depth, x->depth_before);

	return depth != SIZE_MAX && f->inuse < depth / 2 && f->inuse + RISE_MIN <= depth;
}

bool excess_note_freed(struct excess *x, const struct excess_figures *f)
{
	x->bottom = min_size(x->bottom, f->inuse);
	return f->dirty > share(f);
}

size_t excess_freed(struct excess *x, const struct excess_figures *f)
{
	size_t npages = share(f), cap;

	age(x, f);
	if (fell_deep(x, f))
		cap = npages + less(min_size(x->credit, CREDIT_DEEP), x->released);
	else
		cap = npages + less(x->credit, x->released / 2);
	return f->dirty <= cap ? 0 : min_size(f->dirty - cap + npages / 2, RELEASE_MAX);
}

size_t excess_grown(struct excess *x, size_t nfresh, const struct excess_figures *f)
{
	age(x, f);
	return less(x->credit, CREDIT_FIRST) > 2 * nfresh ? 0 : min_size(nfresh, f->dirty);
}

void excess_released(struct excess *x, size_t wanted, size_t npages)
{
	x->released += npages;
	if (npages >= wanted / 2)
		return;
	x->credit += RELEASE_MAX;
	x->released = 0;
}

/* Notes the bottom of a fall once the program has risen from it. Growth beyond the former top is no
 * such rise. */
static void note_rise(struct excess *x, const struct excess_figures *f)
{
	bool rose = min_size(f->inuse, x->top) >= x->bottom + RISE_MIN;

	if (rose)
		x->depth = min_size(x->depth, x->bottom);
	if (rose || f->inuse > x->top)
		x->bottom = f->inuse;
	x->top = max_size(x->top, f->inuse);
}

void excess_taken(struct excess *x, size_t nclean, const struct excess_figures *f)
{
	size_t regret, lately, fast;

	x->low = min_size(x->low, f->dirty);
	note_rise(x, f);
	if (nclean == 0 || x->released == 0)
		return;
	age(x, f);
	regret = min_size(nclean, x->released);
	lately = f->dirty + x->released;
	x->released -= regret;
	fast = min_size(x->credit + REGRET_WEIGHT_FIRST * regret, lately);
	/* More credit than there are pages would take long to go. */
	x->credit = min_size(x->credit + REGRET_WEIGHT * regret, f->inuse + f->dirty);
	x->credit = max_size(x->credit, fast);
}
