/* SPDX-License-Identifier: MIT */
/*
 * interpose_cxx.c - the C++ face: the 20 replaceable operators new and delete, under their mangled names.
 * See malloc.c for the overview.
 *
 * Owns     nothing.
 * Callers  C++ programs. Calls malloc.h; libstdc++'s new handler and bad_alloc, if they are there.
 * Locks    none.
 * Holds    [new.delete]: new calls the new handler until memory is there, or throws std::bad_alloc; the nothrow
 *          forms return NULL instead; sized delete is checked against the slot.
 */
#include "fatal.h"
#include "malloc.h"

/* libstdc++'s get_new_handler and __throw_bad_alloc, when the program has it. */
extern void (*_ZSt15get_new_handlerv(void))(void) WEAK;
extern void _ZSt17__throw_bad_allocv(void) WEAK;

/* One attempt after another, with the handler between them, as the standard says. */
static SLOW_PATH void *new_slow(size_t size, size_t align, bool nothrow)
{
	for (;;) {
		void (*handler)(void) = NULL;
		void *p;

		if (_ZSt15get_new_handlerv != NULL)
			handler = _ZSt15get_new_handlerv();
		if (handler == NULL)
			break;
		handler();
		p = align == 0 ? heap_malloc(size) : heap_aligned(align, size, false);
		if (p != NULL)
			return p;
	}
	if (nothrow)
		return NULL;
	if (_ZSt17__throw_bad_allocv != NULL)
		_ZSt17__throw_bad_allocv();
	fatal_error("operator new: out of memory, and no std::bad_alloc to throw");
}

FAST_PATH void *new_object(size_t size, bool nothrow)
{
	void *p = heap_malloc(size);

	return LIKELY(p != NULL) ? p : new_slow(size, 0, nothrow);
}

FAST_PATH void *new_aligned(size_t size, size_t align, bool nothrow)
{
	void *p = is_pow2(align) ? heap_aligned(align, size, false) : NULL;

	return LIKELY(p != NULL) ? p : new_slow(size, is_pow2(align) ? align : 16, nothrow);
}

#define DELETE "operator delete"
#define DELETE_ARRAY "operator delete[]"

/* Declared here: the names are the compiler's, no header has them. N: nothrow tag, A: alignment. */
#define FACE(type, name, params) \
	type name params; \
	EXPORT type name params

FACE(void *, _Znwm, (size_t size)) { return new_object(size, false); }
FACE(void *, _Znam, (size_t size)) { return new_object(size, false); }
FACE(void *, _ZnwmRKSt9nothrow_t, (size_t size, const void *tag))
{
	(void)tag;
	return new_object(size, true);
}
FACE(void *, _ZnamRKSt9nothrow_t, (size_t size, const void *tag))
{
	(void)tag;
	return new_object(size, true);
}
FACE(void *, _ZnwmSt11align_val_t, (size_t size, size_t align))
{
	return new_aligned(size, align, false);
}
FACE(void *, _ZnamSt11align_val_t, (size_t size, size_t align))
{
	return new_aligned(size, align, false);
}
FACE(void *, _ZnwmSt11align_val_tRKSt9nothrow_t, (size_t size, size_t align, const void *tag))
{
	(void)tag;
	return new_aligned(size, align, true);
}
FACE(void *, _ZnamSt11align_val_tRKSt9nothrow_t, (size_t size, size_t align, const void *tag))
{
	(void)tag;
	return new_aligned(size, align, true);
}

FACE(void, _ZdlPv, (void *p)) { heap_free(p, DELETE); }
FACE(void, _ZdaPv, (void *p)) { heap_free(p, DELETE_ARRAY); }
FACE(void, _ZdlPvRKSt9nothrow_t, (void *p, const void *tag))
{
	(void)tag;
	heap_free(p, DELETE);
}
FACE(void, _ZdaPvRKSt9nothrow_t, (void *p, const void *tag))
{
	(void)tag;
	heap_free(p, DELETE_ARRAY);
}
FACE(void, _ZdlPvm, (void *p, size_t size)) { heap_free_sized(p, size, 0, DELETE); }
FACE(void, _ZdaPvm, (void *p, size_t size)) { heap_free_sized(p, size, 0, DELETE_ARRAY); }
FACE(void, _ZdlPvSt11align_val_t, (void *p, size_t align))
{
	(void)align;
	heap_free(p, DELETE);
}
FACE(void, _ZdaPvSt11align_val_t, (void *p, size_t align))
{
	(void)align;
	heap_free(p, DELETE_ARRAY);
}
FACE(void, _ZdlPvSt11align_val_tRKSt9nothrow_t, (void *p, size_t align, const void *tag))
{
	(void)align;
	(void)tag;
	heap_free(p, DELETE);
}
FACE(void, _ZdaPvSt11align_val_tRKSt9nothrow_t, (void *p, size_t align, const void *tag))
{
	(void)align;
	(void)tag;
	heap_free(p, DELETE_ARRAY);
}
FACE(void, _ZdlPvmSt11align_val_t, (void *p, size_t size, size_t align))
{
	heap_free_sized(p, size, align, DELETE);
}
FACE(void, _ZdaPvmSt11align_val_t, (void *p, size_t size, size_t align))
{
	heap_free_sized(p, size, align, DELETE_ARRAY);
}
