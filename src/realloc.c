/* SPDX-License-Identifier: MIT */
/*
 * realloc.c - gives an object another size: in its place, by moving its pages, or by copying. See
 * malloc.c for the overview.
 *
 * An object stays in its slot while it fits and wastes no more than half of it. A big object gets
 * more pages behind it or gives some back; if there is no room the kernel moves its pages to
 * another span, where that pays (moves.c). Otherwise the bytes are copied, also of a big object
 * that shrinks below half: its first pages would cut a run that the next big object can use. An
 * object that shrinks stays where it is if there is no memory for a copy. An object that grew gets
 * pages of the heap, and is freed to the heap, not kept by the thread: the next object that grows
 * finds room there.
 *
 * Locks    none of its own.
 * Holds    An object whose slot is not the one that a new object of its size would get has the
 *          state SLOT_RESIZED, which sized frees look at.
 */
#include "big.h"
#include "base/options.h"
#include "heap.h"
#include "heap/limit.h"
#include "heap/tiny.h"
#include "moves.h"
#include "os/fatal.h"
#include "os/foreign.h"
#include "os/metakey.h"
#include "os/os.h"
#include "safe/fault.h"
#include "scavthread.h"
#include "start.h"
#include "tools/profile.h"
#include "tools/tracer.h"

#include <errno.h>

/* Returns true if the object at p may stay in its slot: it fits, wastes no more than half of the
 * slot, and slot and span are of the kind that a new object would get. */
static bool stays_in_slot(const struct object *o, const void *p, size_t size, enum scan scan)
{
	if (size > o->nbytes || size < o->nbytes / 2)
		return false;
	/* Of a tiny object only the bytes that it has are known. */
	if (o->span->kind == SPAN_TINY)
		return scan == NOSCAN && request_fits(o, size, 0);
	/* An object of aligned_alloc(8, 20) may be where malloc(20) may not. */
	return spanclass_scan(o->span->spanclass) == scan &&
	       (uintptr_t)p % sizeclass_malloc_align(size) == 0;
}

/* Moves the pages of a big object into a span of another length. Returns NULL if it is to be
 * copied. */
static void *move_big(struct mcache *c, struct mspan *s, size_t npages, enum scan scan)
{
	size_t nbytes = min_size(mspan_nbytes(s), npages * PAGE_SIZE);
	struct mspan *to;
	bool fresh;
	void *p;

	if (!moves_pay(nbytes))
		return NULL;
	to = mcache_alloc_big(c, npages, 1, scan, &fresh);
	if (to == NULL)
		return NULL;
	/* Before the pages move, so that a leak check follows the pointers in them all the time. */
	p = mspan_set_big_live(to);
	/* Where the kernel's pages are larger than ours, not every object has whole pages. */
	if (!os_is_whole_pages((void *)(s->base | to->base), nbytes) ||
	    !os_move_pages((void *)s->base, (void *)to->base, nbytes)) {
		slot_set(&to->state[0], SLOT_FREE);
		mcache_free_big(c, to);
		return NULL;
	}
	to->moved = true;
	mspan_set_grown(to);
	to->zeroed = false;
	moves_note_made(s->moved ? mspan_nbytes(s) : 0);
	return p;
}

/* Sets the state of an object that realloc leaves in its slot: resized if a new object of its size
 * would get another slot. */
static void set_resized(_Atomic uint8_t *state, bool resized)
{
	slot_set(state, (resized ? SLOT_RESIZED : SLOT_LIVE) |
				(slot_state(state) & (SLOT_SAMPLED | SLOT_IGNORED)));
}

/* Frees an object that has moved. Where the leak finder ignored it, it ignores the new one. */
static void free_moved(const struct object *o, void *p, void *to, const char *func)
{
	if (UNLIKELY((slot_state(object_state(p)) & SLOT_IGNORED) != 0))
		(void)heap_ignore(to, func);
	request_free(o, p, func);
}

/* Marks a big object as resized if its size is that of a small one. */
static void mark_resized(struct mspan *s, size_t size)
{
	set_resized(&s->state[0], size <= MAX_SMALL_SIZE);
}

/* Ends the resizing of a big object in its span. For samples the object is a new one. */
static void *resized_in_place(struct mcache *c, struct mspan *s, size_t size)
{
	bool was_sampled = (slot_state(&s->state[0]) & SLOT_SAMPLED) != 0;
	size_t sampled = 0;

	slot_set(&s->state[0], SLOT_LIVE | (slot_state(&s->state[0]) & SLOT_IGNORED));
	mark_resized(s, size);
	mspan_set_grown(s);
	request_count_big(c, s, &sampled);
	thread_leave(c);
	if (UNLIKELY(was_sampled))
		profile_free(s->base);
	if (UNLIKELY(sampled != 0))
		profile_alloc(s->base, sampled);
	return (void *)s->base;
}

