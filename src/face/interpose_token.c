/* SPDX-License-Identifier: MIT */
/*
 * interpose_token.c - the face for programs that clang instrumented with allocation tokens (-fsanitize=alloc-token).
 * See malloc.c for the overview.
 *
 * Owns     nothing.
 * Callers  such programs: the compiler turned malloc(n) into __alloc_token_malloc(n, token), or in its fast ABI into
 *          __alloc_token_0_malloc(n); so with all that is in the list below. Calls interpose.h, and the plain forms of
 *          operator new.
 * Locks    none.
 * Holds    token 0 is noscan memory, every other memory that may hold pointers. With -falloc-token-max=2 the compiler gives 0 to
 *          types without pointers and 1 to those with; 2 to what it does not know if it was asked to, with
 *          -mllvm -alloc-token-fallback=2, otherwise 0. Ids 0 to 2 have names in the fast ABI.
 *          operator new: the one attempt for noscan memory is here. Whatever else there may be to do is what the plain
 *          form does: the new handler, the exception, the program's own operator. What comes from there may hold pointers.
 */
#include "face/program.h"
#include "face/interpose_cxx.h"

#define BARE(...) __VA_ARGS__

/* replaced: forms that the plain one calls, or it itself, are the program's own. Then, and where malloc is, the plain form serves. */
#define FACE_NEW(name, params, args, replaced, attempt) \
	FAST_PATH void *program_##name(BARE params, bool noscan) \
	{ \
		void *p = !noscan || replaced || !malloc_is_ours() ? NULL : attempt; \
\
		return LIKELY(p != NULL) ? p : name args; \
	}

FACE_NEW(_Znwm, (size_t size), (size), REPLACED(_Znwm), heap_malloc_noscan(size))
FACE_NEW(_Znam, (size_t size), (size), (REPLACED(_Znam) || REPLACED(_Znwm)), heap_malloc_noscan(size))
FACE_NEW(_ZnwmRKSt9nothrow_t, (size_t size, const void *tag), (size, tag),
	 (REPLACED(_ZnwmRKSt9nothrow_t) || REPLACED(_Znwm)), heap_malloc_noscan(size))
FACE_NEW(_ZnamRKSt9nothrow_t, (size_t size, const void *tag), (size, tag),
	 (REPLACED(_ZnamRKSt9nothrow_t) || REPLACED(_Znam) || REPLACED(_Znwm)), heap_malloc_noscan(size))
FACE_NEW(_ZnwmSt11align_val_t, (size_t size, size_t align), (size, align),
	 REPLACED(_ZnwmSt11align_val_t), aligned_or_null(size, align, true))
FACE_NEW(_ZnamSt11align_val_t, (size_t size, size_t align), (size, align),
	 (REPLACED(_ZnamSt11align_val_t) || REPLACED(_ZnwmSt11align_val_t)), aligned_or_null(size, align, true))
FACE_NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, (size_t size, size_t align, const void *tag), (size, align, tag),
	 (REPLACED(_ZnwmSt11align_val_tRKSt9nothrow_t) || REPLACED(_ZnwmSt11align_val_t)),
	 aligned_or_null(size, align, true))
FACE_NEW(_ZnamSt11align_val_tRKSt9nothrow_t, (size_t size, size_t align, const void *tag), (size, align, tag),
	 (REPLACED(_ZnamSt11align_val_tRKSt9nothrow_t) || REPLACED(_ZnamSt11align_val_t) || REPLACED(_ZnwmSt11align_val_t)),
	 aligned_or_null(size, align, true))

/* What the compiler instruments: type, name, parameters, their names. strdup and its family stay as they are. */
#define TOKEN_FACES(FACE) \
	FACE(void *, malloc, (size_t size), (size)) \
	FACE(void *, calloc, (size_t n, size_t size), (n, size)) \
	FACE(void *, realloc, (void *p, size_t size), (p, size)) \
	FACE(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size)) \
	FACE(void *, aligned_alloc, (size_t align, size_t size), (align, size)) \
	FACE(void *, memalign, (size_t align, size_t size), (align, size)) \
	FACE(void *, valloc, (size_t size), (size)) \
	FACE(void *, pvalloc, (size_t size), (size)) \
	FACE(int, posix_memalign, (void **out, size_t align, size_t size), (out, align, size)) \
	FACE(void *, _Znwm, (size_t size), (size)) \
	FACE(void *, _Znam, (size_t size), (size)) \
	FACE(void *, _ZnwmRKSt9nothrow_t, (size_t size, const void *tag), (size, tag)) \
	FACE(void *, _ZnamRKSt9nothrow_t, (size_t size, const void *tag), (size, tag)) \
	FACE(void *, _ZnwmSt11align_val_t, (size_t size, size_t align), (size, align)) \
	FACE(void *, _ZnamSt11align_val_t, (size_t size, size_t align), (size, align)) \
	FACE(void *, _ZnwmSt11align_val_tRKSt9nothrow_t, (size_t size, size_t align, const void *tag), (size, align, tag)) \
	FACE(void *, _ZnamSt11align_val_tRKSt9nothrow_t, (size_t size, size_t align, const void *tag), (size, align, tag))

/* The two ABIs: the token behind the arguments, or in the name. */
#define FACE_WITH_TOKEN(type, name, params, args) \
	type __alloc_token_##name(BARE params, size_t token); \
	EXPORT type __alloc_token_##name(BARE params, size_t token) { return program_##name(BARE args, token == 0); }
#define FACE_OF_ID(id, type, name, params, args) \
	type __alloc_token_##id##_##name params; \
	EXPORT type __alloc_token_##id##_##name params { return program_##name(BARE args, id == 0); }
#define FACE_OF_ID_0(...) FACE_OF_ID(0, __VA_ARGS__)
#define FACE_OF_ID_1(...) FACE_OF_ID(1, __VA_ARGS__)
#define FACE_OF_ID_2(...) FACE_OF_ID(2, __VA_ARGS__)

TOKEN_FACES(FACE_WITH_TOKEN)
TOKEN_FACES(FACE_OF_ID_0)
TOKEN_FACES(FACE_OF_ID_1)
TOKEN_FACES(FACE_OF_ID_2)
