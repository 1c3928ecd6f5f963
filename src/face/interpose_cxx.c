/* SPDX-License-Identifier: MIT */
/*
 * interpose_cxx.c - the C++ face: the 20 replaceable operators new and delete, under their mangled
 * names.
 *
 * The rules are those of the standard's section [new.delete]. new calls the new handler until there
 * is memory, or throws std::bad_alloc; the nothrow forms return NULL instead. A sized delete is
 * checked against the slot. By default one form calls another: new[] calls new, and
 * delete(p, size) calls delete(p). If the program has replaced the form that is called, the
 * program's form is called.
 *
 * C can neither throw nor catch. When there is no memory, the same form of the caller's own C++
 * library begins anew. It calls malloc, asks its own new handler, and throws its own
 * std::bad_alloc.
 */
#include "face/interpose_cxx.h"
#include "os/cxxlib.h"
#include "os/fatal.h"
#include "face/face.h"
#include "face/replaced.h"

/* In a static program the linker finds these if there is a C++ library, whose operators are ours
 * then. */
extern void (*_ZSt15get_new_handlerv(void))(void) WEAK;
extern void _ZSt17__throw_bad_allocv(void) WEAK;

typedef void *new_fn(size_t size);
typedef void *nothrow_fn(size_t size, const void *tag);
typedef void *aligned_fn(size_t size, size_t align);
typedef void *aligned_nothrow_fn(size_t size, size_t align, const void *tag);

/* Allocates as aligned_alloc(3) does. Returns NULL also if align is no power of two. */
static void *attempt_aligned(size_t size, size_t align)
{
	if (!is_pow2(align))
		return NULL;
	if (malloc_is_ours())
		return heap_aligned(align, size, SCAN);
	if (size > PTRDIFF_MAX - align)
		return NULL;
	return aligned_alloc(align, align_up(size == 0 ? 1 : size, align));
}

/* Calls the new handler and tries again until there is memory or no handler, as the standard
 * says. align 0 stands for malloc's own. */
static void *new_by_handler(size_t size, size_t align)
{
	for (;;) {
		void (*handler)(void) = NULL;
		void *p;

		if (&_ZSt15get_new_handlerv != NULL)
			handler = _ZSt15get_new_handlerv();
		if (handler == NULL)
			break;
		handler();
		p = align == 0 ? replaced_malloc(size) : attempt_aligned(size, align);
		if (p != NULL)
			return p;
	}
	if (&_ZSt17__throw_bad_allocv != NULL)
		_ZSt17__throw_bad_allocv();
	fatal_error("operator new: out of memory, and no std::bad_alloc to throw");
}

/* Allocates when the fast path has no object. caller is the address that the operator returns
 * to. */
static SLOW_PATH void *new_slow(size_t size, uintptr_t caller)
{
	void *p = replaced_malloc_slow(size);
	new_fn *form;

	if (LIKELY(p != NULL))
		return p;
	form = (new_fn *)cxxlib_function("_Znwm", caller);
	return form != NULL ? form(size) : new_by_handler(size, 0);
}

static SLOW_PATH void *new_aligned(size_t size, size_t align, uintptr_t caller)
{
	void *p = attempt_aligned(size, align);
	aligned_fn *form;

	if (LIKELY(p != NULL))
		return p;
	form = (aligned_fn *)cxxlib_function("_ZnwmSt11align_val_t", caller);
	return form != NULL ? form(size, align) : new_by_handler(size, is_pow2(align) ? align : 16);
}

/* Allocates, if `attempt` is true by a first attempt here. */
static SLOW_PATH void *nothrow_slow(const char *name, size_t size, const void *tag, bool attempt,
				    uintptr_t caller)
{
	void *p = attempt ? replaced_malloc_slow(size) : NULL;
	nothrow_fn *form;

	if (LIKELY(p != NULL))
		return p;
	form = (nothrow_fn *)cxxlib_function(name, caller);
	return form != NULL ? form(size, tag) : NULL;
}

static SLOW_PATH void *aligned_nothrow_slow(const char *name, size_t size, size_t align,
					    const void *tag, uintptr_t caller)
{
	aligned_nothrow_fn *form = (aligned_nothrow_fn *)cxxlib_function(name, caller);

	return form != NULL ? form(size, align, tag) : NULL;
}

/* This is a macro because RETURN_ADDRESS() must be that of the operator itself. */
#define NEW_OBJECT(size) \
	({ \
		void *new_p = replaced_malloc_fast(size); \
		LIKELY(new_p != NULL) ? new_p : new_slow(size, RETURN_ADDRESS()); \
	})

#define DELETE "operator delete"
#define DELETE_ARRAY "operator delete[]"

/* Declares and defines a function whose name is the compiler's and in no header. */
#define FACE(type, name, params) \
	type name params; \
	EXPORT type name params
#define HOT_FACE(type, name, params) \
	type name params; \
	HOT_ENTRY EXPORT type name params