/* Gives a big object other pages in its place. At the memory limit the thread gives back what it
 * keeps and tries again. */
static bool resize_big(struct mcache *c, struct mspan *s, size_t npages)
{
	enum resize result;
	uint64_t begun_ms;

	result = mheap_resize_big(&c->pages, s, npages, EFFORT_GROW);
	if (result != RESIZE_FLUSH)
		return result == RESIZE_DONE;
	begun_ms = os_now_ms();
	mcache_flush(c);
	result = mheap_resize_big(&c->pages, s, npages, EFFORT_AGAIN);
	limit_end_round(begun_ms, os_now_ms());
	return result == RESIZE_DONE;
}

bool heap_resize_in_place(void *p, size_t size, const char *func)
{
	uint32_t rights = metakey_open();
	struct mspan *s = object_span(p, func);
	bool done = false;
	struct object o;

	if (s != NULL && !object_find(p, s, &o, func))
		object_bad_pointer(p, s, func);
	if (s != NULL && s->kind == SPAN_BIG && !options.hardened && !options.sbrk &&
	    size >= REALLOC_PAGES_MIN && size <= PTRDIFF_MAX) {
		struct mcache *c = start_enter();

		done = pages_for(size) == s->npages || resize_big(c, s, pages_for(size));
		if (done)
			(void)resized_in_place(c, s, size);
		else
			thread_leave(c);
	}
	metakey_close(rights);
	return done;
}

/* Returns true if a big object that shrinks is copied: below half of its pages, unless that is
 * much to copy. */
static bool shrinks_by_copy(const struct mspan *s, size_t size)
{
	return size < REALLOC_PAGES_MIN ||
	       (size < MOVE_PAGES_MIN && size < mspan_nbytes(s) / 2);
}

/* Resizes a big object without copying: in its span, or by moving its pages. Returns NULL if it is
 * to be copied. */
static void *realloc_big(const struct object *o, size_t size, enum scan scan, const char *func)
{
	struct mspan *s = o->span;
	size_t npages = pages_for(max_size(size, 1));
	size_t sampled = 0;
	struct mcache *c;
	void *p;

	if (s->kind != SPAN_BIG || spanclass_scan(s->spanclass) != scan)
		return NULL;
	if (npages == s->npages) {
		mark_resized(s, size);
		mspan_set_grown(s);
		return (void *)s->base;
	}
	c = start_enter();
	if (resize_big(c, s, npages))
		return resized_in_place(c, s, size);
	p = move_big(c, s, npages, scan);
	if (p != NULL)
		request_count_big(c, span_of((uintptr_t)p), &sampled);
	thread_leave(c);
	if (p == NULL)
		return NULL;
	if (UNLIKELY(sampled != 0))
		profile_alloc((uintptr_t)p, sampled);
	free_moved(o, (void *)s->base, p, func);
	return p;
}

/* Gives a big object that grows other pages, and a small one pages of its own when it grows beyond
 * some size, because it will grow again and there may be room behind them. Returns NULL if the
 * object is not that large, an option asks for another place, or there is no memory. */
static void *grow_to_pages(const struct object *o, size_t size, enum scan scan)
{
	size_t sampled = 0;
	struct mcache *c;
	struct mspan *s;
	void *p = NULL;
	bool fresh;

	if (o->span->kind == SPAN_TINY || size <= o->nbytes || size < REALLOC_PAGES_MIN)
		return NULL;
	/* The new object is to have guards, or to be another malloc's. */
	if (options.efence || options.off)
		return NULL;
	if (o->span->kind == SPAN_SMALL && size > MAX_SMALL_SIZE)
		return NULL;
	c = start_enter();
	s = mcache_new_big(c, pages_for(size), 1, scan, &fresh);
	if (s != NULL) {
		p = mspan_set_big_live(s);
		mark_resized(s, size);
		mspan_set_grown(s);
		request_count_big(c, s, &sampled);
	}
	thread_leave(c);
	if (UNLIKELY(sampled != 0))
		profile_alloc((uintptr_t)p, sampled);
	return p;
}

/* Resizes an object with hardened=1 or sbrk=1: into a new object, unless it may stay. Returns NULL
 * if there is no memory. */
static void *move_object(const struct object *o, void *p, size_t size, enum scan scan,
			 const char *func)
{
	void *to;

	if (options.hardened && size == o->nbytes &&
	    (uintptr_t)p % sizeclass_malloc_align(size) == 0 &&
	    spanclass_scan(o->span->spanclass) == scan)
		return p;
	if (!options.hardened && stays_in_slot(o, p, size, scan)) {
		set_resized(&o->span->state[o->slot], heap_good_size(size, 0) != o->nbytes);
		return p;
	}
	to = request_alloc(&(struct request){ .size = size, .scan = scan });
	if (to == NULL)
		return NULL;
	copy_bytes(to, p, min_size(o->nbytes, size));
	free_moved(o, p, to, func);
	return to;
}

