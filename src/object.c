/* SPDX-License-Identifier: MIT */
/*
 * object.c - from an address to what lies there, and what is wrong with it.
 *
 * An address is in a span, in a guarded slot (guard.c), or foreign: another malloc made the object,
 * and foreign.c hands it to that malloc. An address in an arena that is in no span is an error.
 *
 * Locks    none of its own. What it reads is atomic, or constant while the caller owns the object.
 */
#include "object.h"
#include "base/options.h"
#include "heap.h"
#include "heap/tiny.h"
#include "os/fatal.h"
#include "os/foreign.h"
#include "os/metakey.h"
#include "safe/fault.h"
#include "safe/hardened.h"

_Noreturn void object_bad_pointer(const void *p, const struct mspan *s, const char *func)
{
	uintptr_t addr = (uintptr_t)p;
	bool start = true;
	uint32_t slot;

	if (s == NULL) {
		start = false;
	} else if (s->kind == SPAN_SMALL) {
		start = mspan_slot_of(s, addr, &slot) && slot < s->nelems;
	} else if (s->kind == SPAN_TINY) {
		start = !tiny_is_interior(s, addr) &&
			addr - s->base < s->nelems * (size_t)TINY_SIZE;
	} else if (s->kind == SPAN_BIG) {
		start = addr == s->base;
	}
	if (start && (addr % 8 == 0 || s->kind == SPAN_TINY))
		fatal_pointer(func, p, "double free");
	fatal_pointer(func, p, addr % 8 != 0 ? "misaligned pointer" : "invalid pointer");
}

bool object_find(void *p, struct mspan *s, struct object *o, const char *func)
{
	uintptr_t addr = (uintptr_t)p;

	o->span = s;
	o->slot = 0;
	switch (s->kind) {
	case SPAN_SMALL:
		if (!mspan_slot_of(s, addr, &o->slot) || !slot_is_live(&s->state[o->slot]))
			return false;
		o->nbytes = s->elemsize;
		if (UNLIKELY(s->spanclass == SPANCLASS_ZERO))
			o->nbytes = 0;
		else if (UNLIKELY(options.hardened))
			o->nbytes = hardened_small_size(s, o->slot, func);
		return true;
	case SPAN_TINY:
		o->nbytes = tiny_object_size(s, addr);
		return o->nbytes != 0;
	case SPAN_BIG:
		if (addr != s->base || !slot_is_live(&s->state[0]))
			return false;
		o->nbytes = options.hardened ? hardened_big_size(s, func) : mspan_nbytes(s);
		return true;
	default:
		return false;
	}
}

struct mspan *object_span(const void *p, const char *func)
{
	struct mspan *s = span_of((uintptr_t)p);

	if (s == NULL && arena_of((uintptr_t)p) != NULL && !guard_owns((uintptr_t)p))
		object_bad_pointer(p, NULL, func);
	return s;
}

bool heap_owns(const void *p)
{
	uint32_t rights = metakey_open();
	bool owns = span_of((uintptr_t)p) != NULL || arena_of((uintptr_t)p) != NULL ||
		    guard_owns((uintptr_t)p);

	metakey_close(rights);
	return owns;
}

_Atomic uint8_t *object_state(void *p)
{
	struct mspan *s = span_of((uintptr_t)p);
	uint32_t slot = 0;

	if (s->kind == SPAN_SMALL)
		(void)mspan_slot_of(s, (uintptr_t)p, &slot);
	else if (s->kind == SPAN_TINY)
		slot = (uint32_t)((uintptr_t)p - s->base);
	return &s->state[slot];
}

bool heap_ignore(void *p, const char *func)
{
	uint32_t rights = metakey_open();
	struct mspan *s = span_of((uintptr_t)p);
	struct object o;
	bool found = s != NULL ? object_find(p, s, &o, func) : guard_ignore(p);

	if (found && s != NULL) {
		_Atomic uint8_t *state = object_state(p);

		slot_set(state, slot_state(state) | SLOT_IGNORED);
	}
	metakey_close(rights);
	return found;
}

/* --- usable sizes --- */

/* Returns what is wrong with a p at which no live object starts. */
static const char *fault_of_start(const void *p)
{
	return (uintptr_t)p % 8 != 0 ? "misaligned pointer" : "invalid pointer";
}

/* Returns the usable bytes of an object that lies in no span. */
static size_t usable_size_outside(void *p, const char *func)
{
	size_t nbytes;

	if (!guard_owns((uintptr_t)p))
		return foreign_usable_size(p, func);
	if (!guard_size(p, &nbytes))
		fault_bad_pointer(p, func, fault_of_start(p));
	return nbytes;
}

static SLOW_PATH size_t usable_size_slow(void *p, const char *func)
{
	struct object o;
	struct mspan *s;
	uint32_t rights;

	if (p == NULL)
		return 0;
	rights = metakey_open();
	s = object_span(p, func);
	if (s == NULL)
		o.nbytes = usable_size_outside(p, func);
	else if (!object_find(p, s, &o, func))
		fatal_pointer(func, p, fault_of_start(p));
	metakey_close(rights);
	return o.nbytes;
}

size_t heap_usable_size(void *p, const char *func)
{
	uint64_t entry = entry_of((uintptr_t)p);
	uint32_t slot;

	if (LIKELY(entry_slot_of(entry, (uintptr_t)p, &slot)) &&
	    LIKELY(entry_spanclass(entry) != SPANCLASS_ZERO) &&
	    LIKELY(slot_is_live(&entry_span(entry)->state[slot])) && LIKELY(!options.hardened))
		return spanclass_info(entry_spanclass(entry))->elemsize;
	return usable_size_slow(p, func);
}

size_t heap_usable_size_or_0(void *p, const char *func)
{
	uint32_t rights = metakey_open();
	struct mspan *s = span_of((uintptr_t)p);
	bool guarded = guard_owns((uintptr_t)p);
	struct object o = { .nbytes = 0 };

	if (s != NULL ? !object_find(p, s, &o, func) : guarded && !guard_size(p, &o.nbytes))
		o.nbytes = 0;
	metakey_close(rights);
	return s == NULL && !guarded ? foreign_usable_size_or_0(p) : o.nbytes;
}