HOT_FACE(void *, _Znwm, (size_t size)) { return NEW_OBJECT(size); }
FACE(void *, _ZnwmSt11align_val_t, (size_t size, size_t align))
{
	return new_aligned(size, align, RETURN_ADDRESS());
}
HOT_FACE(void, _ZdlPv, (void *p)) { replaced_free(p, DELETE); }
FACE(void, _ZdlPvSt11align_val_t, (void *p, size_t align))
{
	(void)align;
	replaced_free(p, DELETE);
}
OWN_NAME(own_Znwm, _Znwm);
OWN_NAME(own_ZnwmSt11align_val_t, _ZnwmSt11align_val_t);
OWN_NAME(own_ZdlPv, _ZdlPv);
OWN_NAME(own_ZdlPvSt11align_val_t, _ZdlPvSt11align_val_t);

HOT_FACE(void *, _Znam, (size_t size))
{
	return REPLACED(_Znwm) ? _Znwm(size) : NEW_OBJECT(size);
}
FACE(void *, _ZnamSt11align_val_t, (size_t size, size_t align))
{
	return REPLACED(_ZnwmSt11align_val_t) ? _ZnwmSt11align_val_t(size, align) :
						new_aligned(size, align, RETURN_ADDRESS());
}
HOT_FACE(void, _ZdaPv, (void *p))
{
	if (REPLACED(_ZdlPv))
		_ZdlPv(p);
	else
		replaced_free(p, DELETE_ARRAY);
}
FACE(void, _ZdaPvSt11align_val_t, (void *p, size_t align))
{
	if (REPLACED(_ZdlPvSt11align_val_t))
		_ZdlPvSt11align_val_t(p, align);
	else
		replaced_free(p, DELETE_ARRAY);
}
OWN_NAME(own_Znam, _Znam);
OWN_NAME(own_ZnamSt11align_val_t, _ZnamSt11align_val_t);
OWN_NAME(own_ZdaPv, _ZdaPv);
OWN_NAME(own_ZdaPvSt11align_val_t, _ZdaPvSt11align_val_t);

/* The nothrow forms make one attempt. If it fails, the form of the C++ library calls the throwing
 * form and its handler, and catches what that throws. */
FACE(void *, _ZnwmRKSt9nothrow_t, (size_t size, const void *tag))
{
	bool own = !REPLACED(_Znwm);
	void *p = own ? replaced_malloc_fast(size) : NULL;

	if (LIKELY(p != NULL))
		return p;
	return nothrow_slow("_ZnwmRKSt9nothrow_t", size, tag, own, RETURN_ADDRESS());
}
FACE(void *, _ZnamRKSt9nothrow_t, (size_t size, const void *tag))
{
	bool own = !(REPLACED(_Znwm) || REPLACED(_Znam));
	void *p = own ? replaced_malloc_fast(size) : NULL;

	if (LIKELY(p != NULL))
		return p;
	return nothrow_slow("_ZnamRKSt9nothrow_t", size, tag, own, RETURN_ADDRESS());
}
FACE(void *, _ZnwmSt11align_val_tRKSt9nothrow_t, (size_t size, size_t align, const void *tag))
{
	void *p = REPLACED(_ZnwmSt11align_val_t) ? NULL : attempt_aligned(size, align);

	if (LIKELY(p != NULL))
		return p;
	return aligned_nothrow_slow("_ZnwmSt11align_val_tRKSt9nothrow_t", size, align, tag,
				    RETURN_ADDRESS());
}
FACE(void *, _ZnamSt11align_val_tRKSt9nothrow_t, (size_t size, size_t align, const void *tag))
{
	bool own = !(REPLACED(_ZnwmSt11align_val_t) || REPLACED(_ZnamSt11align_val_t));
	void *p = own ? attempt_aligned(size, align) : NULL;

	if (LIKELY(p != NULL))
		return p;
	return aligned_nothrow_slow("_ZnamSt11align_val_tRKSt9nothrow_t", size, align, tag,
				    RETURN_ADDRESS());
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

HOT_FACE(void, _ZdlPvm, (void *p, size_t size))
{
	if (REPLACED(_ZdlPv))
		_ZdlPv(p);
	else
		replaced_free_sized(p, size, 0, DELETE);
}
HOT_FACE(void, _ZdaPvm, (void *p, size_t size))
{
	if (REPLACED(_ZdlPv) || REPLACED(_ZdaPv))
		_ZdaPv(p);
	else
		replaced_free_sized(p, size, 0, DELETE_ARRAY);
}
FACE(void, _ZdlPvmSt11align_val_t, (void *p, size_t size, size_t align))
{
	if (REPLACED(_ZdlPvSt11align_val_t))
		_ZdlPvSt11align_val_t(p, align);
	else
		replaced_free_sized(p, size, align, DELETE);
}
FACE(void, _ZdaPvmSt11align_val_t, (void *p, size_t size, size_t align))
{
	if (REPLACED(_ZdlPvSt11align_val_t) || REPLACED(_ZdaPvSt11align_val_t))
		_ZdaPvSt11align_val_t(p, align);
	else
		replaced_free_sized(p, size, align, DELETE_ARRAY);
}
