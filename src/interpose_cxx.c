/* SPDX-License-Identifier: MIT */
/*
 * interpose_cxx.c - the C++ face: the 20 replaceable operators new and delete, under their mangled names.
 * See malloc.c for the overview.
 *
 * Owns     nothing.
 * Callers  C++ programs. Calls malloc.h; libstdc++'s new handler, bad_alloc and nothrow new, if they are there.
 * Locks    none.
 * Holds    [new.delete]: new calls the new handler until memory is there, or throws std::bad_alloc; the nothrow
 *          forms return NULL instead; sized delete is checked against the slot. Where a program has replaced the form that another
 *          one calls by default, it is called: new[] calls new, delete(p, size) calls delete(p), and so on.
 */
#include "interpose_cxx.h"
#include "fatal.h"

#include <dlfcn.h>

/* libstdc++'s get_new_handler and __throw_bad_alloc, when the program has it. */
extern void (*_ZSt15get_new_handlerv(void))(void) WEAK;
extern void _ZSt17__throw_bad_allocv(void) WEAK;

/* What libstdc++ has by a name of ours; NULL: it is not there. */
static void *next_named(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

/* libstdc++'s nothrow form calls the throwing one and catches what that throws, which C cannot. */
static SLOW_PATH void *catch_new(const char *name, size_t size, const void *tag)
{
	void *(*form)(size_t, const void *);

	*(void **)&form = next_named(name);
	return form == NULL ? NULL : form(size, tag);
}

static SLOW_PATH void *catch_aligned_new(const char *name, size_t size, size_t align, const void *tag)
{
	void *(*form)(size_t, size_t, const void *);

	*(void **)&form = next_named(name);
	return form == NULL ? NULL : form(size, align, tag);
}

/* One attempt after another, with the handler between them, as the standard says. */
static SLOW_PATH void *new_slow(size_t size, size_t align)
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
	if (_ZSt17__throw_bad_allocv != NULL)
		_ZSt17__throw_bad_allocv();
	fatal_error("operator new: out of memory, and no std::bad_alloc to throw");
}

FAST_PATH void *new_object(size_t size)
{
	void *p = heap_malloc(size);

	return LIKELY(p != NULL) ? p : new_slow(size, 0);
}

FAST_PATH void *new_aligned(size_t size, size_t align)
{
	void *p = aligned_or_null(size, align, false);

	return LIKELY(p != NULL) ? p : new_slow(size, is_pow2(align) ? align : 16);
}

#define DELETE "operator delete"
#define DELETE_ARRAY "operator delete[]"

/* Declared here: the names are the compiler's, no header has them. N: nothrow tag, A: alignment. */
#define FACE(type, name, params) \
	type name params; \
	EXPORT type name params

FACE(void *, _Znwm, (size_t size)) { return new_object(size); }
FACE(void *, _ZnwmSt11align_val_t, (size_t size, size_t align)) { return new_aligned(size, align); }
FACE(void, _ZdlPv, (void *p)) { heap_free(p, DELETE); }
FACE(void, _ZdlPvSt11align_val_t, (void *p, size_t align))
{
	(void)align;
	heap_free(p, DELETE);
}
OWN_NAME(own_Znwm, _Znwm);
OWN_NAME(own_ZnwmSt11align_val_t, _ZnwmSt11align_val_t);
OWN_NAME(own_ZdlPv, _ZdlPv);
OWN_NAME(own_ZdlPvSt11align_val_t, _ZdlPvSt11align_val_t);

FACE(void *, _Znam, (size_t size))
{
	return REPLACED(_Znwm) ? _Znwm(size) : new_object(size);
}
FACE(void *, _ZnamSt11align_val_t, (size_t size, size_t align))
{
	return REPLACED(_ZnwmSt11align_val_t) ? _ZnwmSt11align_val_t(size, align) : new_aligned(size, align);
}
FACE(void, _ZdaPv, (void *p))
{
	if (REPLACED(_ZdlPv))
		_ZdlPv(p);
	else
		heap_free(p, DELETE_ARRAY);
}
FACE(void, _ZdaPvSt11align_val_t, (void *p, size_t align))
{
	if (REPLACED(_ZdlPvSt11align_val_t))
		_ZdlPvSt11align_val_t(p, align);
	else
		heap_free(p, DELETE_ARRAY);
}
OWN_NAME(own_Znam, _Znam);
OWN_NAME(own_ZnamSt11align_val_t, _ZnamSt11align_val_t);
OWN_NAME(own_ZdaPv, _ZdaPv);
OWN_NAME(own_ZdaPvSt11align_val_t, _ZdaPvSt11align_val_t);