/* Shrinks an object in its place, because there is no memory for a copy. Returns NULL if it does
 * not shrink, or if a new object would be of another kind. */
static void *shrink_in_place(const struct object *o, void *p, size_t size, enum scan scan,
			     const char *func)
{
	const struct mspan *s = o->span;

	if (size > o->nbytes || s->kind == SPAN_TINY || spanclass_scan(s->spanclass) != scan ||
	    (uintptr_t)p % sizeclass_malloc_align(size) != 0)
		return NULL;
	if (s->kind == SPAN_BIG)
		return realloc_big(o, size, scan, func);
	set_resized(&o->span->state[o->slot], heap_good_size(size, 0) != o->nbytes);
	return p;
}

/* Resizes an object by copying it. Returns NULL if there is no memory. */
static void *realloc_copy(const struct object *o, void *p, size_t size, enum scan scan,
			  const char *func)
{
	int before = errno;
	void *to = grow_to_pages(o, size, scan);

	if (to == NULL)
		to = request_alloc(&(struct request){ .size = size, .scan = scan });
	if (to == NULL) {
		to = shrink_in_place(o, p, size, scan, func);
		if (to != NULL)
			errno = before;
		return to;
	}
	copy_bytes(to, p, min_size(o->nbytes, size));
	free_moved(o, p, to, func);
	return to;
}

/* Resizes an object in span s. */
static void *realloc_ours(void *p, struct mspan *s, size_t size, enum scan scan, const char *func)
{
	struct object o;
	void *to;

	if (!object_find(p, s, &o, func))
		object_bad_pointer(p, s, func);
	if (size > PTRDIFF_MAX)
		return request_refuse();
	if (UNLIKELY(options.hardened || options.sbrk))
		return move_object(&o, p, size, scan, func);
	if (s->kind != SPAN_BIG && stays_in_slot(&o, p, size, scan)) {
		if (s->kind == SPAN_SMALL)
			set_resized(&s->state[o.slot], heap_good_size(size, 0) != o.nbytes);
		return p;
	}
	to = shrinks_by_copy(s, size) ? NULL : realloc_big(&o, size, scan, func);
	return to != NULL ? to : realloc_copy(&o, p, size, scan, func);
}

/* Resizes an object that lies in no span. */
static void *realloc_outside(void *p, size_t size, enum scan scan, const char *func)
{
	size_t nbytes;
	void *to;

	if (!guard_owns((uintptr_t)p))
		return foreign_realloc(p, size, func);
	if (!guard_size(p, &nbytes))
		fault_bad_pointer(p, func, NULL);
	to = request_alloc(&(struct request){ .size = size, .scan = scan });
	if (to == NULL)
		return NULL;
	copy_bytes(to, p, min_size(nbytes, size));
	if (guard_is_ignored(p))
		(void)heap_ignore(to, func);
	fault_guarded_free(p, func);
	return to;
}

void *heap_realloc(void *p, size_t size, enum scan scan, const char *func)
{
	struct mspan *s = entry_span(entry_of((uintptr_t)p));
	uint32_t rights, slot;
	void *to;

	/* The object is in the slot that a new object of the size would get. */
	if (LIKELY(s != NULL) && mspan_slot_of(s, (uintptr_t)p, &slot) && size <= MAX_SMALL_SIZE &&
	    scan == SCAN && s->spanclass == sizeclass_of_malloc(size) &&
	    slot_state(&s->state[slot]) == SLOT_LIVE)
		return p;
	if (p == NULL)
		return scan == NOSCAN ? heap_malloc_noscan(size) : heap_malloc(size);
	rights = metakey_open();
	s = object_span(p, func);
	to = s == NULL ? realloc_outside(p, size, scan, func)
		       : realloc_ours(p, s, size, scan, func);
	/* The object may have grown in its place, where only the caller's p told of it. */
	HOLD_ADDRESS(p);
	metakey_close(rights);
	scavthread_attend();
	tracer_attend();
	return to;
}

void *heap_realloc_zero(void *p, enum scan scan, const char *func)
{
	switch (options.realloczero) {
	case REALLOC_ZERO_ALLOC:
		return heap_realloc(p, 0, scan, func);
	case REALLOC_ZERO_ABORT:
		fatal_pointer(func, p, "realloc of size 0");
	default:
		heap_free(p, func);
		return NULL;
	}
}