/* Nothrow: what memory there is; else what a throwing form answers, with its handler. */
FACE(void *, _ZnwmRKSt9nothrow_t, (size_t size, const void *tag))
{
	void *p = REPLACED(_Znwm) ? NULL : heap_malloc(size);

	return LIKELY(p != NULL) ? p : catch_new("_ZnwmRKSt9nothrow_t", size, tag);
}
FACE(void *, _ZnamRKSt9nothrow_t, (size_t size, const void *tag))
{
	void *p = REPLACED(_Znwm) || REPLACED(_Znam) ? NULL : heap_malloc(size);

	return LIKELY(p != NULL) ? p : catch_new("_ZnamRKSt9nothrow_t", size, tag);
}
FACE(void *, _ZnwmSt11align_val_tRKSt9nothrow_t, (size_t size, size_t align, const void *tag))
{
	void *p = REPLACED(_ZnwmSt11align_val_t) ? NULL : aligned_or_null(size, align, false);

	return LIKELY(p != NULL) ? p : catch_aligned_new("_ZnwmSt11align_val_tRKSt9nothrow_t", size, align, tag);
}
FACE(void *, _ZnamSt11align_val_tRKSt9nothrow_t, (size_t size, size_t align, const void *tag))
{
	void *p = REPLACED(_ZnwmSt11align_val_t) || REPLACED(_ZnamSt11align_val_t) ? NULL : aligned_or_null(size, align, false);

	return LIKELY(p != NULL) ? p : catch_aligned_new("_ZnamSt11align_val_tRKSt9nothrow_t", size, align, tag);
}
OWN_NAME(own_ZnwmRKSt9nothrow_t, _ZnwmRKSt9nothrow_t);
OWN_NAME(own_ZnamRKSt9nothrow_t, _ZnamRKSt9nothrow_t);
OWN_NAME(own_ZnwmSt11align_val_tRKSt9nothrow_t, _ZnwmSt11align_val_tRKSt9nothrow_t);
OWN_NAME(own_ZnamSt11align_val_tRKSt9nothrow_t, _ZnamSt11align_val_tRKSt9nothrow_t);

FACE(void, _ZdlPvRKSt9nothrow_t, (void *p, const void *tag))
{
	(void)tag;
	_ZdlPv(p);
}
FACE(void, _ZdaPvRKSt9nothrow_t, (void *p, const void *tag))
{
	(void)tag;
	_ZdaPv(p);
}
FACE(void, _ZdlPvSt11align_val_tRKSt9nothrow_t, (void *p, size_t align, const void *tag))
{
	(void)tag;
	_ZdlPvSt11align_val_t(p, align);
}
FACE(void, _ZdaPvSt11align_val_tRKSt9nothrow_t, (void *p, size_t align, const void *tag))
{
	(void)tag;
	_ZdaPvSt11align_val_t(p, align);
}

FACE(void, _ZdlPvm, (void *p, size_t size))
{
	if (REPLACED(_ZdlPv))
		_ZdlPv(p);
	else
		heap_free_sized(p, size, 0, DELETE);
}
FACE(void, _ZdaPvm, (void *p, size_t size))
{
	if (REPLACED(_ZdlPv) || REPLACED(_ZdaPv))
		_ZdaPv(p);
	else
		heap_free_sized(p, size, 0, DELETE_ARRAY);
}
FACE(void, _ZdlPvmSt11align_val_t, (void *p, size_t size, size_t align))
{
	if (REPLACED(_ZdlPvSt11align_val_t))
		_ZdlPvSt11align_val_t(p, align);
	else
		heap_free_sized(p, size, align, DELETE);
}
FACE(void, _ZdaPvmSt11align_val_t, (void *p, size_t size, size_t align))
{
	if (REPLACED(_ZdlPvSt11align_val_t) || REPLACED(_ZdaPvSt11align_val_t))
		_ZdaPvSt11align_val_t(p, align);
	else
		heap_free_sized(p, size, align, DELETE_ARRAY);
}
